//! What is wrong with a configuration, and where.

use std::fmt;
use std::path::PathBuf;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A place in a file; line and column count from 1.
    File {
        /// The file.
        path: PathBuf,
        /// The line, 0 if it is not known.
        line: u64,
        /// The column, 0 if it is not known.
        column: u64,
    },
    /// An environment variable.
    Environment(String),
    /// A flag of the command line.
    Flag(&'static str),
    /// Nowhere in particular: a value that is missing, or a default.
    Unknown,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File { path, line: 0, .. } => write!(f, "{}: ", path.display()),
            Origin::File { path, line, column } => write!(f, "{}:{line}:{column}: ", path.display()),
            Origin::Environment(name) => write!(f, "environment {name}: "),
            Origin::Flag(name) => write!(f, "flag {name}: "),
            Origin::Unknown => Ok(()),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The key's path, e.g. `providers[0].username`; empty if it is about the file as a whole.
    pub key: String,
    /// Where it stands.
    pub origin: Origin,
    /// What is wrong with it and what to write instead.
    pub message: String,
}

impl Mistake {
    pub(crate) fn new(key: impl Into<String>, origin: Origin, message: impl Into<String>) -> Self {
        Mistake { key: key.into(), origin, message: message.into() }
    }

    /// The line of the file it stands on, if it stands in one.
    pub fn line(&self) -> Option<u64> {
        match self.origin {
            Origin::File { line, .. } if line > 0 => Some(line),
            _ => None,
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.origin.fmt(f)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// What is wrong, in the order it was found; never empty.
    pub mistakes: Vec<Mistake>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.mistakes.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            mistake.fmt(f)?;
        }
        Ok(())
    }
}
