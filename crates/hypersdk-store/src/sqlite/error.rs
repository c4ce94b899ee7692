//! SQLite's failures in the core's terms.

use hypersdk_core::{Error, ErrorKind, RetryHint};

/// Primary result codes, <https://www.sqlite.org/rescode.html>.
mod code {
    pub(super) const BUSY: u32 = 5;
    pub(super) const LOCKED: u32 = 6;
    pub(super) const READONLY: u32 = 8;
    pub(super) const CORRUPT: u32 = 11;
    pub(super) const FULL: u32 = 13;
    pub(super) const CANTOPEN: u32 = 14;
    pub(super) const NOTADB: u32 = 26;
    /// The extended code of a shared-memory file that cannot grow.
    pub(super) const IOERR_SHMSIZE: u32 = 4874;
}

/// The error of `operation` that failed with `error`.
pub(super) fn failed(operation: &'static str, error: &sqlx::Error) -> Error {
    let (kind, advice) = match error {
        sqlx::Error::Database(database) => {
            let code = database.code().and_then(|code| code.parse().ok()).unwrap_or(0);
            classify(code)
        }
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
            (ErrorKind::Unavailable, None)
        }
        sqlx::Error::Io(error) => return Error::io(operation, std::io::Error::from(error.kind())),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => (ErrorKind::Corrupt, None),
        _ => (ErrorKind::Internal, None),
    };
    let failed = Error::new(kind, operation, error.to_string());
    let failed = match kind {
        // Reading the same damaged page again does not mend it.
        ErrorKind::Corrupt => failed.with_retry(RetryHint::Never),
        _ => failed,
    };
    match advice {
        Some(advice) => failed.with_advice(advice),
        None => failed,
    }
}

fn classify(code: u32) -> (ErrorKind, Option<&'static str>) {
    match (code, code & 0xff) {
        (code::IOERR_SHMSIZE, _) | (_, code::FULL) => {
            (ErrorKind::NoSpace, Some("free some space on the file system of the database"))
        }
        (_, code::BUSY | code::LOCKED) => {
            (ErrorKind::Unavailable, Some("another program keeps the database locked; end it"))
        }
        (_, code::READONLY | code::CANTOPEN) => (
            ErrorKind::PermissionDenied,
            Some("let the user of this process write the file and its directory"),
        ),
        (_, code::CORRUPT) => {
            (ErrorKind::Corrupt, Some("check it with PRAGMA integrity_check and restore a backup"))
        }
        (_, code::NOTADB) => (ErrorKind::Corrupt, Some("give the path of a SQLite database, or of no file")),
        _ => (ErrorKind::Internal, None),
    }
}
