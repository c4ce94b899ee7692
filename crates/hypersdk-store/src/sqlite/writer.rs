//! The one task that writes.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use hypersdk_core::{EventKind, Job, JobId, Result, Seq};
use serde_json::Value;
use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{mpsc, oneshot, watch};

use super::error::failed;
use super::file::Lock;
use crate::rows::{Row, bind_insert, bind_update, to_json};

/// The most works that share a transaction.
const BATCH: usize = 64;

/// The writing connection and what its open transaction has appended to the log.
#[derive(Debug)]
pub(super) struct Transaction {
    connection: SqliteConnection,
    newest: Option<Seq>,
}

impl Transaction {
    pub(super) fn new(connection: SqliteConnection) -> Self {
        Transaction { connection, newest: None }
    }

    pub(super) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }

    /// Adds a job that was just accepted.
    pub(super) async fn insert(&mut self, job: &Job, blocked_by: i64) -> Result<()> {
        let inserted = bind_insert!(job, blocked_by).execute(&mut self.connection).await;
        inserted.map_err(|error| failed("insert job", &error))?;
        Ok(())
    }

    /// Writes what can change of a job.
    pub(super) async fn update(&mut self, row: &Row) -> Result<()> {
        let updated = bind_update!(row).execute(&mut self.connection).await;
        updated.map_err(|error| failed("update job", &error))?;
        Ok(())
    }

    /// Appends the event of a change that was just made to `job`.
    pub(super) async fn append(&mut self, kind: EventKind, job: &Job) -> Result<()> {
        self.append_event(kind, job.updated_at, Some(&job.id), &job.event_data(kind)).await
    }

    /// Appends an event, of a job or of none.
    pub(super) async fn append_event(
        &mut self,
        kind: EventKind,
        time: DateTime<Utc>,
        job: Option<&JobId>,
        data: &Value,
    ) -> Result<()> {
        let result = sqlx::query("INSERT INTO events (time, kind, job, data) VALUES ($1, $2, $3, $4)")
            .bind(time.timestamp_micros())
            .bind(kind.as_str())
            .bind(job.map(JobId::as_str))
            .bind(to_json("data", data)?)
            .execute(&mut self.connection)
            .await
            .map_err(|error| failed("append event", &error))?;
        self.newest = Some(Seq(result.last_insert_rowid()));
        Ok(())
    }

    async fn execute(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        sqlx::query(sql).execute(&mut self.connection).await.map(drop)
    }
}

/// Tells a caller whether its change is on the disk.
type Finish = Box<dyn FnOnce(Option<&sqlx::Error>) + Send>;

/// A change that waits for its turn.
#[async_trait]
pub(super) trait Work: Send {
    /// Does it. `None` if it failed and its caller knows: what it wrote is to be undone.
    async fn run(self: Box<Self>, transaction: &mut Transaction) -> Option<Finish>;

    /// Tells the caller that it could not be begun.
    fn refuse(self: Box<Self>, error: &sqlx::Error);
}

struct Change<T, F> {
    operation: &'static str,
    change: F,
    reply: oneshot::Sender<Result<T>>,
}

/// A work from a function, and where its result will be.
pub(super) fn work<T, F>(operation: &'static str, change: F) -> (Box<dyn Work>, oneshot::Receiver<Result<T>>)
where
    T: Send + 'static,
    F: for<'t> FnOnce(&'t mut Transaction) -> BoxFuture<'t, Result<T>> + Send + 'static,
{
    let (reply, result) = oneshot::channel();
    (Box::new(Change { operation, change, reply }), result)
}

#[async_trait]
impl<T, F> Work for Change<T, F>
where
    T: Send + 'static,
    F: for<'t> FnOnce(&'t mut Transaction) -> BoxFuture<'t, Result<T>> + Send + 'static,
{
    async fn run(self: Box<Self>, transaction: &mut Transaction) -> Option<Finish> {
        let Change { operation, change, reply } = *self;
        // A caller that has gone does not want its answer; the change stands all the same.
        match change(transaction).await {
            Ok(value) => Some(Box::new(move |error| {
                drop(reply.send(match error {
                    None => Ok(value),
                    Some(error) => Err(failed(operation, error)),
                }));
            })),
            Err(error) => {
                drop(reply.send(Err(error.context(operation))));
                None
            }
        }
    }

    fn refuse(self: Box<Self>, error: &sqlx::Error) {
        drop(self.reply.send(Err(failed(self.operation, error))));
    }
}

/// Does what comes through `works`, several in one transaction if several wait, until the channel closes;
/// then closes the file and lets go of it.
pub(super) async fn run(
    mut transaction: Transaction,
    mut works: mpsc::Receiver<Box<dyn Work>>,
    latest: watch::Sender<Seq>,
    lock: Lock,
) {
    let mut batch = Vec::with_capacity(BATCH);
    while works.recv_many(&mut batch, BATCH).await > 0 {
        while !batch.is_empty() {
            transact(&mut transaction, &mut batch, &latest).await;
        }
    }
    if let Err(error) = transaction.connection.close().await {
        tracing::warn!(%error, "the database was not closed cleanly; the next start repairs it");
    }
    drop(lock);
}

/// Does the works of the batch in one transaction. Leaves those in it that were not begun because SQLite
/// gave the transaction up under an earlier one.
async fn transact(
    transaction: &mut Transaction,
    batch: &mut Vec<Box<dyn Work>>,
    latest: &watch::Sender<Seq>,
) {
    transaction.newest = None;
    if let Err(error) = transaction.execute("BEGIN IMMEDIATE").await {
        batch.drain(..).for_each(|work| work.refuse(&error));
        return;
    }
    let mut done = Vec::with_capacity(batch.len());
    let mut outcome = Ok(());
    let mut waiting = std::mem::take(batch).into_iter();
    for work in waiting.by_ref() {
        match attempt(transaction, work).await {
            Ok(finish) => done.extend(finish),
            Err(error) => {
                outcome = Err(error);
                break;
            }
        }
    }
    batch.extend(waiting);
    if outcome.is_ok() {
        outcome = transaction.execute("COMMIT").await;
    }
    if let Err(error) = &outcome {
        tracing::error!(%error, "a database transaction was not committed");
        // Fails if SQLite has rolled back by itself, which is as well.
        let _ = transaction.execute("ROLLBACK").await;
    } else if let Some(newest) = transaction.newest {
        latest.send_replace(newest);
    }
    for finish in done {
        finish(outcome.as_ref().err());
    }
}

/// Does one work, and undoes it alone if it fails.
///
/// # Errors
/// If nothing can be undone any more: SQLite has rolled the whole transaction back, as it may when the
/// disk is full or broken.
async fn attempt(transaction: &mut Transaction, work: Box<dyn Work>) -> Result<Option<Finish>, sqlx::Error> {
    let newest = transaction.newest;
    if let Err(error) = transaction.execute("SAVEPOINT work").await {
        work.refuse(&error);
        return Err(error);
    }
    let finish = work.run(transaction).await;
    if finish.is_none() {
        transaction.execute("ROLLBACK TO work").await?;
        transaction.newest = newest;
    }
    match transaction.execute("RELEASE work").await {
        Ok(()) => Ok(finish),
        Err(error) => {
            if let Some(finish) = finish {
                finish(Some(&error));
            }
            Err(error)
        }
    }
}
