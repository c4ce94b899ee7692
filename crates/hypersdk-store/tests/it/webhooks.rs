use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hypersdk_store::{PostgresStore, SqliteStore};
use hypersdk_webhook::DeliveryStore;
use hypersdk_webhook::testing::delivery_store_conformance;

use super::postgres::database;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_deliveries_as_every_store_does() {
    let directory = tempfile::tempdir().unwrap();
    let opened = AtomicU32::new(0);
    let open = |clock| {
        let path = directory.path().join(format!("{}.db", opened.fetch_add(1, Ordering::Relaxed)));
        let future = async move {
            Arc::new(SqliteStore::open_with_clock(path, clock).await.unwrap()) as Arc<dyn DeliveryStore>
        };
        Box::pin(future) as futures::future::BoxFuture<'_, _>
    };
    delivery_store_conformance(&open).await;
    assert!(opened.into_inner() > 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_keeps_deliveries_as_every_store_does() {
    let opened = AtomicU32::new(0);
    let open = |clock| {
        opened.fetch_add(1, Ordering::Relaxed);
        let future = async move {
            let options = database();
            Arc::new(PostgresStore::connect_with_clock(&options, clock).await.unwrap())
                as Arc<dyn DeliveryStore>
        };
        Box::pin(future) as futures::future::BoxFuture<'_, _>
    };
    delivery_store_conformance(&open).await;
    assert!(opened.into_inner() > 10);
}
