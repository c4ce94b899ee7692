//! A database looked at from outside.

use hypersdk_core::{ErrorKind, JobStore};
use hypersdk_store::{Database, DatabaseLocation, PostgresStore, SqliteStore};

use crate::new_job;

#[tokio::test]
async fn a_database_is_looked_at_while_somebody_has_it_open() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hypersdk.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let id = store.submit(vec![new_job()]).await.unwrap()[0].id.clone();
    let found = SqliteStore::inspect(&path, 10).await.unwrap();
    assert_eq!(found.version, Some(found.known_version));
    assert_eq!(found.faults, [""; 0]);
    assert!(found.rows.contains(&("jobs".to_owned(), 1)), "{:?}", found.rows);
    assert_eq!(found.jobs[0].id, id.to_string());
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_database_is_looked_at_before_and_after_its_tables_are_made() {
    let options = crate::postgres::database();
    let location = DatabaseLocation::Postgres(Box::new(options.clone()));
    let found = Database::inspect(&location, 10).await.unwrap();
    assert_eq!((found.version, found.jobs.len()), (None, 0));
    let store = PostgresStore::connect(&options).await.unwrap();
    let id = store.submit(vec![new_job()]).await.unwrap()[0].id.clone();
    let found = Database::inspect(&location, 10).await.unwrap();
    assert_eq!(found.version, Some(found.known_version));
    assert_eq!(found.jobs[0].id, id.to_string());
    store.close().await;
}

#[tokio::test]
async fn what_is_no_database_is_said_to_be_none() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hypersdk.db");
    assert_eq!(SqliteStore::inspect(&path, 1).await.unwrap_err().kind(), ErrorKind::NotFound);
    std::fs::write(&path, "not a database, but long enough to be taken for one".repeat(100)).unwrap();
    assert_eq!(SqliteStore::inspect(&path, 1).await.unwrap_err().kind(), ErrorKind::Corrupt);
}
