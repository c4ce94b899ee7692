//! What the store does as its users see it.

mod access;
mod conformance;
mod file;
mod golden;
mod golden_schedules;
mod inspect;
mod maintenance;
mod manager;
mod packages;
mod postgres;
mod webhooks;

use std::path::Path;

use hypersdk_core::{JobId, JobSpec, NewJob, Outcome};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

fn new_job() -> NewJob {
    NewJob { id: JobId::generate(), spec: JobSpec::new("/DC0/vm/web".parse().unwrap(), "/srv") }
}

fn outcome() -> Outcome {
    Outcome {
        vm_name: "web".to_owned(),
        output_dir: "/srv".to_owned(),
        ovf_path: "/srv/web.ova".to_owned(),
        files: Vec::new(),
        total_size: 10,
        duration_seconds: 1.5,
        checksum: "ab".repeat(32),
        warnings: Vec::new(),
    }
}

/// A connection as another program would open one.
async fn visitor(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).connect().await.unwrap()
}

async fn assert_intact(path: &Path) {
    let mut visitor = visitor(path).await;
    let found: Vec<String> =
        sqlx::query_scalar("PRAGMA integrity_check").fetch_all(&mut visitor).await.unwrap();
    assert_eq!(found, ["ok"]);
    visitor.close().await.unwrap();
}
