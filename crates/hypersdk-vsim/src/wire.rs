//! XML in and out: requests as a generic tree, replies as typed values.

mod envelope;
mod fault;
mod tree;
mod value;

pub(crate) use envelope::{Call, fault_reply, parse_call, reply};
pub(crate) use fault::Fault;
pub(crate) use tree::Node;
pub(crate) use value::{MoRef, Struct, Value};
