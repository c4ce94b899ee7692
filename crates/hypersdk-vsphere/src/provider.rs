//! The [`Provider`] port over vSphere.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use hypersdk_core::{
    Capabilities, ConnectionStats, Error, ErrorKind, ExportOptions, ExportSession, Inventory, Orphan,
    Preflight, PreflightDepth, Provider, Result, VmFilter, VmId, VmSelector, VmSummary,
};
use serde::Deserialize;
use serde_json::Value;

use crate::config::VsphereConfig;
use crate::describe::{self, VmDescription};
use crate::inventory::Watcher;
use crate::pool::Sessions;
use crate::session::Scope;
use crate::soap::MoRef;
use crate::{export, inventory, orphans, power, preflight, snapshot};

/// A vCenter or a stand-alone ESXi host.
///
/// It connects when first used, keeps sessions in a pool ([`PoolConfig`](crate::PoolConfig)), logs in again when
/// one ends early, and logs out in
/// [`close`](Provider::close) or, if that is not called, in the background when the last user is gone.
#[derive(Debug)]
pub struct VsphereProvider {
    sessions: Arc<Sessions>,
    /// None if the inventory is not to be kept.
    watcher: Option<Arc<Watcher>>,
}

/// Builds a provider from its part of a configuration, a [`VsphereConfig`] as JSON; made for
/// [`ProviderRegistry::register`](hypersdk_core::ProviderRegistry::register).
///
/// # Errors
/// [`ErrorKind::Invalid`] for a key that is unknown, missing or wrong.
pub fn factory(config: &Value) -> Result<Arc<dyn Provider>> {
    let config = VsphereConfig::deserialize(config)
        .map_err(|error| Error::new(ErrorKind::Invalid, "configure vsphere", error.to_string()))?;
    Ok(Arc::new(VsphereProvider::new(config)?))
}

impl VsphereProvider {
    /// A provider that is not connected yet.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an address, thumbprint, CA file or proxy that cannot be used.
    pub fn new(config: VsphereConfig) -> Result<Self> {
        let inventory = config.inventory_cache.clone();
        let sessions = Sessions::new(config)?;
        let watcher = inventory.enabled.then(|| Arc::new(Watcher::new(Arc::clone(&sessions), inventory)));
        Ok(VsphereProvider { sessions, watcher })
    }

    /// Switches a VM on, and waits until it is.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] if it runs already; whatever the server refuses with.
    pub async fn power_on(&self, vm: &VmId) -> Result<()> {
        let scope = self.sessions.borrow("power").await?;
        power::on(&scope, &vm_ref(&scope, vm).await?).await
    }

    /// Switches a VM off hard, and waits until it is.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] if it is off already; whatever the server refuses with.
    pub async fn power_off(&self, vm: &VmId) -> Result<()> {
        let scope = self.sessions.borrow("power").await?;
        power::off(&scope, &vm_ref(&scope, vm).await?).await
    }

    /// A VM's power state, and the descriptor that an export of it would have.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for an unknown VM; whatever the server refuses with, a device that cannot be
    /// exported for instance.
    pub async fn describe(&self, vm: &VmId) -> Result<VmDescription> {
        let scope = self.sessions.borrow("describe").await?;
        let vm = vm_ref(&scope, vm).await?;
        describe::describe(&scope, vm).await
    }

    /// Makes a snapshot without memory, and gives its managed object id.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] if the VM's state forbids it or the guest cannot be quiesced.
    pub async fn create_snapshot(&self, vm: &VmId, name: &str, quiesce: bool) -> Result<String> {
        let scope = self.sessions.borrow("snapshot").await?;
        let vm = vm_ref(&scope, vm).await?;
        Ok(snapshot::create(&scope, &vm, name, "", quiesce).await?.id)
    }

    /// The managed object ids of a VM's snapshots of that name.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for an unknown VM.
    pub async fn find_snapshots(&self, vm: &VmId, name: &str) -> Result<Vec<String>> {
        let scope = self.sessions.borrow("snapshot").await?;
        let vm = vm_ref(&scope, vm).await?;
        Ok(snapshot::find(&scope, &vm, name).await?.into_iter().map(|snapshot| snapshot.id).collect())
    }

    /// Removes a snapshot by its managed object id; its disks are consolidated. One that is gone already is no
    /// error.
    ///
    /// # Errors
    /// Whatever the server refuses with.
    pub async fn remove_snapshot(&self, snapshot: &str) -> Result<()> {
        let scope = self.sessions.borrow("snapshot").await?;
        snapshot::remove(&scope, &MoRef::new("VirtualMachineSnapshot", snapshot)).await
    }
}

/// A VM by managed object id or instance UUID.
async fn vm_ref(scope: &Scope, vm: &VmId) -> Result<MoRef> {
    inventory::by_id(scope, vm.as_str()).await?.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, "find VM", format!("no VM has the instance UUID {vm}"))
    })
}

#[async_trait]
impl Provider for VsphereProvider {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new("vsphere").live_export(true).host_digests(true).power_control(true)
    }

    fn list(&self, filter: VmFilter) -> BoxStream<'static, Result<VmSummary>> {
        let sessions = Arc::clone(&self.sessions);
        stream::once(async move { Ok(inventory::list(sessions.borrow("list").await?, filter)) })
            .try_flatten()
            .boxed()
    }

    async fn find(&self, selector: &VmSelector) -> Result<Vec<VmSummary>> {
        inventory::find(&self.sessions.borrow("find").await?, selector).await
    }

    async fn preflight(
        &self,
        vm: &VmId,
        options: &ExportOptions,
        depth: PreflightDepth,
    ) -> Result<Preflight> {
        let scope = self.sessions.borrow("preflight").await?;
        preflight::look(&scope, &vm_ref(&scope, vm).await?, options, depth).await
    }

    async fn orphans(&self) -> Result<Vec<Orphan>> {
        orphans::list(&self.sessions.borrow("orphans").await?).await
    }

    async fn remove_orphan(&self, orphan: &Orphan) -> Result<()> {
        orphans::remove(&self.sessions.borrow("orphans").await?, orphan).await
    }

    async fn open_export(&self, vm: &VmId, options: &ExportOptions) -> Result<Box<dyn ExportSession>> {
        let work = options.job.as_ref().map_or_else(
            || format!("export-{}", uuid::Uuid::new_v4().simple()),
            |job| job.as_str().to_owned(),
        );
        let scope = self.sessions.hold(&work).await?;
        let vm = vm_ref(&scope, vm).await?;
        let opened = export::open(scope, vm.clone(), options, &work).await;
        Ok(Box::new(opened.map_err(|error| error.context(format!("open export of {}", vm.id)))?))
    }

    fn inventory(&self) -> Option<Arc<dyn Inventory>> {
        let watcher = self.watcher.clone()?;
        Some(watcher)
    }

    fn connections(&self) -> ConnectionStats {
        self.sessions.stats()
    }

    async fn close(&self) {
        if let Some(watcher) = &self.watcher {
            watcher.stop();
        }
        self.sessions.close().await;
    }
}
