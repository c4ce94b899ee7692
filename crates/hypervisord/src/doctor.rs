//! `hypervisord doctor`: what stands between this machine and a working daemon.
//!
//! Each check looks at one thing, changes nothing, and ends in `ok`, `warn` or `fail` with what to do. It works
//! beside a running daemon and without one. Accounts are tried once each.

mod clock;
mod database;
mod files;
mod listener;
mod reach;
#[cfg(test)]
mod tests;

use std::fmt;
use std::process::ExitCode;

use serde::Serialize;

use crate::config::{Config, Sources};
pub(crate) use listener::get;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Grade {
    /// As it should be.
    Ok,
    /// It works, and somebody should look at it.
    Warn,
    /// The daemon cannot do its work.
    Fail,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What was looked at.
    pub(crate) check: String,
    pub(crate) grade: Grade,
    /// What was found.
    pub(crate) message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remedy: Option<String>,
}

impl Finding {
    pub(crate) fn ok(check: impl Into<String>, message: impl Into<String>) -> Self {
        Finding { check: check.into(), grade: Grade::Ok, message: message.into(), remedy: None }
    }

    pub(crate) fn warn(
        check: impl Into<String>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let (check, message, remedy) = (check.into(), message.into(), Some(remedy.into()));
        Finding { check, grade: Grade::Warn, message, remedy }
    }

    pub(crate) fn fail(
        check: impl Into<String>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Finding { grade: Grade::Fail, ..Finding::warn(check, message, remedy) }
    }
}

/// Everything that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Diagnosis {
    pub(crate) version: &'static str,
    pub(crate) findings: Vec<Finding>,
}

impl Diagnosis {
    /// Makes all checks.
    pub(crate) async fn make(sources: &Sources) -> Self {
        let (config, mistakes) = Config::inspect(sources);
        let mut findings = Vec::new();
        for mistake in &mistakes {
            let remedy = "correct it; config.example.yaml shows every key";
            findings.push(Finding::fail("configuration", mistake.to_string(), remedy));
        }
        if let Some(config) = &config {
            for warning in &config.warnings {
                let remedy = "see docs/daemon.md, Configuration";
                findings.push(Finding::warn("configuration", warning.clone(), remedy));
            }
            if findings.is_empty() {
                findings.push(Finding::ok("configuration", "it is read without a mistake"));
            }
            findings.extend(files::check(sources.file.as_deref(), config));
            findings.extend(database::check(config).await);
            findings.extend(listener::check(config).await);
            findings.extend(reach::check(config).await);
            findings.extend(clock::check());
        }
        Diagnosis { version: env!("CARGO_PKG_VERSION"), findings }
    }

    /// The worst of what was found.
    pub(crate) fn grade(&self) -> Grade {
        self.findings.iter().map(|finding| finding.grade).max().unwrap_or(Grade::Ok)
    }

    /// 0 if nothing fails, 1 otherwise: warnings are for people.
    pub(crate) fn exit_code(&self) -> ExitCode {
        if self.grade() == Grade::Fail { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            let grade = match finding.grade {
                Grade::Ok => "ok  ",
                Grade::Warn => "warn",
                Grade::Fail => "FAIL",
            };
            writeln!(f, "{grade}  {}: {}", finding.check, finding.message)?;
            if let Some(remedy) = &finding.remedy {
                writeln!(f, "      -> {remedy}")?;
            }
        }
        let count = |grade| self.findings.iter().filter(|finding| finding.grade == grade).count();
        write!(f, "{} ok, {} warnings, {} failures", count(Grade::Ok), count(Grade::Warn), count(Grade::Fail))
    }
}
