//! What can only be provoked from inside.

use hypersdk_core::{
    Claim, Claimant, ErrorKind, EventKind, EventLog, JobId, JobSpec, JobStatus, JobStore, LogLevel, LogLine,
    NewJob, Outcome, Owner, PackageCatalogue, PackageQuery, PackageState, Progress, Seq, Settled,
};

use super::many::jobs_of;
use super::transaction::FIND;
use super::*;
use crate::turns::{due_in_lane, waiting};

fn job() -> NewJob {
    NewJob { id: JobId::generate(), spec: JobSpec::new("/DC0/vm/web".parse().unwrap(), "/srv") }
}

/// Sets a pragma of the writing connection.
async fn pragma(store: &SqliteStore, setting: &'static str) {
    raw(store, format!("PRAGMA {setting}")).await;
}

/// Has the writing connection do what is no change of ours.
async fn raw(store: &SqliteStore, sql: String) {
    store
        .write("do as told", move |transaction| {
            Box::pin(async move {
                sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(transaction.connection()).await.unwrap();
                Ok(())
            })
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn a_full_disk_is_said_to_be_full_and_harms_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path().join("jobs.db")).await.unwrap();
    let kept = store.submit(vec![job()]).await.unwrap().remove(0);
    pragma(&store, "max_page_count = 1").await;
    let mut accepted = Vec::new();
    let error = loop {
        let jobs = vec![job(), job(), job()];
        let ids: Vec<_> = jobs.iter().map(|job| job.id.clone()).collect();
        match store.submit(jobs).await {
            Ok(_) => accepted.extend(ids),
            Err(error) => break (error, ids),
        }
        assert!(accepted.len() < 10_000, "the limit holds");
    };
    let (error, refused) = error;
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
    assert!(error.advice().is_some());
    for id in refused {
        assert_eq!(store.get(&id).await.unwrap(), None);
    }
    assert_eq!(store.get(&kept.id).await.unwrap().as_ref(), Some(&kept));

    pragma(&store, "max_page_count = 1000000").await;
    store.check().await.unwrap();
    store.submit(vec![job()]).await.unwrap();
    let counts = store.counts().await.unwrap();
    assert_eq!(counts.pending, accepted.len() as u64 + 2);
    assert_eq!(store.read_after(Seq::START, None, 100_000).await.unwrap().len() as u64, counts.pending);
}

#[tokio::test]
async fn changes_made_at_once_share_a_transaction_and_fail_alone() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path().join("jobs.db")).await.unwrap();
    let taken = store.submit(vec![job()]).await.unwrap().remove(0);
    // Polled together, all of them queue up before the writer runs.
    let submissions = (0..40).map(|number| {
        let twin = NewJob { id: taken.id.clone(), spec: taken.spec.clone() };
        store.submit(if number % 4 == 0 { vec![job(), twin] } else { vec![job()] })
    });
    let results = futures::future::join_all(submissions).await;
    for (number, result) in results.iter().enumerate() {
        match result {
            Ok(_) => assert_ne!(number % 4, 0),
            Err(error) => assert_eq!((number % 4, error.kind()), (0, ErrorKind::Conflict)),
        }
    }
    assert_eq!(store.counts().await.unwrap().pending, 31);
    assert_eq!(store.read_after(Seq::START, None, 1000).await.unwrap().len(), 31);
    assert_eq!(*store.latest().borrow(), store.read_after(Seq::START, None, 1000).await.unwrap()[30].seq);
}

/// Has all of the jobs run, as `owner`'s first claims.
async fn running(store: &SqliteStore, jobs: usize) -> Vec<Claim> {
    store.submit((0..jobs).map(|_| job()).collect()).await.unwrap();
    let claims = store.claim(&Claimant::of_any(&Owner::unique()), jobs).await.unwrap();
    assert_eq!(claims.len(), jobs);
    claims
}

fn completed() -> Settled {
    Settled::Completed(Outcome {
        vm_name: "web".to_owned(),
        output_dir: "/srv".to_owned(),
        ovf_path: "/srv/web.ova".to_owned(),
        files: Vec::new(),
        total_size: 10,
        duration_seconds: 1.5,
        checksum: "ab".repeat(32),
        warnings: Vec::new(),
    })
}

#[tokio::test]
async fn ends_that_are_written_at_once_are_refused_and_fail_alone() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path().join("jobs.db")).await.unwrap();
    let claims = running(&store, 90).await;
    let broken = claims[7].job.id.clone();
    let trigger = format!(
        "CREATE TRIGGER broken BEFORE UPDATE ON jobs WHEN NEW.id = '{broken}'
         BEGIN SELECT RAISE(ABORT, 'this one is broken'); END"
    );
    raw(&store, trigger).await;
    let store = &store;
    // Polled together, all of them queue up before the writer runs; the last of them are told twice.
    let twice = claims.iter().enumerate().chain(claims.iter().enumerate().skip(85));
    let ends = twice.map(|(place, claim)| {
        let fence = claim.fence + i64::from(place % 9 == 8);
        store.settle(&claim.job.id, fence, completed(), Progress::default())
    });
    let lines = claims.iter().enumerate().map(|(place, claim)| {
        let line = LogLine { time: store.clock.now(), level: LogLevel::Info, message: place.to_string() };
        let fence = claim.fence - i64::from(place % 10 == 9);
        async move { (place, store.append_log(&claim.job.id, Some(fence), &[line.clone(), line]).await) }
    });
    let (ends, lines) = futures::join!(futures::future::join_all(ends), futures::future::join_all(lines));
    for (place, end) in ends.iter().enumerate() {
        let kind = end.as_ref().map(|job| job.status).map_err(hypersdk_core::Error::kind);
        let expected = match place {
            7 => Err(ErrorKind::Internal),
            _ if place >= 90 || place % 9 == 8 => Err(ErrorKind::Conflict),
            _ => Ok(JobStatus::Completed),
        };
        assert_eq!(kind, expected, "{place}: {end:?}");
    }
    for (place, result) in lines {
        let written = store.log(&claims[place].job.id).await.unwrap().len();
        let expected = if place % 10 == 9 { (Some(ErrorKind::Conflict), 0) } else { (None, 2) };
        assert_eq!((result.err().map(|error| error.kind()), written), expected, "{place}");
    }
    let counts = store.counts().await.unwrap();
    assert_eq!((counts.completed, counts.running), (79, 11));
    let events = store.read_after(Seq::START, None, 1000).await.unwrap();
    let ended: Vec<_> = events.iter().filter(|event| event.kind == EventKind::JobCompleted).collect();
    assert_eq!(ended.len(), 79);
    assert_eq!(*store.latest().borrow(), events.last().unwrap().seq);
    // All of them have made the same package: it is the last one's.
    let packages =
        store.packages(&PackageQuery { limit: 200, ..PackageQuery::default() }).await.unwrap().packages;
    assert_eq!(packages.len(), 79);
    for (place, package) in packages.iter().enumerate() {
        let state = if place == 0 { PackageState::Present } else { PackageState::Replaced };
        assert_eq!((package.state, package.reason.is_some()), (state, place > 0), "{package:?}");
    }
    assert_eq!(Some(&packages[0].id), ended.last().unwrap().job.as_ref());
}

#[tokio::test]
async fn who_is_told_that_an_end_is_written_can_rely_on_it_when_another_takes_the_transaction_down() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path().join("jobs.db")).await.unwrap();
    let claims = running(&store, 20).await;
    let broken = claims[7].job.id.clone();
    let trigger = format!(
        "CREATE TRIGGER broken BEFORE UPDATE ON jobs WHEN NEW.id = '{broken}'
         BEGIN SELECT RAISE(ROLLBACK, 'this one breaks everything'); END"
    );
    raw(&store, trigger).await;
    let end = |claim: &Claim| (claim.job.id.clone(), claim.fence);
    let mut left: Vec<(JobId, i64)> = claims.iter().map(end).collect();
    for (heal, expected) in [(false, 8), (true, 0)] {
        if heal {
            raw(&store, "DROP TRIGGER broken".to_owned()).await;
        }
        let ends = left.iter().map(|(id, fence)| store.settle(id, *fence, completed(), Progress::default()));
        let ends = futures::future::join_all(ends).await;
        left = left.into_iter().zip(ends).filter(|(_, end)| end.is_err()).map(|(end, _)| end).collect();
        let counts = store.counts().await.unwrap();
        assert_eq!(
            counts.running,
            left.len() as u64,
            "who was told that it is written can rely on it, and who not, too"
        );
        assert_eq!(left.len(), expected, "those before the broken one are undone with it");
    }
}

#[tokio::test]
async fn nothing_that_is_done_often_reads_all_that_waits() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let mut other = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    for (statement, index) in [
        (after::AFTER, "sqlite_autoindex_jobs_1 (id=?)"),
        (FIND, "sqlite_autoindex_jobs_1 (id=?)"),
        (waiting!(" INDEXED BY jobs_by_lane"), "jobs_by_lane"),
        (jobs_of!(due_in_lane!(" INDEXED BY jobs_by_lane", "")), "jobs_by_lane (lane=?)"),
    ] {
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(explain).fetch_all(&mut other).await.unwrap();
        let steps: Vec<String> = plan.into_iter().map(|(.., step)| step).collect();
        let of_jobs: Vec<_> = steps.iter().filter(|step| step.contains(" jobs ")).collect();
        assert!(
            !of_jobs.is_empty() && of_jobs.iter().all(|step| step.contains(index)),
            "{statement}: {steps:?}"
        );
    }
    drop(store);
}

#[tokio::test]
async fn a_change_is_made_although_nobody_waits_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path().join("jobs.db")).await.unwrap();
    let new = job();
    let id = new.id.clone();
    let submission = store.submit(vec![new]);
    assert!(futures::FutureExt::now_or_never(submission).is_none(), "polled once, then dropped");
    let mut latest = store.latest();
    latest.wait_for(|seq| *seq > Seq::START).await.unwrap();
    assert!(store.get(&id).await.unwrap().is_some());
}

#[tokio::test]
async fn a_database_locked_by_another_program_is_unavailable_for_now() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    let store = SqliteStore::open(&path).await.unwrap();
    pragma(&store, "busy_timeout = 50").await;
    let mut other = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let error = store.submit(vec![job()]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.is_retryable());
    sqlx::query("COMMIT").execute(&mut other).await.unwrap();
    store.submit(vec![job()]).await.unwrap();
}

#[tokio::test]
async fn the_database_itself_refuses_what_no_job_can_be() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    let store = SqliteStore::open(&path).await.unwrap();
    store.submit(vec![job()]).await.unwrap();
    let mut other = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    for wrong in [
        "UPDATE jobs SET status = 'done'",
        "UPDATE jobs SET status = 'running'",
        "UPDATE jobs SET status = 'completed', completed_at = 1",
        "UPDATE jobs SET status = 'failed'",
        "UPDATE jobs SET failures = 1",
        "UPDATE jobs SET spec = 'x'",
        "INSERT INTO jobs (id, spec, priority, status, created_at, updated_at, progress)
         SELECT id, spec, priority, status, created_at, updated_at, progress FROM jobs",
        "INSERT INTO events (time, kind, job, data) VALUES (1, 'job.created', 'nowhere', '{}')",
        "INSERT INTO job_logs (job, time, level, message) SELECT id, 1, 'debug', '' FROM jobs",
    ] {
        let result = sqlx::query(wrong).execute(&mut other).await;
        assert!(result.is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn a_closed_database_is_one_whole_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let kept = store.submit(vec![job()]).await.unwrap().remove(0);
    assert!(store.get(&kept.id).await.unwrap().is_some());
    store.close().await;

    let mut names: Vec<_> =
        std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["jobs.db", "jobs.db.lock"]);
    let alone = directory.path().join("copied.db");
    std::fs::copy(path, &alone).unwrap();
    let copied = SqliteStore::open(alone).await.unwrap();
    assert_eq!(copied.get(&kept.id).await.unwrap().as_ref(), Some(&kept));
}
