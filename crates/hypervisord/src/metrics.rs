//! What the daemon counts, for Prometheus.
//!
//! Events are counted as they pass in the log, so that a job counts once however it came to its end; what is
//! a state (jobs by status, the size of the database) is looked up when somebody scrapes.

mod copied;
mod follow;
mod http;
mod scrape;
#[cfg(test)]
mod tests;

use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

pub(crate) use follow::follow;
pub(crate) use scrape::Sources;

use copied::{InventoryMetrics, PoolMetrics, WebhookMetrics};
use http::HttpLabels;

/// A gauge of seconds or a ratio.
type Float = Gauge<f64, AtomicU64>;

/// Every number.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Mutex<Registry>,
    http_requests: Family<HttpLabels, Counter>,
    http_duration: Family<RouteLabel, Histogram, fn() -> Histogram>,
    jobs: Family<StatusLabel, Gauge>,
    jobs_ended: Family<StatusLabel, Counter>,
    jobs_created: Counter,
    jobs_requeued: Counter,
    job_duration: Histogram,
    package_size: Histogram,
    packages_bytes: Counter,
    transfer_rate: Float,
    database_size: Gauge,
    store_latency: Family<OperationLabel, Histogram, fn() -> Histogram>,
    uptime: Float,
    pools: PoolMetrics,
    inventories: InventoryMetrics,
    webhooks: WebhookMetrics,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabel {
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabel {
    operation: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: Route,
}

/// A route as the router has it, never a path as somebody sent it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Route(String);

impl EncodeLabelValue for Route {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.0.as_str().encode(encoder)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabels {
    version: &'static str,
}

impl Metrics {
    /// All of them at zero.
    pub(crate) fn new() -> Self {
        let milliseconds = || Histogram::new(exponential_buckets(0.001, 2.0, 14));
        let metrics = Metrics {
            registry: Mutex::new(Registry::with_prefix("hypersdk")),
            http_requests: Family::default(),
            http_duration: Family::new_with_constructor(milliseconds),
            jobs: Family::default(),
            jobs_ended: Family::default(),
            jobs_created: Counter::default(),
            jobs_requeued: Counter::default(),
            // From a second to nine hours.
            job_duration: Histogram::new(exponential_buckets(1.0, 2.0, 16)),
            // From a megabyte to a terabyte.
            package_size: Histogram::new(exponential_buckets(1e6, 4.0, 11)),
            packages_bytes: Counter::default(),
            transfer_rate: Float::default(),
            database_size: Gauge::default(),
            store_latency: Family::new_with_constructor(milliseconds),
            uptime: Float::default(),
            pools: PoolMetrics::default(),
            inventories: InventoryMetrics::default(),
            webhooks: WebhookMetrics::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&self) {
        let mut registry = self.registry.lock().expect("no holder of this lock panics");
        let build = Info::new(BuildLabels { version: env!("CARGO_PKG_VERSION") });
        registry.register("build", "The version that runs", build);
        registry.register_with_unit("uptime", "Since the daemon started", Unit::Seconds, self.uptime.clone());
        registry.register("jobs", "Jobs in the database, by status", self.jobs.clone());
        registry.register("jobs_created", "Jobs accepted since the start", self.jobs_created.clone());
        registry.register(
            "jobs_requeued",
            "Attempts that were put back since the start",
            self.jobs_requeued.clone(),
        );
        registry.register(
            "jobs_ended",
            "Jobs that ended since the start, by status",
            self.jobs_ended.clone(),
        );
        registry.register_with_unit(
            "job_duration",
            "What exports that completed took",
            Unit::Seconds,
            self.job_duration.clone(),
        );
        registry.register_with_unit(
            "package_size",
            "Packages that were written",
            Unit::Bytes,
            self.package_size.clone(),
        );
        registry.register_with_unit(
            "packages",
            "Bytes of packages that were written since the start",
            Unit::Bytes,
            self.packages_bytes.clone(),
        );
        registry.register(
            "transfer_bytes_per_second",
            "What running exports receive now",
            self.transfer_rate.clone(),
        );
        registry.register_with_unit(
            "database_size",
            "The database, its log included",
            Unit::Bytes,
            self.database_size.clone(),
        );
        registry.register_with_unit(
            "store_latency",
            "What a look into the database and a write took, as found at each scrape",
            Unit::Seconds,
            self.store_latency.clone(),
        );
        self.pools.register(&mut registry);
        self.inventories.register(&mut registry);
        self.webhooks.register(&mut registry);
        registry.register("http_requests", "Requests answered", self.http_requests.clone());
        registry.register_with_unit(
            "http_request_duration",
            "Until the head of the answer, by route",
            Unit::Seconds,
            self.http_duration.clone(),
        );
    }
}
