//! What stands in the way of an export, at the source and here, found before anything is asked of the source.

use std::time::Duration;

use hypersdk_core::{
    ErrorKind, ExportOptions, Finding, JobSpec, NamedProvider, Preflight, PreflightDepth, Result, VmSummary,
};
use rustix::fs::statvfs;

use crate::blocking::blocking;
use crate::limits::Limits;
use crate::plan;

/// What an unhindered export is taken to move, in bytes a second: a gigabit link, or one stream of a busy host.
const USUAL_RATE: u64 = 100 << 20;

/// What was found about a job before it begins.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Forecast {
    /// What was found, the worst first, and about how many bytes will come.
    pub preflight: Preflight,
    /// About how long the transfer takes; none if its size is not known.
    pub expected_time: Option<Duration>,
}

/// Looks at the VM through its provider and at the directory the package goes into.
///
/// # Errors
/// The VM does not exist, or it could not be looked at.
pub async fn forecast(
    provider: &NamedProvider,
    vm: &VmSummary,
    spec: &JobSpec,
    limits: &Limits,
    depth: PreflightDepth,
) -> Result<Forecast> {
    let options = ExportOptions { job: None, ..spec.options.clone() };
    let mut preflight = provider.provider.preflight(&vm.id, &options, depth).await?;
    let directory = spec.output_dir.clone();
    let free = blocking("look at free space", move || {
        plan::check_directory(&directory)?;
        Ok(statvfs(&directory).map(|at| at.f_bavail.saturating_mul(at.f_frsize)).ok())
    })
    .await;
    match free {
        Err(error) => {
            let finding = Finding::error("output_dir", error.kind(), error.to_string());
            preflight.findings.push(match error.advice() {
                Some(advice) => finding.with_advice(advice),
                None => finding,
            });
        }
        Ok(free) => preflight.findings.extend(space(free, preflight.expected_bytes)),
    }
    let rate = limits.current_rate().map_or(USUAL_RATE, |rate| rate.min(USUAL_RATE));
    let expected_time = preflight.expected_bytes.map(|bytes| Duration::from_secs(bytes.div_ceil(rate)));
    Ok(Forecast { preflight: preflight.sorted(), expected_time })
}

fn space(free: Option<u64>, expected: Option<u64>) -> Option<Finding> {
    let (free, expected) = (free?, expected?);
    (free < expected).then(|| {
        let text = format!("the package may not fit: up to {expected} bytes are to come, {free} are free");
        Finding::error("space_here", ErrorKind::NoSpace, text)
            .with_advice("free space in output_dir, or choose another")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_may_not_fit_is_refused_and_what_is_not_known_is_let_through() {
        let kind = |free, expected| space(free, expected).and_then(|finding| finding.kind);
        assert_eq!(kind(Some(10), Some(100)), Some(ErrorKind::NoSpace));
        assert_eq!(kind(Some(100), Some(100)), None);
        assert_eq!(kind(None, Some(100)), None);
        assert_eq!(kind(Some(0), None), None);
    }
}
