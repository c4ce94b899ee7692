//! How far a transfer is: counters the pipeline bumps, read by a sampler a few times a second.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hypersdk_core::{FileProgress, Progress};

/// The rate is measured over this long.
const WINDOW: Duration = Duration::from_secs(5);

/// One file's counters.
#[derive(Debug, Default)]
pub(crate) struct FileMeter {
    bytes: AtomicU64,
    /// How far in the file's own measure: position on the disk, or bytes.
    position: AtomicU64,
    finished: AtomicU64,
}

impl FileMeter {
    pub(crate) fn record(&self, bytes: u64, position: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
        self.position.store(position, Ordering::Relaxed);
    }

    pub(crate) fn finish(&self) {
        self.finished.store(1, Ordering::Relaxed);
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// A file, its weight in bytes, and its counters.
#[derive(Debug)]
struct Metered {
    name: String,
    weight: u64,
    meter: Arc<FileMeter>,
}

/// The counters of all files of an export.
#[derive(Debug)]
pub(crate) struct Meter {
    files: Vec<Metered>,
    current: Mutex<Option<String>>,
    samples: Mutex<VecDeque<(Instant, u64)>>,
}

impl Meter {
    /// Counters for files of these names and weights, in bytes.
    pub(crate) fn new(files: impl IntoIterator<Item = (String, u64)>) -> Self {
        let metered =
            |(name, weight): (String, u64)| Metered { name, weight: weight.max(1), meter: Arc::default() };
        Meter {
            files: files.into_iter().map(metered).collect(),
            current: Mutex::default(),
            samples: Mutex::default(),
        }
    }

    pub(crate) fn file(&self, index: usize) -> Arc<FileMeter> {
        Arc::clone(&self.files[index].meter)
    }

    pub(crate) fn begin(&self, name: &str) {
        *self.current.lock().expect("no holder panics") = Some(name.to_owned());
    }

    /// Writes the state at `now` into `progress`. A retried file's counters fall; the fraction's promise not
    /// to is kept by the receiver.
    pub(crate) fn sample(&self, now: Instant, progress: &mut Progress) {
        let mut bytes_done = 0;
        let mut files_done = 0;
        let (mut done, mut whole) = (0.0, 0.0);
        progress.files.clear();
        for Metered { name, weight, meter: file } in &self.files {
            let finished = file.finished.load(Ordering::Relaxed) == 1;
            let share = if finished {
                files_done += 1;
                1.0
            } else {
                (file.position.load(Ordering::Relaxed) as f64 / *weight as f64).min(1.0)
            };
            let bytes = file.bytes();
            progress.files.push(FileProgress { name: name.clone(), bytes_done: bytes, fraction: share });
            bytes_done += bytes;
            done += share * *weight as f64;
            whole += *weight as f64;
        }
        let fraction = done / whole;
        let rate = self.rate(now, bytes_done);
        progress.current_file = self.current.lock().expect("no holder panics").clone();
        progress.files_done = files_done;
        progress.files_total = self.files.len() as u32;
        progress.bytes_done = bytes_done;
        progress.bytes_per_second = rate;
        // What is left is weighed by position: a thin disk's length is known only when it has passed.
        progress.fraction = fraction;
        progress.bytes_total = (fraction > 0.01).then(|| (bytes_done as f64 / fraction) as u64);
        progress.remaining_seconds = match progress.bytes_total {
            Some(total) if rate > 0.0 => Some(total.saturating_sub(bytes_done) as f64 / rate),
            _ => None,
        };
    }

    fn rate(&self, now: Instant, bytes: u64) -> f64 {
        let mut samples = self.samples.lock().expect("no holder panics");
        samples.push_back((now, bytes));
        while samples.len() > 2 && now.duration_since(samples[0].0) > WINDOW {
            samples.pop_front();
        }
        let (then, before) = samples[0];
        let seconds = now.duration_since(then).as_secs_f64();
        if seconds > 0.0 { bytes.saturating_sub(before) as f64 / seconds } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thin_disk_is_measured_by_position_and_its_total_estimated() {
        let meter = Meter::new([("a".to_owned(), 1000), ("b".to_owned(), 1000)]);
        let start = Instant::now();
        let mut progress = Progress::default();
        meter.sample(start, &mut progress);
        assert_eq!((progress.fraction, progress.bytes_total), (0.0, None));
        meter.file(0).record(100, 1000);
        meter.file(0).finish();
        meter.file(1).record(50, 500);
        meter.sample(start + Duration::from_secs(1), &mut progress);
        assert_eq!(progress.fraction, 0.75);
        assert_eq!(progress.files_done, 1);
        let shares: Vec<_> = progress.files.iter().map(|file| (&*file.name, file.fraction)).collect();
        assert_eq!(shares, [("a", 1.0), ("b", 0.5)]);
        assert_eq!(progress.bytes_per_second, 150.0);
        assert_eq!(progress.bytes_total, Some(200));
        assert_eq!(progress.remaining_seconds, Some(50.0 / 150.0));
    }

    #[test]
    fn the_rate_forgets_what_is_long_past() {
        let meter = Meter::new([("a".to_owned(), 1 << 40)]);
        let start = Instant::now();
        let mut progress = Progress::default();
        for second in 0..60u64 {
            let bytes = if second < 30 { second * 1000 } else { 29_000 };
            meter.file(0).record(bytes, bytes);
            meter.sample(start + Duration::from_secs(second), &mut progress);
        }
        assert_eq!(progress.bytes_per_second, 0.0);
    }
}
