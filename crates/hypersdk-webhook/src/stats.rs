//! What was done since the start, for people and for metrics.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use serde::Serialize;

use crate::delivery::Verdict;
use crate::endpoint::EndpointId;

/// What was done for one endpoint since this process began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct EndpointStats {
    /// Requests made.
    pub attempts: u64,
    /// Deliveries that were taken.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed_attempts: u64,
    /// Deliveries that were given up.
    pub dead: u64,
    /// Seconds that attempts took, in all.
    pub attempt_seconds: f64,
    /// Requests on their way now.
    pub in_flight: u64,
    /// The circuit is open: nothing is sent until a probe succeeds.
    pub circuit_open: bool,
}

/// The same, by endpoint and in all.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct WebhookStats {
    /// By endpoint.
    pub endpoints: BTreeMap<EndpointId, EndpointStats>,
    /// In all.
    pub total: EndpointStats,
}

#[derive(Debug, Default)]
pub(crate) struct Counters(Mutex<BTreeMap<EndpointId, EndpointStats>>);

impl Counters {
    fn all(&self) -> MutexGuard<'_, BTreeMap<EndpointId, EndpointStats>> {
        self.0.lock().expect("no holder of this lock panics")
    }

    fn change(&self, id: &EndpointId, change: impl FnOnce(&mut EndpointStats)) {
        let mut all = self.all();
        match all.get_mut(id) {
            Some(stats) => change(stats),
            None => change(all.entry(id.clone()).or_default()),
        }
    }

    pub(crate) fn began(&self, id: &EndpointId) {
        self.change(id, |stats| stats.in_flight += 1);
    }

    pub(crate) fn ended(&self, id: &EndpointId, verdict: Option<Verdict>, took: Duration) {
        self.change(id, |stats| {
            stats.in_flight = stats.in_flight.saturating_sub(1);
            let Some(verdict) = verdict else { return };
            stats.attempts += 1;
            stats.attempt_seconds += took.as_secs_f64();
            match verdict {
                Verdict::Delivered => stats.delivered += 1,
                Verdict::Dead => {
                    stats.dead += 1;
                    stats.failed_attempts += 1;
                }
                Verdict::Retry(_) => stats.failed_attempts += 1,
                Verdict::Release => {}
            }
        });
    }

    pub(crate) fn circuit(&self, id: &EndpointId, open: bool) {
        self.change(id, |stats| stats.circuit_open = open);
    }

    pub(crate) fn read(&self) -> WebhookStats {
        let endpoints = self.all().clone();
        let mut total = EndpointStats::default();
        for stats in endpoints.values() {
            total.attempts += stats.attempts;
            total.delivered += stats.delivered;
            total.failed_attempts += stats.failed_attempts;
            total.dead += stats.dead;
            total.attempt_seconds += stats.attempt_seconds;
            total.in_flight += stats.in_flight;
            total.circuit_open |= stats.circuit_open;
        }
        WebhookStats { endpoints, total }
    }
}
