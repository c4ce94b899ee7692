//! `hyperctl webhooks`: where events go, and what became of them.

mod definition;
mod tables;

use clap::Subcommand;
use serde_json::{Value, json};

use super::confirm::Confirmation;
use crate::client::{Client, segment, with_query};
use crate::failure::Failure;
use crate::output::{self, Format, word};
use definition::{ChangeArgs, CreateArgs};

/// List webhooks, make and test them, and see what was delivered.
#[derive(Debug, clap::Args)]
pub struct WebhooksArgs {
    /// What to do; lists if not given.
    #[command(subcommand)]
    pub action: Option<WebhookAction>,
}

/// What to do with webhooks.
#[derive(Debug, Subcommand)]
pub enum WebhookAction {
    /// List the webhooks.
    List,
    /// Show one in full; its secrets never come back.
    Show {
        /// The webhook.
        id: String,
    },
    /// Send events to an address from now on.
    Create(Box<CreateArgs>),
    /// Change what is given, and leave the rest as it is.
    Change(Box<ChangeArgs>),
    /// Send to it again; one that had answered 410 too.
    Enable {
        /// The webhook.
        id: String,
    },
    /// Keep it, and send nothing to it: what happens meanwhile is not kept for it.
    Disable {
        /// The webhook.
        id: String,
    },
    /// Send a test event now, and show what came back.
    Test {
        /// The webhook.
        id: String,
    },
    /// List what was delivered to it, newest first.
    Deliveries {
        /// The webhook.
        id: String,
        /// Only deliveries in this state.
        #[arg(long, value_name = "STATE", value_parser = ["pending", "in_flight", "delivered", "dead"])]
        state: Option<String>,
        /// How many at most, 1 to 1000.
        #[arg(long, value_name = "N", default_value = "20")]
        limit: u32,
        /// Only deliveries older than this one: the next page.
        #[arg(long, value_name = "ID")]
        before: Option<String>,
    },
    /// Show one delivery with its attempts and its request.
    Delivery {
        /// The delivery, as `deliveries` names it.
        id: String,
    },
    /// Send deliveries again that have ended, or every dead one of a webhook.
    Redeliver {
        /// The deliveries, as `deliveries` names them.
        #[arg(required_unless_present = "dead")]
        id: Vec<String>,
        /// Every one that was given up, of this webhook.
        #[arg(long, value_name = "WEBHOOK", conflicts_with = "id")]
        dead: Option<String>,
    },
    /// Remove webhooks, with every delivery to them.
    Delete {
        /// The webhooks.
        #[arg(required = true)]
        id: Vec<String>,
        /// Whether to ask.
        #[command(flatten)]
        confirmation: Confirmation,
    },
}

fn path(id: &str, rest: &str) -> String {
    format!("/webhooks/{}{rest}", segment(id))
}

pub(crate) async fn run(args: &WebhooksArgs, client: &Client, format: Format) -> Result<(), Failure> {
    let changed = match args.action.as_ref().unwrap_or(&WebhookAction::List) {
        WebhookAction::List => {
            let answer = client.get("/webhooks").await?;
            return show(&answer, format, tables::webhooks);
        }
        WebhookAction::Deliveries { id, state, limit, before } => {
            let query =
                [("state", state.clone()), ("limit", Some(limit.to_string())), ("before", before.clone())];
            let answer = client.get(&with_query(&path(id, "/deliveries"), &query)).await?;
            return show(&answer, format, tables::deliveries);
        }
        WebhookAction::Delivery { id } => {
            let answer = client.get(&format!("/webhooks/deliveries/{}", segment(id))).await?;
            output::thing(&answer, format);
            return Ok(());
        }
        WebhookAction::Show { id } => {
            output::thing(&client.get(&path(id, "")).await?, format);
            return Ok(());
        }
        WebhookAction::Test { id } => {
            return tested(&client.post(&path(id, "/test"), &json!({})).await?, format);
        }
        WebhookAction::Redeliver { id, dead } => {
            return redeliver(id, dead.as_deref(), client, format).await;
        }
        WebhookAction::Delete { id, confirmation } => {
            confirmation.ask(&format!("remove {} with every delivery", id.join(", ")))?;
            return delete(id, client, format).await;
        }
        WebhookAction::Create(create) => client.post("/webhooks", &create.body()?).await?,
        WebhookAction::Change(change) => change.carry_out(client).await?,
        WebhookAction::Enable { id } => enable(id, client).await?,
        WebhookAction::Disable { id } => switch(id, false, client).await?,
    };
    match format {
        Format::Json => output::json(&changed),
        Format::Text => {
            output::line(format!("{}  {}", word(&changed["id"]), word(&changed["status"])));
        }
    }
    Ok(())
}

fn show(answer: &Value, format: Format, table: fn(&Value)) -> Result<(), Failure> {
    match format {
        Format::Json => output::json(answer),
        Format::Text => table(answer),
    }
    Ok(())
}

/// Switches it on, whichever way it was off.
async fn enable(id: &str, client: &Client) -> Result<Value, Failure> {
    let current = client.get(&path(id, "")).await?;
    match current["status"].as_str() {
        Some("halted") => client.post(&path(id, "/resume"), &json!({})).await,
        _ => switch(id, true, client).await,
    }
}

async fn switch(id: &str, enabled: bool, client: &Client) -> Result<Value, Failure> {
    let edit = |fields: &mut serde_json::Map<String, Value>| {
        fields.insert("enabled".to_owned(), json!(enabled));
    };
    client.change(&path(id, ""), edit).await
}

/// Shows how a test went; one that did not arrive is a failure.
fn tested(answer: &Value, format: Format) -> Result<(), Failure> {
    output::thing(answer, format);
    if answer["delivered"] == true {
        return Ok(());
    }
    let why = answer["error"]
        .as_str()
        .map_or_else(|| format!("it answered with status {}", word(&answer["status"])), str::to_owned);
    Err(Failure::Ended(format!("the test was not delivered: {why}")))
}

async fn redeliver(
    ids: &[String],
    dead_of: Option<&str>,
    client: &Client,
    format: Format,
) -> Result<(), Failure> {
    let mut routes: Vec<String> =
        ids.iter().map(|id| format!("/webhooks/deliveries/{}/redeliver", segment(id))).collect();
    routes.extend(dead_of.map(|webhook| path(webhook, "/redeliver")));
    let mut again = 0;
    let mut failed = None;
    for (index, route) in routes.iter().enumerate() {
        match client.post(route, &json!({})).await {
            Ok(answer) => again += answer["redelivered"].as_u64().unwrap_or_default(),
            Err(failure) => {
                let id = ids.get(index).map_or_else(|| dead_of.unwrap_or_default(), String::as_str);
                output::remark(format!("{id}: {failure}"));
                failed = Some(failure);
            }
        }
    }
    match format {
        Format::Json => output::json(&json!({ "redelivered": again })),
        Format::Text => output::line(format!("{again} to be sent again")),
    }
    failed.map_or(Ok(()), Err)
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
