//! The audit log and the kept answers, across a restart.

use hypersdk_core::{AuditEntry, AuditLog, KeptAnswer, Replay, ReplayStore};
use hypersdk_store::{PostgresStore, SqliteStore};

fn entry(action: &str) -> AuditEntry {
    AuditEntry {
        seq: 0,
        time: chrono::DateTime::from_timestamp_micros(1_795_478_400_000_001).unwrap(),
        actor: "token:ci".to_owned(),
        role: "operator".to_owned(),
        action: action.to_owned(),
        target: "/jobs/cancel".to_owned(),
        status: 200,
        client: "127.0.0.1".to_owned(),
        request_id: "r-1".to_owned(),
    }
}

#[tokio::test]
async fn the_audit_log_survives_and_pages_from_the_newest() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    let store = SqliteStore::open(&path).await.unwrap();
    for action in ["a", "b", "c"] {
        store.record(entry(action)).await.unwrap();
    }
    store.close().await;
    let store = SqliteStore::open(&path).await.unwrap();
    let page = store.entries(None, 2).await.unwrap();
    let names: Vec<&str> = page.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(names, ["c", "b"]);
    let rest = store.entries(Some(page[1].seq), 10).await.unwrap();
    assert_eq!(rest, [AuditEntry { seq: rest[0].seq, ..entry("a") }]);
}

#[tokio::test]
async fn a_kept_answer_survives_and_belongs_to_one_request() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(store.begin("k", "f").await.unwrap(), Replay::New);
    assert_eq!(store.begin("k", "f").await.unwrap(), Replay::Begun);
    assert_eq!(store.begin("k", "g").await.unwrap(), Replay::Other);
    store.forget("k").await.unwrap();
    assert_eq!(store.begin("k", "g").await.unwrap(), Replay::New);
    let answer = KeptAnswer { status: 202, body: "{}".to_owned() };
    store.finish("k", &answer).await.unwrap();
    store.forget("k").await.unwrap();
    store.close().await;
    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(store.begin("k", "g").await.unwrap(), Replay::Answered(answer));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn daemons_that_share_a_database_share_both() {
    let options = super::postgres::database();
    let one = PostgresStore::connect(&options).await.unwrap();
    let other = PostgresStore::connect(&options).await.unwrap();
    one.record(entry("a")).await.unwrap();
    other.record(entry("b")).await.unwrap();
    let page = one.entries(None, 10).await.unwrap();
    let names: Vec<&str> = page.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(names, ["b", "a"]);
    assert_eq!(other.entries(Some(page[0].seq), 10).await.unwrap().len(), 1);
    assert_eq!(one.begin("k", "f").await.unwrap(), Replay::New);
    assert_eq!(other.begin("k", "f").await.unwrap(), Replay::Begun);
    let answer = KeptAnswer { status: 202, body: "{}".to_owned() };
    one.finish("k", &answer).await.unwrap();
    assert_eq!(other.begin("k", "f").await.unwrap(), Replay::Answered(answer));
    assert_eq!(other.begin("k", "g").await.unwrap(), Replay::Other);
    one.close().await;
    other.close().await;
}
