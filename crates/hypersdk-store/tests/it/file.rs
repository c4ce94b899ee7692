//! Opening, closing and opening again.

use std::os::unix::fs::PermissionsExt;

use hypersdk_core::{
    Claimant, ErrorKind, EventLog, JobQuery, JobStore, LogLevel, LogLine, Owner, Progress, Seq, Settled,
};
use hypersdk_store::SqliteStore;

use super::{assert_intact, new_job, outcome, visitor};

#[tokio::test]
async fn everything_is_there_after_opening_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    let store = SqliteStore::open(&path).await.unwrap();
    store.submit(vec![new_job(), new_job(), new_job()]).await.unwrap();
    let claims = store.claim(&Claimant::of_any(&Owner::unique()), 2).await.unwrap();
    let done = Settled::Completed(outcome());
    store.settle(&claims[0].job.id, claims[0].fence, done, Progress::default()).await.unwrap();
    let line =
        LogLine { time: claims[0].job.created_at, level: LogLevel::Warning, message: "slow host".to_owned() };
    store.append_log(&claims[0].job.id, None, std::slice::from_ref(&line)).await.unwrap();
    let jobs = store.list(&JobQuery::default()).await.unwrap();
    let events = store.read_after(Seq::START, None, 100).await.unwrap();
    assert_eq!((jobs.jobs.len(), events.len()), (3, 6));

    drop(store);
    for closed in [true, false] {
        let store = SqliteStore::open(&path).await.unwrap();
        assert_eq!(store.list(&JobQuery::default()).await.unwrap(), jobs);
        assert_eq!(store.read_after(Seq::START, None, 100).await.unwrap(), events);
        assert_eq!(store.log(&claims[0].job.id).await.unwrap(), std::slice::from_ref(&line));
        assert_eq!(*store.latest().borrow(), events[5].seq);
        if closed {
            store.close().await;
        }
    }
    assert_intact(&path).await;
}

#[tokio::test]
async fn a_second_store_on_the_same_file_is_refused_with_the_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    let first = SqliteStore::open(&path).await.unwrap();
    let error = SqliteStore::open(&path).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(error.to_string().contains(&format!("pid {}", std::process::id())), "{error}");
    assert!(error.advice().unwrap().contains("stop that process"), "{error:?}");
    first.submit(vec![new_job()]).await.unwrap();
    first.close().await;
    SqliteStore::open(&path).await.unwrap();
}

#[tokio::test]
async fn a_closed_store_takes_no_more_writes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    let store = SqliteStore::open(&path).await.unwrap();
    store.close().await;
    store.close().await;
    assert_eq!(store.submit(vec![new_job()]).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(store.counts().await.unwrap_err().kind(), ErrorKind::Unavailable);
    let left: Vec<_> =
        std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with("-wal")), "{left:?}");
}

#[tokio::test]
async fn only_its_owner_may_read_the_database() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    SqliteStore::open(&path).await.unwrap().close().await;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o664)).unwrap();
    let store = SqliteStore::open(&path).await.unwrap();
    store.submit(vec![new_job()]).await.unwrap();
    let mut seen = 0;
    for entry in std::fs::read_dir(&directory).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
        seen += 1;
    }
    assert_eq!(seen, 4, "the database, its log, its shared memory and the lock");
}

#[tokio::test]
async fn tables_of_a_newer_version_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    SqliteStore::open(&path).await.unwrap().close().await;
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9001, 'from the future', TRUE, x'00', 0)",
    )
    .execute(&mut visitor(&path).await)
    .await
    .unwrap();
    let error = SqliteStore::open(&path).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.to_string().contains("version 9001"), "{error}");
    assert!(error.advice().unwrap().contains("newer version"), "{error:?}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("letter.txt");
    std::fs::write(&path, "Dear all, this is a letter and not a database.").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = SqliteStore::open(&path).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(!error.is_retryable());
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("Dear all"));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
}

#[tokio::test]
async fn a_path_that_cannot_be_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let error = SqliteStore::open(directory.path().join("missing/jobs.db")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(error.to_string().contains("missing/jobs.db"), "{error}");
    assert!(error.advice().unwrap().contains("create the directory"), "{error:?}");
}
