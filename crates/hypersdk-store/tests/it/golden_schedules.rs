//! Rows of schedules as an earlier version wrote them stay readable, in both kinds of database, and work goes on from
//! there; and people's queries keep their columns.

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hypersdk_core::{Owner, ScheduleId};
use hypersdk_sched::{
    Blackout, CatchUp, Cause, Firing, FiringState, Overlap, Schedule, ScheduleSpec, ScheduleStore, Step,
    Window,
};
use hypersdk_store::{PostgresOptions, PostgresStore, SqliteStore};
use hypersdk_tests::{Postgres, command};
use serde_json::json;

use super::{assert_intact, visitor};

const GOLDEN: &str = include_str!("../golden/schedules.sql");

/// What the guide has operators type.
const QUERY: &str = "SELECT id, name, enabled FROM scheduled_jobs";

fn instant(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap()
}

fn id(text: &str) -> ScheduleId {
    text.parse().unwrap()
}

/// `weekend` as it was asked for.
fn weekend() -> ScheduleSpec {
    let template = json!({ "vm_path": "/DC0/vm/prod/*", "output_dir": "/srv/exports", "compress": true });
    let template = template.as_object().unwrap().clone();
    let mut spec = ScheduleSpec::new("Wöchentlich, O'Brien's", "30 3 1,15 * sat".parse().unwrap(), template);
    spec.description = "both halves of the month".to_owned();
    spec.tags = vec!["prod".to_owned(), "berlin".to_owned()];
    spec.timezone = "Europe/Berlin".parse().unwrap();
    spec.overlap = Overlap::CancelPrevious;
    spec.catch_up = CatchUp::All { limit: 20 };
    spec.jitter = Duration::from_secs(90);
    spec.windows = vec![Window {
        days: vec!["Sat".parse().unwrap(), "Sun".parse().unwrap()],
        from: "22:00:00".parse().unwrap(),
        to: "06:00:00".parse().unwrap(),
    }];
    spec.blackouts = vec![Blackout {
        from: "2026-12-24T00:00:00Z".parse().unwrap(),
        to: "2026-12-27T00:00:00Z".parse().unwrap(),
        reason: "holidays".to_owned(),
    }];
    spec
}

async fn are_read_and_continued(store: &dyn ScheduleStore) {
    let schedules = store.schedules().await.unwrap();
    let [daily, given_up, found] = &schedules[..] else { panic!("{schedules:?}") };
    let template =
        json!({ "vm_path": "/datacenter/vm/test-vm", "output_path": "/tmp/backups", "format": "ova" });
    let template = template.as_object().unwrap().clone();
    // What was not there from the beginning has its default.
    assert_eq!(daily.spec, ScheduleSpec::new("Daily Backup", "0 2 * * *".parse().unwrap(), template));
    assert_eq!((daily.id.as_str(), daily.enabled, daily.last_run), ("daily-backup", true, None));
    assert_eq!(
        *found,
        Schedule {
            id: id("weekend"),
            spec: weekend(),
            enabled: true,
            revision: 2,
            created_at: instant(1_795_478_400_000_000),
            updated_at: instant(1_795_478_460_000_000),
            accounted_until: instant(1_795_480_000_000_000),
            last_run: Some(instant(1_795_480_000_000_000)),
            run_count: 3,
            missed_count: 1,
            failures: 0,
            disabled_because: None,
        }
    );
    assert_eq!((given_up.enabled, given_up.failures, given_up.spec.max_failures), (false, 3, Some(3)));
    assert_eq!((given_up.spec.overlap, given_up.spec.catch_up), (Overlap::Queue, CatchUp::None));
    assert!(given_up.disabled_because.as_ref().unwrap().contains("no space"));

    let firings = store.firings(&id("weekend"), None, 10).await.unwrap();
    let states: Vec<_> = firings.iter().map(|firing| firing.state).collect();
    let (running, ended) = (FiringState::Running, [FiringState::Cancelled, FiringState::Succeeded]);
    assert_eq!(states, [running, ended[0], ended[1], FiringState::Failed, FiringState::Missed]);
    assert_eq!(
        firings[3],
        Firing {
            schedule: id("weekend"),
            planned_at: instant(1_795_479_100_000_000),
            cause: Cause::Time,
            state: FiringState::Failed,
            created_at: instant(1_795_479_100_000_100),
            fired_at: Some(instant(1_795_479_100_000_200)),
            ended_at: Some(instant(1_795_479_100_000_300)),
            jobs: ["vm-1", "vm-2"]
                .map(|vm| format!("weekend-20261124T001140Z-{vm}").parse().unwrap())
                .to_vec(),
            reason: Some("1 of 2 jobs failed".to_owned()),
        }
    );
    assert_eq!((firings[2].cause, firings[4].cause), (Cause::Manual, Cause::CatchUp));

    // The process that was starting one is gone: another goes on.
    let open = store.open_firings().await.unwrap();
    let open_states: Vec<_> = open.iter().map(|firing| firing.state).collect();
    assert_eq!(open_states, [FiringState::Pending, FiringState::Waiting, FiringState::Running]);
    let owner = Owner::unique();
    let key = open[0].key();
    store.claim_firing(&owner, &key, Duration::from_secs(30)).await.unwrap().expect("it is free");
    let step = Step::Start { jobs: vec!["given-up-1".parse().unwrap()] };
    let (firing, schedule) = store.step_firing(&owner, &key, step).await.unwrap();
    assert_eq!((firing.state, schedule.run_count), (FiringState::Running, 41));
}

#[tokio::test]
async fn schedules_of_earlier_versions_are_read_and_continued_on_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("schedules.db");
    SqliteStore::open(&path).await.unwrap().close().await;
    let mut visitor = visitor(&path).await;
    sqlx::raw_sql(GOLDEN).execute(&mut visitor).await.unwrap();
    sqlx::Connection::close(visitor).await.unwrap();
    let rows = command("sqlite3", &[path.to_str().unwrap(), &format!("{QUERY};")], Path::new("/"));
    let mut rows: Vec<_> = rows.lines().collect();
    rows.sort_unstable();
    assert_eq!(
        rows,
        ["daily-backup|Daily Backup|1", "given-up|given-up|0", "weekend|Wöchentlich, O'Brien's|1"]
    );
    let store = SqliteStore::open(&path).await.unwrap();
    are_read_and_continued(&store).await;
    assert_intact(&path).await;
}

#[tokio::test]
async fn schedules_of_earlier_versions_are_read_and_continued_on_postgresql() {
    let url = Postgres::shared().database();
    let database = url.rsplit('/').next().unwrap();
    let options = PostgresOptions::parse(&url).unwrap();
    PostgresStore::connect(&options).await.unwrap().close().await;
    Postgres::shared().psql(database, GOLDEN);
    let rows = Postgres::shared().psql(database, &format!("{QUERY} ORDER BY id"));
    let rows: Vec<_> = rows.lines().collect();
    assert_eq!(
        rows,
        ["daily-backup|Daily Backup|t", "given-up|given-up|f", "weekend|Wöchentlich, O'Brien's|t"]
    );
    let store = PostgresStore::connect(&options).await.unwrap();
    are_read_and_continued(&store).await;
    store.close().await;
}
