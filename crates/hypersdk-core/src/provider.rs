//! The port every source of VMs implements, and what an export looks like from outside.

#[cfg(any(test, feature = "testing"))]
pub(crate) mod conformance;
mod connections;
mod export;
#[cfg(any(test, feature = "testing"))]
pub(crate) mod fake;
mod inventory;
mod layer;
mod orphan;
mod preflight;
mod registry;

pub mod layers {
    #![doc = include_str!("provider/layer.md")]
    pub use super::layer::{Backoff, limit, retry, timeout, traced};
}

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use serde::Serialize;

pub use connections::{ConnectionHolder, ConnectionStats};
pub use export::{
    ByteStream, Descriptor, DiskSelection, ExportOptions, ExportSession, ExportSource, FileKind, HostDigest,
    PackagedFile, PowerPolicy, SourceFile,
};
pub use inventory::{Inventory, InventoryCopy, InventoryStats, VmChange};
pub use orphan::Orphan;
pub use preflight::{Finding, FindingLevel, Preflight, PreflightDepth};
pub use registry::{ProviderFactory, ProviderRegistry};

use crate::error::{Error, ErrorKind, Result};
use crate::id::{ProviderName, VmId};
use crate::vm::{VmFilter, VmSelector, VmSummary};

/// A place VMs come from.
///
/// # Guarantees an implementation gives
/// - A value that exists is usable: it connects when first needed and again when a connection is lost.
/// - Every call has a deadline of its own and returns a typed error that says whether a retry helps.
/// - Dropping a returned [`ExportSession`] releases everything it held at the source.
///
/// Only what a source may lack has a default. Layers deny `clippy::missing_trait_methods`, so that none forgets
/// to pass a method on; conveniences live in [`ProviderExt`].
#[async_trait]
pub trait Provider: fmt::Debug + Send + Sync + 'static {
    /// What this provider can do. Facts, fixed when the provider is built.
    fn capabilities(&self) -> Capabilities;

    /// The VMs that pass `filter`, in no particular order.
    fn list(&self, filter: VmFilter) -> BoxStream<'static, Result<VmSummary>>;

    /// The VMs that `selector` names: at most one unless it is a glob, none if there is no such VM.
    ///
    /// # Errors
    /// Whatever the connection can fail with; an unknown VM is not an error here.
    async fn find(&self, selector: &VmSelector) -> Result<Vec<VmSummary>>;

    /// Looks at a VM that is to be exported, changing nothing. Finds nothing where there is nothing to look for.
    ///
    /// # Errors
    /// The VM does not exist, or it could not be looked at; what is in the way of the export is a finding.
    async fn preflight(
        &self,
        _vm: &VmId,
        _options: &ExportOptions,
        _depth: PreflightDepth,
    ) -> Result<Preflight> {
        Ok(Preflight::default())
    }

    /// Everything at the source that bears the name of an export, whoever's. Nothing where exports leave nothing.
    ///
    /// # Errors
    /// Whatever the connection can fail with.
    async fn orphans(&self) -> Result<Vec<Orphan>> {
        Ok(Vec::new())
    }

    /// Removes such a thing. One that is gone already is no error.
    ///
    /// # Errors
    /// Whatever the source refuses with.
    async fn remove_orphan(&self, orphan: &Orphan) -> Result<()> {
        Err(Error::new(
            ErrorKind::Unsupported,
            "remove orphan",
            format!("{}: exports leave nothing at this source", orphan.id),
        ))
    }

    /// Prepares the export of one VM and holds whatever the source needs for it (a lease, a snapshot).
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for an unknown VM, [`ErrorKind::Unsupported`] if the source cannot export,
    /// [`ErrorKind::Conflict`] if the VM's state forbids it.
    async fn open_export(&self, vm: &VmId, options: &ExportOptions) -> Result<Box<dyn ExportSession>>;

    /// A copy of the inventory that is kept up to date; none where the source tells of no changes.
    fn inventory(&self) -> Option<Arc<dyn Inventory>> {
        None
    }

    /// What its connections are doing. Cheap, never waits. All zeros where there is nothing to connect to.
    fn connections(&self) -> ConnectionStats {
        ConnectionStats::default()
    }

    /// Lets go of every connection (logs out). The provider reconnects if it is used again.
    async fn close(&self);
}

/// Conveniences over any [`Provider`].
#[async_trait]
pub trait ProviderExt: Provider {
    /// The one VM that `selector` names.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is none, [`ErrorKind::Invalid`] if there are several.
    async fn get(&self, selector: &VmSelector) -> Result<VmSummary> {
        let mut found = self.find(selector).await?;
        match found.len() {
            1 => Ok(found.remove(0)),
            0 => Err(Error::new(ErrorKind::NotFound, "find VM", format!("no VM matches {selector}"))
                .with_advice("list what there is with GET /vms; paths look like /DC0/vm/folder/name")),
            n => Err(Error::new(ErrorKind::Invalid, "find VM", format!("{selector} names {n} VMs, not one"))
                .with_advice("name one by its inventory path or managed object id")),
        }
    }

    /// Every VM that passes `filter`, sorted by inventory path.
    ///
    /// # Errors
    /// The first error of [`Provider::list`].
    async fn list_all(&self, filter: VmFilter) -> Result<Vec<VmSummary>> {
        let mut vms: Vec<VmSummary> = self.list(filter).try_collect().await?;
        vms.sort_by(|a, b| a.path.cmp(&b.path).then_with(|| a.id.cmp(&b.id)));
        Ok(vms)
    }

    /// The first `n` VMs of a listing, in the provider's order.
    ///
    /// # Errors
    /// The first error of [`Provider::list`].
    async fn list_some(&self, filter: VmFilter, n: usize) -> Result<Vec<VmSummary>> {
        self.list(filter).take(n).try_collect().await
    }
}

impl<P: Provider + ?Sized> ProviderExt for P {}

/// What a provider can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Capabilities {
    /// The provider's type, e.g. `vsphere`.
    pub provider_type: String,
    /// It can export a running VM (through a temporary snapshot or otherwise).
    pub live_export: bool,
    /// It can attest digests of what it sent.
    pub host_digests: bool,
    /// It can change power states.
    pub power_control: bool,
}

impl Capabilities {
    /// A provider of this type that can only export stopped VMs.
    pub fn new(provider_type: impl Into<String>) -> Self {
        Capabilities {
            provider_type: provider_type.into(),
            live_export: false,
            host_digests: false,
            power_control: false,
        }
    }

    /// Says whether running VMs can be exported.
    #[must_use]
    pub fn live_export(mut self, can: bool) -> Self {
        self.live_export = can;
        self
    }

    /// Says whether the source attests digests.
    #[must_use]
    pub fn host_digests(mut self, can: bool) -> Self {
        self.host_digests = can;
        self
    }

    /// Says whether power states can be changed.
    #[must_use]
    pub fn power_control(mut self, can: bool) -> Self {
        self.power_control = can;
        self
    }
}

/// A provider together with the name it is configured under.
#[derive(Debug, Clone)]
pub struct NamedProvider {
    /// The configured name.
    pub name: ProviderName,
    /// The provider itself.
    pub provider: Arc<dyn Provider>,
}
