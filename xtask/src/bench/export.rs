//! `cargo xtask bench export`.

use anyhow::Result;
use serde_json::json;

use super::lab::{Lab, WORKERS};
use super::report::{Report, Row};
use super::series::Series;
use super::simulator::LARGE;
use super::{Options, case, memory};

/// The promise: at most so much, whatever the disk's size.
const MEMORY_MIB: f64 = 96.0;

pub(super) async fn run(options: &Options) -> Result<Report> {
    let lab = Lab::new(options, |_| Ok(None))?;
    let mut report = Report::begin("export", options);
    let daemon = lab.daemon(WORKERS)?;
    let ova = json!({ "format": "ova" });
    let (mut bare, mut exported) = (Series::default(), Series::default());
    let mut bare_peak = 0;
    for turn in 0..options.runs {
        // Who goes first changes, so that neither always meets the other's leavings.
        for step in [turn, turn + 1] {
            if step % 2 == 0 {
                let (sample, peak) = case::bare(&lab, LARGE).await?;
                bare_peak = bare_peak.max(peak);
                bare.push(sample);
            } else {
                exported.push(case::export(&lab, &daemon, LARGE, &ova).await?);
            }
        }
    }
    let peak = daemon.peak()?;
    daemon.stop()?;
    report.ratio("OVA export, throughput against bare download", bare.wall_ratio(&exported));
    let disk_bytes = options.mib << 20;
    report.rows.push(Row { name: "bare download", series: bare, disk_bytes, peak: Some(bare_peak) });
    report.rows.push(Row { name: "OVA export", series: exported, disk_bytes, peak: Some(peak) });
    memory::check(&mut report, &lab, "OVA export", &ova, MEMORY_MIB).await?;
    report.end();
    Ok(report)
}
