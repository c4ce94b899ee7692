//! How a command fails, and the exit code that says so to a script.

use std::fmt;
use std::process::ExitCode;

use crate::client::Problem;

/// What went wrong, sorted by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The work was begun and ended badly: a job failed, a package has faults.
    #[error("{0}")]
    Ended(String),
    /// What stands on the command line or in hyperctl's own files is wrong.
    #[error("{0}")]
    Usage(String),
    /// No daemon answers.
    #[error("{0}")]
    Unreachable(String),
    /// The daemon answered with a problem.
    #[error("{0}")]
    Refused(Problem),
    /// A package is faulty; the code is the one that `hypervisord verify` ends with.
    #[error("{message}")]
    Faulty {
        /// 10 to 19, by the worst fault.
        code: u8,
        /// What was found.
        message: String,
    },
    /// Somebody pressed Ctrl-C, or the job was cancelled elsewhere.
    #[error("{0}")]
    Cancelled(String),
}

impl Failure {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Failure::Usage(message.into())
    }

    /// The exit code. docs/hyperctl.md lists them.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Failure::Ended(_) => 1,
            Failure::Usage(_) => 2,
            Failure::Unreachable(_) => 3,
            Failure::Refused(problem) => match problem.status {
                401 | 403 => 4,
                404 => 5,
                409 | 412 => 6,
                400..=499 if problem.status != 429 => 7,
                _ => 8,
            },
            Failure::Faulty { code, .. } => *code,
            Failure::Cancelled(_) => 130,
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code())
    }
}

impl From<hypersdk_core::Error> for Failure {
    /// Errors of the libraries, which `export --direct` uses without a daemon.
    fn from(error: hypersdk_core::Error) -> Self {
        use hypersdk_core::ErrorKind as Kind;
        let advice = error.advice().map(|advice| format!("\n  {advice}")).unwrap_or_default();
        let message = format!("{}{advice}", error.chain());
        match error.kind() {
            Kind::Cancelled => Failure::Cancelled(message),
            Kind::Unavailable | Kind::Timeout => Failure::Unreachable(message),
            Kind::Invalid | Kind::Unsupported => Failure::Usage(message),
            _ => Failure::Ended(message),
        }
    }
}

/// The text of an error and of everything that caused it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        if !text.ends_with(&part) {
            text = format!("{text}: {part}");
        }
        cause = error.source();
    }
    text
}

/// Fails with what `error` says, as a mistake of the one who called.
pub(crate) fn mistake(what: impl fmt::Display, error: &dyn std::error::Error) -> Failure {
    Failure::Usage(format!("{what}: {}", chain(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_of_failure_has_an_exit_code_of_its_own() {
        let refused = |status| Failure::Refused(Problem { status, ..Problem::default() }).code();
        assert_eq!(Failure::Ended(String::new()).code(), 1);
        assert_eq!(Failure::usage("").code(), 2);
        assert_eq!(Failure::Unreachable(String::new()).code(), 3);
        let by_status = [401, 403, 404, 409, 412, 400, 422, 429, 500, 502, 503].map(refused);
        assert_eq!(by_status, [4, 4, 5, 6, 6, 7, 7, 8, 8, 8, 8]);
        assert_eq!(Failure::Cancelled(String::new()).code(), 130);
    }
}
