//! The receipt beside a package: what was exported, when, and who attests which bytes.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use chrono::{DateTime, Utc};
use hypersdk_core::{Error, ErrorKind, ExportSource, JobId, Outcome, Result};
use serde::{Deserialize, Serialize};

/// What is kept beside a package as `NAME.receipt.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// The receipt's form; this is 1.
    pub version: u32,
    /// The program that wrote the package.
    pub tool: String,
    /// The job that did.
    pub job: JobId,
    /// Which attempt at the job wrote it, from 1; 0 if an earlier version of the program did.
    #[serde(default)]
    pub attempt: u32,
    /// Where the VM came from.
    pub source: ExportSource,
    /// When the export began.
    pub started_at: DateTime<Utc>,
    /// When the package was whole.
    pub finished_at: DateTime<Utc>,
    /// The package: its files with sizes and digests, and whether the source attested them.
    pub outcome: Outcome,
}

impl Receipt {
    /// Reads a receipt.
    ///
    /// # Errors
    /// `NotFound` if there is none, `Corrupt` if it is not one.
    pub fn read(path: &Path) -> Result<Self> {
        let operation = || format!("read receipt {}", path.display());
        let text = std::fs::read(path).map_err(|error| Error::io(operation(), error))?;
        serde_json::from_slice(&text)
            .map_err(|error| Error::new(ErrorKind::Corrupt, operation(), error.to_string()))
    }

    /// Writes it durably under a name of its own.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let write = || -> std::io::Result<()> {
            let mut text = serde_json::to_vec_pretty(self)?;
            text.push(b'\n');
            let mut file = File::create(path)?;
            file.write_all(&text)?;
            file.sync_all()
        };
        write().map_err(|error| Error::io(format!("write receipt {}", path.display()), error))
    }
}
