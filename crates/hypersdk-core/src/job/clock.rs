//! Where a store and the manager take the time from, so that tests can turn it.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, SubsecRound, Utc};

/// A source of the time, in whole microseconds: what every store keeps without loss.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>);

impl Clock {
    /// A clock that asks `now`.
    pub fn new(now: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        Clock(Arc::new(now))
    }

    /// The machine's clock.
    pub fn system() -> Self {
        Clock::new(Utc::now)
    }

    /// A clock that starts at the machine's time and then goes with tokio's, which tests may pause.
    pub fn of_runtime() -> Self {
        let (wall, start) = (Utc::now(), tokio::time::Instant::now());
        Clock::new(move || wall + start.elapsed())
    }

    /// The time.
    pub fn now(&self) -> DateTime<Utc> {
        (self.0)().trunc_subsecs(6)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Clock::system()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}
