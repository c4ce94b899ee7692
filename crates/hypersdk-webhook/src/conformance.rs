//! What every delivery store does, as a suite that any implementation can run.

mod claiming;
mod endpoints;
mod reading;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use hypersdk_core::{Clock, Owner, Seq};
use serde_json::json;

use crate::delivery::{Attempt, ClaimedDelivery, DeliveryId, NewDelivery, Report, Verdict};
use crate::endpoint::EndpointId;
use crate::store::DeliveryStore;

/// Opens an empty store that takes the time from the given clock; a new one at each call.
pub type DeliveryStoreFactory<'a> = dyn Fn(Clock) -> BoxFuture<'a, Arc<dyn DeliveryStore>> + Send + Sync + 'a;

const LEASE: Duration = Duration::from_secs(30);

/// Runs the whole suite.
///
/// # Panics
/// On the first thing the store does not do.
pub async fn delivery_store(open: &DeliveryStoreFactory<'_>) {
    endpoints::all(open).await;
    claiming::all(open).await;
    reading::all(open).await;
}

/// A store under test, the hand on its clock, and a daemon's name.
struct Bench {
    store: Arc<dyn DeliveryStore>,
    micros: Arc<AtomicI64>,
    owner: Owner,
}

impl Bench {
    async fn new(open: &DeliveryStoreFactory<'_>) -> Self {
        let micros = Arc::new(AtomicI64::new(1_800_000_000_000_001));
        let hand = micros.clone();
        let clock = Clock::new(move || instant(hand.load(Ordering::SeqCst)));
        Bench { store: open(clock).await, micros, owner: Owner::unique() }
    }

    fn now(&self) -> DateTime<Utc> {
        instant(self.micros.load(Ordering::SeqCst))
    }

    fn advance_clock(&self, by: Duration) {
        self.micros.fetch_add(i64::try_from(by.as_micros()).expect("a little"), Ordering::SeqCst);
    }

    /// Adds deliveries, each with the name of its lane and its event.
    async fn add(&self, endpoint: &str, deliveries: &[(&str, &str)]) -> Vec<DeliveryId> {
        let new: Vec<NewDelivery> =
            deliveries.iter().map(|(lane, event)| self.new_delivery(endpoint, lane, event)).collect();
        let ids = new.iter().map(|new| new.id.clone()).collect();
        self.store.add(new).await.expect("deliveries are added");
        ids
    }

    fn new_delivery(&self, endpoint: &str, lane: &str, event: &str) -> NewDelivery {
        NewDelivery {
            id: DeliveryId::generate(),
            endpoint: id(endpoint),
            lane: lane.to_owned(),
            event: event.to_owned(),
            time: self.now(),
            data: json!({ "job_id": lane, "vm_path": "/DC0/vm/ü \"x\"" }),
            latest_only: event == "job.progress",
        }
    }

    async fn claim(&self, endpoint: &str, limit: usize) -> Vec<ClaimedDelivery> {
        self.claim_as(&self.owner, endpoint, limit).await
    }

    async fn claim_as(&self, owner: &Owner, endpoint: &str, limit: usize) -> Vec<ClaimedDelivery> {
        self.store.claim(owner, &[(id(endpoint), limit)], LEASE).await.expect("claiming works")
    }

    async fn report(&self, claimed: &ClaimedDelivery, verdict: Verdict) -> Vec<DeliveryId> {
        let report = self.report_of(claimed, verdict);
        self.store.report(&self.owner, vec![report]).await.expect("reporting works")
    }

    fn report_of(&self, claimed: &ClaimedDelivery, verdict: Verdict) -> Report {
        let attempt = Attempt {
            at: self.now(),
            status: Some(503),
            duration_ms: 12,
            error: Some("answered 503 ü".to_owned()),
            answer: Some("busy".to_owned()),
            next_at: None,
        };
        Report {
            id: claimed.delivery.id.clone(),
            fence: claimed.fence,
            verdict,
            tries: claimed.delivery.tries + 1,
            attempts: claimed.delivery.attempts.iter().cloned().chain([attempt]).collect(),
        }
    }

    async fn events(&self, endpoint: &str, limit: usize) -> Vec<String> {
        let mut claimed: Vec<String> = self.claim(endpoint, limit).await.iter().map(told).collect();
        claimed.sort();
        claimed
    }
}

fn told(claimed: &ClaimedDelivery) -> String {
    format!("{} {}", claimed.delivery.lane, claimed.delivery.event)
}

fn instant(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).expect("a time in this century")
}

fn id(text: &str) -> EndpointId {
    text.parse().expect("an endpoint id")
}

fn seq(number: i64) -> Seq {
    Seq(number)
}
