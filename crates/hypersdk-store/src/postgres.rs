//! Jobs and events in a PostgreSQL database that any number of daemons share.
//!
//! # The order of events
//! Readers of the log keep a position and ask for what comes after it. A sequence gives out its numbers when rows
//! are inserted, not when they become visible: without more, a reader could see number 7, keep that position, and
//! never learn of number 6, which another transaction commits a moment later. So a
//! [transaction](transaction::Transaction) collects its events, and just before it commits it takes one advisory
//! lock, which all daemons share, inserts them and commits; PostgreSQL lets go of the lock only after the rows are
//! visible. Numbers therefore become visible in their order. The lock is the last one that a transaction takes,
//! so it neither waits for rows nor makes a circle with those who do. The lock, the insertion and the commit are
//! one message, so a daemon that is put to sleep never sleeps with the lock in its hand.
//!
//! # Time
//! Claims lapse by comparing instants that different machines wrote. All of them are the
//! [database's time](time), so a daemon whose own clock is wrong takes nothing from anybody.
//!
//! # News
//! A commit that appended events sends a notification with the newest position. A [task](news) listens, and asks
//! every few seconds besides, since notifications are lost with the connection they were to come through.

mod after;
mod audit;
mod error;
mod events;
mod inspect;
mod jobs;
mod news;
mod nodes;
mod options;
mod packages;
mod replay;
mod schedules;
mod time;
mod transaction;
mod webhooks;

use std::time::Duration;

use futures::future::BoxFuture;
use hypersdk_core::{Clock, Error, ErrorKind, Result, Seq};
use sqlx::PgPool;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgPoolOptions;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use self::options::PostgresOptions;

use self::error::failed;
use self::time::DatabaseTime;
use self::transaction::Transaction;
use crate::error::refuse_newer;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// Connections of one store: one listens, the others work.
const CONNECTIONS: u32 = 9;

/// How long to wait for a connection.
const ACQUIRE: Duration = Duration::from_secs(5);

/// How long a transaction may take in all, so that a server that has vanished is noticed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A job store in a PostgreSQL database, shared with other daemons.
///
/// [`close`](Self::close) it to let go of its connections in order.
#[derive(Debug)]
pub struct PostgresStore {
    pool: PgPool,
    clock: Clock,
    latest: watch::Sender<Seq>,
    stop: CancellationToken,
    news: tokio::sync::Mutex<Vec<JoinHandle<()>>>,
}

impl PostgresStore {
    /// Connects, and brings the tables up to date. They are made in the first schema of the search path.
    ///
    /// # Errors
    /// - `Unavailable` if the server cannot be reached (it is tried for five seconds),
    /// - `Unauthenticated` if it refuses the account, `NotFound` if there is no such database,
    /// - `PermissionDenied` if the account may not make tables,
    /// - `Unsupported` if the server is too old, or a newer version of the program has written the tables.
    pub async fn connect(options: &PostgresOptions) -> Result<PostgresStore> {
        PostgresStore::open(options, None).await
    }

    /// As [`connect`](Self::connect), with the time taken from `clock` instead of the database.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_with_clock(options: &PostgresOptions, clock: Clock) -> Result<PostgresStore> {
        PostgresStore::open(options, Some(clock)).await
    }

    /// Bytes of the whole database, whoever else has tables in it.
    ///
    /// # Errors
    /// The database cannot be asked.
    pub async fn size(&self) -> Result<u64> {
        let bytes: i64 = sqlx::query_scalar("SELECT pg_database_size(current_database())")
            .fetch_one(&self.pool)
            .await
            .map_err(|error| failed("measure database", &error))?;
        Ok(u64::try_from(bytes).unwrap_or_default())
    }

    async fn open(options: &PostgresOptions, clock: Option<Clock>) -> Result<PostgresStore> {
        let cannot =
            |error: &sqlx::Error| failed("connect", error).context(format!("open database {options}"));
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE)
            .connect_with(options.connect_options())
            .await
            .map_err(|error| cannot(&error))?;
        let opened = async {
            check_version(&pool).await?;
            migrate(&pool).await?;
            news::look(&pool).await
        };
        let seen = opened.await.map_err(|error| error.context(format!("open database {options}")))?;
        let latest = watch::Sender::new(seen.newest);
        let time = DatabaseTime::new(seen.time);
        let stop = CancellationToken::new();
        let news = vec![
            tokio::spawn(news::listen(pool.clone(), latest.clone(), stop.clone())),
            tokio::spawn(news::ask(pool.clone(), latest.clone(), time.clone(), stop.clone())),
        ];
        let clock = clock.unwrap_or_else(|| time.clock());
        Ok(PostgresStore { pool, clock, latest, stop, news: tokio::sync::Mutex::new(news) })
    }

    /// The database's time.
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// Finishes what was begun and closes the connections. Everything fails afterwards.
    pub async fn close(&self) {
        self.stop.cancel();
        for task in self.news.lock().await.drain(..) {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the database died");
            }
        }
        self.pool.close().await;
    }

    /// Does `work` in a transaction and returns when that is committed. What `work` writes and the events that
    /// it appends are there together or not at all; an error undoes everything.
    ///
    /// # Cancel safety
    /// Once begun, the work is done to its end whether or not anybody waits.
    async fn write<T, F>(&self, operation: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Transaction) -> BoxFuture<'t, Result<T>> + Send + 'static,
    {
        let (pool, latest) = (self.pool.clone(), self.latest.clone());
        let transact = async move {
            let mut transaction = Transaction::begin(&pool).await?;
            let value = work(&mut transaction).await?;
            if let Some(newest) = transaction.commit().await? {
                news::announce(&latest, newest);
            }
            Ok(value)
        };
        let task = tokio::spawn(tokio::time::timeout(PATIENCE, transact));
        match task.await {
            Ok(Ok(result)) => result.map_err(|error: Error| error.context(operation)),
            Ok(Err(_)) => Err(too_late(operation)),
            Err(error) => Err(Error::new(ErrorKind::Internal, operation, error.to_string())),
        }
    }

    /// Runs a query that changes nothing.
    async fn read<T>(
        &self,
        operation: &'static str,
        query: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T> {
        match tokio::time::timeout(PATIENCE, query).await {
            Ok(result) => result.map_err(|error| failed(operation, &error)),
            Err(_) => Err(too_late(operation)),
        }
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn too_late(operation: &'static str) -> Error {
    let message = format!("the database did not answer within {} s", PATIENCE.as_secs());
    Error::new(ErrorKind::Unavailable, operation, message)
}

/// The oldest server whose every feature used here exists and which is still maintained somewhere.
const OLDEST: i32 = 120_000;

async fn check_version(pool: &PgPool) -> Result<()> {
    let version: i32 = sqlx::query_scalar("SELECT current_setting('server_version_num')::integer")
        .fetch_one(pool)
        .await
        .map_err(|error| failed("ask for the server's version", &error))?;
    if version < OLDEST {
        let message = format!("the server is PostgreSQL {}; at least 12 is needed", version / 10_000);
        return Err(
            Error::new(ErrorKind::Unsupported, "check the server", message).with_advice("use a newer server")
        );
    }
    Ok(())
}

/// Brings the tables up to date; several daemons that start at once take turns.
async fn migrate(pool: &PgPool) -> Result<()> {
    let table: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(pool)
        .await
        .map_err(|error| failed("look for the tables", &error))?;
    if table {
        let newest: Option<i64> = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations")
            .fetch_one(pool)
            .await
            .map_err(|error| failed("ask for the tables' version", &error))?;
        refuse_newer(newest, &MIGRATIONS)?;
    }
    MIGRATIONS.run(pool).await.map_err(|error| match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            failed("bring it up to date", &error)
        }
        other => Error::new(ErrorKind::Internal, "bring it up to date", other.to_string()),
    })
}
