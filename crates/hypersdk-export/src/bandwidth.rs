//! How fast all transfers together may be: one bucket of bytes, refilled at a rate that a timetable names.
//!
//! A transfer takes from the bucket what it has received and waits while the bucket is overdrawn; the source then
//! waits for it, by TCP. Changing the limit wakes everybody who waits.

mod throttled;
mod timetable;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use chrono::Local;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

pub(crate) use throttled::Throttled;
pub use timetable::{InvalidTimetable, Timetable};

/// The bucket holds what this long brings.
const BURST: Duration = Duration::from_millis(250);
/// How often the time of day is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// A limit that all transfers share. Clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Bandwidth {
    bucket: Arc<Mutex<Bucket>>,
    changed: watch::Sender<()>,
}

#[derive(Debug)]
struct Bucket {
    timetable: Timetable,
    /// Bytes a second; none is no limit.
    rate: Option<f64>,
    /// When the timetable is asked again.
    look: Instant,
    /// Bytes that may be taken; below zero what was taken in advance.
    bytes: f64,
    filled: Instant,
}

impl Bucket {
    fn refill(&mut self, now: Instant) {
        if now >= self.look {
            let rate = self.timetable.rate_at(Local::now().time()).map(|rate| rate as f64);
            if rate != self.rate {
                self.rate = rate;
                self.bytes = self.bytes.min(0.0);
            }
            self.look = now + LOOK;
        }
        let passed = now.duration_since(self.filled).as_secs_f64();
        self.filled = now;
        match self.rate {
            Some(rate) => self.bytes = (self.bytes + rate * passed).min(rate * BURST.as_secs_f64()),
            None => self.bytes = 0.0,
        }
    }

    /// How long until something may be taken; nothing if it may now.
    fn wait(&self) -> Option<Duration> {
        let rate = self.rate?;
        // A whole byte, so that rounding never leaves a wait of nothing.
        (self.bytes < 0.0).then(|| Duration::from_secs_f64((1.0 - self.bytes) / rate))
    }
}

impl Bandwidth {
    pub(crate) fn new(timetable: Timetable) -> Self {
        let now = Instant::now();
        let bucket = Bucket { timetable, rate: None, look: now, bytes: 0.0, filled: now };
        Bandwidth { bucket: Arc::new(Mutex::new(bucket)), changed: watch::Sender::new(()) }
    }

    pub(crate) fn timetable(&self) -> Timetable {
        self.lock().timetable.clone()
    }

    /// The limit in force now, in bytes a second.
    pub(crate) fn rate(&self) -> Option<u64> {
        self.lock().timetable.rate_at(Local::now().time())
    }

    /// Another limit, for transfers in flight too.
    pub(crate) fn set(&self, timetable: Timetable) {
        {
            let mut bucket = self.lock();
            bucket.timetable = timetable;
            bucket.look = Instant::now();
            // What was overdrawn at the old rate is no debt at the new one.
            bucket.bytes = 0.0;
        }
        self.changed.send_replace(());
    }

    /// Accounts for bytes that have come, and waits until that many may come.
    pub(crate) async fn take(&self, bytes: usize) {
        {
            let mut bucket = self.lock();
            bucket.refill(Instant::now());
            if bucket.rate.is_none() {
                return;
            }
            bucket.bytes -= bytes as f64;
        }
        let mut changed = self.changed.subscribe();
        loop {
            let wait = {
                let mut bucket = self.lock();
                bucket.refill(Instant::now());
                bucket.wait()
            };
            let Some(wait) = wait else { return };
            tokio::select! {
                () = sleep(wait.min(LOOK)) => {}
                _ = changed.changed() => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().expect("no holder of this lock panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn transfer(bandwidth: Bandwidth, bytes: usize) {
        for _ in 0..bytes / 10_000 {
            bandwidth.take(10_000).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn transfers_together_keep_to_the_limit() {
        let bandwidth = Bandwidth::new("1000k".parse().unwrap());
        let begun = Instant::now();
        tokio::join!(
            transfer(bandwidth.clone(), 2_048_000),
            transfer(bandwidth.clone(), 2_048_000),
            transfer(bandwidth.clone(), 1_024_000)
        );
        let took = begun.elapsed().as_secs_f64();
        assert!((4.5..5.5).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_limit_is_obeyed_in_flight() {
        let bandwidth = Bandwidth::new("1k".parse().unwrap());
        let begun = Instant::now();
        let slow = transfer(bandwidth.clone(), 10_000_000);
        let change = async {
            sleep(Duration::from_secs(2)).await;
            bandwidth.set("off".parse().unwrap());
        };
        tokio::join!(slow, change);
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_nobody_waits() {
        let bandwidth = Bandwidth::new(Timetable::default());
        let begun = Instant::now();
        transfer(bandwidth, 100_000_000).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
