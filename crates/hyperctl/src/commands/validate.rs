//! `hyperctl validate`: what would come of an export, without making it.

use std::path::PathBuf;

use serde_json::Value;

use super::export::{absolute, submission};
use crate::client::{Client, problem_fields};
use crate::failure::Failure;
use crate::output::{self, Format, units, word};
use crate::package_options::PackageOptions;

/// Check an export beforehand: privileges, power state, disks, space, hosts, expected size and time.
///
/// Nothing is made and nothing is changed. The flags are those of `export`. It fails if an export would.
#[derive(Debug, clap::Args)]
pub struct ValidateArgs {
    /// The VM: an inventory path, a managed object id, or a glob such as '/DC0/vm/prod/*'.
    #[arg(required = true)]
    pub vm: Vec<String>,
    /// The directory the packages would go into, on the daemon's machine.
    #[arg(long, short, value_name = "DIR")]
    pub output: PathBuf,
    /// The connection to use, if the daemon has several.
    #[arg(long, value_name = "NAME")]
    pub provider: Option<String>,
    /// What the package would be.
    #[command(flatten)]
    pub package: PackageOptions,
}

pub(crate) async fn run(args: &ValidateArgs, client: &Client, format: Format) -> Result<(), Failure> {
    let output = absolute(&args.output, client.is_local())?;
    let body = submission(&args.vm, &output, args.provider.as_deref(), None, &args.package);
    let answer = client.post("/jobs/validate", &body).await?;
    let jobs = output::list(&answer["jobs"]);
    match format {
        Format::Json => output::json(&answer),
        Format::Text => jobs.iter().for_each(show),
    }
    let wrong = jobs.iter().filter(|job| job["valid"] != true).count();
    match answer["valid"] == true {
        true => Ok(()),
        false => Err(Failure::Ended(format!("{wrong} of {} exports would fail", jobs.len()))),
    }
}

fn show(job: &Value) {
    let verdict = if job["valid"] == true { "can be exported" } else { "cannot be exported" };
    let size = job["expected_bytes"].as_u64().map(|bytes| format!(", about {}", units::bytes(bytes)));
    let time = job["expected_seconds"].as_f64().map(|seconds| format!(" in {}", units::seconds(seconds)));
    let (size, time) = (size.unwrap_or_default(), time.unwrap_or_default());
    output::line(format!("{}: {verdict}{size}{time}", word(&job["vm_path"])));
    for error in problem_fields(&job["errors"]) {
        output::line(format!("  error    {error}"));
    }
    for finding in output::list(&job["findings"]) {
        output::line(format!("  {:<8} {}", word(&finding["level"]), word(&finding["message"])));
        if let Some(advice) = finding["advice"].as_str() {
            output::line(format!("           -> {advice}"));
        }
    }
}
