//! Reads back what was written, before it gets its name.

use hypersdk_core::{Error, ErrorKind, Result};
use hypersdk_ova::package::PackageSummary;
use hypersdk_ova::verify::{Level, Report, VerifyError, verify, verify_written};

use crate::blocking::blocking;
use crate::plan::Target;

/// Reads headers, descriptor and manifest back. The bytes between were checked as they passed.
pub(crate) async fn structure(target: &Target, summary: &PackageSummary) -> Result<()> {
    let (path, summary) = (target.partial_package(), summary.clone());
    blocking("verify", move || verdict(verify_written(&path, &summary))).await
}

/// Reads every byte again and inflates every grain.
pub(crate) async fn full(target: &Target) -> Result<()> {
    verdict(verify(&target.partial_package(), Level::Full).await)
}

fn verdict(report: Result<Report, VerifyError>) -> Result<()> {
    let report = report.map_err(|error| match error {
        VerifyError::Io { path, source } => Error::io(format!("verify {}", path.display()), source),
        other => Error::new(ErrorKind::Internal, "verify", other.to_string()),
    })?;
    let Some(first) = report.faults.first() else { return Ok(()) };
    let place = first.file.as_deref().unwrap_or("the package");
    Err(Error::new(
        ErrorKind::Corrupt,
        "verify",
        format!("{place}: {} ({} faults in all)", first.message, report.faults.len()),
    ))
}
