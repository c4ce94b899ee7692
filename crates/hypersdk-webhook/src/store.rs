//! The port to whatever keeps endpoints and deliveries.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use hypersdk_core::{Owner, Result, Seq};

use crate::delivery::{ClaimedDelivery, Delivery, DeliveryId, DeliveryState, NewDelivery, Report};
use crate::endpoint::{EndpointId, Halt, StoredEndpoint};

/// How far the log has been turned into deliveries, and by which endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Every event up to here has its deliveries.
    pub position: Seq,
    /// Rises whenever an endpoint is kept, changed or removed.
    pub revision: i64,
}

/// Everything that is kept about endpoints.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Endpoints {
    /// Those of the API, the oldest first.
    pub stored: Vec<StoredEndpoint>,
    /// Those that were halted, wherever they are from.
    pub halted: BTreeMap<EndpointId, Halt>,
    /// Rises with each change of either.
    pub revision: i64,
}

/// Which deliveries to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryQuery {
    /// Of one endpoint; of all if absent.
    pub endpoint: Option<EndpointId>,
    /// In this state; in any if absent.
    pub state: Option<DeliveryState>,
    /// Older than this one, in the listing's order (newest first).
    pub before: Option<DeliveryId>,
    /// At most this many.
    pub limit: usize,
}

/// How many deliveries an endpoint has in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeliveryCounts {
    /// Waiting.
    pub pending: u64,
    /// Being sent.
    pub in_flight: u64,
    /// Delivered, as far as they are still kept.
    pub delivered: u64,
    /// Given up, as far as they are still kept.
    pub dead: u64,
}

impl DeliveryCounts {
    /// The number in one state.
    pub fn of_mut(&mut self, state: DeliveryState) -> &mut u64 {
        match state {
            DeliveryState::Pending => &mut self.pending,
            DeliveryState::InFlight => &mut self.in_flight,
            DeliveryState::Delivered => &mut self.delivered,
            DeliveryState::Dead => &mut self.dead,
        }
    }
}

/// Keeps endpoints and deliveries.
///
/// # Guarantees
/// - [`advance`](Self::advance) is one write: an event becomes a delivery once, whoever dies when.
/// - A delivery is claimed by one owner at a time; a report whose fence is old changes nothing.
/// - Of one endpoint and lane, only the oldest delivery that is not ended is ever claimed.
/// - What returned `Ok` survives the death of the process.
/// - Times are kept in whole microseconds, and come from the store's clock.
#[async_trait]
pub trait DeliveryStore: fmt::Debug + Send + Sync + 'static {
    /// Everything about endpoints.
    async fn endpoints(&self) -> Result<Endpoints>;

    /// Keeps an endpoint, new if its version is 1, else in the place of the version before. Ends its halt.
    ///
    /// # Errors
    /// `Conflict` if there is one already, or if it has been changed or removed meanwhile.
    async fn put_endpoint(&self, endpoint: StoredEndpoint) -> Result<()>;

    /// Removes an endpoint and every delivery to it. True if there was one.
    async fn remove_endpoint(&self, id: &EndpointId) -> Result<bool>;

    /// Halts an endpoint, or with `None` ends its halt.
    async fn halt(&self, id: &EndpointId, halt: Option<Halt>) -> Result<()>;

    /// The cursor; made at `start` if there is none yet.
    async fn cursor(&self, start: Seq) -> Result<Cursor>;

    /// Moves the cursor to `position` and adds deliveries, if the cursor is still `from`. Otherwise nothing
    /// is changed. Returns the cursor as it then is, and whether it was moved.
    async fn advance(
        &self,
        from: Cursor,
        position: Seq,
        deliveries: Vec<NewDelivery>,
    ) -> Result<(Cursor, bool)>;

    /// Adds deliveries that come from no event of the log.
    async fn add(&self, deliveries: Vec<NewDelivery>) -> Result<()>;

    /// Takes deliveries that are due, up to a number for each endpoint, for `owner`; the claims end after
    /// `lease` unless they are renewed. Those of one endpoint come oldest first.
    async fn claim(
        &self,
        owner: &Owner,
        wanted: &[(EndpointId, usize)],
        lease: Duration,
    ) -> Result<Vec<ClaimedDelivery>>;

    /// Ends claims. Returns those that `owner` had lost.
    async fn report(&self, owner: &Owner, reports: Vec<Report>) -> Result<Vec<DeliveryId>>;

    /// Prolongs every claim of `owner`.
    async fn renew(&self, owner: &Owner, lease: Duration) -> Result<()>;

    /// Makes deliveries pending again whose claims have ended, or with `all` those of every other owner.
    /// Returns how many.
    async fn take_back(&self, owner: &Owner, all: bool) -> Result<u64>;

    /// The earliest time after now at which a delivery to one of these is due.
    async fn next_due(&self, endpoints: &[EndpointId]) -> Result<Option<DateTime<Utc>>>;

    /// A delivery.
    async fn delivery(&self, id: &DeliveryId) -> Result<Option<Delivery>>;

    /// Deliveries, the newest first.
    ///
    /// # Errors
    /// `NotFound` if `query.before` names none.
    async fn deliveries(&self, query: &DeliveryQuery) -> Result<Vec<Delivery>>;

    /// Sends an ended delivery again, with all its tries before it. False if it has not ended.
    ///
    /// # Errors
    /// `NotFound` for an unknown one.
    async fn redeliver(&self, id: &DeliveryId) -> Result<bool>;

    /// Sends every dead delivery of an endpoint again. Returns how many.
    async fn redeliver_dead(&self, endpoint: &EndpointId) -> Result<u64>;

    /// How many there are in each state, by endpoint.
    async fn delivery_counts(&self) -> Result<BTreeMap<EndpointId, DeliveryCounts>>;

    /// Forgets up to `limit` deliveries that were delivered before `delivered`, or died before `dead`.
    /// Returns how many.
    async fn prune(&self, delivered: DateTime<Utc>, dead: DateTime<Utc>, limit: usize) -> Result<u64>;

    /// Gives up, with this text as the cause, what waits for endpoints other than these. Returns how many.
    async fn give_up_others(&self, known: &[EndpointId], cause: &str) -> Result<u64>;
}
