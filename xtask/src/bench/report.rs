//! Figures for people as a table, for programs as one line of JSON.
#![expect(clippy::print_stdout, reason = "it reports to a terminal")]

use std::fs;

use serde_json::{Value, json};

use super::Options;
use super::series::{Sample, Series};

const MIB: f64 = 1_048_576.0;

/// One way measured.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) series: Series,
    /// Capacity of the disks exported.
    pub(super) disk_bytes: u64,
    /// Peak memory in bytes, of the process that exported.
    pub(super) peak: Option<u64>,
}

/// A promise and what was found.
#[derive(Debug)]
pub(super) struct Check {
    name: String,
    value: f64,
    bound: f64,
    at_least: bool,
}

impl Check {
    pub(super) fn at_most(name: impl Into<String>, value: f64, bound: f64) -> Self {
        Self { name: name.into(), value, bound, at_least: false }
    }

    pub(super) fn at_least(name: impl Into<String>, value: f64, bound: f64) -> Self {
        Self { name: name.into(), value, bound, at_least: true }
    }

    fn is_met(&self) -> bool {
        if self.at_least { self.value >= self.bound } else { self.value <= self.bound }
    }

    fn relation(&self) -> &'static str {
        if self.at_least { ">=" } else { "<=" }
    }
}

/// Everything one command found.
#[derive(Debug)]
pub(super) struct Report {
    bench: &'static str,
    setting: Value,
    machine: Value,
    load_after: String,
    pub(super) rows: Vec<Row>,
    ratios: Vec<(&'static str, f64)>,
    pub(super) checks: Vec<Check>,
    pub(super) notes: Vec<String>,
}

impl Report {
    pub(super) fn begin(bench: &'static str, options: &Options) -> Self {
        let setting = json!({
            "mib": options.mib,
            "fill": options.fill,
            "compressibility": options.compressibility,
            "runs": options.runs,
        });
        Self::with_setting(bench, setting)
    }

    /// As [`begin`](Self::begin), for a measurement that has options of its own.
    pub(super) fn with_setting(bench: &'static str, setting: Value) -> Self {
        Self {
            bench,
            setting,
            machine: machine(),
            load_after: String::new(),
            rows: Vec::new(),
            ratios: Vec::new(),
            checks: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Notes how busy the machine was at the end.
    pub(super) fn end(&mut self) {
        self.load_after = load();
    }

    /// Adds a figure that nothing was promised of.
    pub(super) fn ratio(&mut self, name: &'static str, value: f64) {
        self.ratios.push((name, value));
    }

    /// The promises that were not kept.
    pub(super) fn missed(&self) -> Vec<String> {
        let missed = self.checks.iter().filter(|check| !check.is_met());
        missed
            .map(|check| {
                format!("{} {:.2}, not {} {}", check.name, check.value, check.relation(), check.bound)
            })
            .collect()
    }

    pub(super) fn print(&self) {
        let Value::Object(setting) = &self.setting else { return };
        let setting: Vec<String> = setting.iter().map(|(name, value)| format!("{name} {value}")).collect();
        println!("bench {}: {}", self.bench, setting.join(", "));
        let machine = &self.machine;
        println!(
            "machine: {} x {}, {} MiB, Linux {}, load {} before, {} after\n",
            machine["cpus"],
            machine["model"].as_str().unwrap_or_default(),
            machine["memory_mib"],
            machine["kernel"].as_str().unwrap_or_default(),
            machine["load"].as_str().unwrap_or_default(),
            self.load_after,
        );
        if !self.rows.is_empty() {
            self.print_rows();
        }
        for (name, value) in &self.ratios {
            println!("        {name:<52}{value:>9.3}");
        }
        for check in &self.checks {
            let verdict = if check.is_met() { "ok" } else { "MISSED" };
            let (name, relation) = (&check.name, check.relation());
            println!("{verdict:<8}{name:<52}{:>9.3} {relation} {}", check.value, check.bound);
        }
        for note in &self.notes {
            println!("note    {note}");
        }
        println!("\n{}", self.json());
    }

    fn print_rows(&self) {
        println!(
            "{:<26}{:>9}{:>9}{:>9}{:>11}{:>9}{:>12}{:>13}{:>10}",
            "medians",
            "wall s",
            "user s",
            "sys s",
            "CPU s/GiB",
            "MB/s",
            "result MiB",
            "written MiB",
            "peak MiB"
        );
        for row in &self.rows {
            println!("{}", row.line());
        }
        println!();
    }

    fn json(&self) -> Value {
        let checks = self.checks.iter().map(|check| {
            json!({
                "name": check.name,
                "value": check.value,
                "relation": check.relation(),
                "bound": check.bound,
                "met": check.is_met(),
            })
        });
        let ratios = self.ratios.iter().map(|(name, value)| json!({ "name": name, "value": value }));
        json!({
            "bench": self.bench,
            "setting": self.setting,
            "machine": self.machine,
            "load_after": self.load_after,
            "rows": self.rows.iter().map(Row::json).collect::<Vec<_>>(),
            "ratios": ratios.collect::<Vec<_>>(),
            "checks": checks.collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }
}

impl Row {
    fn line(&self) -> String {
        let figures = self.figures();
        let figure = |name: &str| figures[name].as_f64().unwrap_or_default();
        let peak = self.peak.map_or_else(|| "-".to_owned(), |peak| format!("{:.1}", peak as f64 / MIB));
        format!(
            "{:<26}{:>9.2}{:>9.2}{:>9.2}{:>11.2}{:>9.0}{:>12.0}{:>13.0}{peak:>10}",
            self.name,
            figure("wall"),
            figure("user"),
            figure("system"),
            figure("cpu_per_gib"),
            figure("bytes") / figure("wall") / 1e6,
            figure("bytes") / MIB,
            figure("written") / MIB,
        )
    }

    fn json(&self) -> Value {
        let mut row = self.figures();
        row["name"] = self.name.into();
        row["peak"] = self.peak.into();
        row["walls"] = self.series.samples().iter().map(|sample| sample.wall).collect();
        row
    }

    fn figures(&self) -> Value {
        let gib = self.disk_bytes as f64 / (1024.0 * MIB);
        let median = |figure: fn(&Sample) -> f64| self.series.median(figure);
        json!({
            "wall": median(|sample| sample.wall),
            "user": median(|sample| sample.used.user),
            "system": median(|sample| sample.used.system),
            "cpu_per_gib": median(|sample| sample.used.user + sample.used.system) / gib,
            "bytes": median(|sample| sample.bytes as f64),
            "written": median(|sample| sample.used.written as f64),
        })
    }
}

fn machine() -> Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (cpus, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
    let value = |text: &str, name: &str| -> String {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').unwrap_or_default().1.trim().to_owned()
    };
    let kib: u64 =
        value(&memory, "MemTotal").split(' ').next().unwrap_or_default().parse().unwrap_or_default();
    json!({
        "cpus": std::thread::available_parallelism().map_or(0, usize::from),
        "model": value(&cpus, "model name"),
        "memory_mib": kib >> 10,
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "load": load(),
    })
}

fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}
