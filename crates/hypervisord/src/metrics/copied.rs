//! What other parts of the daemon count by themselves: session pools, kept inventories and webhooks, copied at each
//! scrape.

use std::sync::atomic::{AtomicU64, Ordering};

use hypersdk_core::{ConnectionStats, InventoryStats, NamedProvider};
use hypersdk_webhook::{EndpointStats, WebhookStats};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// The session pools, by connection.
#[derive(Debug, Default)]
pub(super) struct PoolMetrics {
    in_use: Family<ProviderLabel, Gauge>,
    max_connections: Family<ProviderLabel, Gauge>,
    reuse_ratio: Family<ProviderLabel, Gauge<f64, AtomicU64>>,
    created: Family<ProviderLabel, Counter>,
    reused: Family<ProviderLabel, Counter>,
}

/// The inventories kept in memory, by connection.
#[derive(Debug, Default)]
pub(super) struct InventoryMetrics {
    vms: Family<ProviderLabel, Gauge>,
    age: Family<ProviderLabel, Gauge<f64, AtomicU64>>,
    readings: Family<ProviderLabel, Counter>,
    changes: Family<ProviderLabel, Counter>,
}

/// The webhooks, by endpoint.
#[derive(Debug, Default)]
pub(super) struct WebhookMetrics {
    deliveries: Family<DeliveryLabels, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProviderLabel {
    provider: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeliveryLabels {
    webhook: String,
    outcome: &'static str,
}

impl PoolMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("pool_in_use", "Sessions that are lent", self.in_use.clone());
        let limit = "The most sessions there may be, 0 without a pool";
        registry.register("pool_max_connections", limit, self.max_connections.clone());
        let ratio = "Borrowers that found an open session, of all";
        registry.register("pool_reuse_ratio", ratio, self.reuse_ratio.clone());
        registry.register("pool_created", "Sessions made since the start", self.created.clone());
        let reused = "Borrowers that found an open session since the start";
        registry.register("pool_reused", reused, self.reused.clone());
    }

    pub(super) fn copy(&self, providers: impl Iterator<Item = NamedProvider>) {
        for NamedProvider { name, provider } in providers {
            self.set(name.to_string(), &provider.connections());
        }
    }

    pub(super) fn set(&self, provider: String, stats: &ConnectionStats) {
        let label = ProviderLabel { provider };
        self.in_use.get_or_create(&label).set(gauge(stats.in_use));
        self.max_connections.get_or_create(&label).set(gauge(stats.max_connections));
        self.reuse_ratio.get_or_create(&label).set(stats.reuse_ratio());
        store(&self.created.get_or_create(&label), stats.total_created);
        store(&self.reused.get_or_create(&label), stats.total_reused);
    }
}

impl InventoryMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("inventory_vms", "VMs of the inventory kept in memory", self.vms.clone());
        let age = "Since the source last confirmed the kept inventory, none if there is none to vouch for";
        registry.register_with_unit("inventory_age", age, Unit::Seconds, self.age.clone());
        let readings = "How often the whole inventory was read since the start";
        registry.register("inventory_readings", readings, self.readings.clone());
        let changes = "Changes of the inventory that the source told since the start";
        registry.register("inventory_changes", changes, self.changes.clone());
    }

    pub(super) fn copy(&self, providers: impl Iterator<Item = NamedProvider>) {
        for NamedProvider { name, provider } in providers {
            if let Some(inventory) = provider.inventory() {
                self.set(name.to_string(), &inventory.stats());
            }
        }
    }

    pub(super) fn set(&self, provider: String, stats: &InventoryStats) {
        let label = ProviderLabel { provider };
        self.vms.get_or_create(&label).set(gauge(stats.vms));
        match stats.age {
            Some(age) => _ = self.age.get_or_create(&label).set(age.as_secs_f64()),
            None => _ = self.age.remove(&label),
        }
        store(&self.readings.get_or_create(&label), stats.readings);
        store(&self.changes.get_or_create(&label), stats.changes);
    }
}

impl WebhookMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let text = "What became of attempts to deliver since the start: delivered, failed, or given up after the last";
        registry.register("webhook_deliveries", text, self.deliveries.clone());
    }

    pub(super) fn copy(&self, stats: &WebhookStats) {
        for (id, stats) in &stats.endpoints {
            self.set(id.to_string(), stats);
        }
    }

    pub(super) fn set(&self, webhook: String, stats: &EndpointStats) {
        let outcomes =
            [("delivered", stats.delivered), ("failed", stats.failed_attempts), ("dead", stats.dead)];
        for (outcome, count) in outcomes {
            let labels = DeliveryLabels { webhook: webhook.clone(), outcome };
            store(&self.deliveries.get_or_create(&labels), count);
        }
    }
}

fn gauge(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn store(counter: &Counter, count: u64) {
    counter.inner().store(count, Ordering::Relaxed);
}
