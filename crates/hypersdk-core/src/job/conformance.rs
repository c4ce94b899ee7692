//! What every job store does, as a suite that any implementation can run.

mod claims;
mod ends;
mod nodes;
mod reading;
mod submission;
mod turns;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;

pub use self::nodes::node_store;
use super::{
    Claim, Claimant, Clock, Failure, JobSpec, JobStore, NewJob, Outcome, OutcomeChunk, OutcomeFile, Owner,
};
use crate::error::ErrorKind;
use crate::event::{Event, EventKind};
use crate::id::{JobId, Seq};
use crate::progress::{FileProgress, Phase, Progress};

/// Opens an empty store that takes the time from the given clock; a new one at each call.
pub type StoreFactory<'a> = dyn Fn(Clock) -> BoxFuture<'a, Arc<dyn JobStore>> + Send + Sync + 'a;

/// Runs the whole suite.
///
/// # Panics
/// On the first thing the store does not do.
pub async fn job_store(open: &StoreFactory<'_>) {
    submission::all(open).await;
    claims::all(open).await;
    ends::all(open).await;
    reading::all(open).await;
    turns::all(open).await;
}

/// A store under test and the hand on its clock.
struct Bench {
    store: Arc<dyn JobStore>,
    micros: Arc<AtomicI64>,
}

impl Bench {
    async fn new(open: &StoreFactory<'_>) -> Self {
        let micros = Arc::new(AtomicI64::new(1_800_000_000_000_001));
        let hand = micros.clone();
        let clock = Clock::new(move || instant(hand.load(Ordering::SeqCst)));
        Bench { store: open(clock).await, micros }
    }

    fn now(&self) -> DateTime<Utc> {
        instant(self.micros.load(Ordering::SeqCst))
    }

    fn advance(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).expect("tests advance by little");
        self.micros.fetch_add(micros, Ordering::SeqCst);
    }

    async fn submit(&self, ids: &[&str]) {
        let jobs = ids.iter().map(|text| new_job(text)).collect();
        self.store.submit(jobs).await.expect("the jobs are accepted");
    }

    async fn claim(&self, owner: &Owner, limit: usize) -> Vec<Claim> {
        self.store.claim(&Claimant::of_any(owner), limit).await.expect("claiming works")
    }

    /// Submits one job and claims it.
    async fn running(&self, text: &str, owner: &Owner) -> Claim {
        self.submit(&[text]).await;
        let mut claims = self.claim(owner, 1).await;
        assert_eq!(claims.len(), 1, "the only pending job is claimed");
        claims.remove(0)
    }

    async fn events(&self) -> Vec<Event> {
        self.store.read_after(Seq::START, None, 1000).await.expect("the log reads")
    }

    async fn kinds(&self, job: &JobId) -> Vec<EventKind> {
        let events = self.store.read_after(Seq::START, Some(job), 1000).await.expect("the log reads");
        events.into_iter().map(|event| event.kind).collect()
    }
}

fn instant(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).expect("a time in this century")
}

fn id(text: &str) -> JobId {
    text.parse().expect("a job id")
}

fn new_job(text: &str) -> NewJob {
    NewJob { id: id(text), spec: spec() }
}

fn spec() -> JobSpec {
    JobSpec::new("/DC0/vm/web01".parse().expect("a path"), "/srv/exports")
}

fn ids(claims: &[Claim]) -> Vec<&str> {
    claims.iter().map(|claim| claim.job.id.as_str()).collect()
}

fn progress() -> Progress {
    Progress {
        phase: Phase::Exporting,
        waiting_for: Some("host esx1".to_owned()),
        current_file: Some("disk-0.vmdk".to_owned()),
        files_done: 1,
        files_total: 3,
        bytes_done: 1 << 40,
        bytes_total: Some(1 << 41),
        fraction: 0.375,
        bytes_per_second: 123_456_789.5,
        remaining_seconds: Some(17.25),
        files: vec![FileProgress { name: "disk-0.vmdk".to_owned(), bytes_done: 1 << 20, fraction: 0.5 }],
    }
}

fn failure() -> Failure {
    Failure {
        kind: ErrorKind::Unavailable,
        message: "open export of vm-42: \"no route\" to hôst".to_owned(),
        advice: Some("check the host".to_owned()),
        retryable: true,
    }
}

fn outcome() -> Outcome {
    Outcome {
        vm_name: "web 01 ü".to_owned(),
        output_dir: "/srv/exports".to_owned(),
        ovf_path: "/srv/exports/web01.ova".to_owned(),
        files: vec![OutcomeFile {
            name: "web01.ova".to_owned(),
            size: 9 << 30,
            sha256: "ab".repeat(32),
            source_size: 9_663_676_416,
            source_sha256: "ab".repeat(32),
            attested: true,
            host_sha256: Some("ab".repeat(32)),
            chunks: vec![OutcomeChunk {
                name: "web01.ova.000000000".to_owned(),
                size: 9 << 30,
                digest: "ab".repeat(32),
            }],
        }],
        total_size: 9 << 30,
        duration_seconds: 61.5,
        checksum: "cd".repeat(32),
        warnings: vec!["the host sent no checksum".to_owned()],
    }
}
