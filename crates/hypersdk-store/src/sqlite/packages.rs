//! The catalogue of packages.

use std::collections::HashMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use hypersdk_core::{
    Job, JobId, Package, PackageCatalogue, PackageChange, PackagePage, PackageQuery, Result,
};
use sqlx::{AssertSqlSafe, SqliteExecutor};

use super::SqliteStore;
use super::error::failed;
use super::many;
use super::transaction::Transaction;
use crate::package_rows::{self, FORGET_PACKAGES, RawPackage, bind_package, unknown_package, with_entry};

const AT_PATH: &str = "SELECT * FROM packages WHERE state = 'present' AND path = $1 ORDER BY seq DESC";

/// Those of some paths.
const AT_PATHS: &str = "SELECT * FROM packages INDEXED BY packages_by_path
     WHERE state = 'present' AND path IN (SELECT value FROM json_each($1)) ORDER BY seq DESC";

/// As [`ENTER_PACKAGE`](crate::package_rows::ENTER_PACKAGE), for many, of which one may have replaced another.
const ENTER_PACKAGES: &str =
    "INSERT INTO packages (id, schedule, vm, vm_name, path, spec, outcome, completed_at, verification, state,
                           updated_at, reason)";

/// Enters what jobs have made, if they are completed, in their order; what was there under its name is replaced.
pub(super) async fn enter(transaction: &mut Transaction, jobs: impl Iterator<Item = &Job>) -> Result<()> {
    let failed = |error: sqlx::Error| failed("enter packages", &error);
    let mut entered: Vec<Package> = jobs.filter_map(Package::of).collect();
    if entered.is_empty() {
        return Ok(());
    }
    let paths: Vec<&str> = entered.iter().map(|package| package.outcome.ovf_path.as_str()).collect();
    let others: Vec<RawPackage> = sqlx::query_as(AT_PATHS)
        .bind(serde_json::Value::from(paths).to_string())
        .fetch_all(transaction.connection())
        .await
        .map_err(failed)?;
    for other in others {
        let mut other = Package::try_from(other)?;
        let next = entered.iter().find(|package| package.outcome.ovf_path == other.outcome.ovf_path);
        if let Some(next) = next {
            other.change(next.replaces(), next.completed_at)?;
            bind_package!(other).execute(transaction.connection()).await.map_err(failed)?;
        }
    }
    // The same among themselves, from the last on, which is the one that stays.
    let mut later: HashMap<String, (PackageChange, DateTime<Utc>)> = HashMap::new();
    for package in entered.iter_mut().rev() {
        let replaces = (package.replaces(), package.completed_at);
        if let Some((replaced, at)) = later.insert(package.outcome.ovf_path.clone(), replaces) {
            package.change(replaced, at)?;
        }
    }
    for part in many::parts(&entered) {
        let mut query = sqlx::query(AssertSqlSafe(many::values(ENTER_PACKAGES, (part.len(), 12), "")));
        for package in part {
            query = with_entry!(query, package).bind(package.reason.as_deref());
        }
        query.execute(transaction.connection()).await.map_err(failed)?;
    }
    Ok(())
}

async fn find(executor: impl SqliteExecutor<'_>, id: &JobId) -> Result<Option<Package>> {
    let raw: Option<RawPackage> = sqlx::query_as("SELECT * FROM packages WHERE id = $1")
        .bind(id.as_str())
        .fetch_optional(executor)
        .await
        .map_err(|error| failed("read package", &error))?;
    raw.map(Package::try_from).transpose()
}

#[async_trait]
impl PackageCatalogue for SqliteStore {
    async fn packages(&self, query: &PackageQuery) -> Result<PackagePage> {
        let failed = |error: sqlx::Error| failed("list packages", &error);
        let place = match &query.before {
            None => None,
            Some(before) => {
                let place: Option<i64> = sqlx::query_scalar("SELECT seq FROM packages WHERE id = $1")
                    .bind(before.as_str())
                    .fetch_optional(&self.readers)
                    .await
                    .map_err(failed)?;
                Some(place.ok_or_else(|| unknown_package(before).context("list packages"))?)
            }
        };
        let mut select = package_rows::listing(query, place, |select, column, value| {
            select.push(column).push(" = ").push_bind(value);
        });
        let rows = select.build_query_as().fetch_all(&self.readers).await.map_err(failed)?;
        package_rows::page(rows, query.limit)
    }

    async fn package(&self, id: &JobId) -> Result<Option<Package>> {
        find(&self.readers, id).await
    }

    async fn package_at(&self, main_file: &str) -> Result<Option<Package>> {
        let raw: Option<RawPackage> = sqlx::query_as(AT_PATH)
            .bind(main_file)
            .fetch_optional(&self.readers)
            .await
            .map_err(|error| failed("find package", &error))?;
        raw.map(Package::try_from).transpose()
    }

    async fn change_package(&self, id: &JobId, change: PackageChange) -> Result<Package> {
        let (now, id) = (self.clock.now(), id.clone());
        self.write("change package", move |transaction| {
            Box::pin(async move {
                let found = find(&mut *transaction.connection(), &id).await?;
                let mut package = found.ok_or_else(|| unknown_package(&id))?;
                let kind = package.change(change, now)?;
                bind_package!(package)
                    .execute(transaction.connection())
                    .await
                    .map_err(|error| failed("update package", &error))?;
                if let Some(kind) = kind {
                    transaction.append_event(kind, now, None, &package.event_data()).await?;
                }
                Ok(package)
            })
        })
        .await
    }

    async fn forget_packages(&self, before: DateTime<Utc>) -> Result<u64> {
        self.write("forget packages", move |transaction| {
            Box::pin(async move {
                let done = sqlx::query(FORGET_PACKAGES)
                    .bind(before.timestamp_micros())
                    .execute(transaction.connection())
                    .await
                    .map_err(|error| failed("delete packages", &error))?;
                Ok(done.rows_affected())
            })
        })
        .await
    }
}
