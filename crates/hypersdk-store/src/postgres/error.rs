//! PostgreSQL's failures in the core's terms.

use hypersdk_core::{Error, ErrorKind, RetryHint};

/// The error of `operation` that failed with `error`.
pub(super) fn failed(operation: &'static str, error: &sqlx::Error) -> Error {
    let (kind, advice) = match error {
        sqlx::Error::Database(database) => classify(&database.code().unwrap_or_default()),
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => (ErrorKind::Unavailable, Some("see whether the database server runs")),
        // What a connection that broke in the middle of a message leaves.
        sqlx::Error::Protocol(_) => (ErrorKind::Unavailable, None),
        sqlx::Error::Tls(_) => (
            ErrorKind::Unavailable,
            Some("compare sslmode and sslrootcert of database_url with the server's certificate"),
        ),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => (ErrorKind::Corrupt, None),
        _ => (ErrorKind::Internal, None),
    };
    let failed = Error::new(kind, operation, error.to_string());
    let failed = match kind {
        ErrorKind::Corrupt => failed.with_retry(RetryHint::Never),
        _ => failed,
    };
    match advice {
        Some(advice) => failed.with_advice(advice),
        None => failed,
    }
}

/// By SQLSTATE, <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn classify(code: &str) -> (ErrorKind, Option<&'static str>) {
    match (code, code.get(..2).unwrap_or_default()) {
        // disk_full
        ("53100", _) => (ErrorKind::NoSpace, Some("free some space on the database server")),
        // invalid_catalog_name
        ("3D000", _) => (ErrorKind::NotFound, Some("create the database, or name another in database_url")),
        // insufficient_privilege
        ("42501", _) => (
            ErrorKind::PermissionDenied,
            Some("let the account create tables: GRANT CREATE, USAGE ON SCHEMA public TO the account"),
        ),
        // read_only_sql_transaction
        ("25006", _) => {
            (ErrorKind::Unavailable, Some("the server is a standby; give the address of the primary"))
        }
        // query_canceled, lock_not_available
        ("57014" | "55P03", _) => {
            (ErrorKind::Unavailable, Some("something keeps the database busy or locked"))
        }
        (_, "28") => (ErrorKind::Unauthenticated, Some("correct account and password of database_url")),
        // Connections, conflicts that go away by themselves, and a server that stops, starts or has no room.
        (_, "08" | "40" | "53" | "57") => (ErrorKind::Unavailable, None),
        (_, "XX") => (ErrorKind::Corrupt, Some("see the database server's log, and restore a backup")),
        _ => (ErrorKind::Internal, None),
    }
}

/// True if a row of that key exists.
pub(super) fn is_unique_violation(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.is_unique_violation())
}
