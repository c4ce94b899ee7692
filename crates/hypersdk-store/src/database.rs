//! One database of either kind, and the ports it offers.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hypersdk_core::{
    AuditLog, Clock, Error, ErrorKind, EventLog, JobStore, NodeStore, PackageCatalogue, ReplayStore, Result,
    Seq,
};
use hypersdk_sched::ScheduleStore;
use hypersdk_webhook::DeliveryStore;

use crate::postgres::{PostgresOptions, PostgresStore};
use crate::sqlite::SqliteStore;

/// Where a database is.
#[derive(Debug, Clone)]
pub enum DatabaseLocation {
    /// A SQLite file of this process alone.
    Sqlite(PathBuf),
    /// A PostgreSQL database that several processes may share.
    Postgres(Box<PostgresOptions>),
}

impl fmt::Display for DatabaseLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DatabaseLocation::Sqlite(path) => write!(f, "{}", path.display()),
            DatabaseLocation::Postgres(options) => options.fmt(f),
        }
    }
}

/// An open database. It hands out its ports; whoever composes a program from them need not know its kind.
///
/// A further port is a method here that gives the store of either kind as that port, and its implementation in
/// `sqlite/` and `postgres/`, by the same name.
#[derive(Debug, Clone)]
pub struct Database {
    backend: Backend,
}

#[derive(Debug, Clone)]
enum Backend {
    Sqlite(Arc<SqliteStore>),
    Postgres(Arc<PostgresStore>),
}

impl Database {
    /// Opens the database and brings its tables up to date.
    ///
    /// # Errors
    /// As [`SqliteStore::open`] and [`PostgresStore::connect`].
    pub async fn open(location: &DatabaseLocation) -> Result<Database> {
        let backend = match location {
            DatabaseLocation::Sqlite(path) => Backend::Sqlite(Arc::new(SqliteStore::open(path).await?)),
            DatabaseLocation::Postgres(options) => {
                Backend::Postgres(Arc::new(PostgresStore::connect(options).await?))
            }
        };
        Ok(Database { backend })
    }

    /// Jobs, and the log of events.
    pub fn jobs(&self) -> Arc<dyn JobStore> {
        match &self.backend {
            Backend::Sqlite(store) => store.clone(),
            Backend::Postgres(store) => store.clone(),
        }
    }

    /// Schedules, their firings, and the same log.
    pub fn schedules(&self) -> Arc<dyn ScheduleStore> {
        match &self.backend {
            Backend::Sqlite(store) => store.clone(),
            Backend::Postgres(store) => store.clone(),
        }
    }

    /// Who did what.
    pub fn audit(&self) -> Arc<dyn AuditLog> {
        match &self.backend {
            Backend::Sqlite(store) => store.clone(),
            Backend::Postgres(store) => store.clone(),
        }
    }

    /// The log of events alone.
    pub fn events(&self) -> Arc<dyn EventLog> {
        match &self.backend {
            Backend::Sqlite(store) => store.clone(),
            Backend::Postgres(store) => store.clone(),
        }
    }

    /// Answers kept for requests that are repeated.
    pub fn replays(&self) -> Arc<dyn ReplayStore> {
        match &self.backend {
            Backend::Sqlite(store) => store.clone(),
            Backend::Postgres(store) => store.clone(),
        }
    }

    /// Webhooks and what is delivered to them.
    pub fn deliveries(&self) -> Arc<dyn DeliveryStore> {
        match &self.backend {
            Backend::Sqlite(store) => store.clone(),
            Backend::Postgres(store) => store.clone(),
        }
    }

    /// The catalogue of packages.
    pub fn packages(&self) -> Arc<dyn PackageCatalogue> {
        match &self.backend {
            Backend::Sqlite(store) => store.clone(),
            Backend::Postgres(store) => store.clone(),
        }
    }

    /// The processes that share it.
    pub fn nodes(&self) -> Arc<dyn NodeStore> {
        match &self.backend {
            Backend::Sqlite(store) => store.clone(),
            Backend::Postgres(store) => store.clone(),
        }
    }

    /// The time by which the database's instants are to be read: the machine's, or that of a shared database.
    pub fn clock(&self) -> Clock {
        match &self.backend {
            Backend::Sqlite(store) => store.clock(),
            Backend::Postgres(store) => store.clock(),
        }
    }

    /// How far the one reader of the log has come that has come least far, of those that save their position in
    /// `event_cursors`. `None` if nobody does.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn lowest_cursor(&self) -> Result<Option<Seq>> {
        match &self.backend {
            Backend::Sqlite(store) => store.lowest_cursor().await,
            Backend::Postgres(store) => store.lowest_cursor().await,
        }
    }

    /// Bytes it takes.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub async fn size(&self) -> Result<u64> {
        match &self.backend {
            Backend::Sqlite(store) => store.size(),
            Backend::Postgres(store) => store.size().await,
        }
    }

    /// Copies the database as it is at one instant into a new file, whether or not a process has it open.
    ///
    /// # Errors
    /// - `NotFound` if there is no database, `Conflict` if the file exists,
    /// - `Unsupported` for PostgreSQL, which has a tool of its own.
    pub async fn backup(location: &DatabaseLocation, file: &Path) -> Result<()> {
        match location {
            DatabaseLocation::Sqlite(path) => crate::sqlite::backup(path, file).await,
            DatabaseLocation::Postgres(options) => {
                let message = format!("{options} is a PostgreSQL database");
                Err(Error::new(ErrorKind::Unsupported, "back up database", message)
                    .with_advice("use pg_dump --format=custom --file=FILE with the same URL"))
            }
        }
    }

    /// True if other processes may use it too.
    pub fn is_shared(&self) -> bool {
        matches!(self.backend, Backend::Postgres(_))
    }

    /// Finishes what was begun and lets go of the database. Writes fail afterwards, through whichever port.
    pub async fn close(&self) {
        match &self.backend {
            Backend::Sqlite(store) => store.close().await,
            Backend::Postgres(store) => store.close().await,
        }
    }
}
