//! Other programs on the same file.

use hypersdk_core::{Claimant, JobStore, Owner, Progress, Settled};
use hypersdk_store::SqliteStore;
use sqlx::Connection;
use tokio::sync::oneshot;

use super::{assert_intact, new_job, outcome, visitor};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vacuum_analyze_and_integrity_check_meanwhile_do_no_harm() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let owner = Owner::unique();
    let (stop, mut stopped) = oneshot::channel::<()>();
    let upkeep = tokio::spawn({
        let path = path.clone();
        async move {
            let mut rounds = 0;
            let mut visitor = visitor(&path).await;
            while rounds < 5 || stopped.try_recv().is_err() {
                for statement in ["VACUUM", "ANALYZE"] {
                    sqlx::query(statement).execute(&mut visitor).await.unwrap();
                }
                let found: String =
                    sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut visitor).await.unwrap();
                assert_eq!(found, "ok");
                rounds += 1;
            }
            visitor.close().await.unwrap();
        }
    });
    for _ in 0..60 {
        store.submit(vec![new_job(), new_job()]).await.unwrap();
        for claim in store.claim(&Claimant::of_any(&owner), 1).await.unwrap() {
            let done = Settled::Completed(outcome());
            store.settle(&claim.job.id, claim.fence, done, Progress::default()).await.unwrap();
        }
    }
    stop.send(()).unwrap();
    upkeep.await.unwrap();
    let counts = store.counts().await.unwrap();
    assert_eq!((counts.completed, counts.pending), (60, 60));
    store.close().await;
    assert_intact(&path).await;
}
