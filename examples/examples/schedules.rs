//! Schedules inside a program of one's own: kept in a file, fired once a time, still there after a restart.
//!
//! `cargo run -p hypersdk-examples --example schedules`; given a DIRECTORY, they are there the next time too

#![expect(clippy::print_stdout, reason = "what the example shows")]

use std::sync::Arc;

use anyhow::Context;
use async_trait::async_trait;
use hypersdk_core::{JobId, Result, ScheduleId};
use hypersdk_examples::Output;
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
    let output = Output::choose(std::env::args().nth(1))?;
    let location = DatabaseLocation::Sqlite(output.path().join("schedules.db"));
    let id: ScheduleId = "greet".parse()?;

    let (database, scheduler) = open(&location).await?;
    if scheduler.store().schedule(&id).await?.is_none() {
        let template = json!({"whom": "world"}).as_object().cloned().unwrap_or_default();
        let spec = ScheduleSpec::new("Every second", "* * * * * *".parse()?, template);
        scheduler.create(NewSchedule { id: id.clone(), spec, enabled: true }).await?;
    }
    let before = fire(&database, &scheduler, &id).await?;
    scheduler.stop().await;
    database.close().await;

    // As after a restart: nobody creates it again, and it goes on where it was.
    let (database, scheduler) = open(&location).await?;
    let after = fire(&database, &scheduler, &id).await?;
    println!("{} {} ran {} times", id, after.spec.schedule.describe(), after.run_count);
    println!("{} of them after the restart", after.run_count - before.run_count);
    for firing in scheduler.store().firings(&id, None, 2).await? {
        println!("{} {}", firing.planned_at, firing.state.as_str());
    }
    scheduler.stop().await;
    database.close().await;
    Ok(())
}

/// Waits until it has fired twice more. Each time is an event, in the same log as those of jobs.
async fn fire(database: &Database, scheduler: &Scheduler, id: &ScheduleId) -> anyhow::Result<Schedule> {
    let mut grown = database.events().latest();
    let mut enough = None;
    loop {
        grown.borrow_and_update();
        let schedule = scheduler.store().schedule(id).await?.context("it is there")?;
        if schedule.run_count >= *enough.get_or_insert(schedule.run_count + 2) {
            return Ok(schedule);
        }
        grown.changed().await?;
    }
}
