//! This daemon among those that share its database: it reports itself, and is paused and resumed.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use hypersdk_core::{JobManager, Node, NodeReport, NodeStore, ProviderName, Result};
use tokio_util::sync::CancellationToken;

/// What is fixed about this daemon.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) providers: BTreeSet<ProviderName>,
    pub(crate) labels: BTreeSet<String>,
    pub(crate) started_at: DateTime<Utc>,
}

/// The daemons, seen from this one. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Nodes {
    store: Arc<dyn NodeStore>,
    manager: JobManager,
    identity: Arc<Identity>,
}

/// A daemon, and whether it lives.
#[derive(Debug)]
pub(crate) struct SeenNode {
    pub(crate) node: Node,
    pub(crate) alive: bool,
}

impl Nodes {
    pub(crate) fn new(store: Arc<dyn NodeStore>, manager: JobManager, identity: Identity) -> Self {
        Nodes { store, manager, identity: Arc::new(identity) }
    }

    /// This daemon's name.
    pub(crate) fn name(&self) -> &str {
        &self.identity.name
    }

    /// True if this daemon claims nothing.
    pub(crate) fn is_paused(&self) -> bool {
        self.manager.is_paused()
    }

    /// Reports this daemon and does as the store says about a pause.
    pub(crate) async fn report(&self) -> Result<()> {
        let identity = &*self.identity;
        let report = NodeReport {
            name: identity.name.clone(),
            owner: self.manager.owner().clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            address: identity.address.clone(),
            providers: identity.providers.clone(),
            labels: identity.labels.clone(),
            running: self.manager.running() as u64,
            max_concurrent: self.manager.config().max_concurrent as u64,
            started_at: identity.started_at,
        };
        let paused = self.store.report(&report).await?;
        if paused != self.manager.is_paused() {
            tracing::info!(paused, "claiming of jobs changed");
        }
        self.manager.set_paused(paused);
        Ok(())
    }

    /// Pauses this daemon or lets it go on; that outlives a restart.
    pub(crate) async fn set_paused(&self, paused: bool) -> Result<()> {
        self.report().await?;
        self.store.set_paused(&self.identity.name, paused).await?;
        self.report().await
    }

    /// Every daemon that ever shared the database.
    pub(crate) async fn all(&self) -> Result<Vec<SeenNode>> {
        let (nodes, now) = self.store.nodes().await?;
        // As long as its claims hold.
        let silence = self.manager.config().silence;
        let seen = |node: Node| SeenNode { alive: node.heard_at + silence > now, node };
        Ok(nodes.into_iter().map(seen).collect())
    }

    /// Reports this daemon with every heartbeat until `stop` fires.
    pub(crate) async fn keep_reporting(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(self.manager.config().heartbeat) => {}
            }
            if let Err(error) = self.report().await {
                tracing::warn!(error = %error.chain(), "cannot report this daemon to the others; will try again");
            }
        }
    }
}
