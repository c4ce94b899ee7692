//! Peak memory by disk size: one export each, in a daemon of its own.

use anyhow::Result;
use serde_json::Value;

use super::case;
use super::lab::{Lab, WORKERS};
use super::report::{Check, Report};
use super::simulator::{LARGE, SMALL};

/// How far apart the peaks of a small and a large disk may lie to count as the same, in MiB.
const SAME_MIB: f64 = 8.0;

/// Measures exports of this kind and adds what was promised of them to the report.
pub(super) async fn check(
    report: &mut Report,
    lab: &Lab,
    name: &str,
    fields: &Value,
    at_most_mib: f64,
) -> Result<()> {
    let (small, large) = (peak(lab, SMALL, fields).await?, peak(lab, LARGE, fields).await?);
    report.checks.push(Check::at_most(format!("{name}: peak MiB, small disk"), small, at_most_mib));
    report.checks.push(Check::at_most(format!("{name}: peak MiB, large disk"), large, at_most_mib));
    report.checks.push(Check::at_most(
        format!("{name}: MiB by which large exceeds small"),
        large - small,
        SAME_MIB,
    ));
    Ok(())
}

async fn peak(lab: &Lab, machine: &str, fields: &Value) -> Result<f64> {
    let daemon = lab.daemon(WORKERS)?;
    case::export(lab, &daemon, machine, fields).await?;
    let peak = daemon.peak()?;
    daemon.stop()?;
    Ok(peak as f64 / f64::from(1 << 20))
}
