//! The database: whether it is there, sound, and of a version that this program knows.

use std::path::Path;

use hypersdk_core::ErrorKind;
use hypersdk_store::{Database, DatabaseLocation};

use super::{Finding, files};
use crate::config::Config;

pub(super) async fn check(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let DatabaseLocation::Sqlite(path) = &config.database {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        findings.extend(files::directory("database directory", parent.unwrap_or(Path::new("."))));
    }
    let shown = &config.database;
    match Database::inspect(shown, 0).await {
        Ok(found) if !found.faults.is_empty() => findings.push(Finding::fail(
            "database",
            format!("{shown} is damaged: {}", found.faults.join("; ")),
            "stop the daemon and restore a backup, or recover what can be: sqlite3 FILE .recover",
        )),
        Ok(found) if found.version > Some(found.known_version) => findings.push(Finding::fail(
            "database",
            format!(
                "{shown} is of version {}; this program knows versions up to {}",
                found.version.unwrap_or_default(),
                found.known_version
            ),
            "run the newer hypervisord that wrote it, or restore an older backup",
        )),
        Ok(found) => {
            let count = |table: &str| {
                let rows = found.rows.iter().find(|(name, _)| name == table);
                rows.map_or(0, |(_, count)| *count)
            };
            let version = match found.version {
                Some(version) if version == found.known_version => format!("version {version}"),
                Some(version) => {
                    format!("version {version}, brought to {} at the next start", found.known_version)
                }
                None => "without tables yet".to_owned(),
            };
            let message =
                format!("{shown} is sound, {version}, {} jobs, {} events", count("jobs"), count("events"));
            findings.push(Finding::ok("database", message));
        }
        Err(error) if error.kind() == ErrorKind::NotFound && matches!(shown, DatabaseLocation::Sqlite(_)) => {
            findings
                .push(Finding::ok("database", format!("{shown} is not there yet; the first start makes it")));
        }
        Err(error) => findings.push(Finding::fail(
            "database",
            error.chain(),
            "check database_path or database_url, and that the account that runs the daemon may use it",
        )),
    }
    findings
}
