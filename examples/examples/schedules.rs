//! Schedules inside a program of one's own: kept in a file, fired once a time, still there after a restart.
//!
//! `cargo run -p hypersdk-examples --example schedules`

#![expect(clippy::print_stdout, reason = "what the example shows")]

use std::sync::Arc;

use async_trait::async_trait;
use hypersdk_core::{JobId, Result, Seq};
use hypersdk_sched::{
    Firing, Launcher, NewSchedule, Schedule, ScheduleSpec, Scheduler, SchedulerConfig, Standing,
};
use hypersdk_store::{Database, DatabaseLocation};
use serde_json::json;

/// What is to be done. A real one has jobs accepted whose identifiers follow from the firing, so that doing it
/// again after a crash makes none twice.
#[derive(Debug)]
struct Greeter;

#[async_trait]
impl Launcher for Greeter {
    async fn launch(&self, schedule: &Schedule, firing: &Firing) -> Result<Vec<JobId>> {
        println!("{}: hello {}", schedule.id, schedule.spec.job_template["whom"]);
        let id = format!("{}-{}", schedule.id, firing.planned_at.timestamp_micros());
        Ok(vec![id.parse().expect("a schedule's id and a number")])
    }

    async fn standing(&self, _jobs: &[JobId]) -> Result<Standing> {
        // All have ended well.
        Ok(Standing::default())
    }

    async fn cancel(&self, _jobs: &[JobId]) -> Result<()> {
        Ok(())
    }
}

/// Opens the file and begins to fire what is in it.
async fn open(location: &DatabaseLocation) -> anyhow::Result<(Database, Scheduler)> {
    let database = Database::open(location).await?;
    let config = SchedulerConfig { exclusive: !database.is_shared(), ..SchedulerConfig::default() };
    let scheduler =
        Scheduler::start(database.schedules(), database.events(), Arc::new(Greeter), config).await?;
    Ok((database, scheduler))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let location = DatabaseLocation::Sqlite(directory.path().join("schedules.db"));

    let (database, scheduler) = open(&location).await?;
    let template = json!({"whom": "world"}).as_object().cloned().unwrap_or_default();
    let spec = ScheduleSpec::new("Every second", "* * * * * *".parse()?, template);
    scheduler.create(NewSchedule { id: "greet".parse()?, spec, enabled: true }).await?;

    // Each time is an event, in the same log as those of jobs.
    let mut grown = database.events().latest();
    grown.wait_for(|seq| *seq >= Seq(2)).await?;
    scheduler.stop().await;
    database.close().await;

    let (database, scheduler) = open(&location).await?;
    let id = "greet".parse()?;
    let schedule = scheduler.store().schedule(&id).await?.expect("it was kept");
    println!("{} {} ran {} times", schedule.id, schedule.spec.schedule.describe(), schedule.run_count);
    for firing in scheduler.store().firings(&id, None, 2).await? {
        println!("{} {}", firing.planned_at, firing.state.as_str());
    }
    scheduler.stop().await;
    database.close().await;
    Ok(())
}
