//! One error type for everything that crosses a provider, a store or a job.
//!
//! Callers branch on [`ErrorKind`] (what to do about it) and on [`RetryHint`] (whether trying again can
//! help); people read [`Error::advice`].

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The result of anything that can fail with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// What a caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The named thing does not exist.
    NotFound,
    /// The credentials were refused. Never retried: repeated attempts lock accounts.
    Unauthenticated,
    /// The account lacks a privilege.
    PermissionDenied,
    /// The thing is in a state, or held by somebody, that forbids the operation.
    Conflict,
    /// The request itself is wrong.
    Invalid,
    /// The server, build or configuration cannot do this at all.
    Unsupported,
    /// A remote party cannot be reached or is overloaded.
    Unavailable,
    /// A deadline passed.
    Timeout,
    /// Bytes are not what they claim to be: truncated, altered or malformed.
    Corrupt,
    /// Storage is full, or a quota is.
    NoSpace,
    /// Somebody asked for the work to stop. Never logged as a failure.
    Cancelled,
    /// A defect in this program or an unexpected answer.
    Internal,
}

impl ErrorKind {
    /// Every kind, for tables that must not forget one.
    pub const ALL: [ErrorKind; 12] = [
        ErrorKind::NotFound,
        ErrorKind::Unauthenticated,
        ErrorKind::PermissionDenied,
        ErrorKind::Conflict,
        ErrorKind::Invalid,
        ErrorKind::Unsupported,
        ErrorKind::Unavailable,
        ErrorKind::Timeout,
        ErrorKind::Corrupt,
        ErrorKind::NoSpace,
        ErrorKind::Cancelled,
        ErrorKind::Internal,
    ];

    /// The name used in JSON and metrics, e.g. `permission_denied`.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorKind::NotFound => "not_found",
            ErrorKind::Unauthenticated => "unauthenticated",
            ErrorKind::PermissionDenied => "permission_denied",
            ErrorKind::Conflict => "conflict",
            ErrorKind::Invalid => "invalid",
            ErrorKind::Unsupported => "unsupported",
            ErrorKind::Unavailable => "unavailable",
            ErrorKind::Timeout => "timeout",
            ErrorKind::Corrupt => "corrupt",
            ErrorKind::NoSpace => "no_space",
            ErrorKind::Cancelled => "cancelled",
            ErrorKind::Internal => "internal",
        }
    }

    fn default_retry(self) -> RetryHint {
        match self {
            ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Corrupt => RetryHint::Backoff,
            ErrorKind::NotFound
            | ErrorKind::Unauthenticated
            | ErrorKind::PermissionDenied
            | ErrorKind::Conflict
            | ErrorKind::Invalid
            | ErrorKind::Unsupported
            | ErrorKind::NoSpace
            | ErrorKind::Cancelled
            | ErrorKind::Internal => RetryHint::Never,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether trying the same operation again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryHint {
    /// It cannot: the same call fails the same way until somebody changes something.
    Never,
    /// It can, after the caller's usual backoff.
    Backoff,
    /// It can, no sooner than after this long (a server said so).
    After(Duration),
}

/// A failed operation.
///
/// `Display` is one lower-case fragment that reads after "failed to"; it does not repeat its source, so
/// reporters walk [`std::error::Error::source`], or use [`Error::chain`].
#[derive(Debug, thiserror::Error)]
#[error("{operation}: {message}")]
pub struct Error {
    kind: ErrorKind,
    operation: Cow<'static, str>,
    message: String,
    retry: RetryHint,
    advice: Option<String>,
    #[source]
    source: Option<BoxError>,
}

impl Error {
    /// An error of `kind` while doing `operation` (a verb phrase such as `open export of vm-42`).
    pub fn new(kind: ErrorKind, operation: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Error {
            kind,
            operation: operation.into(),
            message: message.into(),
            retry: kind.default_retry(),
            advice: None,
            source: None,
        }
    }

    /// The error of work that was told to stop.
    pub fn cancelled(operation: impl Into<Cow<'static, str>>) -> Self {
        Error::new(ErrorKind::Cancelled, operation, "cancelled")
    }

    /// An I/O error, its kind read from the operating system's.
    pub fn io(operation: impl Into<Cow<'static, str>>, source: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match source.kind() {
            Io::NotFound => ErrorKind::NotFound,
            Io::PermissionDenied | Io::ReadOnlyFilesystem => ErrorKind::PermissionDenied,
            Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge => ErrorKind::NoSpace,
            Io::AlreadyExists => ErrorKind::Conflict,
            Io::TimedOut => ErrorKind::Timeout,
            Io::UnexpectedEof | Io::InvalidData => ErrorKind::Corrupt,
            Io::ConnectionRefused
            | Io::ConnectionReset
            | Io::ConnectionAborted
            | Io::NotConnected
            | Io::BrokenPipe
            | Io::HostUnreachable
            | Io::NetworkUnreachable
            | Io::NetworkDown => ErrorKind::Unavailable,
            _ => ErrorKind::Internal,
        };
        Error::new(kind, operation, source.to_string())
    }

    /// Replaces the retry hint that follows from the kind.
    #[must_use]
    pub fn with_retry(mut self, retry: RetryHint) -> Self {
        self.retry = retry;
        self
    }

    /// Says what a person can do about it.
    #[must_use]
    pub fn with_advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Keeps the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Wraps this error as the cause of a larger operation, keeping kind, retry hint and advice.
    #[must_use]
    pub fn context(self, operation: impl Into<Cow<'static, str>>) -> Self {
        let Error { kind, operation: inner, message, retry, advice, source } = self;
        Error {
            kind,
            operation: operation.into(),
            message: format!("{inner}: {message}"),
            retry,
            advice,
            source,
        }
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What was being done.
    pub fn operation(&self) -> &str {
        &self.operation
    }

    /// What went wrong, without the operation.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What a person can do about it, where that is known.
    pub fn advice(&self) -> Option<&str> {
        self.advice.as_deref()
    }

    /// Whether and when to try again.
    pub fn retry(&self) -> RetryHint {
        self.retry
    }

    /// True if trying again can help.
    pub fn is_retryable(&self) -> bool {
        self.retry != RetryHint::Never
    }

    /// The message with all its causes, joined by `: `.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let part = error.to_string();
            if !text.ends_with(&part) {
                text.push_str(": ");
                text.push_str(&part);
            }
            cause = error.source();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_keeps_kind_retry_and_advice() {
        let error = Error::new(ErrorKind::Unavailable, "read disk-0.vmdk", "connection reset")
            .with_retry(RetryHint::After(Duration::from_secs(3)))
            .with_advice("check the host")
            .context("export vm-42");
        assert_eq!(error.to_string(), "export vm-42: read disk-0.vmdk: connection reset");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(error.retry(), RetryHint::After(Duration::from_secs(3)));
        assert_eq!(error.advice(), Some("check the host"));
    }

    #[test]
    fn a_full_disk_is_no_space_and_not_retried() {
        let error = Error::io("write x.ova", std::io::Error::from(std::io::ErrorKind::StorageFull));
        assert_eq!(error.kind(), ErrorKind::NoSpace);
        assert!(!error.is_retryable());
    }

    #[test]
    fn the_chain_names_every_cause_once() {
        let error = Error::new(ErrorKind::Internal, "decode reply", "bad xml")
            .with_source(std::io::Error::other("unexpected token"));
        assert_eq!(error.chain(), "decode reply: bad xml: unexpected token");
    }
}
