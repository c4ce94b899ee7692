//! Errors that every kind of database has.

use hypersdk_core::{Error, ErrorKind, IllegalTransition, JobId, JobStatus, Result, RetryHint};
use sqlx::migrate::Migrator;

/// The error of a row that does not hold what it should.
pub(crate) fn unreadable(column: &str, cause: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Corrupt, "read database row", format!("column {column}: {cause}"))
        .with_retry(RetryHint::Never)
}

pub(crate) fn unknown(id: &JobId) -> Error {
    Error::new(ErrorKind::NotFound, "find job", format!("there is no job {id}"))
}

pub(crate) fn taken(id: &JobId) -> Error {
    Error::new(ErrorKind::Conflict, "accept job", format!("a job {id} exists already"))
}

pub(crate) fn cannot_come_after(job: &JobId, after: &JobId, status: Option<JobStatus>) -> Error {
    let message = match status {
        None => format!("job {job} is to come after {after}, which neither exists nor stands before it"),
        Some(status) => format!("job {job} is to come after {after}, which is {status}"),
    };
    Error::new(ErrorKind::Invalid, "accept job", message)
}

pub(crate) fn no_node(name: &str) -> Error {
    Error::new(ErrorKind::NotFound, "pause node", format!("there is no node {name}"))
}

pub(crate) fn lost(id: &JobId) -> Error {
    Error::new(ErrorKind::Conflict, "prove claim", format!("the claim on job {id} was lost"))
}

/// Refuses a write with the fence of a claim that is not the job's last; a write without one is nobody's claim.
pub(crate) fn proves(last: i64, fence: Option<i64>, id: &JobId) -> Result<()> {
    if fence.is_none_or(|fence| fence == last) { Ok(()) } else { Err(lost(id)) }
}

pub(crate) fn refused(illegal: IllegalTransition) -> Error {
    Error::new(ErrorKind::Conflict, "change job", illegal.to_string())
}

/// Refuses tables that a newer version of the program has written: `newest` is the last migration they saw.
pub(crate) fn refuse_newer(newest: Option<i64>, ours: &Migrator) -> Result<()> {
    let known = ours.iter().map(|migration| migration.version).max().unwrap_or_default();
    match newest.filter(|newest| *newest > known) {
        None => Ok(()),
        Some(newest) => {
            let message =
                format!("its tables are of version {newest}; this program knows them up to {known}");
            Err(Error::new(ErrorKind::Unsupported, "bring it up to date", message).with_advice(
                "run the newer version of the program that wrote it, or restore an older backup",
            ))
        }
    }
}
