//! `hyperctl schedules`: what is to be done when, and what came of it.

mod definition;
mod tables;

use clap::Subcommand;
use serde_json::json;

use super::confirm::Confirmation;
use super::export::report;
use crate::client::{Client, segment, with_query};
use crate::failure::Failure;
use crate::output::{self, Format, word};
use crate::watch::{self, Interrupts};
use definition::{ChangeArgs, CreateArgs};

/// List schedules, make and change them, and see what came of them.
#[derive(Debug, clap::Args)]
pub struct SchedulesArgs {
    /// What to do; lists if not given.
    #[command(subcommand)]
    pub action: Option<ScheduleAction>,
}

/// What to do with schedules.
#[derive(Debug, Subcommand)]
pub enum ScheduleAction {
    /// List the schedules.
    List {
        /// Only those with this tag.
        #[arg(long, value_name = "TAG")]
        tag: Option<String>,
    },
    /// Show one in full, under the names that a file for `create` and `change` has.
    Show {
        /// The schedule.
        id: String,
    },
    /// Make a schedule of one export, or of a file with everything that schedules can do.
    Create(Box<CreateArgs>),
    /// Change what is given, and leave the rest as it is.
    Change(Box<ChangeArgs>),
    /// Let it fire again.
    Enable {
        /// The schedule.
        id: String,
    },
    /// Keep it, and let it fire no more.
    Disable {
        /// The schedule.
        id: String,
    },
    /// Fire it now, whatever its times say.
    Trigger {
        /// The schedule.
        id: String,
        /// Stay until its jobs have ended, and show how far they are; Ctrl-C cancels them.
        #[arg(long, short)]
        watch: bool,
    },
    /// List its runs, newest first.
    Runs {
        /// The schedule.
        id: String,
        /// How many at most, 1 to 1000.
        #[arg(long, value_name = "N", default_value = "20")]
        limit: u32,
        /// Only runs planned before this time: the next page.
        #[arg(long, value_name = "TIME")]
        before: Option<String>,
    },
    /// Preview the next times of a schedule, or of an expression that is none yet.
    Next {
        /// The schedule.
        #[arg(required_unless_present = "schedule")]
        id: Option<String>,
        /// Or an expression, such as '0 2 * * *'.
        #[arg(long, value_name = "CRON", conflicts_with = "id")]
        schedule: Option<String>,
        /// The zone of the expression, such as Europe/Berlin; UTC if not given.
        #[arg(long, value_name = "ZONE", requires = "schedule")]
        timezone: Option<String>,
        /// How many, up to 1000.
        #[arg(long, short = 'n', value_name = "N", default_value = "10")]
        count: u32,
    },
    /// Remove schedules. Jobs that they have begun go on, and packages stay.
    Delete {
        /// The schedules.
        #[arg(required = true)]
        id: Vec<String>,
        /// Whether to ask.
        #[command(flatten)]
        confirmation: Confirmation,
    },
}

fn path(id: &str, rest: &str) -> String {
    format!("/schedules/{}{rest}", segment(id))
}

pub(crate) async fn run(args: &SchedulesArgs, client: &Client, format: Format) -> Result<(), Failure> {
    let list = ScheduleAction::List { tag: None };
    let answer = match args.action.as_ref().unwrap_or(&list) {
        ScheduleAction::List { tag } => {
            let answer = client.get(&with_query("/schedules", &[("tag", tag.clone())])).await?;
            return show(&answer, format, tables::schedules);
        }
        ScheduleAction::Runs { id, limit, before } => {
            let query = [("limit", Some(limit.to_string())), ("before", before.clone())];
            let answer = client.get(&with_query(&path(id, "/runs"), &query)).await?;
            return show(&answer, format, tables::runs);
        }
        ScheduleAction::Next { id: Some(id), count, .. } => {
            let query = [("n", Some(count.to_string()))];
            let answer = client.get(&with_query(&path(id, "/next"), &query)).await?;
            return show(&answer, format, tables::times);
        }
        ScheduleAction::Next { schedule, timezone, count, .. } => {
            let mut body = json!({ "schedule": schedule });
            if let Some(zone) = timezone {
                body["timezone"] = json!(zone);
            }
            let route = with_query("/schedules/preview", &[("n", Some(count.to_string()))]);
            let answer = client.post(&route, &body).await?;
            return show(&answer, format, tables::times);
        }
        ScheduleAction::Trigger { id, watch } => return trigger(id, *watch, client, format).await,
        ScheduleAction::Delete { id, confirmation } => {
            confirmation.ask(&format!("remove {} with the record of its runs", id.join(", ")))?;
            return delete(id, client, format).await;
        }
        ScheduleAction::Show { id } => client.get(&path(id, "")).await?,
        ScheduleAction::Create(create) => client.post("/schedules", &create.body(client.is_local())?).await?,
        ScheduleAction::Change(change) => change.carry_out(client).await?,
        ScheduleAction::Enable { id } => client.post(&path(id, "/enable"), &json!({})).await?,
        ScheduleAction::Disable { id } => client.post(&path(id, "/disable"), &json!({})).await?,
    };
    match format {
        Format::Text if !matches!(args.action, Some(ScheduleAction::Show { .. })) => {
            output::line(tables::now(&answer));
        }
        _ => output::thing(&answer, format),
    }
    Ok(())
}

fn show(answer: &serde_json::Value, format: Format, table: fn(&serde_json::Value)) -> Result<(), Failure> {
    match format {
        Format::Json => output::json(answer),
        Format::Text => table(answer),
    }
    Ok(())
}

async fn trigger(id: &str, watch: bool, client: &Client, format: Format) -> Result<(), Failure> {
    // Listening begins before there is a job: from then on Ctrl-C must not leave one behind.
    let mut interrupts = if watch { Some(Interrupts::listen()?) } else { None };
    let run = client.post(&path(id, "/trigger"), &json!({})).await?;
    let ids: Vec<String> = output::list(&run["job_ids"]).iter().map(word).collect();
    match &mut interrupts {
        Some(interrupts) => {
            let shown = watch::follow(client, &ids, &mut *watch::display(format), interrupts).await?;
            report(&shown, format)
        }
        None if format == Format::Json => {
            output::json(&run);
            Ok(())
        }
        None => {
            ids.iter().for_each(output::line);
            if ids.is_empty() {
                output::remark(format!(
                    "it is {}; `hyperctl schedules runs {id}` shows more",
                    word(&run["status"])
                ));
            }
            Ok(())
        }
    }
}

async fn delete(ids: &[String], client: &Client, format: Format) -> Result<(), Failure> {
    let mut removed = Vec::new();
    let mut failed = None;
    for id in ids {
        match client.delete(&path(id, "")).await {
            Ok(_) => removed.push(id),
            Err(failure) => {
                output::remark(format!("{id}: {failure}"));
                failed = Some(failure);
            }
        }
    }
    match format {
        Format::Json => output::json(&json!({ "removed": removed })),
        Format::Text => removed.iter().for_each(|id| output::line(format!("{id}  removed"))),
    }
    failed.map_or(Ok(()), Err)
}
