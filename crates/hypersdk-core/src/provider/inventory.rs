//! A copy of an inventory that its source keeps up to date.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::id::VmId;
use crate::vm::VmSummary;

/// A copy of a provider's inventory in memory, which the source tells of every change.
///
/// It is read when somebody asks first, and given up when nobody has asked for long.
#[async_trait]
pub trait Inventory: fmt::Debug + Send + Sync {
    /// The copy as it is now. Whoever asks first waits until it has been read.
    ///
    /// None while nobody can vouch for it: it could not be read, or the source has fallen silent. Then only
    /// [`Provider::list`](super::Provider::list) tells, or tells what is wrong.
    async fn copy(&self) -> Option<InventoryCopy>;

    /// What changes from now on, for as long as the stream is kept. It begins with a [`VmChange::Reset`].
    fn changes(&self) -> BoxStream<'static, VmChange>;

    /// Figures. Cheap, never waits, and makes nobody read anything.
    fn stats(&self) -> InventoryStats;
}

/// An inventory at a moment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct InventoryCopy {
    /// Every VM, by inventory path and then by identifier.
    pub vms: Arc<[VmSummary]>,
    /// How long ago the source last confirmed that there are no other changes. They are told at once, so that the
    /// copy is as a rule younger than this.
    pub age: Duration,
}

impl InventoryCopy {
    /// VMs in their order, and the age of what is known of them.
    pub fn new(vms: Arc<[VmSummary]>, age: Duration) -> Self {
        InventoryCopy { vms, age }
    }
}

/// A change of an inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum VmChange {
    /// There is a new VM.
    Added(Arc<VmSummary>),
    /// Something of a VM is other than it was.
    Changed(Arc<VmSummary>),
    /// A VM is gone.
    Removed(VmId),
    /// Any of them may be other than it was: list them anew.
    Reset,
}

/// A kept copy, in figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InventoryStats {
    /// VMs in the copy.
    pub vms: u64,
    /// As [`InventoryCopy::age`]; none if there is no copy that somebody vouches for.
    pub age: Option<Duration>,
    /// How often the whole inventory was read.
    pub readings: u64,
    /// Changes that the source has told.
    pub changes: u64,
}
