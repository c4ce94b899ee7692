//! The program that uses the daemon while it is killed again and again, and keeps account of what it asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use hypersdk_vsim::{DiskSpec, PowerState, VmSpec, Vsim, VsimBuilder};
use serde_json::{Value, json};
use tokio::sync::watch;

/// VMs to choose from.
const VMS: usize = 4;

/// One in so many jobs writes a package; the others fail fast, as the package they are to write exists.
const EXPORTS: usize = 25;

/// The times of a schedule, in seconds after the first.
const TIMES: [i64; 3] = [0, 1, 3];

/// Seconds from the making of a schedule to its first time: more than a daemon takes to come back.
const AHEAD: i64 = 5;

/// The simulator that a driver's jobs are about.
pub(crate) fn simulator() -> VsimBuilder {
    (0..VMS).fold(Vsim::builder().lease_timeout(Duration::from_millis(500)), |builder, number| {
        let vm = VmSpec::new(format!("tiny{number}")).power(PowerState::Off);
        builder.vm(vm.disk(DiskSpec::synth(number as u64, 128 << 10)))
    })
}

/// What is to be asked for.
#[derive(Debug, Clone)]
struct Request {
    path: &'static str,
    body: Value,
}

/// What was asked for, and which of it may not have arrived.
#[derive(Debug)]
pub(crate) struct Driver {
    http: reqwest::Client,
    out: PathBuf,
    /// Every job that was asked for.
    pub(crate) jobs: BTreeSet<String>,
    /// Every schedule that was asked for, with its times in microseconds since 1970.
    pub(crate) schedules: BTreeMap<String, Vec<i64>>,
    unsure: Vec<Request>,
}

impl Driver {
    /// Packages go to `out`, where `taken.ova` exists.
    pub(crate) fn new(out: PathBuf) -> Self {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build();
        Driver {
            http: http.expect("an HTTP client"),
            out,
            jobs: BTreeSet::new(),
            schedules: BTreeMap::new(),
            unsure: Vec::new(),
        }
    }

    /// Sends again what may not have arrived, then more and more until the daemon is gone.
    pub(crate) async fn drive(&mut self, base: &str, answers: &watch::Sender<usize>) {
        if !self.make_sure(base).await {
            return;
        }
        let answered = || answers.send_modify(|answers| *answers += 1);
        if fastrand::bool() {
            let schedule = self.schedule();
            if !self.send(base, schedule).await {
                return;
            }
            answered();
        }
        loop {
            let batch = self.batch();
            if !self.send(base, batch).await {
                return;
            }
            answered();
            if fastrand::u8(..4) == 0 {
                let recent = self.jobs.len().saturating_sub(fastrand::usize(..6)).max(1);
                let id = format!("job-{recent:05}");
                let cancel = self.http.post(format!("{base}/jobs/cancel"));
                if cancel.json(&json!({ "job_ids": [id] })).send().await.is_err() {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(fastrand::u64(5..40))).await;
        }
    }

    /// Sends again what may not have arrived. False if some of it still may not have.
    pub(crate) async fn make_sure(&mut self, base: &str) -> bool {
        for request in std::mem::take(&mut self.unsure) {
            self.send(base, request).await;
        }
        self.unsure.is_empty()
    }

    /// False if no answer came, or none of consequence: it may have been accepted all the same.
    async fn send(&mut self, base: &str, request: Request) -> bool {
        let sent = self.http.post(format!("{base}{}", request.path)).json(&request.body).send().await;
        if let Ok(answer) = sent {
            let status = answer.status().as_u16();
            let text = answer.text().await;
            match status {
                // A repeated request is a conflict as a whole: it was accepted as a whole.
                201 | 202 | 409 => return true,
                503 => {}
                _ => panic!("{status} {text:?} for {request:?}"),
            }
        }
        self.unsure.push(request);
        false
    }

    /// Two or three jobs; the last may come after the one before.
    fn batch(&mut self) -> Request {
        let mut jobs = Vec::new();
        for place in 0..fastrand::usize(2..4) {
            let number = self.jobs.len() + 1;
            let id = format!("job-{number:05}");
            let mut job = json!({
                "id": id,
                "vm_path": format!("/DC0/vm/tiny{}", number % VMS),
                "output_dir": self.out,
                "package_name": if number.is_multiple_of(EXPORTS) { &id } else { "taken" },
                "retry_attempts": 20,
                "retry_delay": "100ms",
            });
            if place == 2 {
                job["after"] = json!([format!("job-{:05}", number - 1)]);
            }
            self.jobs.insert(id);
            jobs.push(job);
        }
        Request { path: "/jobs/submit", body: json!({ "jobs": jobs }) }
    }

    /// A schedule with three times in the next seconds, and none after them for a year.
    fn schedule(&mut self) -> Request {
        let number = self.schedules.len() + 1;
        let id = format!("schedule-{number:04}");
        let mut first = chrono::Utc::now().timestamp() + AHEAD;
        if first.rem_euclid(60) + TIMES[2] >= 60 {
            first += 60 - first.rem_euclid(60);
        }
        let of = |format: &str| {
            chrono::DateTime::from_timestamp(first, 0).expect("a time").format(format).to_string()
        };
        let seconds = TIMES.map(|after| (first.rem_euclid(60) + after).to_string()).join(",");
        self.schedules.insert(id.clone(), TIMES.map(|after| (first + after) * 1_000_000).to_vec());
        let body = json!({
            "id": id,
            "schedule": format!("{seconds} {}", of("%-M %-H %-d %-m *")),
            "overlap": "queue",
            "catch_up": "all",
            "job_template": {
                "vm_path": format!("/DC0/vm/tiny{}", number % VMS),
                "output_dir": self.out,
                "package_name": "taken",
            },
        });
        Request { path: "/schedules", body }
    }
}
