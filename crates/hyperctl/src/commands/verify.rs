//! `hyperctl verify`: whether a package is whole.

use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Value, json};

use super::export::absolute;
use crate::client::Client;
use crate::failure::Failure;
use crate::output::{self, Format, units, word};

/// The exit code of a package whose fault has no code of its own.
const FAULTY: u8 = 11;

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
