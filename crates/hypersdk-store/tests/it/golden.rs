//! Databases written by earlier versions: what they hold stays readable, and work goes on from there.

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hypersdk_core::{
    Claimant, ErrorKind, EventKind, EventLog, JobId, JobQuery, JobSpec, JobStatus, JobStore, LogLevel, Owner,
    PackageFormat, Phase, PowerPolicy, Progress, Seq, VerifyMode,
};
use hypersdk_store::SqliteStore;

use super::{assert_intact, visitor};

fn instant(micros: i64) -> Option<DateTime<Utc>> {
    Some(DateTime::from_timestamp_micros(micros).unwrap())
}

fn id(text: &str) -> JobId {
    text.parse().unwrap()
}

/// Writes the database of version 1 to `path`, and then what `change` says.
async fn version_1(path: &Path, change: &'static str) {
    std::fs::write(path, "").unwrap();
    let mut visitor = visitor(path).await;
    for sql in [include_str!("../golden/v1.sql"), change] {
        sqlx::raw_sql(sql).execute(&mut visitor).await.unwrap();
    }
    sqlx::Connection::close(visitor).await.unwrap();
}

#[tokio::test]
async fn the_tables_are_copied_as_they_were_before_they_change_and_never_when_they_do_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    let copy = directory.path().join("jobs.db.v1.bak");
    version_1(&path, "").await;
    // A copy of an upgrade that was broken off: the newer one takes its place.
    std::fs::write(&copy, "half a copy").unwrap();
    SqliteStore::open(&path).await.unwrap().close().await;
    let version = "SELECT max(version) FROM _sqlx_migrations";
    let kept: i64 = sqlx::query_scalar(version).fetch_one(&mut visitor(&copy).await).await.unwrap();
    assert_eq!(kept, 1);
    let jobs: i64 =
        sqlx::query_scalar("SELECT count(*) FROM jobs").fetch_one(&mut visitor(&copy).await).await.unwrap();
    assert!(jobs > 0, "with what it held");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&copy).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);

    std::fs::remove_file(&copy).unwrap();
    SqliteStore::open(&path).await.unwrap().close().await;
    let left = std::fs::read_dir(directory.path()).unwrap().flatten().map(|entry| entry.file_name());
    let copies: Vec<_> = left.filter(|name| name.to_string_lossy().contains(".bak")).collect();
    assert!(copies.is_empty(), "{copies:?}");
}

#[tokio::test]
async fn tables_stay_as_they_are_where_there_is_no_room_for_a_copy() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    version_1(&path, "").await;
    // A name that no file can take.
    std::fs::create_dir(directory.path().join("jobs.db.v1.bak")).unwrap();
    std::fs::write(directory.path().join("jobs.db.v1.bak/x"), "").unwrap();
    let error = SqliteStore::open(&path).await.unwrap_err();
    assert!(error.chain().contains("before its tables change"), "{error:?}");
    let version = "SELECT max(version) FROM _sqlx_migrations";
    let kept: i64 = sqlx::query_scalar(version).fetch_one(&mut visitor(&path).await).await.unwrap();
    assert_eq!(kept, 1);
}

#[tokio::test]
async fn a_database_of_version_0_2_is_refused_and_its_schedules_can_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("old.db");
    std::fs::write(&path, "").unwrap();
    let tables = "CREATE TABLE scheduled_jobs (id TEXT PRIMARY KEY, name TEXT, description TEXT, schedule TEXT,
            job_template_json TEXT, enabled BOOLEAN, created_at DATETIME, updated_at DATETIME, last_run DATETIME,
            next_run DATETIME, run_count INTEGER, tags_json TEXT);
        INSERT INTO scheduled_jobs VALUES ('a', 'A', NULL, '0 2 * * *', '{}', 1, '', '', NULL, NULL, 3, NULL);";
    sqlx::raw_sql(tables).execute(&mut visitor(&path).await).await.unwrap();
    let error = SqliteStore::open(&path).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.advice().unwrap().contains("import-legacy"), "{error:?}");
    let read = hypersdk_store::LegacySchedule::read_all(&path).await.unwrap();
    assert_eq!((read.len(), read[0].id.as_str(), read[0].enabled), (1, "a", true));
    let none = hypersdk_store::LegacySchedule::read_all(directory.path().join("none.db")).await.unwrap_err();
    assert_eq!(none.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn numbers_of_events_are_not_used_again_by_newer_tables() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    version_1(&path, "DELETE FROM events WHERE seq > 12").await;
    let store = SqliteStore::open(&path).await.unwrap();
    store.cancel(&id("waiting")).await.unwrap();
    let events = store.read_after(Seq(11), None, 100).await.unwrap();
    let found: Vec<_> = events.iter().map(|event| (event.seq, event.kind)).collect();
    assert_eq!(found, [(Seq(12), EventKind::JobCompleted), (Seq(16), EventKind::JobCancelled)]);
}

#[tokio::test]
async fn newer_tables_take_events_about_no_job_and_no_job_events_about_none() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    version_1(&path, "").await;
    let store = SqliteStore::open(&path).await.unwrap();
    let mut visitor = visitor(&path).await;
    for (kind, job, taken) in [
        ("schedule.fired", None, true),
        ("job.created", None, false),
        ("job.created", Some("nowhere"), false),
    ] {
        let result = sqlx::query("INSERT INTO events (time, kind, job, data) VALUES (1, $1, $2, '{}')")
            .bind(kind)
            .bind(job)
            .execute(&mut visitor)
            .await;
        assert_eq!(result.is_ok(), taken, "{kind} {job:?}");
    }
    let events = store.read_after(Seq(15), None, 100).await.unwrap();
    let found: Vec<_> = events.iter().map(|event| (event.seq, event.kind, &event.job)).collect();
    assert_eq!(found, [(Seq(16), EventKind::ScheduleFired, &None)]);
}

#[tokio::test]
async fn a_database_of_version_1_is_read_and_continued() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    version_1(&path, "").await;
    let store = SqliteStore::open(&path).await.unwrap();
    assert_intact(&path).await;

    let page = store.list(&JobQuery::default()).await.unwrap();
    let listed: Vec<_> = page.jobs.iter().map(|job| (job.id.as_str(), job.status)).collect();
    assert_eq!(
        listed,
        [
            ("waiting", JobStatus::Pending),
            ("running", JobStatus::Running),
            ("stopped", JobStatus::Cancelled),
            ("retrying", JobStatus::Pending),
            ("failed", JobStatus::Failed),
            ("completed", JobStatus::Completed),
        ]
    );
    let job = async |text: &str| store.get(&id(text)).await.unwrap().unwrap();

    let completed = job("completed").await;
    assert_eq!(completed.spec, JobSpec::new("/DC0/vm/prod/web01".parse().unwrap(), "/srv/exports"));
    assert_eq!((completed.attempt, completed.failures), (1, 0));
    assert_eq!(Some(completed.created_at), instant(1_795_478_400_000_000));
    assert_eq!(completed.started_at, instant(1_795_478_402_000_002));
    assert_eq!(completed.completed_at, instant(1_795_478_404_000_004));
    assert_eq!((completed.progress.phase, completed.progress.fraction), (Phase::Done, 1.0));
    let outcome = completed.outcome.unwrap();
    assert_eq!((outcome.vm_name.as_str(), outcome.total_size), ("web01", (9 << 30) + 4096));
    assert_eq!(outcome.files[0].sha256, "ab".repeat(32));
    assert!(outcome.files[0].attested);
    assert_eq!(outcome.warnings, ["the host sent no SHA-1"]);

    let failed = job("failed").await.failure.unwrap();
    assert_eq!((failed.kind, failed.retryable, failed.advice), (ErrorKind::NoSpace, false, None));
    let retrying = job("retrying").await;
    assert_eq!(retrying.not_before, instant(1_795_478_460_000_001));
    assert_eq!(retrying.failure.unwrap().advice.as_deref(), Some("check the host"));
    assert!(job("stopped").await.cancel_requested);
    let running = job("running").await.progress;
    assert_eq!((running.phase, running.bytes_done), (Phase::Exporting, 1 << 33));
    assert_eq!(running.remaining_seconds, Some(68.5));

    let spec = job("waiting").await.spec;
    assert_eq!(spec.vm.to_string(), "vm-42");
    assert_eq!(spec.name.as_deref(), Some("nightly web, O'Brien's"));
    assert_eq!(spec.provider.unwrap().as_str(), "vc-berlin");
    assert_eq!((spec.format, spec.verify), (PackageFormat::Ovf, VerifyMode::Full));
    assert_eq!((spec.compress, spec.compression_level, spec.cleanup_ovf), (true, 9, false));
    assert_eq!((spec.keep_partial, spec.overwrite, spec.priority), (true, true, -1));
    assert_eq!((spec.options.power, spec.options.quiesce), (PowerPolicy::Keep, true));
    assert_eq!(spec.metadata["ticket"], 4711);

    let events = store.read_after(Seq::START, None, 100).await.unwrap();
    assert_eq!(events.len(), 15);
    assert_eq!((&events[11].job, events[11].kind), (&Some(id("completed")), EventKind::JobCompleted));
    assert_eq!(*store.latest().borrow(), Seq(15));
    let of_retrying = store.read_after(Seq(7), Some(&id("retrying")), 100).await.unwrap();
    let kinds: Vec<_> = of_retrying.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::JobStarted, EventKind::JobRequeued]);
    assert_eq!(of_retrying[1].data["error"]["kind"], "unavailable");
    let log = store.log(&id("failed")).await.unwrap();
    let levels: Vec<_> = log.iter().map(|line| line.level).collect();
    assert_eq!(levels, [LogLevel::Info, LogLevel::Warning, LogLevel::Error]);
    assert_eq!(log[1].message, "the host is slow");

    let owner = Owner::unique();
    assert_eq!(store.recover(&owner, Duration::ZERO).await.unwrap(), [id("running")]);
    let claims = store.claim(&Claimant::of_any(&owner), 1).await.unwrap();
    assert_eq!(claims.len(), 1);
    let stop = store
        .heartbeat(&owner, &[(claims[0].job.id.clone(), claims[0].fence, Progress::default())])
        .await
        .unwrap();
    assert_eq!(stop, []);
    assert_eq!(store.read_after(Seq(15), None, 100).await.unwrap()[0].seq, Seq(16));
}
