//! Verification of finished packages, of any producer: OVA archives (also wrapped in gzip or
//! zstd), OVF directories, descriptors.
//!
//! | level | reads | finds |
//! |---|---|---|
//! | [`Level::Headers`] | headers, descriptor, manifest | wrong order, sizes, names, references; a damaged descriptor |
//! | [`Level::Structure`] | every byte once | also wrong digests and disks that are cut or contradict themselves |
//! | [`Level::Full`] | every byte, inflating each grain on all cores | also grains that hold something else than their checksum says |
//!
//! What is read may be hostile: nothing is ever written, memory is bounded, and whatever is
//! wrong ends as a [`Fault`] with its file and place. A wrapped archive that unwraps to more than
//! 200 times its size (and more than 64 MiB) is refused as a decompression bomb.

mod archive;
mod chunks;
mod directory;
mod gauge;
mod inflate;
mod inspection;
mod member;
mod report;
mod rules;
mod signature;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

pub use report::{
    DiskReport, Fault, FaultClass, FileReport, Level, PackageFormat, Report, SignatureReport, Warning,
};

use crate::package::PackageSummary;

/// Why a package could not be verified at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The path is neither an archive nor a directory with one descriptor.
    #[error("{path} is no package: {reason}")]
    NotAPackage {
        /// The path.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Reading failed.
    #[error("read {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The verifying task was stopped: the runtime is shutting down.
    #[error("verification was stopped")]
    Stopped,
}

impl VerifyError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        |source| Self::Io { path: path.to_owned(), source }
    }
}

/// Verifies a package on a blocking thread of the runtime.
///
/// # Errors
/// If there is no package to read. A faulty package is no error: its report says so.
///
/// # Cancel safety
/// Dropped, the reading goes on to its end in the background and its result is lost.
pub async fn verify(path: &Path, level: Level) -> Result<Report, VerifyError> {
    let path = path.to_owned();
    let task = tokio::task::spawn_blocking(move || verify_blocking(&path, level));
    task.await.unwrap_or(Err(VerifyError::Stopped))
}

/// Verifies a package: an OVA (plain, gzip, zstd), an OVF directory, or its descriptor.
///
/// # Errors
/// If there is no package to read. A faulty package is no error: its report says so.
pub fn verify_blocking(path: &Path, level: Level) -> Result<Report, VerifyError> {
    examine(path, level, None)
}

/// Reads back what an exporter has just written: headers, descriptor and manifest, compared with
/// what the writer says it wrote. The cost does not depend on the disks' sizes.
///
/// # Errors
/// If there is no package to read. A faulty package is no error: its report says so.
pub fn verify_written(path: &Path, written: &PackageSummary) -> Result<Report, VerifyError> {
    examine(path, Level::Headers, Some(written))
}

fn examine(path: &Path, level: Level, written: Option<&PackageSummary>) -> Result<Report, VerifyError> {
    let kind = fs::metadata(path).map_err(VerifyError::io(path))?;
    let is_descriptor = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("ovf"));
    let mut report = Report::new(path, level);
    let found = if kind.is_dir() {
        report.format = PackageFormat::Ovf;
        directory::read(path, &find_descriptor(path)?, level, &mut report)?
    } else if is_descriptor {
        report.format = PackageFormat::Ovf;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        directory::read(folder, &name, level, &mut report)?
    } else {
        let file = File::open(path).map_err(VerifyError::io(path))?;
        archive::read(path, &file, level, &mut report)?
    };
    if let Some(mut found) = found {
        if let Some(written) = written {
            rules::check_written(&mut found, written, &mut report);
        }
        rules::check(&found, &mut report);
        signature::check(&found, &mut report);
        report.files = found.into_iter().map(member::Found::into_report).collect();
    }
    Ok(report)
}

fn find_descriptor(folder: &Path) -> Result<String, VerifyError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(VerifyError::io(folder))? {
        let name = entry.map_err(VerifyError::io(folder))?.file_name().to_string_lossy().into_owned();
        if member::is_descriptor(&name) {
            names.push(name);
        }
    }
    match (names.pop(), names.len()) {
        (Some(name), 0) => Ok(name),
        (found, more) => {
            let reason = format!("{} descriptors in it", more + usize::from(found.is_some()));
            Err(VerifyError::NotAPackage { path: folder.to_owned(), reason })
        }
    }
}
