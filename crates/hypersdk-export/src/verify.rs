//! Reads back what was written, before it gets its name.

use hypersdk_core::{Error, ErrorKind, JobId, Outcome, Result};
use hypersdk_ova::package::PackageSummary;
use hypersdk_ova::verify::{Level, Report, VerifyError, verify, verify_written};

use crate::blocking::blocking;
use crate::plan::Target;
use crate::receipt::Receipt;

/// Reads headers, descriptor and manifest back. The bytes between were checked as they passed.
pub(crate) async fn structure(target: &Target, summary: &PackageSummary) -> Result<()> {
    let (path, summary) = (target.partial_package(), summary.clone());
    blocking("verify", move || verdict(verify_written(&path, &summary))).await
}

/// Reads every byte again and inflates every grain.
pub(crate) async fn full(target: &Target) -> Result<()> {
    verdict(verify(&target.partial_package(), Level::Full).await)
}

/// What an earlier attempt of the same job published but could not report: its receipt names the job, and the
/// package beside it holds, byte for byte, what the receipt lists.
pub(crate) async fn published_by(target: &Target, job: &JobId) -> Option<Outcome> {
    let receipt = Receipt::read(&target.receipt()).ok()?;
    if receipt.job != *job || !target.package().exists() {
        return None;
    }
    let report = verify(&target.package(), Level::Structure).await.ok()?;
    let listed = receipt.outcome.files.iter().all(|listed| {
        report.files.iter().any(|found| {
            let digest = found.digest.as_ref().map(|digest| digest.hex());
            found.name == listed.name
                && found.size == listed.size
                && digest.is_none_or(|digest| digest.len() != listed.sha256.len() || digest == listed.sha256)
        })
    });
    (report.is_ok() && listed).then_some(receipt.outcome)
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
