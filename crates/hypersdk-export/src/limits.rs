//! What keeps exports polite, changeable while they run.

use crate::admission::{Admission, Caps};
use crate::bandwidth::{Bandwidth, Timetable};

/// Caps on concurrent exports and on the rate of all transfers together. Clones are one: a change through any of
/// them is obeyed by every export that shares it, also by those in flight. A change lasts as long as the process.
#[derive(Debug, Clone)]
pub struct Limits {
    pub(crate) admission: Admission,
    pub(crate) bandwidth: Bandwidth,
}

impl Limits {
    /// These caps and this rate.
    pub fn new(caps: Caps, bandwidth: Timetable) -> Self {
        Limits { admission: Admission::new(caps), bandwidth: Bandwidth::new(bandwidth) }
    }

    /// The caps on concurrent exports.
    pub fn caps(&self) -> Caps {
        self.admission.caps()
    }

    /// Other caps, for exports whose turn has not come yet.
    pub fn set_caps(&self, caps: Caps) {
        self.admission.set_caps(caps);
    }

    /// The rates by time of day.
    pub fn bandwidth(&self) -> Timetable {
        self.bandwidth.timetable()
    }

    /// Other rates, for transfers in flight too.
    pub fn set_bandwidth(&self, timetable: Timetable) {
        self.bandwidth.set(timetable);
    }

    /// The rate in force now, in bytes a second; none is no limit.
    pub fn current_rate(&self) -> Option<u64> {
        self.bandwidth.rate()
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits::new(Caps::default(), Timetable::default())
    }
}
