#![doc = include_str!("../README.md")]

#[cfg(any(test, feature = "testing"))]
pub mod testing {
    //! The conformance suite, for tests of whatever implements the port.
    pub use crate::conformance::{DeliveryStoreFactory, delivery_store as delivery_store_conformance};
}

mod breaker;
mod client;
#[cfg(any(test, feature = "testing"))]
mod conformance;
mod deliverer;
mod delivery;
mod directory;
mod endpoint;
mod filter;
mod memory;
mod payload;
mod signature;
mod stats;
mod store;
mod target;
mod vault;

pub use client::{Request, request};
pub use deliverer::{Deliverer, DelivererConfig, Parts, ProgressSource, Sample};
pub use delivery::{
    Answer, Attempt, ClaimedDelivery, Delivery, DeliveryId, DeliveryState, NewDelivery, Report, Verdict,
    judge,
};
pub use endpoint::{
    Endpoint, EndpointId, EndpointInput, EndpointSpec, Fault, Halt, Headers, MASK, Origin, StoredEndpoint,
};
pub use filter::{EventFilter, PROGRESS, TEST};
pub use memory::MemoryDeliveries;
pub use payload::{Message, Payload, Profile};
pub use signature::{Secret, signature};
pub use stats::{EndpointStats, WebhookStats};
pub use store::{Cursor, DeliveryCounts, DeliveryQuery, DeliveryStore, Endpoints};
pub use target::{check_url, refused};
pub use vault::{Vault, write_key};
