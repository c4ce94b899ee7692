//! How many jobs a second go through a store: submitted, claimed and settled, each on the disk before the
//! next step. Takes the number of jobs and of workers that do so at one time.
//!
//! ```text
//! cargo run --release -p hypersdk-store --example throughput -- 2000 8
//! ```
#![expect(clippy::print_stdout, reason = "prints what it measured")]

use std::sync::Arc;
use std::time::Instant;

use hypersdk_core::{Claimant, JobId, JobSpec, JobStore, NewJob, Outcome, Owner, Progress, Settled};
use hypersdk_store::SqliteStore;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<usize>());
    let jobs = numbers.next().transpose()?.unwrap_or(2000);
    let workers = numbers.next().transpose()?.unwrap_or(8).max(1);
    let directory = tempfile::tempdir()?;
    let store = Arc::new(SqliteStore::open(directory.path().join("jobs.db")).await?);
    let owner = Owner::unique();
    let start = Instant::now();
    let each: Vec<_> =
        (0..workers).map(|_| tokio::spawn(work(store.clone(), owner.clone(), jobs / workers))).collect();
    for worker in each {
        worker.await??;
    }
    let seconds = start.elapsed().as_secs_f64();
    let done = store.counts().await?.completed;
    println!("{workers} workers: {done} jobs in {seconds:.2} s, {:.0} a second", done as f64 / seconds);
    store.close().await;
    Ok(())
}

async fn work(store: Arc<SqliteStore>, owner: Owner, jobs: usize) -> hypersdk_core::Result<()> {
    let spec = JobSpec::new("/DC0/vm/web".parse().expect("a path"), "/srv");
    for _ in 0..jobs {
        store.submit(vec![NewJob { id: JobId::generate(), spec: spec.clone() }]).await?;
        for claim in store.claim(&Claimant::of_any(&owner), 1).await? {
            let done = Settled::Completed(outcome());
            store.settle(&claim.job.id, claim.fence, done, Progress::default()).await?;
        }
    }
    Ok(())
}

fn outcome() -> Outcome {
    Outcome {
        vm_name: "web".to_owned(),
        output_dir: "/srv".to_owned(),
        ovf_path: "/srv/web.ova".to_owned(),
        files: Vec::new(),
        total_size: 10,
        duration_seconds: 1.5,
        checksum: "ab".repeat(32),
        warnings: Vec::new(),
    }
}
