//! The simulated world: entities, sessions, tasks, leases, snapshots.

mod entity;
mod inventory;
mod lease;
mod rename;
mod session;
mod snapshot;
mod task;
mod world;

pub(crate) use entity::{DRIVE, Entity, EntityKind, Vm, VmDisk};
pub(crate) use inventory::{add_machine, populate};
pub(crate) use lease::{FileSource, Lease, LeaseEnd, LeasePhase, Sums};
pub(crate) use session::Session;
pub(crate) use task::{Task, TaskPhase};
pub(crate) use world::{Endpoint, State, View, World};
