//! The deliverer over real sockets, with stores in memory.

mod behaviour;
mod receiver;
mod tuning;

use std::sync::Arc;
use std::time::Duration;

use hypersdk_core::{Clock, JobId, JobSpec, JobStore, MemoryStore, NewJob, Seq};

use super::*;
use crate::delivery::{Delivery, DeliveryState};
use crate::endpoint::EndpointInput;
use crate::memory::MemoryDeliveries;
use crate::store::DeliveryQuery;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Jobs, deliveries and a deliverer.
struct Bench {
    jobs: Arc<MemoryStore>,
    store: Arc<MemoryDeliveries>,
    deliverer: Deliverer,
}

fn endpoint(id: &str, url: &str, change: impl FnOnce(&mut EndpointInput)) -> Endpoint {
    let mut input = EndpointInput {
        url: Some(url.to_owned()),
        allow_private: Some(true),
        retry_delay: Some(Duration::from_millis(10)),
        ..EndpointInput::default()
    };
    change(&mut input);
    Endpoint::configured(id.parse().unwrap(), input.check(false, None).unwrap())
}

impl Bench {
    async fn new(endpoints: Vec<Endpoint>) -> Self {
        Self::with(endpoints, None, DelivererConfig::default()).await
    }

    async fn with(
        configured: Vec<Endpoint>,
        progress: Option<Arc<dyn ProgressSource>>,
        config: DelivererConfig,
    ) -> Self {
        let clock = Clock::of_runtime();
        let jobs = Arc::new(MemoryStore::with_clock(clock.clone()));
        let store = Arc::new(MemoryDeliveries::with_clock(clock.clone()));
        let parts = Parts {
            store: store.clone(),
            log: jobs.clone(),
            configured,
            vault: Some(crate::vault::for_tests(1)),
            progress,
            shape: Arc::new(|event| event.data.clone()),
        };
        let config = DelivererConfig { clock, ..config };
        let deliverer = Deliverer::start(parts, config, Seq::START).await.unwrap();
        Bench { jobs, store, deliverer }
    }

    /// Has `number` jobs go through created and cancelled.
    async fn jobs(&self, number: usize) {
        for _ in 0..number {
            let spec = JobSpec::new("/DC0/vm/web01".parse().unwrap(), "/srv");
            let job = self.jobs.submit(vec![NewJob { id: JobId::generate(), spec }]).await.unwrap().remove(0);
            self.jobs.cancel(&job.id).await.unwrap();
        }
    }

    async fn deliveries(&self) -> Vec<Delivery> {
        let query = DeliveryQuery { endpoint: None, state: None, before: None, limit: 10_000 };
        let mut all = self.store.deliveries(&query).await.unwrap();
        all.reverse();
        all
    }

    /// Waits until `wanted` holds of the deliveries; for a (paused or real) while at most.
    async fn until(&self, wanted: impl Fn(&[Delivery]) -> bool) -> Vec<Delivery> {
        let waiting = async {
            loop {
                let all = self.deliveries().await;
                if wanted(&all) {
                    return all;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        match tokio::time::timeout(Duration::from_secs(600), waiting).await {
            Ok(all) => all,
            Err(_) => panic!("it did not come to pass: {:#?}", self.deliveries().await),
        }
    }

    async fn all_ended(&self, number: usize) -> Vec<Delivery> {
        self.until(|all| all.len() >= number && all.iter().all(|one| !one.state.is_open())).await
    }
}

fn count(all: &[Delivery], state: DeliveryState) -> usize {
    all.iter().filter(|one| one.state == state).count()
}
