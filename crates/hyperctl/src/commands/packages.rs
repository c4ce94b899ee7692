//! `hyperctl packages` and `verify`: what was made, and whether it is whole.

use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Value, json};

use super::export::absolute;
use crate::client::{Client, with_query};
use crate::failure::Failure;
use crate::output::table::Rows;
use crate::output::{self, Format, units, word};

/// The exit code of a package whose fault has no code of its own.
const FAULTY: u8 = 11;

/// List the packages that completed jobs made, newest first.
#[derive(Debug, clap::Args)]
pub struct PackagesArgs {
    /// How many at most, 1 to 1000.
    #[arg(long, value_name = "N", default_value = "50")]
    pub limit: u32,
}

/// Verify a package on the daemon's machine.
///
/// An OVA (also .gz or .zst), an OVF directory, or its descriptor, of any producer. Ends with 0 if it is
/// whole and with 10 to 19 by what is wrong, as `hypervisord verify` does.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// The package, on the daemon's machine.
    pub path: PathBuf,
    /// How much is read.
    #[arg(long, value_enum, default_value = "structure")]
    pub level: Level,
}

/// How much of a package is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Headers, descriptor and manifest.
    Headers,
    /// Every byte: digests, and the structure of disks.
    Structure,
    /// Also every grain, inflated.
    Full,
}

pub(crate) async fn packages(args: &PackagesArgs, client: &Client, format: Format) -> Result<(), Failure> {
    let query = [("status", Some("completed".to_owned())), ("limit", Some(args.limit.to_string()))];
    let answer = client.get(&with_query("/jobs", &query)).await?;
    let jobs = output::list(&answer["jobs"]);
    let made = jobs.iter().filter(|job| job["result"].is_object());
    if format == Format::Json {
        let packages: Vec<Value> = made
            .map(|job| {
                let mut package = job["result"].clone();
                package["job_id"] = job["definition"]["id"].clone();
                package["vm_path"] = job["definition"]["vm_path"].clone();
                package["completed_at"] = job["completed_at"].clone();
                package
            })
            .collect();
        output::json(&json!({ "packages": packages }));
        return Ok(());
    }
    let mut rows = Rows::new(&["completed", "vm", "size", "package"], &[2]);
    for job in made {
        let result = &job["result"];
        rows.push([
            units::instant(&job["completed_at"]),
            word(&result["vm_name"]),
            units::bytes(result["total_size"].as_u64().unwrap_or_default()),
            word(&result["ovf_path"]),
        ]);
    }
    output::line(rows.text());
    Ok(())
}

pub(crate) async fn verify(args: &VerifyArgs, client: &Client, format: Format) -> Result<(), Failure> {
    let path = absolute(&args.path, client.is_local())?;
    let report =
        client.post_patiently("/packages/verify", &json!({ "path": path, "level": args.level })).await?;
    let faults = output::list(&report["faults"]);
    match format {
        Format::Json => output::json(&report),
        Format::Text => show(&path.display().to_string(), &report),
    }
    if report["ok"] == true {
        return Ok(());
    }
    let code = faults.iter().map(|fault| code_of(&word(&fault["class"]))).min().unwrap_or(FAULTY);
    Err(Failure::Faulty { code, message: format!("{}: {} faults", path.display(), faults.len()) })
}

fn show(path: &str, report: &Value) {
    for file in output::list(&report["files"]) {
        let size = file["size"].as_u64().map_or_else(|| "-".to_owned(), units::bytes);
        output::line(format!("{}  {size}", word(&file["name"])));
    }
    for warning in output::list(&report["warnings"]) {
        output::line(format!("warning: {}", word(warning)));
    }
    for fault in output::list(&report["faults"]) {
        let file = fault["file"].as_str().map(|file| format!(" in {file}")).unwrap_or_default();
        output::line(format!("fault: {}{file}: {}", word(&fault["class"]), word(&fault["message"])));
    }
    if report["ok"] == true {
        output::line(format!("{path}: whole"));
    }
}

/// The exit code for a class of fault.
fn code_of(class: &str) -> u8 {
    const CLASSES: [&str; 10] = [
        "truncated",
        "archive",
        "unsafe",
        "descriptor",
        "manifest",
        "missing",
        "size",
        "digest",
        "signature",
        "disk",
    ];
    CLASSES.iter().position(|known| *known == class).map_or(FAULTY, |index| 10 + index as u8)
}
