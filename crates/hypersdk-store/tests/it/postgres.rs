//! What only a database that is shared, and on another machine, can do.

use std::time::Duration;

use hypersdk_core::{
    Claimant, ErrorKind, EventKind, EventLog, JobCounts, JobStore, Owner, Progress, Seq, Settled,
};
use hypersdk_store::{PostgresOptions, PostgresStore};
use hypersdk_tests::Postgres;
use sqlx::{ConnectOptions, Connection, PgConnection};
use std::str::FromStr;

use super::{new_job, outcome};

/// An empty database on the tests' server.
pub(crate) fn database() -> PostgresOptions {
    PostgresOptions::parse(&Postgres::shared().database()).unwrap()
}

async fn visitor(url: &str) -> PgConnection {
    sqlx::postgres::PgConnectOptions::from_str(url).unwrap().connect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_daemon_appends_another_hears_of() {
    let options = database();
    let (one, other) =
        (PostgresStore::connect(&options).await.unwrap(), PostgresStore::connect(&options).await.unwrap());
    let mut heard = other.latest();
    assert_eq!(*heard.borrow_and_update(), Seq::START);
    one.submit(vec![new_job(), new_job()]).await.unwrap();
    let newest = *one.latest().borrow();
    tokio::time::timeout(Duration::from_secs(20), heard.wait_for(|seq| *seq == newest))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(other.read_after(Seq::START, None, 10).await.unwrap().len(), 2);
    one.close().await;
    other.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_follows_misses_no_event_of_many_writers() {
    let options = database();
    let stores = futures::future::join_all((0..3).map(|_| PostgresStore::connect(&options))).await;
    let stores: Vec<_> = stores.into_iter().map(|store| std::sync::Arc::new(store.unwrap())).collect();
    let writers: Vec<_> = stores
        .iter()
        .flat_map(|store| std::iter::repeat_n(store.clone(), 3))
        .map(|store| {
            tokio::spawn(async move {
                for _ in 0..30 {
                    store.submit(vec![new_job()]).await.unwrap();
                }
            })
        })
        .collect();
    let mut latest = stores[0].latest();
    let (mut position, mut seen) = (Seq::START, 0);
    let follow = async {
        while seen < 270 {
            latest.borrow_and_update();
            for event in stores[0].read_after(position, None, 7).await.unwrap() {
                assert!(event.seq > position);
                position = event.seq;
                seen += 1;
            }
            if seen < 270 {
                let _ = tokio::time::timeout(Duration::from_millis(5), latest.changed()).await;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), follow)
        .await
        .expect("every event is seen by its first reader");
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(stores[1].counts().await.unwrap(), JobCounts { pending: 270, ..JobCounts::default() });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_commits_late_does_not_slip_behind_a_reader() {
    let url = Postgres::shared().database();
    let store = PostgresStore::connect(&PostgresOptions::parse(&url).unwrap()).await.unwrap();
    let job = store.submit(vec![new_job()]).await.unwrap().remove(0);
    // Another program changes the row and dawdles: the store's change of the same job has to wait for it, and gets
    // its position only afterwards.
    let mut dawdler = visitor(&url).await;
    let mut transaction = dawdler.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM jobs WHERE id = $1 FOR UPDATE")
        .bind(job.id.as_str())
        .execute(&mut *transaction)
        .await
        .unwrap();
    let late = {
        let (options, id) = (PostgresOptions::parse(&url).unwrap(), job.id.clone());
        tokio::spawn(async move { PostgresStore::connect(&options).await.unwrap().cancel(&id).await })
    };
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    let mut watcher = visitor(&url).await;
    while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut watcher).await.unwrap() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let meanwhile = store.submit(vec![new_job()]).await.unwrap().remove(0);
    let position = store.read_after(Seq::START, None, 10).await.unwrap().last().unwrap().seq;
    transaction.commit().await.unwrap();
    late.await.unwrap().unwrap();
    let rest = store.read_after(position, None, 10).await.unwrap();
    assert_eq!(rest.iter().map(|event| event.kind).collect::<Vec<_>>(), [EventKind::JobCancelled]);
    assert_ne!(meanwhile.id, job.id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_goes_and_comes_is_used_again() {
    let mut server = Postgres::start(true);
    let options = PostgresOptions::parse(&server.database()).unwrap();
    let store = PostgresStore::connect(&options).await.unwrap();
    let kept = store.submit(vec![new_job()]).await.unwrap().remove(0);
    server.crash();
    for _ in 0..2 {
        let error = store.submit(vec![new_job()]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.is_retryable());
    }
    server.resume();
    assert_eq!(
        store.get(&kept.id).await.unwrap(),
        Some(kept),
        "what was acknowledged is there after a crash"
    );
    // Whoever follows the log hears of other daemons again, through a new connection.
    let other = PostgresStore::connect(&options).await.unwrap();
    let mut heard = store.latest();
    other.submit(vec![new_job()]).await.unwrap();
    let newest = *other.latest().borrow();
    tokio::time::timeout(Duration::from_secs(20), heard.wait_for(|seq| *seq >= newest))
        .await
        .unwrap()
        .unwrap();
    store.close().await;
    other.close().await;
}

#[tokio::test]
async fn what_cannot_be_opened_says_why_and_what_to_do() {
    let url = Postgres::shared().database();
    for (wrong, kind) in [
        (url.replace("test_", "missing_"), ErrorKind::NotFound),
        (url.replace("s3cret", "wrong"), ErrorKind::Unauthenticated),
    ] {
        let error = PostgresStore::connect(&PostgresOptions::parse(&wrong).unwrap()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.advice().is_some());
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("wrong of the tests") && !shown.contains("s3cret"), "{shown}");
        assert!(shown.contains("hyper:********@127.0.0.1"), "{shown}");
    }
}

#[tokio::test]
async fn tables_of_a_newer_version_are_refused() {
    let url = Postgres::shared().database();
    let options = PostgresOptions::parse(&url).unwrap();
    PostgresStore::connect(&options).await.unwrap().close().await;
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9001, 'from the future', TRUE, '\\x00', 0)",
    )
    .execute(&mut visitor(&url).await)
    .await
    .unwrap();
    let error = PostgresStore::connect(&options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.to_string().contains("version 9001"), "{error}");
}

#[tokio::test]
async fn the_clock_of_the_machine_has_no_part_in_it() {
    let url = Postgres::shared().database();
    let store = PostgresStore::connect(&PostgresOptions::parse(&url).unwrap()).await.unwrap();
    let job = store.submit(vec![new_job()]).await.unwrap().remove(0);
    let micros: i64 = sqlx::query_scalar("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
        .fetch_one(&mut visitor(&url).await)
        .await
        .unwrap();
    let late = micros - job.created_at.timestamp_micros();
    assert!((0..5_000_000).contains(&late), "{late} microseconds");
    assert!((store.clock().now().timestamp_micros() - micros).abs() < 5_000_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_itself_refuses_what_no_job_can_be() {
    let url = Postgres::shared().database();
    let store = PostgresStore::connect(&PostgresOptions::parse(&url).unwrap()).await.unwrap();
    store.submit(vec![new_job()]).await.unwrap();
    let mut other = visitor(&url).await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vacuum_and_analyze_meanwhile_do_no_harm() {
    let url = Postgres::shared().database();
    let store = PostgresStore::connect(&PostgresOptions::parse(&url).unwrap()).await.unwrap();
    let owner = Owner::unique();
    let upkeep = tokio::spawn(async move {
        let mut visitor = visitor(&url).await;
        for _ in 0..10 {
            sqlx::query("VACUUM ANALYZE").execute(&mut visitor).await.unwrap();
        }
    });
    for _ in 0..40 {
        store.submit(vec![new_job(), new_job()]).await.unwrap();
        for claim in store.claim(&Claimant::of_any(&owner), 1).await.unwrap() {
            let done = Settled::Completed(outcome());
            store.settle(&claim.job.id, claim.fence, done, Progress::default()).await.unwrap();
        }
    }
    upkeep.await.unwrap();
    let counts = store.counts().await.unwrap();
    assert_eq!((counts.completed, counts.pending), (40, 40));
}
