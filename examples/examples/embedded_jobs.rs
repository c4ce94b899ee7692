//! Durable jobs inside a program of one's own: submitted, run, followed, and still known after a restart.
//!
//! `cargo run -p hypersdk-examples --example embedded_jobs [VMS [DIRECTORY]]`, where VMS may be a glob

#![expect(clippy::print_stdout, reason = "what the example shows")]

use std::sync::Arc;
use std::time::Duration;

use hypersdk_core::EventKind::{JobCancelled, JobCompleted, JobFailed};
use hypersdk_core::{
    EventLog, JobId, JobManager, JobManagerConfig, JobSpec, JobStore, NewJob, PackageFormat,
    ProviderRegistry, Seq,
};
use hypersdk_examples::{Output, Source};
use hypersdk_export::{ExportConfig, ExportRunner};
use hypersdk_store::SqliteStore;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let source = Source::open().await?;
    let selector = source.choose(arguments.next(), "/DC0/vm/demo/*")?;
    let output = Output::choose(arguments.next())?;
    let database = output.path().join("jobs.db");

    // Where VMs come from, who does the work, and who keeps it: three parts that know nothing of each other.
    let mut providers = ProviderRegistry::new();
    providers.insert(source.provider.name.clone(), Arc::clone(&source.provider.provider));
    let runner = Arc::new(ExportRunner::new(Arc::new(providers), ExportConfig::default()));
    let store = Arc::new(SqliteStore::open(&database).await?);
    let config = JobManagerConfig { max_concurrent: 2, exclusive: true, ..JobManagerConfig::default() };
    let jobs = JobManager::start(Arc::clone(&store) as Arc<dyn JobStore>, runner, config).await?;

    // One job a VM. Once `submit` returns they survive a power failure.
    let vms = source.provider.provider.find(&selector).await?;
    let mut wanted = Vec::new();
    for vm in &vms {
        let mut spec = JobSpec::new(vm.path.parse()?, output.path());
        spec.format = PackageFormat::Ovf;
        wanted.push(NewJob { id: JobId::generate(), spec });
    }
    let submitted = jobs.submit(wanted).await?;

    // Events are a log: any number of readers, each with its own position.
    let (mut position, mut grown, mut ended) = (Seq::START, store.latest(), 0);
    while ended < submitted.len() {
        for event in store.read_after(position, None, 100).await? {
            println!("{:>3} {:<14} {}", event.seq.0, event.kind.as_str(), event.data["vm_path"]);
            position = event.seq;
            ended += usize::from(matches!(event.kind, JobCompleted | JobFailed | JobCancelled));
        }
        if ended < submitted.len() {
            grown.changed().await?;
        }
    }

    // Running jobs would be given a minute, then put back as pending.
    jobs.drain(Duration::from_secs(60)).await;
    source.close().await;
    store.close().await;

    let store = SqliteStore::open(&database).await?;
    for job in &submitted {
        let Some(job) = store.get(&job.id).await? else { anyhow::bail!("job {} is lost", job.id) };
        let size = job.outcome.map_or(0, |outcome| outcome.total_size);
        println!("{} of {} is {}: {size} bytes", job.id, job.spec.vm, job.status);
    }
    store.close().await;
    Ok(())
}
