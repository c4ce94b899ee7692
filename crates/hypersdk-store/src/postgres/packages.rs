//! The catalogue of packages.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use hypersdk_core::{
    Job, JobId, Package, PackageCatalogue, PackageChange, PackagePage, PackageQuery, Result,
};

use super::PostgresStore;
use super::error::failed;
use super::transaction::Transaction;
use crate::package_rows::{
    self, ENTER_PACKAGE, FORGET_PACKAGES, RawPackage, bind_package, unknown_package, with_entry,
};

const AT_PATH: &str =
    "SELECT * FROM packages WHERE state = 'present' AND md5(path) = md5($1) AND path = $1 ORDER BY seq DESC";

/// The same, to be changed; in one order, so that nobody waits in a circle.
const AT_PATH_FOR_UPDATE: &str = "SELECT * FROM packages
     WHERE state = 'present' AND md5(path) = md5($1) AND path = $1 ORDER BY seq DESC FOR UPDATE";

/// Enters what a job has made, if it is completed; what was there under its name is replaced.
pub(super) async fn enter(transaction: &mut Transaction, job: &Job) -> Result<()> {
    let Some(package) = Package::of(job) else { return Ok(()) };
    let failed = |error: sqlx::Error| failed("enter package", &error);
    let others: Vec<RawPackage> = sqlx::query_as(AT_PATH_FOR_UPDATE)
        .bind(&package.outcome.ovf_path)
        .fetch_all(&mut *transaction.connection())
        .await
        .map_err(failed)?;
    for other in others {
        let mut other = Package::try_from(other)?;
        other.change(package.replaces(), package.completed_at)?;
        bind_package!(other).execute(&mut *transaction.connection()).await.map_err(failed)?;
    }
    let entry = with_entry!(sqlx::query(ENTER_PACKAGE), package);
    entry.execute(transaction.connection()).await.map_err(failed)?;
    Ok(())
}

#[async_trait]
impl PackageCatalogue for PostgresStore {
    async fn packages(&self, query: &PackageQuery) -> Result<PackagePage> {
        let place = match &query.before {
            None => None,
            Some(before) => {
                let seq = sqlx::query_scalar("SELECT seq FROM packages WHERE id = $1").bind(before.as_str());
                let place: Option<i64> = self.read("list packages", seq.fetch_optional(&self.pool)).await?;
                Some(place.ok_or_else(|| unknown_package(before).context("list packages"))?)
            }
        };
        let mut select = package_rows::listing(query, place, |select, column, value| {
            select.push("(md5(").push(column).push(") = md5(").push_bind(value.clone()).push(") AND ");
            select.push(column).push(" = ").push_bind(value).push(")");
        });
        let rows = self.read("list packages", select.build_query_as().fetch_all(&self.pool)).await?;
        package_rows::page(rows, query.limit)
    }

    async fn package(&self, id: &JobId) -> Result<Option<Package>> {
        let query = sqlx::query_as("SELECT * FROM packages WHERE id = $1").bind(id.as_str());
        let raw: Option<RawPackage> = self.read("read package", query.fetch_optional(&self.pool)).await?;
        raw.map(Package::try_from).transpose()
    }

    async fn package_at(&self, main_file: &str) -> Result<Option<Package>> {
        let query = sqlx::query_as(AT_PATH).bind(main_file);
        let raw: Option<RawPackage> = self.read("find package", query.fetch_optional(&self.pool)).await?;
        raw.map(Package::try_from).transpose()
    }

    async fn change_package(&self, id: &JobId, change: PackageChange) -> Result<Package> {
        let (now, id) = (self.clock.now(), id.clone());
        self.write("change package", move |transaction| {
            Box::pin(async move {
                let raw: Option<RawPackage> =
                    sqlx::query_as("SELECT * FROM packages WHERE id = $1 FOR UPDATE")
                        .bind(id.as_str())
                        .fetch_optional(&mut *transaction.connection())
                        .await
                        .map_err(|error| failed("read package", &error))?;
                let mut package = Package::try_from(raw.ok_or_else(|| unknown_package(&id))?)?;
                let kind = package.change(change, now)?;
                bind_package!(package)
                    .execute(&mut *transaction.connection())
                    .await
                    .map_err(|error| failed("update package", &error))?;
                if let Some(kind) = kind {
                    transaction.append_event(kind, now, None, &package.event_data())?;
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
