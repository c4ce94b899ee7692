//! `cargo xtask bench package`.

use anyhow::Result;
use clap::ValueEnum;
use serde_json::{Value, json};

use super::lab::{Lab, WORKERS};
use super::report::{Check, Report, Row};
use super::series::Series;
use super::simulator::{CONTENT, EIGHT, LARGE, STREAM_RATE};
use super::{PackageOptions, case, compress, content, memory};

/// The promise for every kind of package.
const MEMORY_MIB: f64 = 128.0;
/// Streams at once for the machine with eight disks: a divisor of eight, so that a perfect schedule keeps
/// every stream busy to the end.
const EIGHT_WORKERS: u32 = 4;
/// The level at which compression is compared.
const LEVEL: u8 = 6;

/// A part of the measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// OVA against OVF and tar, and against a bare download
    Ova,
    /// Compression against zlib on one core
    Compress,
    /// qcow2 against OVF and qemu-img
    Qcow2,
    /// Eight disks over capped streams
    Eight,
    /// Peak memory of each kind
    Memory,
}

impl Part {
    pub(super) const ALL: [Self; 5] = [Self::Ova, Self::Compress, Self::Qcow2, Self::Eight, Self::Memory];
}

struct Bench<'a> {
    lab: Lab,
    options: &'a PackageOptions,
    report: Report,
    can_compress: bool,
    can_qcow2: bool,
}

pub(super) async fn run(options: &PackageOptions) -> Result<Report> {
    let wants = |part| options.only.contains(&part);
    let lab = Lab::new(&options.common, |directory| {
        let disk = || content::disk(directory, &options.content, options.content_mib << 20);
        wants(Part::Compress).then(disk).transpose()
    })?;
    let report = Report::begin("package", &options.common);
    let daemon = lab.daemon(WORKERS)?;
    let can_compress = daemon.can("compression", "deflate").await?;
    let can_qcow2 = daemon.can("formats", "qcow2").await?;
    daemon.stop()?;
    let mut bench = Bench { lab, options, report, can_compress, can_qcow2 };
    if wants(Part::Ova) {
        bench.ova().await?;
    }
    if wants(Part::Compress) {
        bench.compress().await?;
    }
    if wants(Part::Qcow2) {
        bench.qcow2().await?;
    }
    if wants(Part::Eight) {
        bench.eight().await?;
    }
    if wants(Part::Memory) {
        bench.memory().await?;
    }
    bench.report.end();
    Ok(bench.report)
}

fn ova() -> Value {
    json!({ "format": "ova" })
}

fn compressed() -> Value {
    json!({ "format": "ova", "compress": true, "compression_level": LEVEL })
}

fn qcow2() -> Value {
    json!({ "format": "qcow2" })
}

impl Bench<'_> {
    fn disk_bytes(&self) -> u64 {
        self.options.common.mib << 20
    }

    fn runs(&self) -> u32 {
        self.options.common.runs
    }

    async fn ova(&mut self) -> Result<()> {
        let lab = &self.lab;
        let (daemon, staging) = (lab.daemon(WORKERS)?, lab.daemon(WORKERS)?);
        let (mut bare, mut bare_tarred) = (Series::default(), Series::default());
        let (mut ours, mut tarred) = (Series::default(), Series::default());
        let mut bare_peak = 0;
        for turn in 0..self.runs() {
            for step in turn..turn + 3 {
                match step % 3 {
                    0 => {
                        let sample = case::bare_then_tar(lab, LARGE).await?;
                        bare_peak = bare_peak.max(sample.peak);
                        bare.push(sample.download);
                        bare_tarred.push(sample.tarred);
                    }
                    1 => ours.push(case::export(lab, &daemon, LARGE, &ova()).await?),
                    _ => tarred.push(case::ovf_then_tar(lab, &staging, LARGE).await?),
                }
            }
        }
        let written = ours.median(|sample| sample.used.written as f64 / sample.bytes as f64);
        self.report.checks.extend([
            Check::at_most("OVA: written / package", written, 1.02),
            Check::at_most("OVA: wall / bare download, then tar", ours.wall_ratio(&bare_tarred), 0.5),
            Check::at_most("OVA: wall / bare download", ours.wall_ratio(&bare), 1.15),
        ]);
        self.report.ratio("OVA: wall / our own OVF, then tar", ours.wall_ratio(&tarred));
        let (peak, staging_peak) = (daemon.peak()?, staging.peak()?);
        self.row("bare download", bare, Some(bare_peak));
        self.row("bare download, tar", bare_tarred, None);
        self.row("OVA", ours, Some(peak));
        self.row("our OVF, then tar", tarred, Some(staging_peak));
        daemon.stop()?;
        staging.stop()
    }

    async fn compress(&mut self) -> Result<()> {
        if !self.can_compress {
            return self.unavailable("compress");
        }
        let lab = &self.lab;
        let daemon = lab.daemon(WORKERS)?;
        let (mut ours, mut zlib, mut deflating) = (Series::default(), Series::default(), Series::default());
        let stored = case::export(lab, &daemon, CONTENT, &ova()).await?;
        let mut version = String::new();
        for turn in 0..self.runs() {
            for step in [turn, turn + 1] {
                if step % 2 == 0 {
                    ours.push(case::export(lab, &daemon, CONTENT, &compressed()).await?);
                } else {
                    let took = compress::zlib(lab, LEVEL).await?;
                    deflating.push(super::series::Sample { wall: took.deflating, ..took.sample });
                    zlib.push(took.sample);
                    version = took.version;
                }
            }
        }
        let bytes = ours.median(|sample| sample.bytes as f64);
        let zlib_bytes = zlib.median(|sample| sample.bytes as f64);
        self.report.checks.extend([
            Check::at_least("compress: times faster than zlib", zlib.wall_ratio(&ours), 4.0),
            Check::at_most("compress: size / zlib's", bytes / zlib_bytes, 1.0),
            Check::at_least(
                "compress: % smaller than stored grains",
                (1.0 - bytes / stored.bytes as f64) * 100.0,
                30.0,
            ),
        ]);
        self.report.ratio("compress: zlib's deflate alone / whole export", deflating.wall_ratio(&ours));
        self.report.notes.push(format!("compress: zlib {version}, level {LEVEL}, one thread"));
        let peak = daemon.peak()?;
        daemon.stop()?;
        // Of what the grains hold, not of a capacity.
        let name = "OVA, compressed, content";
        self.report.rows.push(Row { name, series: ours, disk_bytes: stored.bytes, peak: Some(peak) });
        let name = "zlib, content";
        self.report.rows.push(Row { name, series: zlib, disk_bytes: stored.bytes, peak: None });
        Ok(())
    }

    async fn qcow2(&mut self) -> Result<()> {
        if !self.can_qcow2 {
            return self.unavailable("qcow2");
        }
        let lab = &self.lab;
        let (daemon, staging) = (lab.daemon(WORKERS)?, lab.daemon(WORKERS)?);
        let (mut ours, mut converted) = (Series::default(), Series::default());
        for turn in 0..self.runs() {
            for step in [turn, turn + 1] {
                if step % 2 == 0 {
                    ours.push(case::export(lab, &daemon, LARGE, &qcow2()).await?);
                } else {
                    converted.push(case::ovf_then_convert(lab, &staging, LARGE).await?);
                }
            }
        }
        let check = Check::at_most("qcow2: wall / OVF then qemu-img", ours.wall_ratio(&converted), 0.5);
        self.report.checks.push(check);
        let (peak, staging_peak) = (daemon.peak()?, staging.peak()?);
        self.row("qcow2", ours, Some(peak));
        self.row("OVF then qemu-img", converted, Some(staging_peak));
        daemon.stop()?;
        staging.stop()
    }

    async fn eight(&mut self) -> Result<()> {
        let daemon = self.lab.daemon(EIGHT_WORKERS)?;
        let mut series = Series::default();
        for _ in 0..self.runs() {
            series.push(case::export(&self.lab, &daemon, EIGHT, &ova()).await?);
        }
        let limit = f64::from(EIGHT_WORKERS) * STREAM_RATE as f64;
        let share = series.median(|sample| sample.bytes as f64 / sample.wall / limit);
        self.report.checks.push(Check::at_least("eight disks: rate / capped streams together", share, 0.9));
        let peak = daemon.peak()?;
        self.row("OVA of eight disks", series, Some(peak));
        daemon.stop()
    }

    async fn memory(&mut self) -> Result<()> {
        let mut kinds = vec![("OVA", ova()), ("OVF", json!({ "format": "ovf" }))];
        if self.can_compress {
            kinds.push(("OVA, compressed", compressed()));
        }
        if self.can_qcow2 {
            kinds.push(("qcow2", qcow2()));
        }
        for (name, fields) in kinds {
            memory::check(&mut self.report, &self.lab, name, &fields, MEMORY_MIB).await?;
        }
        Ok(())
    }

    fn unavailable(&mut self, what: &str) -> Result<()> {
        self.report.notes.push(format!("{what}: not available in this build"));
        Ok(())
    }

    fn row(&mut self, name: &'static str, series: Series, peak: Option<u64>) {
        let disk_bytes = self.disk_bytes();
        self.report.rows.push(Row { name, series, disk_bytes, peak });
    }
}
