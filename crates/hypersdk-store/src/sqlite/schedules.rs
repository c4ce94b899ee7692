//! Schedules. Each operation loads what it changes, has the schedule itself make the change, and writes rows
//! and events in one transaction.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use hypersdk_core::{Owner, Result, ScheduleId};
use hypersdk_sched::{
    Accounting, Firing, FiringKey, FiringState, KEPT_FIRINGS, KEPT_FIRINGS_FOR, NewEvent, NewSchedule,
    Schedule, ScheduleSpec, ScheduleStore, Step,
};
use sqlx::SqliteExecutor;
use sqlx::sqlite::SqliteConnection;

use super::SqliteStore;
use super::error::failed;
use super::transaction::Transaction;
use crate::schedule_rows::{
    self as rows, Claim, RawFiring, RawSchedule, Row, another_has, bind_firing, bind_schedule, firing_taken,
    no_firing, no_schedule, schedule_taken,
};

#[async_trait]
impl ScheduleStore for SqliteStore {
    async fn create_schedule(&self, new: NewSchedule) -> Result<Schedule> {
        let now = self.clock.now();
        self.write("create schedule", move |transaction| {
            Box::pin(async move {
                let schedule = Schedule::created(new, now);
                let inserted = bind_schedule!(rows::INSERT_SCHEDULE, schedule);
                let inserted = inserted.execute(transaction.connection()).await;
                let inserted = inserted.map_err(|error| failed("insert schedule", &error))?;
                if inserted.rows_affected() == 0 {
                    return Err(schedule_taken(&schedule.id));
                }
                count_change(transaction.connection()).await?;
                Ok(schedule)
            })
        })
        .await
    }

    async fn change_schedule(
        &self,
        id: &ScheduleId,
        spec: Option<ScheduleSpec>,
        enabled: Option<bool>,
        revision: Option<i64>,
    ) -> Result<Schedule> {
        let now = self.clock.now();
        let id = id.clone();
        self.write("change schedule", move |transaction| {
            Box::pin(async move {
                let mut schedule = load(transaction.connection(), &id).await?;
                schedule.change(spec, enabled, revision, now)?;
                update_schedule(&schedule, transaction.connection()).await?;
                count_change(transaction.connection()).await?;
                Ok(schedule)
            })
        })
        .await
    }

    async fn remove_schedule(&self, id: &ScheduleId, revision: Option<i64>) -> Result<()> {
        let id = id.clone();
        self.write("remove schedule", move |transaction| {
            Box::pin(async move {
                load(transaction.connection(), &id).await?.check_revision(revision)?;
                sqlx::query("DELETE FROM scheduled_jobs WHERE id = $1")
                    .bind(id.as_str())
                    .execute(transaction.connection())
                    .await
                    .map_err(|error| failed("delete schedule", &error))?;
                count_change(transaction.connection()).await
            })
        })
        .await
    }

    async fn schedule(&self, id: &ScheduleId) -> Result<Option<Schedule>> {
        find(&self.readers, id).await
    }

    async fn schedules(&self) -> Result<Vec<Schedule>> {
        let rows: Vec<RawSchedule> = sqlx::query_as("SELECT * FROM scheduled_jobs ORDER BY id")
            .fetch_all(&self.readers)
            .await
            .map_err(|error| failed("list schedules", &error))?;
        rows.into_iter().map(Schedule::try_from).collect()
    }

    async fn schedules_changed(&self) -> Result<i64> {
        sqlx::query_scalar("SELECT number FROM schedule_changes")
            .fetch_one(&self.readers)
            .await
            .map_err(|error| failed("read number of changes", &error))
    }

    async fn account(
        &self,
        owner: &Owner,
        accounting: Accounting,
    ) -> Result<Option<(Schedule, Vec<Firing>)>> {
        let now = self.clock.now();
        let owner = owner.clone();
        self.write("account for times", move |transaction| {
            Box::pin(async move {
                let id = &accounting.schedule;
                let Some(mut schedule) = find(transaction.connection(), id).await? else { return Ok(None) };
                let open = open_of(transaction.connection(), id).await?;
                let known = known(transaction.connection(), &accounting).await?;
                let known = |planned_at: DateTime<Utc>| known.contains(&planned_at.timestamp_micros());
                let Some(done) = schedule.account(&accounting, &open, known, now) else { return Ok(None) };
                update_schedule(&schedule, transaction.connection()).await?;
                let mut firings = Vec::with_capacity(done.firings.len() + done.replaced.len());
                for firing in done.firings {
                    let row = Row::new(firing, &owner, now);
                    insert_firing(&row, transaction.connection()).await?;
                    firings.push(row.firing);
                }
                for firing in done.replaced {
                    let row = Row { firing, claim: None };
                    update_firing(&row, transaction.connection()).await?;
                    firings.push(row.firing);
                }
                append(transaction, done.events, now).await?;
                forget_old(transaction.connection(), id, now).await?;
                Ok(Some((schedule, firings)))
            })
        })
        .await
    }

    async fn trigger(&self, owner: &Owner, id: &ScheduleId) -> Result<Firing> {
        let now = self.clock.now();
        let (owner, id) = (owner.clone(), id.clone());
        self.write("trigger schedule", move |transaction| {
            Box::pin(async move {
                let schedule = load(transaction.connection(), &id).await?;
                let open = open_of(transaction.connection(), &id).await?;
                let firing = schedule.triggered(&open, now)?;
                let key = firing.key();
                if find_row(transaction.connection(), &key).await?.is_some() {
                    return Err(firing_taken(&key));
                }
                let row = Row::new(firing, &owner, now);
                insert_firing(&row, transaction.connection()).await?;
                Ok(row.firing)
            })
        })
        .await
    }

    async fn claim_firing(
        &self,
        owner: &Owner,
        key: &FiringKey,
        silence: Duration,
    ) -> Result<Option<Firing>> {
        let now = self.clock.now();
        let (owner, key) = (owner.clone(), key.clone());
        self.write("claim firing", move |transaction| {
            Box::pin(async move {
                let Some(mut row) = find_row(transaction.connection(), &key).await? else { return Ok(None) };
                if !row.is_free_for(&owner, silence, now) {
                    return Ok(None);
                }
                row.firing.state = FiringState::Pending;
                row.claim = Some(Claim::new(&owner, now));
                update_firing(&row, transaction.connection()).await?;
                Ok(Some(row.firing))
            })
        })
        .await
    }

    async fn step_firing(&self, owner: &Owner, key: &FiringKey, step: Step) -> Result<(Firing, Schedule)> {
        let now = self.clock.now();
        let (owner, key) = (owner.clone(), key.clone());
        self.write("change firing", move |transaction| {
            Box::pin(async move {
                let mut schedule = load(transaction.connection(), &key.schedule).await?;
                let row = find_row(transaction.connection(), &key).await?;
                let mut row = row.ok_or_else(|| no_firing(&key))?;
                if row.is_anothers(&owner) {
                    return Err(another_has(&key));
                }
                let was_enabled = schedule.enabled;
                let events = schedule.step(&mut row.firing, step, now)?;
                row.claim = None;
                update_firing(&row, transaction.connection()).await?;
                update_schedule(&schedule, transaction.connection()).await?;
                if schedule.enabled != was_enabled {
                    count_change(transaction.connection()).await?;
                }
                append(transaction, events, now).await?;
                Ok((row.firing, schedule))
            })
        })
        .await
    }

    async fn open_firings(&self) -> Result<Vec<Firing>> {
        let sql = rows::open!("SELECT * FROM schedule_firings WHERE", "ORDER BY schedule, planned_at");
        let rows: Vec<RawFiring> = sqlx::query_as(sql)
            .fetch_all(&self.readers)
            .await
            .map_err(|error| failed("list open firings", &error))?;
        rows.into_iter().map(|raw| Ok(Row::try_from(raw)?.firing)).collect()
    }

    async fn firings(
        &self,
        id: &ScheduleId,
        before: Option<DateTime<Utc>>,
        limit: usize,
    ) -> Result<Vec<Firing>> {
        load(&self.readers, id).await.map_err(|error| error.context("list firings"))?;
        let rows: Vec<RawFiring> = sqlx::query_as(
            "SELECT * FROM schedule_firings WHERE schedule = $1 AND planned_at < $2
             ORDER BY planned_at DESC LIMIT $3",
        )
        .bind(id.as_str())
        .bind(before.map_or(i64::MAX, |before| before.timestamp_micros()))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.readers)
        .await
        .map_err(|error| failed("list firings", &error))?;
        rows.into_iter().map(|raw| Ok(Row::try_from(raw)?.firing)).collect()
    }
}

async fn find(executor: impl SqliteExecutor<'_>, id: &ScheduleId) -> Result<Option<Schedule>> {
    let raw: Option<RawSchedule> = sqlx::query_as("SELECT * FROM scheduled_jobs WHERE id = $1")
        .bind(id.as_str())
        .fetch_optional(executor)
        .await
        .map_err(|error| failed("read schedule", &error))?;
    raw.map(Schedule::try_from).transpose()
}

async fn load(executor: impl SqliteExecutor<'_>, id: &ScheduleId) -> Result<Schedule> {
    let found = find(executor, id).await?;
    found.ok_or_else(|| no_schedule(id))
}

async fn find_row(executor: impl SqliteExecutor<'_>, key: &FiringKey) -> Result<Option<Row>> {
    let raw: Option<RawFiring> =
        sqlx::query_as("SELECT * FROM schedule_firings WHERE schedule = $1 AND planned_at = $2")
            .bind(key.schedule.as_str())
            .bind(key.planned_at.timestamp_micros())
            .fetch_optional(executor)
            .await
            .map_err(|error| failed("read firing", &error))?;
    raw.map(Row::try_from).transpose()
}

async fn open_of(executor: impl SqliteExecutor<'_>, id: &ScheduleId) -> Result<Vec<Firing>> {
    let sql = rows::open!("SELECT * FROM schedule_firings WHERE schedule = $1 AND", "ORDER BY planned_at");
    let rows: Vec<RawFiring> = sqlx::query_as(sql)
        .bind(id.as_str())
        .fetch_all(executor)
        .await
        .map_err(|error| failed("read open firings", &error))?;
    rows.into_iter().map(|raw| Ok(Row::try_from(raw)?.firing)).collect()
}

/// The times among those of the accounting that have a firing already, in microseconds.
async fn known(executor: impl SqliteExecutor<'_>, accounting: &Accounting) -> Result<HashSet<i64>> {
    let Some((first, last)) = rows::range(accounting) else { return Ok(HashSet::new()) };
    let rows: Vec<i64> = sqlx::query_scalar(
        "SELECT planned_at FROM schedule_firings WHERE schedule = $1 AND planned_at BETWEEN $2 AND $3",
    )
    .bind(accounting.schedule.as_str())
    .bind(first)
    .bind(last)
    .fetch_all(executor)
    .await
    .map_err(|error| failed("read firings", &error))?;
    Ok(rows.into_iter().collect())
}

async fn update_schedule(schedule: &Schedule, connection: &mut SqliteConnection) -> Result<()> {
    let updated = bind_schedule!(rows::UPDATE_SCHEDULE, schedule).execute(connection).await;
    updated.map(drop).map_err(|error| failed("update schedule", &error))
}

async fn insert_firing(row: &Row, connection: &mut SqliteConnection) -> Result<()> {
    let inserted = bind_firing!(rows::INSERT_FIRING, row).execute(connection).await;
    inserted.map(drop).map_err(|error| failed("insert firing", &error))
}

async fn update_firing(row: &Row, connection: &mut SqliteConnection) -> Result<()> {
    let updated = bind_firing!(rows::UPDATE_FIRING, row).execute(connection).await;
    updated.map(drop).map_err(|error| failed("update firing", &error))
}

async fn append(transaction: &mut Transaction, events: Vec<NewEvent>, now: DateTime<Utc>) -> Result<()> {
    for (kind, data) in events {
        transaction.append_event(kind, now, None, &data).await?;
    }
    Ok(())
}

async fn count_change(connection: &mut SqliteConnection) -> Result<()> {
    sqlx::query("UPDATE schedule_changes SET number = number + 1")
        .execute(connection)
        .await
        .map_err(|error| failed("count change", &error))?;
    Ok(())
}

/// Drops what is beyond the kept number of ended firings, unless it is of the last days.
async fn forget_old(connection: &mut SqliteConnection, id: &ScheduleId, now: DateTime<Utc>) -> Result<()> {
    sqlx::query(rows::FORGET_OLD)
        .bind(id.as_str())
        .bind((now - KEPT_FIRINGS_FOR).timestamp_micros())
        .bind(i64::try_from(KEPT_FIRINGS).unwrap_or(i64::MAX))
        .execute(connection)
        .await
        .map_err(|error| failed("forget old firings", &error))?;
    Ok(())
}
