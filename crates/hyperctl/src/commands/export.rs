//! `hyperctl export`: VMs to packages, by the daemon or without one.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::client::Client;
use crate::client::problem_fields;
use crate::contexts::{Connection, Target};
use crate::direct::{self, Source};
use crate::failure::Failure;
use crate::job::Job;
use crate::output::{self, Format, units};
use crate::package_options::PackageOptions;
use crate::watch::{self, Interrupts};

/// Export VMs as verified packages.
///
/// The daemon does the work, and the packages appear on its machine. With --watch the command stays until
/// the jobs have ended, and Ctrl-C cancels them; without, it prints their ids and returns.
#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    /// The VM: an inventory path, a managed object id, or a glob such as '/DC0/vm/prod/*' (one job a VM).
    #[arg(required = true)]
    pub vm: Vec<String>,
    /// The directory the packages go into, on the daemon's machine.
    #[arg(long, short, value_name = "DIR")]
    pub output: PathBuf,
    /// Stay until the jobs have ended, and show how far they are.
    #[arg(long, short)]
    pub watch: bool,
    /// The connection to use, if the daemon has several.
    #[arg(long, value_name = "NAME", conflicts_with = "direct")]
    pub provider: Option<String>,
    /// Higher goes first.
    #[arg(long, value_name = "N", allow_negative_numbers = true, conflicts_with = "direct")]
    pub priority: Option<i32>,
    /// What the package is to be.
    #[command(flatten)]
    pub package: PackageOptions,
    /// Export from here, without a daemon: straight from the vCenter or ESXi host named below.
    #[arg(long, help_heading = "Without a daemon")]
    pub direct: bool,
    /// Where from, with --direct.
    #[command(flatten)]
    pub source: Source,
}

/// Carries the command out.
pub(crate) async fn run(args: &ExportArgs, target: &Target, format: Format) -> Result<(), Failure> {
    if args.direct {
        return direct::export(args, format).await;
    }
    let client = Client::new(&Connection::resolve(target)?)?;
    let output = absolute(&args.output, client.is_local())?;
    // Listening begins before there is a job: from then on Ctrl-C must not leave one behind.
    let mut interrupts = if args.watch { Some(Interrupts::listen()?) } else { None };
    let provider = args.provider.as_deref();
    let body = submission(&args.vm, &output, provider, args.priority, &args.package);
    let answer = client.post("/jobs/submit", &body).await?;
    let ids: Vec<String> = output::list(&answer["job_ids"]).iter().map(output::word).collect();
    let refused = problem_fields(&answer["errors"]);
    for warning in output::list(&answer["warnings"]) {
        output::remark(format!("warning: {}", output::word(warning)));
    }
    for error in &refused {
        output::remark(format!("refused: {error}"));
    }
    match &mut interrupts {
        Some(interrupts) => {
            let shown = watch::follow(&client, &ids, &mut *watch::display(format), interrupts).await?;
            report(&shown, format)?;
        }
        None if format == Format::Json => output::json(&answer),
        None => {
            for id in &ids {
                output::line(id);
            }
            let shown = ids.first().map_or("", String::as_str);
            output::remark(format!("accepted; `hyperctl jobs {shown}` shows how far it is"));
        }
    }
    match refused.len() {
        0 => Ok(()),
        count => Err(Failure::Ended(format!("{count} of the jobs were refused"))),
    }
}

/// Shows how jobs ended: packages on stdout, failures by the failure that is returned.
pub(crate) fn report(shown: &[Value], format: Format) -> Result<(), Failure> {
    let jobs = shown.iter().map(Job::read).collect::<Result<Vec<_>, _>>()?;
    if format == Format::Json {
        output::json(&json!(shown));
        return watch::verdict(&jobs);
    }
    for result in jobs.iter().filter_map(|job| job.result.as_ref()) {
        output::line(format!(
            "{}  {}  {}",
            result.ovf_path,
            units::bytes(result.total_size),
            units::seconds(result.duration)
        ));
        for warning in &result.warnings {
            output::remark(format!("warning: {warning}"));
        }
    }
    watch::verdict(&jobs)
}

/// The body that submits one job for each VM named.
pub(crate) fn submission(
    vms: &[String],
    output: &Path,
    provider: Option<&str>,
    priority: Option<i32>,
    package: &PackageOptions,
) -> Value {
    let mut shared: Map<String, Value> = package.fields();
    shared.insert("output_dir".to_owned(), json!(output));
    if let Some(provider) = provider {
        shared.insert("provider".to_owned(), json!(provider));
    }
    if let Some(priority) = priority {
        shared.insert("priority".to_owned(), json!(priority));
    }
    let job = |vm: &String| {
        let mut job = shared.clone();
        job.insert("vm_path".to_owned(), json!(vm));
        Value::Object(job)
    };
    match vms {
        [vm] => job(vm),
        several => json!({ "jobs": several.iter().map(job).collect::<Vec<_>>() }),
    }
}

/// The directory as the daemon must be told it.
pub(crate) fn absolute(path: &Path, here: bool) -> Result<PathBuf, Failure> {
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    if !here {
        return Err(Failure::usage(format!(
            "--output {} is not absolute, and the daemon is on another machine: give the directory's full path there",
            path.display()
        )));
    }
    std::path::absolute(path).map_err(|error| Failure::usage(format!("--output {}: {error}", path.display())))
}
