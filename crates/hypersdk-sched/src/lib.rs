#![doc = include_str!("../README.md")]

#[cfg(any(test, feature = "testing"))]
pub mod testing {
    //! Fakes and the conformance suite, for tests of whatever implements or uses a port.
    pub use crate::conformance::{StoreFactory, schedule_store as schedule_store_conformance};
    pub use crate::fake::FakeLauncher;
}

mod change;
#[cfg(any(test, feature = "testing"))]
mod conformance;
mod cron;
#[cfg(any(test, feature = "testing"))]
mod fake;
mod firing;
mod launcher;
mod memory;
mod plan;
mod retention;
mod schedule;
mod scheduler;
mod store;
mod window;

pub use change::{Accounted, NewEvent};
pub use cron::{Cron, CronError};
pub use firing::{Cause, Firing, FiringKey, FiringState, RunEnd, Step};
pub use launcher::{Launcher, Standing};
pub use memory::MemorySchedules;
pub use plan::Accounting;
pub use retention::{Candidate, Judgement, Retention};
pub use schedule::{CatchUp, NewSchedule, Overlap, Schedule, ScheduleSpec};
pub use scheduler::{Scheduler, SchedulerConfig};
pub use store::{KEPT_FIRINGS, KEPT_FIRINGS_FOR, ScheduleStore};
pub use window::{Blackout, Window};

pub use chrono_tz::{TZ_VARIANTS, Tz};
