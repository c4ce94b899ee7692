//! The catalogue of packages over changes of the tables.

use hypersdk_core::{Claimant, JobStore, Owner, Package, PackageCatalogue, PackageState, Progress, Settled};
use hypersdk_store::{PostgresOptions, PostgresStore, SqliteStore};
use hypersdk_tests::Postgres;
use sqlx::{ConnectOptions, Connection};

use super::{new_job, outcome, visitor};

/// Three jobs, of which the last two have put their packages in one place.
async fn complete_three(store: &impl JobStore) -> Vec<Package> {
    let owner = Owner::unique();
    let mut packages = Vec::new();
    for path in ["/srv/other.ova", "/srv/web.ova", "/srv/web.ova"] {
        store.submit(vec![new_job()]).await.unwrap();
        let claim = store.claim(&Claimant::of_any(&owner), 1).await.unwrap().remove(0);
        let done = hypersdk_core::Outcome { ovf_path: path.to_owned(), ..outcome() };
        let job = store
            .settle(&claim.job.id, claim.fence, Settled::Completed(done), Progress::default())
            .await
            .unwrap();
        packages.push(Package::of(&job).unwrap());
    }
    packages
}

/// What was there before there was a catalogue is in it, as if there had been one.
async fn assert_entered(catalogue: &impl PackageCatalogue, made: &[Package]) {
    let page = catalogue.packages(&hypersdk_core::PackageQuery::default()).await.unwrap();
    let ids: Vec<_> = page.packages.iter().rev().map(|package| &package.id).collect();
    assert_eq!(ids, made.iter().map(|package| &package.id).collect::<Vec<_>>());
    for (found, made) in page.packages.iter().rev().zip(made) {
        let mut found = found.clone();
        let (checked, first) = (found.verification.take().unwrap(), made.verification.clone().unwrap());
        // SQLite's clock knows milliseconds.
        assert!((checked.at - first.at).num_milliseconds().abs() <= 1, "{checked:?} {first:?}");
        assert_eq!((checked.level, checked.fault), (first.level, None));
        assert_eq!((found.spec, found.outcome), (made.spec.clone(), made.outcome.clone()));
        assert_eq!(found.completed_at, made.completed_at);
    }
    let states: Vec<_> = page.packages.iter().rev().map(|package| package.state).collect();
    assert_eq!(states, [PackageState::Present, PackageState::Replaced, PackageState::Present]);
}

#[tokio::test]
async fn sqlite_enters_what_was_made_before_there_was_a_catalogue() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let made = complete_three(&store).await;
    store.close().await;
    let mut visitor = visitor(&path).await;
    for sql in ["DROP TABLE packages", include_str!("../../migrations/sqlite/0070_packages.sql")] {
        sqlx::raw_sql(sql).execute(&mut visitor).await.unwrap();
    }
    visitor.close().await.unwrap();
    assert_entered(&SqliteStore::open(&path).await.unwrap(), &made).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_enters_what_was_made_before_there_was_a_catalogue() {
    let url = Postgres::shared().database();
    let store = PostgresStore::connect(&PostgresOptions::parse(&url).unwrap()).await.unwrap();
    let made = complete_three(&store).await;
    let options: sqlx::postgres::PgConnectOptions = url.parse().unwrap();
    let mut visitor = options.connect().await.unwrap();
    for sql in ["DROP TABLE packages", include_str!("../../migrations/postgres/0070_packages.sql")] {
        sqlx::raw_sql(sql).execute(&mut visitor).await.unwrap();
    }
    assert_entered(&store, &made).await;
    store.close().await;
}
