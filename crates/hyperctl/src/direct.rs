//! `export --direct`: the same export without a daemon, straight on the libraries.
//!
//! Nothing is durable here: whoever stops the command stops the export, and the partial files are removed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hypersdk_core::{
    ErrorKind, JobContext, JobId, JobSpec, NamedProvider, Outcome, Provider, VmSelector, VmSummary,
};
use hypersdk_export::{ExportConfig, Exporter};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::commands::export::{ExportArgs, absolute, report};
use crate::failure::{Failure, mistake};
use crate::job::{Definition, Job, Progress};
use crate::output::Format;
use crate::watch::{self, Display, Interrupts};

/// How often progress is looked at.
const REDRAW: Duration = Duration::from_millis(200);

/// A vCenter or a stand-alone ESXi host.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Without a daemon")]
pub struct Source {
    /// The vCenter or ESXi host.
    #[arg(long, value_name = "HOST", env = "GOVC_URL", hide_env_values = true)]
    pub vcenter_url: Option<String>,
    /// The account. Its password comes from --password-file or GOVC_PASSWORD.
    #[arg(long, value_name = "USER", env = "GOVC_USERNAME")]
    pub username: Option<String>,
    /// A file whose first line is the password.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Accept exactly the certificate with this SHA-256 or SHA-1 fingerprint.
    #[arg(long, value_name = "HEX")]
    pub thumbprint: Option<String>,
    /// Trust the authorities in this PEM file, beside the system's.
    #[arg(long, value_name = "FILE")]
    pub vcenter_ca_file: Option<PathBuf>,
    /// Accept any certificate of the vCenter.
    #[arg(long, env = "GOVC_INSECURE", value_parser = clap::builder::FalseyValueParser::new())]
    pub insecure: bool,
}

/// Exports every VM named, one after the other.
pub(crate) async fn export(args: &ExportArgs, format: Format) -> Result<(), Failure> {
    let mut interrupts = Interrupts::listen()?;
    let output = absolute(&args.output, true)?;
    let provider = connect(&args.source)?;
    let result = async {
        let vms = tokio::select! {
            vms = find(&*provider, &args.vm) => vms?,
            () = interrupts.next() => return Err(Failure::Cancelled("cancelled; nothing was begun".to_owned())),
        };
        let named = NamedProvider {
            name: "direct".parse().expect("it is a name"),
            provider: Arc::clone(&provider),
        };
        let exporter = Exporter::new(ExportConfig::default());
        let mut display = watch::display(format);
        let mut shown = Vec::with_capacity(vms.len());
        for vm in &vms {
            let mut fields = args.package.fields();
            fields.insert("vm".to_owned(), json!(vm.id));
            fields.insert("output_dir".to_owned(), json!(output));
            let spec = JobSpec::deserialize(Value::Object(fields)).map_err(|error| mistake(&vm.path, &error))?;
            let run = Run { exporter: &exporter, provider: &named, spec: &spec, vm_path: &vm.path };
            let job = run.to_its_end(&mut *display, &mut interrupts).await;
            shown.push(job?);
        }
        display.close();
        report(&shown, format)
    }
    .await;
    provider.close().await;
    result
}

/// The VMs that are named, each once.
async fn find(provider: &dyn Provider, names: &[String]) -> Result<Vec<VmSummary>, Failure> {
    let mut found: Vec<VmSummary> = Vec::new();
    for name in names {
        let selector: VmSelector = name.parse().map_err(|error| mistake(name, &error))?;
        let vms = provider.find(&selector).await?;
        if vms.is_empty() {
            return Err(Failure::usage(format!("no VM matches {name}; paths look like /DC0/vm/folder/name")));
        }
        for vm in vms {
            if !found.iter().any(|known| known.id == vm.id) {
                found.push(vm);
            }
        }
    }
    Ok(found)
}

/// One export in this process.
struct Run<'a> {
    exporter: &'a Exporter,
    provider: &'a NamedProvider,
    spec: &'a JobSpec,
    vm_path: &'a str,
}

impl Run<'_> {
    /// Exports, and gives the end in the form in which the daemon shows jobs.
    async fn to_its_end(
        &self,
        display: &mut dyn Display,
        interrupts: &mut Interrupts,
    ) -> Result<Value, Failure> {
        let id = JobId::generate();
        // The lines of the job's log go nowhere: without --direct they are the daemon's.
        let (context, _log) = JobContext::new(id.clone(), 1, CancellationToken::new());
        let mut progress = context.progress.subscribe();
        let export = self.exporter.export(self.provider, self.spec, &context);
        tokio::pin!(export);
        let mut redraw = tokio::time::interval(REDRAW);
        let result = loop {
            tokio::select! {
                result = &mut export => break result,
                () = interrupts.next() => {
                    if context.cancel.is_cancelled() {
                        display.close();
                        return Err(Failure::Cancelled(format!(
                            "left before everything was released: unfinished files in {} end in .partial",
                            self.spec.output_dir.display()
                        )));
                    }
                    display.say("cancelling: removing what is unfinished (Ctrl-C again leaves at once)");
                    context.cancel.cancel();
                }
                _ = redraw.tick() => {
                    let now = Progress::from(&*progress.borrow_and_update());
                    display.show(&[self.job(&id, "running", now)]);
                }
            }
        };
        let progress = Progress::from(&*progress.borrow_and_update());
        Ok(match result {
            Ok(outcome) => {
                let json = self.json(&id, "completed", Some(&outcome));
                display.show(&[Job::read(&json)?]);
                json
            }
            Err(error) if error.kind() == ErrorKind::Cancelled => {
                display.show(&[self.job(&id, "cancelled", progress)]);
                self.json(&id, "cancelled", None)
            }
            Err(error) => {
                display.close();
                return Err(Failure::from(error.context(format!("export {}", self.vm_path))));
            }
        })
    }

    fn job(&self, id: &JobId, status: &str, progress: Progress) -> Job {
        let definition = Definition { id: id.to_string(), vm_path: self.vm_path.to_owned() };
        Job { definition, status: status.to_owned(), progress, result: None, error: None }
    }

    fn json(&self, id: &JobId, status: &str, outcome: Option<&Outcome>) -> Value {
        json!({
            "definition": { "id": id, "vm_path": self.vm_path, "output_dir": self.spec.output_dir },
            "status": status,
            "result": outcome.map(|outcome| json!({
                "vm_name": outcome.vm_name,
                "output_dir": outcome.output_dir,
                "ovf_path": outcome.ovf_path,
                "files": outcome.files,
                "total_size": outcome.total_size,
                "duration": outcome.duration_seconds,
                "checksum": outcome.checksum,
                "warnings": outcome.warnings,
            })),
            "error": null,
        })
    }
}

/// The connection. Nothing is sent before it is used.
fn connect(source: &Source) -> Result<Arc<dyn Provider>, Failure> {
    let missing = |what: &str| Failure::usage(format!("--direct needs {what}"));
    let url = source.vcenter_url.as_ref().ok_or_else(|| missing("--vcenter-url or GOVC_URL"))?;
    let username = source.username.as_ref().ok_or_else(|| missing("--username or GOVC_USERNAME"))?;
    let password = match &source.password_file {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| mistake(format!("--password-file {}", path.display()), &error))?;
            text.lines().next().unwrap_or_default().to_owned()
        }
        None => std::env::var("GOVC_PASSWORD").map_err(|_| missing("--password-file or GOVC_PASSWORD"))?,
    };
    Ok(hypersdk_vsphere::factory(&json!({
        "url": url,
        "username": username,
        "password": password,
        "insecure": source.insecure,
        "thumbprint": source.thumbprint,
        "ca_file": source.vcenter_ca_file,
    }))?)
}
