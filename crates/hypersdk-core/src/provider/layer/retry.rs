use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::error::{Error, Result, RetryHint};
use crate::id::VmId;
use crate::provider::{
    Capabilities, ConnectionStats, ExportOptions, ExportSession, Inventory, Orphan, Preflight,
    PreflightDepth, Provider,
};
use crate::vm::{VmFilter, VmSelector, VmSummary};

/// How long to wait between attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Attempts after the first.
    pub retries: u32,
    /// The wait before the first retry; it doubles with each.
    pub initial: Duration,
    /// The longest wait.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff { retries: 3, initial: Duration::from_millis(200), max: Duration::from_secs(10) }
    }
}

impl Backoff {
    /// The wait after failed attempt `attempt` (from 1), or `None` if there shall be no other. Half of it is
    /// chance, so that many callers do not return at the same instant. A server's own wish is obeyed.
    pub fn wait(&self, attempt: u32, error: &Error) -> Option<Duration> {
        if attempt > self.retries {
            return None;
        }
        match error.retry() {
            RetryHint::Never => None,
            RetryHint::After(wait) => Some(wait),
            RetryHint::Backoff => {
                let doubled = self.initial.saturating_mul(1 << (attempt - 1).min(20));
                Some(doubled.min(self.max).mul_f64(0.5 + fastrand::f64() / 2.0))
            }
        }
    }
}

/// Repeats calls whose error says that a retry can help. A listing is not repeated once begun.
pub fn retry(inner: Arc<dyn Provider>, backoff: Backoff) -> Arc<dyn Provider> {
    Arc::new(Retry { inner, backoff })
}

#[derive(Debug)]
struct Retry {
    inner: Arc<dyn Provider>,
    backoff: Backoff,
}

impl Retry {
    /// Waits for the next attempt, or gives the error back if there shall be none.
    async fn pause(&self, attempt: &mut u32, error: Error) -> Result<()> {
        let Some(wait) = self.backoff.wait(*attempt, &error) else { return Err(error) };
        tracing::debug!(attempt, ?wait, error = %error.chain(), "trying again");
        tokio::time::sleep(wait).await;
        *attempt += 1;
        Ok(())
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Provider for Retry {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn list(&self, filter: VmFilter) -> BoxStream<'static, Result<VmSummary>> {
        self.inner.list(filter)
    }

    async fn find(&self, selector: &VmSelector) -> Result<Vec<VmSummary>> {
        let mut attempt = 1;
        loop {
            match self.inner.find(selector).await {
                Ok(found) => return Ok(found),
                Err(error) => self.pause(&mut attempt, error).await?,
            }
        }
    }

    async fn preflight(
        &self,
        vm: &VmId,
        options: &ExportOptions,
        depth: PreflightDepth,
    ) -> Result<Preflight> {
        let mut attempt = 1;
        loop {
            match self.inner.preflight(vm, options, depth).await {
                Ok(done) => return Ok(done),
                Err(error) => self.pause(&mut attempt, error).await?,
            }
        }
    }

    async fn orphans(&self) -> Result<Vec<Orphan>> {
        let mut attempt = 1;
        loop {
            match self.inner.orphans().await {
                Ok(done) => return Ok(done),
                Err(error) => self.pause(&mut attempt, error).await?,
            }
        }
    }

    async fn remove_orphan(&self, orphan: &Orphan) -> Result<()> {
        let mut attempt = 1;
        loop {
            match self.inner.remove_orphan(orphan).await {
                Ok(done) => return Ok(done),
                Err(error) => self.pause(&mut attempt, error).await?,
            }
        }
    }

    async fn open_export(&self, vm: &VmId, options: &ExportOptions) -> Result<Box<dyn ExportSession>> {
        let mut attempt = 1;
        loop {
            match self.inner.open_export(vm, options).await {
                Ok(session) => return Ok(session),
                Err(error) => self.pause(&mut attempt, error).await?,
            }
        }
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
