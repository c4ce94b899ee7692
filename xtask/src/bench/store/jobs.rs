//! Jobs that do nothing, from their submission to their end.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use async_trait::async_trait;
use clap::Args;
use hypersdk_core::{
    JobContext, JobId, JobManager, JobManagerConfig, JobSpec, JobStore, NewJob, Outcome, OutcomeFile, Runner,
};
use hypersdk_store::SqliteStore;
use serde_json::json;

use super::super::usage::Usage;

/// Jobs of one submission.
const BATCH: u32 = 100;
/// Jobs that run at one time.
const AT_ONCE: usize = 256;

/// Prints what it took to submit jobs and to have them finished.
#[derive(Args)]
pub(crate) struct Jobs {
    #[arg(long)]
    jobs: u32,
    #[arg(long)]
    database: PathBuf,
}

#[derive(Debug)]
struct Nothing;

#[async_trait]
impl Runner for Nothing {
    async fn run(&self, spec: &JobSpec, _context: JobContext) -> hypersdk_core::Result<Outcome> {
        Ok(outcome(&spec.vm.to_string()))
    }
}

/// What a job makes, in the size of a real one.
pub(super) fn outcome(vm: &str) -> Outcome {
    let file = |name: &str, size| OutcomeFile {
        name: name.to_owned(),
        size,
        sha256: "ab".repeat(32),
        attested: true,
        source_size: size,
        source_sha256: "ab".repeat(32),
        host_sha256: Some("ab".repeat(32)),
        chunks: Vec::new(),
    };
    Outcome {
        vm_name: vm.to_owned(),
        output_dir: "/srv/exports".to_owned(),
        ovf_path: format!("/srv/exports/{vm}.ova"),
        files: vec![file("disk-0.vmdk", 9 << 30), file("file-0.nvram", 8684)],
        total_size: 9 << 30,
        duration_seconds: 93.5,
        checksum: "cd".repeat(32),
        warnings: Vec::new(),
    }
}

impl Jobs {
    pub(in super::super) async fn run(self) -> Result<()> {
        let store = Arc::new(SqliteStore::open(&self.database).await?);
        let config = JobManagerConfig {
            max_concurrent: AT_ONCE,
            exclusive: true,
            clock: store.clock(),
            ..JobManagerConfig::default()
        };
        let manager = JobManager::start(store.clone(), Arc::new(Nothing), config).await?;
        let (begun, before) = (Instant::now(), Usage::of("self")?);
        let mut left = self.jobs;
        while left > 0 {
            let count = left.min(BATCH);
            let spec = || JobSpec::new("/DC0/vm/prod/web01".parse().expect("a path"), "/srv/exports");
            let jobs = (0..count).map(|_| NewJob { id: JobId::generate(), spec: spec() });
            manager.submit(jobs.collect()).await?;
            left -= count;
        }
        let submitted = begun.elapsed();
        let mut ends = store.counts().await?;
        while ends.completed < u64::from(self.jobs) {
            ensure!(begun.elapsed() < Duration::from_secs(600), "they do not end: {ends:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
            ends = store.counts().await?;
        }
        let (seconds, used) = (begun.elapsed().as_secs_f64(), Usage::of("self")? - before);
        manager.drain(Duration::from_secs(5)).await;
        store.close().await;
        let figures = json!({
            "seconds": seconds,
            "submitted_after": submitted.as_secs_f64(),
            "cpu_seconds": used.user + used.system,
        });
        writeln!(std::io::stdout(), "{figures}")?;
        Ok(())
    }
}
