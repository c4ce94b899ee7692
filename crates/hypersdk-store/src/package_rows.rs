//! Rows of the catalogue of packages, in every kind of database alike.

use hypersdk_core::{Error, ErrorKind, JobId, Package, PackagePage, PackageQuery, Result};
use sqlx::{Database, Encode, FromRow, QueryBuilder, Type};

use crate::error::unreadable;
use crate::rows::{from_json, time};

/// A row of `packages` as it comes from the database.
#[derive(FromRow)]
pub(crate) struct RawPackage {
    id: String,
    spec: String,
    outcome: String,
    completed_at: i64,
    verification: Option<String>,
    state: String,
    reason: Option<String>,
    remover: Option<String>,
    updated_at: i64,
}

impl TryFrom<RawPackage> for Package {
    type Error = Error;

    fn try_from(raw: RawPackage) -> Result<Package> {
        Ok(Package {
            id: raw.id.parse().map_err(|error| unreadable("id", error))?,
            spec: from_json("spec", &raw.spec)?,
            outcome: from_json("outcome", &raw.outcome)?,
            completed_at: time("completed_at", raw.completed_at)?,
            verification: raw.verification.map(|text| from_json("verification", &text)).transpose()?,
            state: raw.state.parse().map_err(|error| unreadable("state", error))?,
            reason: raw.reason,
            remover: raw.remover,
            updated_at: time("updated_at", raw.updated_at)?,
        })
    }
}

pub(crate) fn unknown_package(id: &JobId) -> Error {
    Error::new(ErrorKind::NotFound, "find package", format!("there is no package {id}"))
}

/// Enters a package: [`with_entry`] binds its columns.
pub(crate) const ENTER_PACKAGE: &str =
    "INSERT INTO packages (id, schedule, vm, vm_name, path, spec, outcome, completed_at, verification, state,
                           updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";

/// Writes what can change of a package: [`bind_package`] binds its columns.
pub(crate) const UPDATE_PACKAGE: &str = "UPDATE packages SET verification = $2, state = $3, reason = $4, remover = $5, updated_at = $6 WHERE id = $1";

/// Forgets those that were gone before an instant.
pub(crate) const FORGET_PACKAGES: &str =
    "DELETE FROM packages WHERE state IN ('removed', 'replaced') AND updated_at < $1";

/// Binds the columns of [`ENTER_PACKAGE`] to a query.
macro_rules! with_entry {
    ($query:expr, $package:expr) => {
        $query
            .bind($package.id.as_str())
            .bind($package.spec.schedule.as_ref().map(|by| by.id.as_str()))
            .bind($package.spec.vm.to_string())
            .bind($package.outcome.vm_name.as_str())
            .bind($package.outcome.ovf_path.as_str())
            .bind($crate::rows::to_json("spec", &$package.spec)?)
            .bind($crate::rows::to_json("outcome", &$package.outcome)?)
            .bind($package.completed_at.timestamp_micros())
            .bind($crate::rows::optional_json("verification", $package.verification.as_ref())?)
            .bind($package.state.as_str())
            .bind($package.updated_at.timestamp_micros())
    };
}
pub(crate) use with_entry;

/// [`UPDATE_PACKAGE`] with a package's columns.
macro_rules! bind_package {
    ($package:expr) => {
        sqlx::query($crate::package_rows::UPDATE_PACKAGE)
            .bind($package.id.as_str())
            .bind($crate::rows::optional_json("verification", $package.verification.as_ref())?)
            .bind($package.state.as_str())
            .bind($package.reason.as_deref())
            .bind($package.remover.as_deref())
            .bind($package.updated_at.timestamp_micros())
    };
}
pub(crate) use bind_package;

/// One more package than `query` asks for, newest first, older than `place` if one is given. `same` compares a column
/// with what is bound next, by whatever index the database has for long texts.
pub(crate) fn listing<'q, DB>(
    query: &PackageQuery,
    place: Option<i64>,
    same: impl Fn(&mut QueryBuilder<DB>, &str, String),
) -> QueryBuilder<DB>
where
    DB: Database,
    i64: Encode<'q, DB> + Type<DB>,
    String: Encode<'q, DB> + Type<DB>,
{
    let mut select = QueryBuilder::new("SELECT * FROM packages WHERE TRUE");
    if let Some(schedule) = &query.schedule {
        select.push(" AND schedule = ").push_bind(schedule.to_string());
    }
    if let Some(vm) = &query.vm {
        select.push(" AND (");
        same(&mut select, "vm", vm.clone());
        select.push(" OR ");
        same(&mut select, "vm_name", vm.clone());
        select.push(")");
    }
    for (index, state) in query.states.iter().enumerate() {
        // Our own words.
        select.push(if index == 0 { " AND state IN ('" } else { ", '" }).push(state.as_str()).push("'");
    }
    if !query.states.is_empty() {
        select.push(")");
    }
    if let Some(place) = place {
        select.push(" AND seq < ").push_bind(place);
    }
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX).saturating_add(1);
    select.push(" ORDER BY seq DESC LIMIT ").push_bind(limit);
    select
}

/// A page of rows of which one more was asked for than it has.
pub(crate) fn page(rows: Vec<RawPackage>, limit: usize) -> Result<PackagePage> {
    let more = rows.len() > limit;
    let packages = rows.into_iter().take(limit).map(Package::try_from).collect::<Result<Vec<_>>>()?;
    let next = packages.last().filter(|_| more).map(|package| package.id.clone());
    Ok(PackagePage { packages, next })
}
