use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, Result};
use crate::id::VmId;
use crate::provider::{
    ByteStream, Capabilities, ConnectionStats, Descriptor, ExportOptions, ExportSession, ExportSource,
    HostDigest, Inventory, Orphan, PackagedFile, Preflight, PreflightDepth, Provider, SourceFile,
};
use crate::vm::{VmFilter, VmSelector, VmSummary};

/// Lets at most `exports` exports be open at once; others wait their turn, first come first served.
pub fn limit(inner: Arc<dyn Provider>, exports: usize) -> Arc<dyn Provider> {
    Arc::new(Limit { inner, permits: Arc::new(Semaphore::new(exports.max(1))) })
}

#[derive(Debug)]
struct Limit {
    inner: Arc<dyn Provider>,
    permits: Arc<Semaphore>,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Provider for Limit {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn list(&self, filter: VmFilter) -> BoxStream<'static, Result<VmSummary>> {
        self.inner.list(filter)
    }

    async fn find(&self, selector: &VmSelector) -> Result<Vec<VmSummary>> {
        self.inner.find(selector).await
    }

    async fn preflight(
        &self,
        vm: &VmId,
        options: &ExportOptions,
        depth: PreflightDepth,
    ) -> Result<Preflight> {
        self.inner.preflight(vm, options, depth).await
    }

    async fn orphans(&self) -> Result<Vec<Orphan>> {
        self.inner.orphans().await
    }

    async fn remove_orphan(&self, orphan: &Orphan) -> Result<()> {
        self.inner.remove_orphan(orphan).await
    }

    async fn open_export(&self, vm: &VmId, options: &ExportOptions) -> Result<Box<dyn ExportSession>> {
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|_| Error::cancelled("wait for an export slot"))?;
        let inner = self.inner.open_export(vm, options).await?;
        Ok(Box::new(LimitedSession { inner, permit }))
    }

    fn inventory(&self) -> Option<Arc<dyn Inventory>> {
        self.inner.inventory()
    }

    fn connections(&self) -> ConnectionStats {
        self.inner.connections()
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

#[derive(Debug)]
struct LimitedSession {
    inner: Box<dyn ExportSession>,
    permit: OwnedSemaphorePermit,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ExportSession for LimitedSession {
    fn source(&self) -> &ExportSource {
        self.inner.source()
    }

    fn files(&self) -> &[SourceFile] {
        self.inner.files()
    }

    async fn open(&self, file: &SourceFile) -> Result<ByteStream> {
        self.inner.open(file).await
    }

    fn report_progress(&self, percent: u8) {
        self.inner.report_progress(percent);
    }

    async fn host_digests(&self) -> Result<Vec<HostDigest>> {
        self.inner.host_digests().await
    }

    async fn descriptor(&self, name: &str, files: &[PackagedFile]) -> Result<Descriptor> {
        self.inner.descriptor(name, files).await
    }

    async fn complete(self: Box<Self>) -> Result<()> {
        let LimitedSession { inner, permit } = *self;
        let ended = inner.complete().await;
        drop(permit);
        ended
    }

    async fn abort(self: Box<Self>, reason: &str, patience: Duration) {
        let LimitedSession { inner, permit } = *self;
        inner.abort(reason, patience).await;
        drop(permit);
    }
}
