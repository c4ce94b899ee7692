//! What a look at a database from outside finds: nobody's lock is taken and nothing is changed.

use hypersdk_core::Result;
use serde::Serialize;

use crate::database::{Database, DatabaseLocation};
use crate::postgres::PostgresStore;
use crate::sqlite::SqliteStore;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// The version of its tables; absent before the first start.
    pub version: Option<i64>,
    /// The newest version that this program knows.
    pub known_version: i64,
    /// What SQLite's own check finds wrong; empty if it is sound, and for PostgreSQL, which checks itself.
    pub faults: Vec<String>,
    /// Tables and how many rows each has.
    pub rows: Vec<(String, i64)>,
    /// The newest jobs, newest first.
    pub jobs: Vec<JobLine>,
}

/// A job in one line: nothing of what its submitter gave along.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct JobLine {
    /// The job.
    pub id: String,
    /// Its state.
    pub status: String,
    /// How often it was started.
    pub attempt: i64,
    /// When it was accepted, in microseconds since 1970.
    pub created_at: i64,
    /// When it ended, in microseconds since 1970.
    pub completed_at: Option<i64>,
    /// Why it failed, as JSON.
    pub failure: Option<String>,
}

/// The newest jobs; both kinds of database have these columns.
pub(crate) const NEWEST_JOBS: &str =
    "SELECT id, status, attempt, created_at, completed_at, failure FROM jobs ORDER BY seq DESC LIMIT $1";

/// Counts a table's rows; its name is a literal of this program or comes from the schema.
pub(crate) fn count(table: &str) -> sqlx::AssertSqlSafe<String> {
    sqlx::AssertSqlSafe(format!("SELECT count(*) FROM \"{}\"", table.replace('"', "\"\"")))
}

impl Database {
    /// Looks into a database, and gives its newest `jobs` at most. A daemon may have it open meanwhile.
    ///
    /// # Errors
    /// `NotFound` if there is none, `Corrupt` if a file is no database, and whatever connecting can fail with.
    pub async fn inspect(location: &DatabaseLocation, jobs: u32) -> Result<Inspection> {
        match location {
            DatabaseLocation::Sqlite(path) => SqliteStore::inspect(path, jobs).await,
            DatabaseLocation::Postgres(options) => PostgresStore::inspect(options, jobs).await,
        }
    }
}
