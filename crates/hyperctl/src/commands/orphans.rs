//! `hyperctl orphans`: what exports left behind at their sources.

use clap::Subcommand;
use serde_json::Value;

use crate::client::{Client, segment};
use crate::failure::Failure;
use crate::output::table::Rows;
use crate::output::{self, Format, word};

/// List the snapshots that exports left behind at their sources, and remove them.
#[derive(Debug, clap::Args)]
pub struct OrphansArgs {
    /// What to do; lists if not given.
    #[command(subcommand)]
    pub action: Option<OrphanAction>,
}

/// What to do with orphans.
#[derive(Debug, Subcommand)]
pub enum OrphanAction {
    /// List them.
    List,
    /// Remove the ones named, or all with --all. Those of jobs that run are left alone.
    Remove {
        /// The orphans, as `list` names them.
        #[arg(required_unless_present = "all")]
        id: Vec<String>,
        /// Remove every one.
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
}

pub(crate) async fn run(args: &OrphansArgs, client: &Client, format: Format) -> Result<(), Failure> {
    match args.action.as_ref().unwrap_or(&OrphanAction::List) {
        OrphanAction::List => list(&client.get("/orphans").await?, format),
        OrphanAction::Remove { all: true, .. } => removed(&[client.delete("/orphans").await?], format),
        OrphanAction::Remove { id, .. } => {
            let mut answers = Vec::with_capacity(id.len());
            for id in id {
                answers.push(client.delete(&format!("/orphans/{}", segment(id))).await?);
            }
            removed(&answers, format)
        }
    }
}

/// A connection that could not be asked is a failure: what it holds is not known.
fn list(answer: &Value, format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        output::json(answer);
    } else {
        let mut rows = Rows::new(&["id", "kind", "connection", "vm", "made by", "owner"], &[]);
        for orphan in output::list(&answer["orphans"]) {
            let fields = ["id", "kind", "provider", "vm_name", "work", "owner"];
            rows.push(fields.map(|field| word(&orphan[field])));
        }
        output::line(rows.text());
    }
    let errors: Vec<String> = output::list(&answer["errors"]).iter().map(word).collect();
    if errors.is_empty() { Ok(()) } else { Err(Failure::Ended(errors.join("\n"))) }
}

fn removed(answers: &[Value], format: Format) -> Result<(), Failure> {
    let mut failed = Vec::new();
    for answer in answers {
        if format == Format::Json {
            output::json(answer);
        } else {
            output::list(&answer["removed"]).iter().for_each(|id| output::line(word(id)));
        }
        let left = output::list(&answer["failed"]).iter();
        failed.extend(left.map(|left| format!("{}: {}", word(&left["id"]), word(&left["error"]))));
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::Ended(failed.join("\n"))) }
}
