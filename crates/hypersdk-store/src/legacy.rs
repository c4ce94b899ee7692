//! The schedules of version 0.2, which kept them in a SQLite file of its own shape.

use std::path::Path;

use hypersdk_core::{Error, ErrorKind, Result};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

/// A row of 0.2's table `scheduled_jobs`, as it stands there.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct LegacySchedule {
    /// Its id.
    pub id: String,
    /// A name for people.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// When, in the words of 0.2's cron library.
    pub schedule: String,
    /// What to do, as JSON.
    pub job_template: String,
    /// Whether it fires.
    pub enabled: bool,
    /// Labels, as JSON.
    pub tags: String,
}

impl LegacySchedule {
    /// Reads every schedule from 0.2's file. The file is not changed.
    ///
    /// # Errors
    /// `NotFound` if there is no such file, `Invalid` if it holds no schedules of version 0.2.
    pub async fn read_all(path: impl AsRef<Path>) -> Result<Vec<LegacySchedule>> {
        let path = path.as_ref();
        let operation = || format!("read the schedules of version 0.2 in {}", path.display());
        std::fs::File::open(path).map_err(|error| Error::io(operation(), error))?;
        let options = SqliteConnectOptions::new().filename(path).read_only(true).disable_statement_logging();
        let read = async {
            let mut database = options.connect().await?;
            let rows = sqlx::query_as(
                "SELECT id, name, coalesce(description, '') AS description, schedule,
                        job_template_json AS job_template, CAST(enabled AS INTEGER) AS enabled,
                        coalesce(tags_json, '[]') AS tags
                 FROM scheduled_jobs ORDER BY id",
            )
            .fetch_all(&mut database)
            .await;
            // It was only read: how closing it goes changes nothing.
            let _ = database.close().await;
            rows
        };
        read.await.map_err(|error: sqlx::Error| {
            Error::new(ErrorKind::Invalid, operation(), error.to_string())
                .with_advice("name the file that version 0.2 had as its database")
        })
    }
}
