//! The database's time, known without asking for each change.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use chrono::{DateTime, Utc};
use hypersdk_core::Clock;

/// The database's time as it was last heard, carried on by this machine's steady clock: a wall clock that is
/// wrong, or is set meanwhile, has no part in it.
#[derive(Debug, Clone)]
pub(super) struct DatabaseTime(Arc<Mutex<(DateTime<Utc>, Instant)>>);

impl DatabaseTime {
    pub(super) fn new(now: DateTime<Utc>) -> Self {
        DatabaseTime(Arc::new(Mutex::new((now, Instant::now()))))
    }

    /// Notes what the database says it is now.
    pub(super) fn heard(&self, now: DateTime<Utc>) {
        *self.0.lock().expect("no holder of this lock panics") = (now, Instant::now());
    }

    pub(super) fn clock(&self) -> Clock {
        let this = self.clone();
        Clock::new(move || {
            let (heard, at) = *this.0.lock().expect("no holder of this lock panics");
            heard + at.elapsed()
        })
    }
}
