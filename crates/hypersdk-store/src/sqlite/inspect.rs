//! A look at a file from outside.

use std::path::Path;
use std::time::Duration;

use hypersdk_core::{Error, ErrorKind, Result};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use super::{MIGRATIONS, SqliteStore};
use crate::inspection::{Inspection, NEWEST_JOBS, count};

/// How long to wait for a writer.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

impl SqliteStore {
    /// Looks into the database at `path`, and gives its newest `jobs` at most.
    ///
    /// # Errors
    /// `NotFound` if there is none, `PermissionDenied` if it may not be read, `Corrupt` if it is no database.
    pub async fn inspect(path: impl AsRef<Path>, jobs: u32) -> Result<Inspection> {
        let path = path.as_ref();
        let operation = || format!("read database {}", path.display());
        std::fs::File::open(path).map_err(|error| Error::io(operation(), error))?;
        let look = async {
            let mut database = SqliteConnectOptions::new()
                .filename(path)
                .read_only(true)
                .busy_timeout(BUSY_TIMEOUT)
                .disable_statement_logging()
                .connect()
                .await?;
            let found = look(&mut database, jobs).await;
            // It was only read: how closing it goes changes nothing.
            let _ = database.close().await;
            found
        };
        look.await
            .map_err(|error: sqlx::Error| Error::new(ErrorKind::Corrupt, operation(), error.to_string()))
    }
}

async fn look(database: &mut SqliteConnection, jobs: u32) -> sqlx::Result<Inspection> {
    // It stops at twenty faults.
    let check: Vec<String> = sqlx::query_scalar("PRAGMA quick_check(20)").fetch_all(&mut *database).await?;
    let faults = check.into_iter().filter(|line| line != "ok").collect();
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
            .fetch_all(&mut *database)
            .await?;
    let mut rows = Vec::with_capacity(tables.len());
    for table in tables.iter().filter(|table| !table.starts_with("sqlite_")) {
        rows.push((table.clone(), sqlx::query_scalar(count(table)).fetch_one(&mut *database).await?));
    }
    let has = |name: &str| tables.iter().any(|table| table == name);
    let version = match has("_sqlx_migrations") {
        true => {
            sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations").fetch_one(&mut *database).await?
        }
        false => None,
    };
    let jobs = match has("jobs") {
        true => sqlx::query_as(NEWEST_JOBS).bind(jobs).fetch_all(database).await?,
        false => Vec::new(),
    };
    let known_version = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default();
    Ok(Inspection { version, known_version, faults, rows, jobs })
}
