//! Jobs and events in one SQLite file.
//!
//! One connection writes, a few read. All writes go through the [writer](writer), a task that takes what
//! has queued up meanwhile into one transaction: under load many changes share one `fsync`, and a caller
//! that goes away never leaves a change half made. A change of a job and its event are written by the same
//! transaction; the hint that the log has grown follows the commit.

mod after;
mod alike;
mod audit;
mod backup;
mod error;
mod events;
mod file;
mod inspect;
mod jobs;
mod lines;
mod many;
mod nodes;
mod packages;
mod replay;
mod schedules;
mod settle;
#[cfg(test)]
mod tests;
mod transaction;
mod webhooks;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use futures::future::BoxFuture;
use hypersdk_core::{Clock, Error, ErrorKind, Result, Seq};
use sqlx::ConnectOptions;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use self::alike::{Alike, Group};
pub(crate) use self::backup::backup;
use self::error::failed;
use self::transaction::Transaction;
use self::writer::Queued;
use crate::error::refuse_newer;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// How long a statement waits for another process (a `VACUUM`, a backup) to let go of the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections that read.
const READERS: u32 = 4;

/// Statements of the writer that stay prepared; those about many rows come in several sizes.
const STATEMENTS: usize = 256;

/// Changes that may wait for the writer before callers wait to queue up.
const QUEUE: usize = 2 * writer::BATCH;

/// A job store in a SQLite file. The file is this process's alone for as long as the store lives, except
/// for tools that keep to SQLite's own locks (`VACUUM`, `ANALYZE`, a backup, queries).
///
/// [`close`](Self::close) it to wait for the last writes; a store that is merely dropped finishes them in
/// the background.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    clock: Clock,
    readers: SqlitePool,
    queue: Mutex<Option<mpsc::Sender<Queued>>>,
    writer: tokio::sync::Mutex<Option<JoinHandle<()>>>,
    latest: watch::Sender<Seq>,
}

impl SqliteStore {
    /// Opens the database at `path`, makes it if there is none, and brings its tables up to date. The file
    /// is readable by its owner alone.
    ///
    /// # Errors
    /// - `Conflict` if another process has it open,
    /// - `Unsupported` if a newer version of the program has written it,
    /// - `Corrupt` if it is not a SQLite database,
    /// - `NotFound` or `PermissionDenied` if the path cannot be used.
    pub async fn open(path: impl AsRef<Path>) -> Result<SqliteStore> {
        SqliteStore::open_with_clock(path, Clock::system()).await
    }

    /// As [`open`](Self::open), with the time taken from `clock`.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_with_clock(path: impl AsRef<Path>, clock: Clock) -> Result<SqliteStore> {
        let path = path.as_ref();
        let lock = file::lock(path).await?;
        file::prepare(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true)
            .synchronous(SqliteSynchronous::Full);
        let writing = options
            .clone()
            .journal_mode(SqliteJournalMode::Wal)
            .pragma("journal_size_limit", "67108864")
            // KiB, with the sign: what a batch changes stays in memory until its commit.
            .pragma("cache_size", "-16384")
            .statement_cache_capacity(STATEMENTS)
            .row_buffer_size(writer::BATCH)
            .disable_statement_logging();
        let only = SqlitePoolOptions::new().max_connections(1).connect_with(writing).await;
        let only = only.map_err(|error| cannot_open(path, &error))?;
        migrate(&only, path).await?;
        let newest: Option<i64> = sqlx::query_scalar("SELECT max(seq) FROM events")
            .fetch_one(&only)
            .await
            .map_err(|error| cannot_open(path, &error))?;
        let connection = only.acquire().await.map_err(|error| cannot_open(path, &error))?.detach();
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .test_before_acquire(false)
            .connect_lazy_with(options.read_only(true).disable_statement_logging());
        let latest = watch::Sender::new(newest.map_or(Seq::START, Seq));
        let (queue, works) = mpsc::channel(QUEUE);
        let writer = tokio::spawn(writer::run(Transaction::new(connection), works, latest.clone(), lock));
        Ok(SqliteStore {
            path: path.to_owned(),
            clock,
            readers,
            queue: Mutex::new(Some(queue)),
            writer: tokio::sync::Mutex::new(Some(writer)),
            latest,
        })
    }

    /// The clock it goes by.
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// Bytes of the file and of its log.
    ///
    /// # Errors
    /// The file cannot be looked at.
    pub fn size(&self) -> Result<u64> {
        let file = std::fs::metadata(&self.path).map_err(|error| Error::io("look at database", error))?;
        let mut log = self.path.as_os_str().to_owned();
        log.push("-wal");
        // Between two writes there may be none.
        Ok(file.len() + std::fs::metadata(log).map_or(0, |log| log.len()))
    }

    /// Finishes what was begun, closes the file and lets go of it. Writes fail afterwards.
    pub async fn close(&self) {
        // The writer goes last: only then does SQLite bring the journal into the file and remove it.
        self.readers.close().await;
        drop(self.queue.lock().expect("no holder of this lock panics").take());
        if let Some(writer) = self.writer.lock().await.take()
            && let Err(error) = writer.await
        {
            tracing::error!(%error, "the database's writer died");
        }
    }

    /// Has the writer do `work` in a transaction and returns when that is on the disk. What `work` writes and the
    /// events that it [appends](Transaction::append_event) are there together or not at all; an error undoes
    /// everything.
    ///
    /// # Cancel safety
    /// Once queued, the work is done to its end whether or not anybody waits.
    async fn write<T, F>(&self, operation: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Transaction) -> BoxFuture<'t, Result<T>> + Send + 'static,
    {
        let (work, reply) = writer::work(operation, work);
        self.queue(operation, Queued::Change(work), reply).await
    }

    /// As [`write`](Self::write), for work that is done together with others of its kind.
    async fn write_with_others<A: Alike>(
        &self,
        work: A,
        queued: impl FnOnce(Group<A>) -> Queued,
    ) -> Result<A::Answer> {
        let (group, reply) = Group::of(work);
        self.queue(A::OPERATION, queued(group), reply).await
    }

    async fn queue<T>(
        &self,
        operation: &'static str,
        queued: Queued,
        reply: oneshot::Receiver<Result<T>>,
    ) -> Result<T> {
        let closed = || Error::new(ErrorKind::Unavailable, operation, "the database is closed");
        let queue = self.queue.lock().expect("no holder of this lock panics").clone().ok_or_else(closed)?;
        queue.send(queued).await.map_err(|_| closed())?;
        reply.await.map_err(|_| closed())?
    }
}

/// Brings the tables up to date.
async fn migrate(database: &SqlitePool, path: &Path) -> Result<()> {
    let table = "SELECT count(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'";
    let tables: i64 =
        sqlx::query_scalar(table).fetch_one(database).await.map_err(|error| cannot_open(path, &error))?;
    if tables > 0 {
        let newest: Option<i64> = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations")
            .fetch_one(database)
            .await
            .map_err(|error| cannot_open(path, &error))?;
        refuse_newer(newest, &MIGRATIONS)
            .map_err(|error| error.context(format!("open database {}", path.display())))?;
        if let Some(version) = newest
            && MIGRATIONS.iter().any(|migration| migration.version > version)
        {
            keep_as_it_was(path, version).await?;
        }
    } else {
        refuse_legacy(database, path).await?;
    }
    MIGRATIONS.run(database).await.map_err(|error| match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => cannot_open(path, &error),
        other => {
            let operation = format!("open database {}", path.display());
            Error::new(ErrorKind::Internal, operation, other.to_string())
        }
    })
}

/// Copies the database before its tables change: whoever wants the version before back needs them as they were. There
/// is one such copy of each version, the newest, however often an upgrade is begun.
async fn keep_as_it_was(path: &Path, version: i64) -> Result<()> {
    let mut copy = path.as_os_str().to_owned();
    copy.push(format!(".v{version}.bak"));
    let copy = PathBuf::from(copy);
    backup::backup_over(path, &copy).await.map_err(|error| {
        error
            .context(format!("keep {} as it is before its tables change", path.display()))
            .with_advice("make room beside it for a copy of the same size, or start the version before")
    })?;
    tracing::info!(copy = %copy.display(), "copied the database as it was in version {version} of its tables");
    Ok(())
}

/// Refuses a database of version 0.2, whose table of schedules has the same name as ours.
async fn refuse_legacy(database: &SqlitePool, path: &Path) -> Result<()> {
    let column = "SELECT count(*) FROM pragma_table_info('scheduled_jobs') WHERE name = 'job_template_json'";
    let found: i64 =
        sqlx::query_scalar(column).fetch_one(database).await.map_err(|error| cannot_open(path, &error))?;
    if found == 0 {
        return Ok(());
    }
    let operation = format!("open database {}", path.display());
    Err(Error::new(ErrorKind::Unsupported, operation, "it is a database of version 0.2").with_advice(
        "give another database_path, and read the schedules of this one with `hypervisord import-legacy`",
    ))
}

fn cannot_open(path: &Path, error: &sqlx::Error) -> Error {
    failed("bring it up to date", error).context(format!("open database {}", path.display()))
}
