//! The one task that writes.

use std::collections::VecDeque;

use async_trait::async_trait;
use futures::future::BoxFuture;
use hypersdk_core::{Result, Seq};
use sqlx::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use super::alike::Group;
use super::error::failed;
use super::file::Lock;
use super::lines::Lines;
use super::settle::Settle;
use super::transaction::Transaction;

/// The most works that share a transaction.
pub(super) const BATCH: usize = 256;

/// Tells a caller whether its change is on the disk.
type Finish = Box<dyn FnOnce(Option<&sqlx::Error>) + Send>;

/// What came of a work.
pub(super) enum Ran {
    /// It is done; its callers wait for the commit.
    Done(Finish),
    /// It failed, and its caller knows: what it wrote is to be undone.
    Undo,
    /// What it wrote is to be undone, and these are to be done in its place.
    Apart(Vec<Box<dyn Work>>),
}

/// A change that waits for its turn.
#[async_trait]
pub(super) trait Work: Send {
    /// Does it.
    async fn run(self: Box<Self>, transaction: &mut Transaction) -> Ran;

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
    async fn run(self: Box<Self>, transaction: &mut Transaction) -> Ran {
        let Change { operation, change, reply } = *self;
        // A caller that has gone does not want its answer; the change stands all the same.
        match change(transaction).await {
            Ok(value) => Ran::Done(Box::new(move |error| {
                drop(reply.send(match error {
                    None => Ok(value),
                    Some(error) => Err(failed(operation, error)),
                }));
            })),
            Err(error) => {
                drop(reply.send(Err(error.context(operation))));
                Ran::Undo
            }
        }
    }

    fn refuse(self: Box<Self>, error: &sqlx::Error) {
        drop(self.reply.send(Err(failed(self.operation, error))));
    }
}

/// What callers queue up. Those of the named kinds are done together where several wait.
pub(super) enum Queued {
    Change(Box<dyn Work>),
    Settle(Group<Settle>),
    Lines(Group<Lines>),
}

/// The works of those that wait, in their order, but each of a named kind with the first of its kind. Whoever waits
/// here waits for an answer, so that nobody can tell in which order those that wait at one time are done.
fn gather(waiting: impl IntoIterator<Item = Queued>) -> VecDeque<Box<dyn Work>> {
    let mut works: Vec<Queued> = Vec::new();
    let (mut settles, mut lines) = (None, None);
    for queued in waiting {
        let first = match &queued {
            Queued::Change(_) => None,
            Queued::Settle(_) => Some(&mut settles),
            Queued::Lines(_) => Some(&mut lines),
        };
        let place = first.and_then(|first| first.replace(first.unwrap_or(works.len())));
        match (place.map(|place| &mut works[place]), queued) {
            (Some(Queued::Settle(first)), Queued::Settle(group)) => first.join(group),
            (Some(Queued::Lines(first)), Queued::Lines(group)) => first.join(group),
            (_, queued) => works.push(queued),
        }
    }
    let works = works.into_iter().map(|queued| match queued {
        Queued::Change(work) => work,
        Queued::Settle(group) => Box::new(group),
        Queued::Lines(group) => Box::new(group),
    });
    works.collect()
}

/// Does what comes through `queue`, several in one transaction if several wait, until the channel closes;
/// then closes the file and lets go of it.
pub(super) async fn run(
    mut transaction: Transaction,
    mut queue: mpsc::Receiver<Queued>,
    latest: watch::Sender<Seq>,
    lock: Lock,
) {
    let mut waiting = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut waiting, BATCH).await > 0 {
        let mut works = gather(waiting.drain(..));
        while !works.is_empty() {
            transact(&mut transaction, &mut works, &latest).await;
        }
    }
    if let Err(error) = transaction.into_connection().close().await {
        tracing::warn!(%error, "the database was not closed cleanly; the next start repairs it");
    }
    drop(lock);
}

/// Does the works in one transaction. Leaves those that were not begun because SQLite gave the transaction up under
/// an earlier one.
async fn transact(
    transaction: &mut Transaction,
    works: &mut VecDeque<Box<dyn Work>>,
    latest: &watch::Sender<Seq>,
) {
    transaction.newest = None;
    if let Err(error) = transaction.execute("BEGIN IMMEDIATE").await {
        works.drain(..).for_each(|work| work.refuse(&error));
        return;
    }
    let mut done = Vec::with_capacity(works.len());
    let mut outcome = Ok(());
    while let Some(work) = works.pop_front() {
        match attempt(transaction, work, works).await {
            Ok(finish) => done.extend(finish),
            Err(error) => {
                outcome = Err(error);
                break;
            }
        }
    }
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

/// Does one work, and undoes it alone if it fails. What is to be done in its place goes before the other `works`.
///
/// # Errors
/// If nothing can be undone any more: SQLite has rolled the whole transaction back, as it may when the
/// disk is full or broken.
async fn attempt(
    transaction: &mut Transaction,
    work: Box<dyn Work>,
    works: &mut VecDeque<Box<dyn Work>>,
) -> Result<Option<Finish>, sqlx::Error> {
    let newest = transaction.newest;
    if let Err(error) = transaction.execute("SAVEPOINT work").await {
        work.refuse(&error);
        return Err(error);
    }
    let finish = match work.run(transaction).await {
        Ran::Done(finish) => Some(finish),
        Ran::Undo => None,
        Ran::Apart(apart) => {
            apart.into_iter().rev().for_each(|work| works.push_front(work));
            None
        }
    };
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
