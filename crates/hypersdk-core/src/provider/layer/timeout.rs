use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::error::{Error, ErrorKind, Result};
use crate::id::VmId;
use crate::provider::{
    Capabilities, ConnectionStats, ExportOptions, ExportSession, Inventory, Orphan, Preflight,
    PreflightDepth, Provider,
};
use crate::vm::{VmFilter, VmSelector, VmSummary};

/// Gives every call at most `limit`. Dropping the late call releases what it held, as the port demands. The
/// bytes of an export are not its business: they have a deadline for each piece.
pub fn timeout(inner: Arc<dyn Provider>, limit: Duration) -> Arc<dyn Provider> {
    Arc::new(Timeout { inner, limit })
}

#[derive(Debug)]
struct Timeout {
    inner: Arc<dyn Provider>,
    limit: Duration,
}

impl Timeout {
    async fn bounded<T>(&self, operation: &'static str, call: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::time::timeout(self.limit, call).await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Timeout, operation, format!("no answer within {:?}", self.limit)))
        })
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Provider for Timeout {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn list(&self, filter: VmFilter) -> BoxStream<'static, Result<VmSummary>> {
        self.inner.list(filter)
    }

    async fn find(&self, selector: &VmSelector) -> Result<Vec<VmSummary>> {
        self.bounded("find VM", self.inner.find(selector)).await
    }

    async fn preflight(
        &self,
        vm: &VmId,
        options: &ExportOptions,
        depth: PreflightDepth,
    ) -> Result<Preflight> {
        self.bounded("check before export", self.inner.preflight(vm, options, depth)).await
    }

    async fn orphans(&self) -> Result<Vec<Orphan>> {
        self.bounded("list orphans", self.inner.orphans()).await
    }

    async fn remove_orphan(&self, orphan: &Orphan) -> Result<()> {
        self.bounded("remove orphan", self.inner.remove_orphan(orphan)).await
    }

    async fn open_export(&self, vm: &VmId, options: &ExportOptions) -> Result<Box<dyn ExportSession>> {
        self.bounded("open export", self.inner.open_export(vm, options)).await
    }

    fn inventory(&self) -> Option<Arc<dyn Inventory>> {
        self.inner.inventory()
    }

    fn connections(&self) -> ConnectionStats {
        self.inner.connections()
    }

    async fn close(&self) {
        if tokio::time::timeout(self.limit, self.inner.close()).await.is_err() {
            tracing::warn!(limit = ?self.limit, "closing the provider took too long");
        }
    }
}
