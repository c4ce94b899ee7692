//! Kills the process that writes, at random instants, and looks at what it had been promised.
//!
//! Started with the path of a database, this program writes to it and prints what was acknowledged. Started
//! without, it is the test: it starts itself again that way, kills the child, and opens the database.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use hypersdk_core::{
    Claimant, EventKind, EventLog, JobId, JobQuery, JobSpec, JobStatus, JobStore, NewJob, Outcome, Owner,
    Progress, Seq, Settled,
};
use hypersdk_store::SqliteStore;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

const KILLS: u32 = 20;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        // What test runners that list before they run expect of a test without a harness.
        if !arguments.iter().any(|argument| argument == "--ignored") {
            print("a_killed_writer_keeps_its_promises: test\n");
        }
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    match arguments.first().filter(|argument| argument.ends_with(".db")) {
        Some(path) => runtime.block_on(write_until_killed(Path::new(path))),
        None => runtime.block_on(kill_writers()),
    }
}

/// What the child had been promised about a job, in the order it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Promise {
    Submitted,
    Claimed,
    Settled,
}

async fn write_until_killed(path: &Path) {
    let store = Arc::new(SqliteStore::open(path).await.unwrap());
    let owner = Owner::unique();
    store.recover(&owner, Duration::ZERO).await.unwrap();
    let writers: Vec<_> = (0..4).map(|_| tokio::spawn(write(store.clone(), owner.clone()))).collect();
    for writer in writers {
        writer.await.unwrap();
    }
}

async fn write(store: Arc<SqliteStore>, owner: Owner) {
    loop {
        let spec = JobSpec::new("/DC0/vm/web".parse().unwrap(), "/srv");
        let jobs = (0..2).map(|_| NewJob { id: JobId::generate(), spec: spec.clone() }).collect();
        for job in store.submit(jobs).await.unwrap() {
            acknowledge(Promise::Submitted, &job.id);
        }
        for claim in store.claim(&Claimant::of_any(&owner), 1).await.unwrap() {
            acknowledge(Promise::Claimed, &claim.job.id);
            let done = Settled::Completed(outcome());
            store.settle(&claim.job.id, claim.fence, done, Progress::default()).await.unwrap();
            acknowledge(Promise::Settled, &claim.job.id);
        }
    }
}

fn acknowledge(promise: Promise, id: &JobId) {
    print(&format!("{} {id}\n", promise as u8));
}

/// Writes the text in one piece, so that a kill leaves no half of it.
fn print(text: &str) {
    std::io::stdout().lock().write_all(text.as_bytes()).unwrap();
}

async fn kill_writers() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    let mut promised: HashMap<JobId, Promise> = HashMap::new();
    for _ in 0..KILLS {
        let before = promised.len();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg(&path)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next_line().await.unwrap().expect("the child writes until it is killed");
        remember(&mut promised, &first);
        // So many promises, however busy the machine is, and a moment more.
        for _ in 0..fastrand::u32(..40) {
            remember(&mut promised, &lines.next_line().await.unwrap().expect("it writes on"));
        }
        let mut deadline = std::pin::pin!(tokio::time::sleep(Duration::from_micros(fastrand::u64(..50_000))));
        loop {
            tokio::select! {
                () = &mut deadline => break,
                line = lines.next_line() => remember(&mut promised, &line.unwrap().expect("it writes on")),
            }
        }
        child.kill().await.unwrap();
        while let Some(line) = lines.next_line().await.unwrap() {
            remember(&mut promised, &line);
        }
        assert!(promised.len() > before, "the child got something done");
        keeps_its_promises(&path, &promised).await;
    }
    let settled = promised.values().filter(|promise| **promise == Promise::Settled).count();
    assert!(settled > KILLS as usize, "there was something to lose: {settled}");
    print(&format!("killed {KILLS} times, {} jobs kept, {settled} of them settled\n", promised.len()));
}

fn remember(promised: &mut HashMap<JobId, Promise>, line: &str) {
    let promise = match line.as_bytes()[0] {
        b'0' => Promise::Submitted,
        b'1' => Promise::Claimed,
        b'2' => Promise::Settled,
        _ => panic!("not a promise: {line:?}"),
    };
    let id = line[2..].parse().unwrap();
    let known = promised.entry(id).or_insert(promise);
    *known = promise.max(*known);
}

async fn keeps_its_promises(path: &Path, promised: &HashMap<JobId, Promise>) {
    let mut visitor = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    let found: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut visitor).await.unwrap();
    assert_eq!(found, "ok");
    visitor.close().await.unwrap();

    let store = SqliteStore::open(path).await.unwrap();
    let everything = JobQuery { limit: usize::MAX, ..JobQuery::default() };
    let jobs: HashMap<_, _> =
        store.list(&everything).await.unwrap().jobs.into_iter().map(|job| (job.id.clone(), job)).collect();
    for (id, promise) in promised {
        let job = jobs.get(id).unwrap_or_else(|| panic!("{id} was promised and is lost"));
        match promise {
            Promise::Submitted => {}
            Promise::Claimed => assert!(job.attempt > 0, "{job:?}"),
            Promise::Settled => assert_eq!(job.status, JobStatus::Completed, "{job:?}"),
        }
    }
    let mut last = HashMap::new();
    for event in store.read_after(Seq::START, None, usize::MAX).await.unwrap() {
        last.insert(event.job.expect("only jobs are written here"), event.kind);
    }
    for job in jobs.values() {
        let told = match last[&job.id] {
            EventKind::JobCreated | EventKind::JobRequeued => JobStatus::Pending,
            EventKind::JobStarted => JobStatus::Running,
            EventKind::JobCompleted => JobStatus::Completed,
            EventKind::JobFailed => JobStatus::Failed,
            EventKind::JobCancelled => JobStatus::Cancelled,
            EventKind::ScheduleFired | EventKind::ScheduleMissed | EventKind::PackageRemoved => {
                panic!("it is about no job: {job:?}")
            }
        };
        assert_eq!(job.status, told, "the job and its last event are one write: {job:?}");
    }
    store.close().await;
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
