//! A schedule as flags or a file, and as the API wants it.

use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::super::document;
use super::super::export::absolute;
use super::path;
use crate::client::Client;
use crate::failure::Failure;
use crate::package_options::PackageOptions;

/// What a schedule is shown with and nobody sets.
const SHOWN: [&str; 10] = [
    "schedule_text",
    "next_run",
    "next_runs",
    "last_run",
    "run_count",
    "missed_count",
    "consecutive_failures",
    "disabled_because",
    "created_at",
    "updated_at",
];

/// What happens at a time while the last run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// Nothing: the time is missed.
    Skip,
    /// It waits.
    Queue,
    /// The last run is cancelled.
    #[value(name = "cancel_previous")]
    CancelPrevious,
}

/// What happens to times that went by while no daemon ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// Nothing.
    None,
    /// The last one is made up for.
    Latest,
    /// Each is made up for, one after the other.
    All,
}

/// When it fires and how it behaves.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Schedule")]
pub struct RuleArgs {
    /// When: minute, hour, day of month, month, day of week, such as '0 2 * * *'.
    #[arg(long, value_name = "CRON")]
    pub schedule: Option<String>,
    /// The zone that the times are in, such as Europe/Berlin; UTC if not given.
    #[arg(long, value_name = "ZONE")]
    pub timezone: Option<String>,
    /// A name for people; the id if not given.
    #[arg(long, value_name = "TEXT")]
    pub name: Option<String>,
    /// A sentence for people.
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// A tag to list by. May be repeated.
    #[arg(long, value_name = "TAG")]
    pub tag: Vec<String>,
    /// What happens at a time while the last run goes on (skip if not given).
    #[arg(long, value_enum, value_name = "HOW")]
    pub overlap: Option<Overlap>,
    /// What happens to times that went by while no daemon ran (latest if not given).
    #[arg(long, value_enum, value_name = "HOW")]
    pub catch_up: Option<CatchUp>,
    /// Let each time come up to this much later, such as 10m.
    #[arg(long, value_name = "DURATION")]
    pub jitter: Option<String>,
    /// Switch it off after so many failures in a row.
    #[arg(long, value_name = "N")]
    pub max_failures: Option<u32>,
    /// Keep the last so many packages; the others are removed by and by.
    #[arg(long, value_name = "N")]
    pub keep_last: Option<u32>,
    /// Keep the newest package of each of so many days.
    #[arg(long, value_name = "N")]
    pub keep_daily: Option<u32>,
    /// The same of weeks.
    #[arg(long, value_name = "N")]
    pub keep_weekly: Option<u32>,
    /// The same of months.
    #[arg(long, value_name = "N")]
    pub keep_monthly: Option<u32>,
    /// The same of years.
    #[arg(long, value_name = "N")]
    pub keep_yearly: Option<u32>,
}

impl RuleArgs {
    /// Sets what was given.
    fn apply(&self, fields: &mut Map<String, Value>) {
        let texts = [
            ("schedule", &self.schedule),
            ("timezone", &self.timezone),
            ("name", &self.name),
            ("description", &self.description),
            ("jitter", &self.jitter),
        ];
        let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        for (name, text) in texts {
            if let Some(text) = text {
                set(name, json!(text));
            }
        }
        if !self.tag.is_empty() {
            set("tags", json!(self.tag));
        }
        if let Some(overlap) = self.overlap {
            set("overlap", json!(overlap));
        }
        if let Some(catch_up) = self.catch_up {
            set("catch_up", json!(catch_up));
        }
        if let Some(most) = self.max_failures {
            set("max_failures", json!(most));
        }
        let kept = [
            ("keep_last", self.keep_last),
            ("keep_daily", self.keep_daily),
            ("keep_weekly", self.keep_weekly),
            ("keep_monthly", self.keep_monthly),
            ("keep_yearly", self.keep_yearly),
        ];
        let kept = kept.into_iter().filter_map(|(name, count)| Some((name, count?)));
        for (name, count) in kept {
            let rules = fields.entry("retention").or_insert(Value::Null);
            if !rules.is_object() {
                *rules = json!({});
            }
            rules[name] = json!(count);
        }
    }
}

/// A new schedule.
#[derive(Debug, clap::Args)]
pub struct CreateArgs {
    /// Its id, such as daily-backup.
    #[arg(required_unless_present = "file")]
    pub id: Option<String>,
    /// The VM, or a glob in quotes, which is resolved each time.
    #[arg(long, value_name = "VM", required_unless_present = "file")]
    pub vm: Option<String>,
    /// The directory the packages go into, on the daemon's machine.
    #[arg(long, short, value_name = "DIR", required_unless_present = "file")]
    pub output: Option<PathBuf>,
    /// The connection to use, if the daemon has several.
    #[arg(long, value_name = "NAME")]
    pub provider: Option<String>,
    /// Make it, and do not let it fire yet.
    #[arg(long)]
    pub disabled: bool,
    /// A YAML or JSON file with the fields of POST /schedules; - for standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["vm", "output", "provider"])]
    pub file: Option<PathBuf>,
    /// When, and how it behaves.
    #[command(flatten)]
    pub rules: RuleArgs,
    /// What the packages are to be.
    #[command(flatten)]
    pub package: PackageOptions,
}

impl CreateArgs {
    /// What to post. `here` says whether the daemon is on this machine.
    pub(super) fn body(&self, here: bool) -> Result<Value, Failure> {
        let mut fields = match &self.file {
            Some(file) => document::read(file)?,
            None => Map::from_iter([("job_template".to_owned(), Value::Object(self.template(here)?))]),
        };
        if let Some(id) = &self.id {
            fields.insert("id".to_owned(), json!(id));
        }
        if self.disabled {
            fields.insert("enabled".to_owned(), json!(false));
        }
        self.rules.apply(&mut fields);
        if self.file.is_none() && self.rules.schedule.is_none() {
            return Err(Failure::usage("--schedule is missing: say when, such as --schedule '0 2 * * *'"));
        }
        Ok(Value::Object(fields))
    }

    fn template(&self, here: bool) -> Result<Map<String, Value>, Failure> {
        let mut template = self.package.fields();
        template.insert("vm_path".to_owned(), json!(self.vm));
        if let Some(output) = &self.output {
            template.insert("output_dir".to_owned(), json!(absolute(output, here)?));
        }
        if let Some(provider) = &self.provider {
            template.insert("provider".to_owned(), json!(provider));
        }
        Ok(template)
    }
}

/// A schedule that is to be another.
#[derive(Debug, clap::Args)]
pub struct ChangeArgs {
    /// The schedule.
    pub id: String,
    /// Another VM, or a glob in quotes.
    #[arg(long, value_name = "VM")]
    pub vm: Option<String>,
    /// Another directory, on the daemon's machine.
    #[arg(long, short, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Put the definition in this YAML or JSON file in the place of the whole; - for standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["vm", "output"])]
    pub file: Option<PathBuf>,
    /// Remove the rules by which packages are kept: all are.
    #[arg(long, conflicts_with_all = ["keep_last", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly"])]
    pub keep_all: bool,
    /// When, and how it behaves.
    #[command(flatten)]
    pub rules: RuleArgs,
}

impl ChangeArgs {
    pub(super) async fn carry_out(&self, client: &Client) -> Result<Value, Failure> {
        let route = path(&self.id, "");
        if let Some(file) = &self.file {
            let mut fields = document::read(file)?;
            self.edit(&mut fields, None);
            return client.put(&route, &Value::Object(fields)).await;
        }
        let output = self.output.as_ref().map(|output| absolute(output, client.is_local())).transpose()?;
        client.change(&route, |fields| self.edit(fields, output.as_ref())).await
    }

    fn edit(&self, fields: &mut Map<String, Value>, output: Option<&PathBuf>) {
        // What is shown only would be refused, and what is not set is not asked for.
        fields.retain(|name, value| !SHOWN.contains(&name.as_str()) && !value.is_null());
        // The tag says what is expected to be there.
        if self.file.is_none() {
            fields.remove("revision");
        }
        if self.keep_all {
            fields.remove("retention");
        }
        if let Some(template) = fields.get_mut("job_template").and_then(Value::as_object_mut) {
            if let Some(vm) = &self.vm {
                template.insert("vm_path".to_owned(), json!(vm));
            }
            if let Some(output) = output {
                template.insert("output_dir".to_owned(), json!(output));
            }
        }
        self.rules.apply(fields);
    }
}
