//! A look at a shared database from outside.

use hypersdk_core::{Error, ErrorKind, Result};
use sqlx::{ConnectOptions, Connection, PgConnection};

use super::error::failed;
use super::{ACQUIRE, MIGRATIONS, PostgresOptions, PostgresStore};
use crate::inspection::{Inspection, NEWEST_JOBS, count};

impl PostgresStore {
    /// Looks into the database, and gives its newest `jobs` at most. Its tables are neither made nor changed.
    ///
    /// # Errors
    /// As [`connect`](Self::connect), the ones about tables aside.
    pub async fn inspect(options: &PostgresOptions, jobs: u32) -> Result<Inspection> {
        let look = async {
            let mut database = options.connect_options().connect().await?;
            let found = look(&mut database, jobs).await;
            // It was only read: how closing it goes changes nothing.
            let _ = database.close().await;
            found
        };
        match tokio::time::timeout(ACQUIRE, look).await {
            Ok(found) => {
                found.map_err(|error| failed("read it", &error).context(format!("open database {options}")))
            }
            Err(_) => {
                let message = format!("the database did not answer within {} s", ACQUIRE.as_secs());
                Err(Error::new(ErrorKind::Unavailable, format!("open database {options}"), message))
            }
        }
    }
}

async fn look(database: &mut PgConnection, jobs: u32) -> sqlx::Result<Inspection> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1",
    )
    .fetch_all(&mut *database)
    .await?;
    let mut rows = Vec::with_capacity(tables.len());
    for table in &tables {
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
        true => sqlx::query_as(NEWEST_JOBS).bind(i64::from(jobs)).fetch_all(database).await?,
        false => Vec::new(),
    };
    let known_version = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default();
    Ok(Inspection { version, known_version, faults: Vec::new(), rows, jobs })
}
