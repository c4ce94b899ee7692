use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use tracing::Instrument;

use crate::error::Result;
use crate::id::VmId;
use crate::provider::{
    Capabilities, ConnectionStats, ExportOptions, ExportSession, Inventory, Orphan, Preflight,
    PreflightDepth, Provider,
};
use crate::vm::{VmFilter, VmSelector, VmSummary};

/// Puts every call into a span that carries the provider's name.
pub fn traced(inner: Arc<dyn Provider>, name: impl Into<String>) -> Arc<dyn Provider> {
    Arc::new(Traced { inner, name: name.into() })
}

#[derive(Debug)]
struct Traced {
    inner: Arc<dyn Provider>,
    name: String,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Provider for Traced {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn list(&self, filter: VmFilter) -> BoxStream<'static, Result<VmSummary>> {
        tracing::info_span!("list", provider = %self.name).in_scope(|| self.inner.list(filter))
    }

    async fn find(&self, selector: &VmSelector) -> Result<Vec<VmSummary>> {
        let span = tracing::info_span!("find", provider = %self.name, %selector);
        self.inner.find(selector).instrument(span).await
    }

    async fn preflight(
        &self,
        vm: &VmId,
        options: &ExportOptions,
        depth: PreflightDepth,
    ) -> Result<Preflight> {
        let span = tracing::info_span!("preflight", provider = %self.name, %vm);
        self.inner.preflight(vm, options, depth).instrument(span).await
    }

    async fn orphans(&self) -> Result<Vec<Orphan>> {
        let span = tracing::info_span!("orphans", provider = %self.name);
        self.inner.orphans().instrument(span).await
    }

    async fn remove_orphan(&self, orphan: &Orphan) -> Result<()> {
        let span = tracing::info_span!("remove_orphan", provider = %self.name, orphan = %orphan.id);
        self.inner.remove_orphan(orphan).instrument(span).await
    }

    async fn open_export(&self, vm: &VmId, options: &ExportOptions) -> Result<Box<dyn ExportSession>> {
        let span = tracing::info_span!("open_export", provider = %self.name, %vm);
        self.inner.open_export(vm, options).instrument(span).await
    }

    fn inventory(&self) -> Option<Arc<dyn Inventory>> {
        self.inner.inventory()
    }

    fn connections(&self) -> ConnectionStats {
        self.inner.connections()
    }

    async fn close(&self) {
        self.inner.close().instrument(tracing::info_span!("close", provider = %self.name)).await;
    }
}
