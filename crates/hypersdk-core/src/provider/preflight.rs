//! What is known to be in an export's way before it begins.

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingLevel {
    /// Good to know.
    Info,
    /// The export can succeed, with a drawback.
    Warning,
    /// The export cannot succeed.
    Error,
}

/// One thing found while looking at a VM that is to be exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How bad it is.
    pub level: FindingLevel,
    /// A stable word for programs, e.g. `privilege_missing`.
    pub code: String,
    /// What was found, with names.
    pub message: String,
    /// What to do about it.
    pub advice: Option<String>,
    /// For an error: the kind a job fails with.
    #[serde(skip)]
    pub kind: Option<ErrorKind>,
}

impl Finding {
    /// Something good to know.
    pub fn info(code: &str, message: impl Into<String>) -> Self {
        Finding {
            level: FindingLevel::Info,
            code: code.to_owned(),
            message: message.into(),
            advice: None,
            kind: None,
        }
    }

    /// A drawback.
    pub fn warning(code: &str, message: impl Into<String>) -> Self {
        Finding { level: FindingLevel::Warning, ..Finding::info(code, message) }
    }

    /// An obstacle, and the kind of error it would end in.
    pub fn error(code: &str, kind: ErrorKind, message: impl Into<String>) -> Self {
        Finding { level: FindingLevel::Error, kind: Some(kind), ..Finding::info(code, message) }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn with_advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }
}

/// How thoroughly to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreflightDepth {
    /// What a few calls tell: for the head of each job.
    Quick,
    /// In addition everything that reaches further, such as connecting to each host that will serve files.
    Thorough,
}

/// What a provider knows about an export before it begins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preflight {
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
    /// About how many bytes will be sent, if that can be told.
    pub expected_bytes: Option<u64>,
}

impl Preflight {
    /// Sorts the worst to the front.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.findings.sort_by_key(|finding| std::cmp::Reverse(finding.level));
        self
    }

    /// The error an export would end in, if one was found: it names everything that is in the way.
    ///
    /// # Errors
    /// One of the first error's kind.
    pub fn verdict(&self) -> Result<(), Error> {
        let mut errors = self.findings.iter().filter(|finding| finding.level == FindingLevel::Error);
        let Some(first) = errors.next() else { return Ok(()) };
        let message = errors.fold(first.message.clone(), |text, next| text + "; " + &next.message);
        let error = Error::new(first.kind.unwrap_or(ErrorKind::Conflict), "check before export", message)
            .with_retry(crate::RetryHint::Never);
        Err(match &first.advice {
            Some(advice) => error.with_advice(advice.clone()),
            None => error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_names_every_error_and_has_the_first_ones_kind_and_advice() {
        let preflight = Preflight {
            findings: vec![
                Finding::warning("snapshots", "two snapshots"),
                Finding::error("privilege_missing", ErrorKind::PermissionDenied, "VApp.Export is missing")
                    .with_advice("grant it"),
                Finding::error("encrypted", ErrorKind::Unsupported, "it is encrypted"),
            ],
            expected_bytes: None,
        };
        let error = preflight.verdict().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert_eq!(error.message(), "VApp.Export is missing; it is encrypted");
        assert_eq!(error.advice(), Some("grant it"));
        assert_eq!(preflight.sorted().findings[2].code, "snapshots");
        assert!(Preflight::default().verdict().is_ok());
    }
}
