//! Deliveries in memory, for tests and for programs that need no durability.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use hypersdk_core::{Clock, Error, ErrorKind, Owner, Result, Seq};

use crate::delivery::{
    Attempt, ClaimedDelivery, Delivery, DeliveryId, DeliveryState, NewDelivery, Report, Verdict,
};
use crate::endpoint::{EndpointId, Halt, StoredEndpoint};
use crate::store::{Cursor, DeliveryCounts, DeliveryQuery, DeliveryStore, Endpoints};

/// A delivery store in memory.
#[derive(Debug, Default)]
pub struct MemoryDeliveries {
    clock: Clock,
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    endpoints: Endpoints,
    position: Option<Seq>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    delivery: Delivery,
    fence: i64,
    claim: Option<(Owner, DateTime<Utc>)>,
}

impl MemoryDeliveries {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty store that takes the time from `clock`.
    pub fn with_clock(clock: Clock) -> Self {
        MemoryDeliveries { clock, ..Self::default() }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().expect("no holder of this lock panics")
    }
}

impl Tables {
    fn cursor(&self) -> Cursor {
        Cursor { position: self.position.unwrap_or(Seq::START), revision: self.endpoints.revision }
    }

    fn add(&mut self, deliveries: Vec<NewDelivery>, now: DateTime<Utc>) {
        for new in deliveries {
            let waiting = self.rows.iter_mut().map(|row| &mut row.delivery).find(|row| {
                new.latest_only
                    && row.latest_only
                    && row.state == DeliveryState::Pending
                    && (&row.endpoint, &row.lane) == (&new.endpoint, &new.lane)
            });
            if let Some(row) = waiting {
                (row.time, row.data) = (new.time, new.data);
                continue;
            }
            let delivery = Delivery {
                id: new.id,
                endpoint: new.endpoint,
                lane: new.lane,
                event: new.event,
                time: new.time,
                data: new.data,
                latest_only: new.latest_only,
                state: DeliveryState::Pending,
                tries: 0,
                attempts: Vec::new(),
                created_at: now,
                due_at: now,
                ended_at: None,
            };
            self.rows.push(Row { delivery, fence: 0, claim: None });
        }
    }

    fn row(&mut self, id: &DeliveryId) -> Option<&mut Row> {
        self.rows.iter_mut().find(|row| row.delivery.id == *id)
    }
}

impl Row {
    fn revive(&mut self, now: DateTime<Utc>) {
        self.delivery.state = DeliveryState::Pending;
        self.delivery.tries = 0;
        self.delivery.due_at = now;
        self.delivery.ended_at = None;
    }
}

#[async_trait]
impl DeliveryStore for MemoryDeliveries {
    async fn endpoints(&self) -> Result<Endpoints> {
        Ok(self.tables().endpoints.clone())
    }

    async fn put_endpoint(&self, endpoint: StoredEndpoint) -> Result<()> {
        let mut tables = self.tables();
        let endpoints = &mut tables.endpoints;
        let place = endpoints.stored.iter().position(|known| known.id == endpoint.id);
        let version = place.map_or(0, |place| endpoints.stored[place].version);
        if version + 1 != endpoint.version {
            return Err(changed(&endpoint.id));
        }
        endpoints.halted.remove(&endpoint.id);
        match place {
            Some(place) => endpoints.stored[place] = endpoint,
            None => endpoints.stored.push(endpoint),
        }
        endpoints.revision += 1;
        Ok(())
    }

    async fn remove_endpoint(&self, id: &EndpointId) -> Result<bool> {
        let mut tables = self.tables();
        let before = tables.endpoints.stored.len();
        tables.endpoints.stored.retain(|known| known.id != *id);
        if tables.endpoints.stored.len() == before {
            return Ok(false);
        }
        tables.endpoints.halted.remove(id);
        tables.endpoints.revision += 1;
        tables.rows.retain(|row| row.delivery.endpoint != *id);
        Ok(true)
    }

    async fn halt(&self, id: &EndpointId, halt: Option<Halt>) -> Result<()> {
        let mut tables = self.tables();
        match halt {
            Some(halt) => tables.endpoints.halted.insert(id.clone(), halt),
            None => tables.endpoints.halted.remove(id),
        };
        tables.endpoints.revision += 1;
        Ok(())
    }

    async fn cursor(&self, start: Seq) -> Result<Cursor> {
        let mut tables = self.tables();
        tables.position.get_or_insert(start);
        Ok(tables.cursor())
    }

    async fn advance(
        &self,
        from: Cursor,
        position: Seq,
        deliveries: Vec<NewDelivery>,
    ) -> Result<(Cursor, bool)> {
        let now = self.clock.now();
        let mut tables = self.tables();
        if tables.cursor() != from {
            return Ok((tables.cursor(), false));
        }
        tables.position = Some(position);
        tables.add(deliveries, now);
        Ok((tables.cursor(), true))
    }

    async fn add(&self, deliveries: Vec<NewDelivery>) -> Result<()> {
        let now = self.clock.now();
        self.tables().add(deliveries, now);
        Ok(())
    }

    async fn claim(
        &self,
        owner: &Owner,
        wanted: &[(EndpointId, usize)],
        lease: Duration,
    ) -> Result<Vec<ClaimedDelivery>> {
        let now = self.clock.now();
        let mut tables = self.tables();
        let mut claims = Vec::new();
        for (endpoint, limit) in wanted {
            let mut lanes = HashSet::new();
            let mut due: Vec<&mut Row> = tables
                .rows
                .iter_mut()
                .filter(|row| row.delivery.endpoint == *endpoint && row.delivery.state.is_open())
                .filter(|row| lanes.insert(row.delivery.lane.clone()))
                .filter(|row| row.delivery.state == DeliveryState::Pending && row.delivery.due_at <= now)
                .collect();
            due.sort_by_key(|row| row.delivery.due_at);
            for row in due.into_iter().take(*limit) {
                row.delivery.state = DeliveryState::InFlight;
                row.fence += 1;
                row.claim = Some((owner.clone(), now + lease));
                claims.push(ClaimedDelivery { delivery: row.delivery.clone(), fence: row.fence });
            }
        }
        Ok(claims)
    }

    async fn report(&self, owner: &Owner, reports: Vec<Report>) -> Result<Vec<DeliveryId>> {
        let now = self.clock.now();
        let mut tables = self.tables();
        let mut lost = Vec::new();
        for report in reports {
            let row = tables.row(&report.id).filter(|row| {
                row.fence == report.fence && row.claim.as_ref().is_some_and(|(holder, _)| holder == owner)
            });
            let Some(row) = row else {
                lost.push(report.id);
                continue;
            };
            row.claim = None;
            let delivery = &mut row.delivery;
            (delivery.tries, delivery.attempts) = (report.tries, report.attempts);
            match report.verdict {
                Verdict::Retry(at) => (delivery.state, delivery.due_at) = (DeliveryState::Pending, at),
                Verdict::Release => delivery.state = DeliveryState::Pending,
                Verdict::Delivered | Verdict::Dead => {
                    let delivered = report.verdict == Verdict::Delivered;
                    delivery.state = if delivered { DeliveryState::Delivered } else { DeliveryState::Dead };
                    delivery.ended_at = Some(now);
                    if delivery.latest_only {
                        tables.rows.retain(|row| row.delivery.id != report.id);
                    }
                }
            }
        }
        Ok(lost)
    }

    async fn renew(&self, owner: &Owner, lease: Duration) -> Result<()> {
        let now = self.clock.now();
        for row in &mut self.tables().rows {
            if let Some((_, until)) = row.claim.as_mut().filter(|(holder, _)| holder == owner) {
                *until = now + lease;
            }
        }
        Ok(())
    }

    async fn take_back(&self, owner: &Owner, all: bool) -> Result<u64> {
        let now = self.clock.now();
        let mut count = 0;
        for row in &mut self.tables().rows {
            let ended =
                row.claim.as_ref().is_some_and(|(holder, until)| *until <= now || (all && holder != owner));
            if ended {
                row.claim = None;
                row.delivery.state = DeliveryState::Pending;
                count += 1;
            }
        }
        Ok(count)
    }

    async fn next_due(&self, endpoints: &[EndpointId]) -> Result<Option<DateTime<Utc>>> {
        let now = self.clock.now();
        let tables = self.tables();
        let waiting = tables.rows.iter().map(|row| &row.delivery).filter(|row| {
            row.state == DeliveryState::Pending && row.due_at > now && endpoints.contains(&row.endpoint)
        });
        Ok(waiting.map(|row| row.due_at).min())
    }

    async fn delivery(&self, id: &DeliveryId) -> Result<Option<Delivery>> {
        Ok(self.tables().row(id).map(|row| row.delivery.clone()))
    }

    async fn deliveries(&self, query: &DeliveryQuery) -> Result<Vec<Delivery>> {
        let tables = self.tables();
        let end = match &query.before {
            None => tables.rows.len(),
            Some(id) => {
                let place = tables.rows.iter().position(|row| row.delivery.id == *id);
                place.ok_or_else(|| unknown(id).context("list deliveries"))?
            }
        };
        let wanted = tables.rows[..end].iter().rev().map(|row| &row.delivery).filter(|row| {
            query.endpoint.as_ref().is_none_or(|endpoint| row.endpoint == *endpoint)
                && query.state.is_none_or(|state| row.state == state)
        });
        Ok(wanted.take(query.limit).cloned().collect())
    }

    async fn redeliver(&self, id: &DeliveryId) -> Result<bool> {
        let now = self.clock.now();
        let mut tables = self.tables();
        let row = tables.row(id).ok_or_else(|| unknown(id))?;
        if row.delivery.state.is_open() {
            return Ok(false);
        }
        row.revive(now);
        Ok(true)
    }

    async fn redeliver_dead(&self, endpoint: &EndpointId) -> Result<u64> {
        let now = self.clock.now();
        let mut count = 0;
        for row in &mut self.tables().rows {
            if row.delivery.endpoint == *endpoint && row.delivery.state == DeliveryState::Dead {
                row.revive(now);
                count += 1;
            }
        }
        Ok(count)
    }

    async fn delivery_counts(&self) -> Result<BTreeMap<EndpointId, DeliveryCounts>> {
        let mut counts: BTreeMap<EndpointId, DeliveryCounts> = BTreeMap::new();
        for row in &self.tables().rows {
            *counts.entry(row.delivery.endpoint.clone()).or_default().of_mut(row.delivery.state) += 1;
        }
        Ok(counts)
    }

    async fn prune(&self, delivered: DateTime<Utc>, dead: DateTime<Utc>, limit: usize) -> Result<u64> {
        let mut left = limit;
        self.tables().rows.retain(|row| {
            let before = match row.delivery.state {
                DeliveryState::Delivered => delivered,
                DeliveryState::Dead => dead,
                _ => return true,
            };
            let old = left > 0 && row.delivery.ended_at.is_some_and(|ended| ended < before);
            left -= usize::from(old);
            !old
        });
        Ok((limit - left) as u64)
    }

    async fn give_up_others(&self, known: &[EndpointId], cause: &str) -> Result<u64> {
        let now = self.clock.now();
        let mut count = 0;
        for row in &mut self.tables().rows {
            if row.delivery.state == DeliveryState::Pending && !known.contains(&row.delivery.endpoint) {
                row.delivery.state = DeliveryState::Dead;
                row.delivery.ended_at = Some(now);
                row.delivery.attempts.push(Attempt::given_up(now, cause));
                count += 1;
            }
        }
        Ok(count)
    }
}

fn changed(id: &EndpointId) -> Error {
    Error::new(ErrorKind::Conflict, "keep webhook", format!("webhook {id} has been changed meanwhile"))
        .with_advice("read it again and repeat the change")
}

fn unknown(id: &DeliveryId) -> Error {
    Error::new(ErrorKind::NotFound, "find delivery", format!("there is no delivery {:?}", id.as_str()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::conformance;

    #[tokio::test]
    async fn it_does_what_every_store_does() {
        conformance::delivery_store(&|clock| {
            Box::pin(async { Arc::new(MemoryDeliveries::with_clock(clock)) as Arc<dyn DeliveryStore> })
        })
        .await;
    }
}
