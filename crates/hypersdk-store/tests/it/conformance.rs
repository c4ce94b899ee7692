use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hypersdk_core::{JobStore, PackageCatalogue, testing};
use hypersdk_sched::ScheduleStore;
use hypersdk_store::{PostgresStore, SqliteStore};

use super::postgres::database;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_does_what_every_store_does() {
    let directory = tempfile::tempdir().unwrap();
    let opened = AtomicU32::new(0);
    let open = |clock| {
        let path = directory.path().join(format!("{}.db", opened.fetch_add(1, Ordering::Relaxed)));
        let future = async move {
            Arc::new(SqliteStore::open_with_clock(path, clock).await.unwrap()) as Arc<dyn JobStore>
        };
        Box::pin(future) as futures::future::BoxFuture<'_, _>
    };
    testing::job_store_conformance(&open).await;
    assert!(opened.load(Ordering::Relaxed) > 10);
    let store = SqliteStore::open(directory.path().join("nodes.db")).await.unwrap();
    testing::node_store_conformance(Arc::new(store)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_does_what_every_store_does() {
    let opened = AtomicU32::new(0);
    let open = |clock| {
        opened.fetch_add(1, Ordering::Relaxed);
        let future = async move {
            let options = database();
            Arc::new(PostgresStore::connect_with_clock(&options, clock).await.unwrap()) as Arc<dyn JobStore>
        };
        Box::pin(future) as futures::future::BoxFuture<'_, _>
    };
    testing::job_store_conformance(&open).await;
    assert!(opened.load(Ordering::Relaxed) > 10);
    let store = PostgresStore::connect(&database()).await.unwrap();
    testing::node_store_conformance(Arc::new(store)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_does_what_every_store_of_schedules_does() {
    let directory = tempfile::tempdir().unwrap();
    let opened = AtomicU32::new(0);
    let open = |clock| {
        let path = directory.path().join(format!("{}.db", opened.fetch_add(1, Ordering::Relaxed)));
        let future = async move {
            Arc::new(SqliteStore::open_with_clock(path, clock).await.unwrap()) as Arc<dyn ScheduleStore>
        };
        Box::pin(future) as futures::future::BoxFuture<'_, _>
    };
    hypersdk_sched::testing::schedule_store_conformance(&open).await;
    assert!(opened.into_inner() > 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_does_what_every_store_of_schedules_does() {
    let opened = AtomicU32::new(0);
    let open = |clock| {
        opened.fetch_add(1, Ordering::Relaxed);
        let future = async move {
            let options = database();
            let store = PostgresStore::connect_with_clock(&options, clock).await.unwrap();
            Arc::new(store) as Arc<dyn ScheduleStore>
        };
        Box::pin(future) as futures::future::BoxFuture<'_, _>
    };
    hypersdk_sched::testing::schedule_store_conformance(&open).await;
    assert!(opened.into_inner() > 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_does_what_every_catalogue_of_packages_does() {
    let directory = tempfile::tempdir().unwrap();
    let opened = AtomicU32::new(0);
    let open = |clock| {
        let path = directory.path().join(format!("{}.db", opened.fetch_add(1, Ordering::Relaxed)));
        let future = async move {
            let store = Arc::new(SqliteStore::open_with_clock(path, clock).await.unwrap());
            (store.clone() as Arc<dyn JobStore>, store as Arc<dyn PackageCatalogue>)
        };
        Box::pin(future) as futures::future::BoxFuture<'_, _>
    };
    testing::package_catalogue_conformance(&open).await;
    assert!(opened.into_inner() > 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_does_what_every_catalogue_of_packages_does() {
    let opened = AtomicU32::new(0);
    let open = |clock| {
        opened.fetch_add(1, Ordering::Relaxed);
        let future = async move {
            let store = Arc::new(PostgresStore::connect_with_clock(&database(), clock).await.unwrap());
            (store.clone() as Arc<dyn JobStore>, store as Arc<dyn PackageCatalogue>)
        };
        Box::pin(future) as futures::future::BoxFuture<'_, _>
    };
    testing::package_catalogue_conformance(&open).await;
    assert!(opened.into_inner() > 5);
}
