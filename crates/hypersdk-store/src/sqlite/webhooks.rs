//! Webhooks: endpoints, the cursor, and deliveries, many rows a statement.

mod outbox;

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use hypersdk_core::{Owner, Result, Seq};
use hypersdk_webhook::{
    Attempt, ClaimedDelivery, Cursor, Delivery, DeliveryCounts, DeliveryId, DeliveryQuery, DeliveryState,
    DeliveryStore, EndpointId, Endpoints, Halt, NewDelivery, Report, StoredEndpoint,
};
use sqlx::{QueryBuilder, Sqlite};

use super::SqliteStore;
use super::error::failed;
use crate::webhook_rows::{self as rows, RawDelivery, RawEndpoint, RawHalt};

#[async_trait]
impl DeliveryStore for SqliteStore {
    async fn endpoints(&self) -> Result<Endpoints> {
        // One snapshot, so that the revision is that of what is read.
        let failed = |error: sqlx::Error| failed("read webhooks", &error);
        let mut snapshot = self.readers.begin().await.map_err(failed)?;
        let stored: Vec<RawEndpoint> = sqlx::query_as("SELECT * FROM webhook_endpoints ORDER BY seq")
            .fetch_all(&mut *snapshot)
            .await
            .map_err(failed)?;
        let halted: Vec<RawHalt> =
            sqlx::query_as("SELECT * FROM webhook_halts").fetch_all(&mut *snapshot).await.map_err(failed)?;
        let revision = sqlx::query_scalar("SELECT revision FROM webhook_cursor")
            .fetch_one(&mut *snapshot)
            .await
            .map_err(failed)?;
        let stored = stored.into_iter().map(StoredEndpoint::try_from).collect::<Result<_>>()?;
        let halted = halted.into_iter().map(TryFrom::try_from).collect::<Result<_>>()?;
        Ok(Endpoints { stored, halted, revision })
    }

    async fn put_endpoint(&self, endpoint: StoredEndpoint) -> Result<()> {
        self.write("keep webhook", move |transaction| {
            Box::pin(async move { outbox::put_endpoint(transaction.connection(), &endpoint).await })
        })
        .await
    }

    async fn remove_endpoint(&self, id: &EndpointId) -> Result<bool> {
        let id = id.clone();
        self.write("remove webhook", move |transaction| {
            Box::pin(async move { outbox::remove_endpoint(transaction.connection(), &id).await })
        })
        .await
    }

    async fn halt(&self, id: &EndpointId, halt: Option<Halt>) -> Result<()> {
        let id = id.clone();
        self.write("halt webhook", move |transaction| {
            Box::pin(async move { outbox::halt(transaction.connection(), &id, halt.as_ref()).await })
        })
        .await
    }

    async fn cursor(&self, start: Seq) -> Result<Cursor> {
        let read = outbox::cursor(&self.readers).await?;
        if let Some(cursor) = read {
            return Ok(cursor);
        }
        self.write("make webhook cursor", move |transaction| {
            Box::pin(async move { outbox::make_cursor(transaction.connection(), start).await })
        })
        .await
    }

    async fn advance(
        &self,
        from: Cursor,
        position: Seq,
        deliveries: Vec<NewDelivery>,
    ) -> Result<(Cursor, bool)> {
        let now = self.clock.now();
        self.write("enqueue webhook deliveries", move |transaction| {
            Box::pin(async move {
                let connection = transaction.connection();
                let moved = outbox::move_cursor(connection, from, position).await?;
                if moved {
                    outbox::add(connection, &deliveries, now).await?;
                }
                Ok((outbox::make_cursor(connection, from.position).await?, moved))
            })
        })
        .await
    }

    async fn add(&self, deliveries: Vec<NewDelivery>) -> Result<()> {
        let now = self.clock.now();
        self.write("add webhook deliveries", move |transaction| {
            Box::pin(async move { outbox::add(transaction.connection(), &deliveries, now).await })
        })
        .await
    }

    async fn claim(
        &self,
        owner: &Owner,
        wanted: &[(EndpointId, usize)],
        lease: Duration,
    ) -> Result<Vec<ClaimedDelivery>> {
        let now = self.clock.now();
        // A look that costs no write: most of the time nothing is due.
        let due = outbox::with_due(&self.readers, wanted, now).await?;
        let wanted: Vec<(EndpointId, usize)> =
            wanted.iter().filter(|(id, number)| *number > 0 && due.contains(id.as_str())).cloned().collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let owner = owner.clone();
        let raw = self.write("claim webhook deliveries", move |transaction| {
            Box::pin(async move {
                let mut claimed = Vec::new();
                for (endpoint, number) in &wanted {
                    let connection = transaction.connection();
                    claimed.extend(
                        outbox::claim(connection, &owner, endpoint, *number, now, now + lease).await?,
                    );
                }
                Ok(claimed)
            })
        });
        raw.await?.into_iter().map(ClaimedDelivery::try_from).collect()
    }

    async fn report(&self, owner: &Owner, reports: Vec<Report>) -> Result<Vec<DeliveryId>> {
        if reports.is_empty() {
            return Ok(Vec::new());
        }
        let rows = rows::report_rows(&reports, self.clock.now())?;
        let owner = owner.clone();
        let written = self.write("write webhook deliveries", move |transaction| {
            Box::pin(async move { outbox::report(transaction.connection(), &owner, &rows).await })
        });
        let written: HashSet<String> = written.await?.into_iter().map(|row| row.id).collect();
        Ok(reports.into_iter().map(|report| report.id).filter(|id| !written.contains(id.as_str())).collect())
    }

    async fn renew(&self, owner: &Owner, lease: Duration) -> Result<()> {
        if !outbox::has_claims(&self.readers, owner).await? {
            return Ok(());
        }
        let (owner, until) = (owner.clone(), self.clock.now() + lease);
        self.write("prolong webhook claims", move |transaction| {
            Box::pin(async move { outbox::renew(transaction.connection(), &owner, until).await })
        })
        .await
    }

    async fn take_back(&self, owner: &Owner, all: bool) -> Result<u64> {
        let now = self.clock.now();
        if !outbox::has_lapsed(&self.readers, owner, all, now).await? {
            return Ok(0);
        }
        let owner = owner.clone();
        self.write("take webhook deliveries back", move |transaction| {
            Box::pin(async move { outbox::take_back(transaction.connection(), &owner, all, now).await })
        })
        .await
    }

    async fn next_due(&self, endpoints: &[EndpointId]) -> Result<Option<DateTime<Utc>>> {
        let micros: Option<i64> = sqlx::query_scalar(
            "SELECT min((SELECT min(d.due_at) FROM webhook_deliveries AS d
                 WHERE d.endpoint = value AND d.state = 'pending' AND d.head = 1 AND d.due_at > $2))
             FROM json_each($1)",
        )
        .bind(rows::ids(endpoints))
        .bind(self.clock.now().timestamp_micros())
        .fetch_one(&self.readers)
        .await
        .map_err(|error| failed("look for due webhook deliveries", &error))?;
        micros.map(|micros| rows::time("due_at", micros)).transpose()
    }

    async fn delivery(&self, id: &DeliveryId) -> Result<Option<Delivery>> {
        let raw: Option<RawDelivery> = sqlx::query_as("SELECT * FROM webhook_deliveries WHERE id = $1")
            .bind(id.as_str())
            .fetch_optional(&self.readers)
            .await
            .map_err(|error| failed("read webhook delivery", &error))?;
        raw.map(Delivery::try_from).transpose()
    }

    async fn deliveries(&self, query: &DeliveryQuery) -> Result<Vec<Delivery>> {
        let failed = |error: sqlx::Error| failed("list webhook deliveries", &error);
        let mut select = QueryBuilder::<Sqlite>::new("SELECT * FROM webhook_deliveries WHERE TRUE");
        if let Some(endpoint) = &query.endpoint {
            select.push(" AND endpoint = ").push_bind(endpoint.as_str());
        }
        if let Some(state) = query.state {
            select.push(" AND state = ").push_bind(state.as_str());
        }
        if let Some(before) = &query.before {
            let place: Option<i64> = sqlx::query_scalar("SELECT seq FROM webhook_deliveries WHERE id = $1")
                .bind(before.as_str())
                .fetch_optional(&self.readers)
                .await
                .map_err(failed)?;
            let place = place.ok_or_else(|| rows::no_delivery(before).context("list deliveries"))?;
            select.push(" AND seq < ").push_bind(place);
        }
        let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
        select.push(" ORDER BY seq DESC LIMIT ").push_bind(limit);
        let raw: Vec<RawDelivery> = select.build_query_as().fetch_all(&self.readers).await.map_err(failed)?;
        raw.into_iter().map(Delivery::try_from).collect()
    }

    async fn redeliver(&self, id: &DeliveryId) -> Result<bool> {
        let (id, now) = (id.clone(), self.clock.now());
        self.write("send webhook delivery again", move |transaction| {
            Box::pin(async move { outbox::redeliver(transaction.connection(), &id, now).await })
        })
        .await
    }

    async fn redeliver_dead(&self, endpoint: &EndpointId) -> Result<u64> {
        let (endpoint, now) = (endpoint.clone(), self.clock.now());
        self.write("send webhook deliveries again", move |transaction| {
            Box::pin(async move { outbox::redeliver_dead(transaction.connection(), &endpoint, now).await })
        })
        .await
    }

    async fn delivery_counts(&self) -> Result<BTreeMap<EndpointId, DeliveryCounts>> {
        let failed = |error: sqlx::Error| failed("count webhook deliveries", &error);
        let mut snapshot = self.readers.begin().await.map_err(failed)?;
        let mut counts: BTreeMap<EndpointId, DeliveryCounts> = BTreeMap::new();
        // Each from an index of its own; what was delivered is the rest.
        for (sql, state) in [
            (
                "SELECT endpoint, count(*) FROM webhook_deliveries WHERE ended_at IS NULL GROUP BY endpoint",
                DeliveryState::Pending,
            ),
            (
                "SELECT endpoint, count(*) FROM webhook_deliveries WHERE state = 'in_flight' GROUP BY endpoint",
                DeliveryState::InFlight,
            ),
            (
                "SELECT endpoint, count(*) FROM webhook_deliveries WHERE state = 'dead' GROUP BY endpoint",
                DeliveryState::Dead,
            ),
            ("SELECT endpoint, count(*) FROM webhook_deliveries GROUP BY endpoint", DeliveryState::Delivered),
        ] {
            let counted: Vec<(String, i64)> =
                sqlx::query_as(sql).fetch_all(&mut *snapshot).await.map_err(failed)?;
            for (endpoint, number) in counted {
                if let Ok(id) = endpoint.parse() {
                    *counts.entry(id).or_default().of_mut(state) = u64::try_from(number).unwrap_or_default();
                }
            }
        }
        for count in counts.values_mut() {
            count.delivered = count.delivered.saturating_sub(count.pending + count.dead);
            count.pending = count.pending.saturating_sub(count.in_flight);
        }
        Ok(counts)
    }

    async fn prune(&self, delivered: DateTime<Utc>, dead: DateTime<Utc>, limit: usize) -> Result<u64> {
        self.write("forget webhook deliveries", move |transaction| {
            Box::pin(async move { outbox::prune(transaction.connection(), delivered, dead, limit).await })
        })
        .await
    }

    async fn give_up_others(&self, known: &[EndpointId], cause: &str) -> Result<u64> {
        let now = self.clock.now();
        let (known, attempt) = (rows::ids(known), Attempt::given_up(now, cause));
        self.write("give webhook deliveries up", move |transaction| {
            Box::pin(async move { outbox::give_up_others(transaction.connection(), &known, &attempt).await })
        })
        .await
    }
}
