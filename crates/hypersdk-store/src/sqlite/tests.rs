//! What can only be provoked from inside.

use hypersdk_core::{ErrorKind, EventLog, JobId, JobSpec, JobStore, NewJob, Seq};

use super::*;

fn job() -> NewJob {
    NewJob { id: JobId::generate(), spec: JobSpec::new("/DC0/vm/web".parse().unwrap(), "/srv") }
}

/// Sets a pragma of the writing connection.
async fn pragma(store: &SqliteStore, setting: &'static str) {
    store
        .write("set pragma", move |transaction| {
            Box::pin(async move {
                let sql = sqlx::AssertSqlSafe(format!("PRAGMA {setting}"));
                sqlx::raw_sql(sql).execute(transaction.connection()).await.unwrap();
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
