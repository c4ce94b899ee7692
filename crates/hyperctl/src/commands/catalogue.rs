//! `hyperctl packages`: what jobs have made, its removal, and what the rules of schedules mean for it.

use clap::Subcommand;
use serde_json::{Value, json};

use crate::client::{Client, segment, with_query};
use crate::failure::Failure;
use crate::output::table::Rows;
use crate::output::{self, Format, units, word};

/// List the packages that jobs have made, newest first, or do something with them.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct PackagesArgs {
    /// What to do; without it, list.
    #[command(subcommand)]
    pub what: Option<What>,
    /// Only those in these states: present, replaced, removing, removed.
    #[arg(long, value_name = "STATE", value_delimiter = ',', default_value = "present")]
    pub state: Vec<String>,
    /// Only of the VM of this name or path.
    #[arg(long)]
    pub vm: Option<String>,
    /// Only what this schedule made.
    #[arg(long)]
    pub schedule: Option<String>,
    /// How many at most, 1 to 1000.
    #[arg(long, value_name = "N", default_value = "50")]
    pub limit: u32,
    /// Those older than this package: the next page.
    #[arg(long, value_name = "ID")]
    pub before: Option<String>,
}

/// What to do with packages.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Show one in full.
    Show {
        /// The job that made it.
        id: String,
    },
    /// Remove packages: their files and receipts, and nothing else.
    Remove {
        /// The jobs that made them.
        #[arg(required = true)]
        id: Vec<String>,
    },
    /// Say what a schedule's rules would remove, and why.
    Retention {
        /// The schedule.
        schedule: String,
        /// Remove it.
        #[arg(long)]
        apply: bool,
    },
}

pub(crate) async fn run(args: &PackagesArgs, client: &Client, format: Format) -> Result<(), Failure> {
    match &args.what {
        None => list(args, client, format).await,
        Some(What::Show { id }) => show(id, client, format).await,
        Some(What::Remove { id }) => remove(id, client, format).await,
        Some(What::Retention { schedule, apply }) => retention(schedule, *apply, client, format).await,
    }
}

async fn list(args: &PackagesArgs, client: &Client, format: Format) -> Result<(), Failure> {
    let query = [
        ("state", Some(args.state.join(","))),
        ("vm", args.vm.clone()),
        ("schedule", args.schedule.clone()),
        ("limit", Some(args.limit.to_string())),
        ("before", args.before.clone()),
    ];
    let answer = client.get(&with_query("/packages", &query)).await?;
    if format == Format::Json {
        output::json(&answer);
        return Ok(());
    }
    let mut rows = Rows::new(&["completed", "vm", "size", "state", "id", "package"], &[2]);
    for package in output::list(&answer["packages"]) {
        rows.push([
            units::instant(&package["completed_at"]),
            word(&package["vm_name"]),
            units::bytes(package["total_size"].as_u64().unwrap_or_default()),
            state(package),
            word(&package["id"]),
            word(&package["path"]),
        ]);
    }
    output::line(rows.text());
    if let Some(next) = answer["next"].as_str() {
        output::remark(format!("there are more; the next page: --before {next}"));
    }
    Ok(())
}

/// Its state, or that it is faulty.
fn state(package: &Value) -> String {
    let is_faulty = package["verification"]["ok"] == false;
    if is_faulty && package["state"] == "present" { "faulty".to_owned() } else { word(&package["state"]) }
}

async fn show(id: &str, client: &Client, format: Format) -> Result<(), Failure> {
    let package = client.get(&format!("/packages/{}", segment(id))).await?;
    if format == Format::Json {
        output::json(&package);
        return Ok(());
    }
    let check = &package["verification"];
    let mut rows = vec![
        ("id", word(&package["id"])),
        ("vm", word(&package["vm_path"])),
        ("state", state(&package)),
        ("package", word(&package["path"])),
        ("size", units::bytes(package["total_size"].as_u64().unwrap_or_default())),
        ("checksum", word(&package["checksum"])),
        ("completed", units::instant(&package["completed_at"])),
    ];
    if let Some(level) = check["level"].as_str() {
        rows.push(("checked", format!("{}, {level}", units::instant(&package["verified_at"]))));
    }
    for (name, value) in
        [("schedule", &package["schedule_id"]), ("reason", &package["reason"]), ("fault", &check["fault"])]
    {
        if let Some(value) = value.as_str() {
            rows.push((name, value.to_owned()));
        }
    }
    for (name, value) in rows {
        output::line(format!("{name:<10}{value}"));
    }
    Ok(())
}

async fn remove(ids: &[String], client: &Client, format: Format) -> Result<(), Failure> {
    let mut removed = Vec::new();
    let mut failed = None;
    for id in ids {
        match client.delete_patiently(&format!("/packages/{}", segment(id))).await {
            Ok(package) if format == Format::Text => {
                output::line(format!("{id}  {}", word(&package["state"])))
            }
            Ok(package) => removed.push(package),
            Err(failure) => {
                output::remark(format!("{id}: {failure}"));
                failed = Some(failure);
            }
        }
    }
    if format == Format::Json {
        output::json(&json!({ "removed": removed }));
    }
    failed.map_or(Ok(()), Err)
}

async fn retention(schedule: &str, apply: bool, client: &Client, format: Format) -> Result<(), Failure> {
    let path = format!("/schedules/{}/retention", segment(schedule));
    let answer = match apply {
        true => client.post_patiently(&path, &json!({})).await?,
        false => client.get(&path).await?,
    };
    if format == Format::Json {
        output::json(&answer);
        return Ok(());
    }
    if answer["retention"].is_null() {
        output::remark(format!("the schedule {schedule} has no retention: everything stays"));
    }
    let mut rows = Rows::new(&["", "completed", "size", "package", "why"], &[2]);
    for (name, word_for) in [("remove", if apply { "removed" } else { "goes" }), ("keep", "stays")] {
        for package in output::list(&answer[name]) {
            rows.push([
                word_for.to_owned(),
                units::instant(&package["completed_at"]),
                units::bytes(package["total_size"].as_u64().unwrap_or_default()),
                word(&package["path"]),
                word(&package["why"]),
            ]);
        }
    }
    output::line(rows.text());
    Ok(())
}
