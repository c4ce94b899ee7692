//! SOAP 1.1 as vSphere speaks it: envelopes, faults and the HTTP transport. Knows no managed object.

mod element;
mod envelope;
mod fault;
mod fault_rules;
mod names;
mod transport;
mod versions;
mod writer;

#[cfg(test)]
pub(crate) use element::parse_tree;
pub(crate) use element::{Element, Malformed, MoRef, Properties};
pub(crate) use envelope::{Call, ReplyReader};
pub use fault::{Fault, FaultClass, FaultKind};
pub(crate) use names::{Name, name};
pub(crate) use transport::{CallError, Cookie, SoapClient};
pub(crate) use versions::negotiate;
pub(crate) use writer::Writer;
