//! Every endpoint there is, from the configuration and from the store, as one list.

use std::sync::{Arc, RwLock};

use hypersdk_core::Result;

use crate::endpoint::{Endpoint, EndpointId, StoredEndpoint, load, store};
use crate::store::DeliveryStore;
use crate::vault::Vault;

/// The endpoints at one moment.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    /// The store's revision they were read at.
    pub(crate) revision: i64,
    /// Those of the configuration first.
    pub(crate) endpoints: Vec<Arc<Endpoint>>,
}

impl Snapshot {
    pub(crate) fn find(&self, id: &str) -> Option<&Arc<Endpoint>> {
        self.endpoints.iter().find(|endpoint| endpoint.id.as_str() == id)
    }

    pub(crate) fn ids(&self) -> Vec<EndpointId> {
        self.endpoints.iter().map(|endpoint| endpoint.id.clone()).collect()
    }
}

/// The list, and how it is read anew.
#[derive(Debug)]
pub(crate) struct Directory {
    store: Arc<dyn DeliveryStore>,
    vault: Option<Vault>,
    configured: RwLock<Vec<Endpoint>>,
    current: RwLock<Arc<Snapshot>>,
}

impl Directory {
    pub(crate) async fn open(
        store: Arc<dyn DeliveryStore>,
        vault: Option<Vault>,
        configured: Vec<Endpoint>,
    ) -> Result<Self> {
        let directory =
            Directory { store, vault, configured: RwLock::new(configured), current: RwLock::default() };
        directory.reload().await?;
        for endpoint in directory.current().endpoints.iter().filter(|endpoint| endpoint.halt.is_some()) {
            let reason = endpoint.halt.as_ref().map(|halt| halt.reason.as_str()).unwrap_or_default();
            tracing::warn!(webhook = %endpoint.id, "this webhook is halted: {reason}");
        }
        Ok(directory)
    }

    /// The list now.
    pub(crate) fn current(&self) -> Arc<Snapshot> {
        self.current.read().expect("no holder of this lock panics").clone()
    }

    /// Puts these in the place of those of the configuration; [`reload`](Self::reload) shows them.
    pub(crate) fn configure(&self, configured: Vec<Endpoint>) {
        *self.configured.write().expect("no holder of this lock panics") = configured;
    }

    /// Reads the store's endpoints anew.
    pub(crate) async fn reload(&self) -> Result<Arc<Snapshot>> {
        let read = self.store.endpoints().await?;
        let mut endpoints: Vec<Arc<Endpoint>> = Vec::new();
        let configured = self.configured.read().expect("no holder of this lock panics").clone();
        for mut endpoint in configured {
            endpoint.halt = read.halted.get(&endpoint.id).cloned();
            endpoints.push(Arc::new(endpoint));
        }
        for row in read.stored {
            if endpoints.iter().any(|known| known.id == row.id) {
                tracing::warn!(webhook = %row.id, "one of the configuration has the same name and takes its place");
                continue;
            }
            let mut endpoint = load(row, self.vault.as_ref())?;
            if let Some(halt) = read.halted.get(&endpoint.id) {
                endpoint.halt = Some(halt.clone());
            }
            endpoints.push(Arc::new(endpoint));
        }
        let snapshot = Arc::new(Snapshot { revision: read.revision, endpoints });
        let mut current = self.current.write().expect("no holder of this lock panics");
        // Whoever read later may have been quicker.
        if snapshot.revision >= current.revision {
            *current = snapshot.clone();
        }
        Ok(current.clone())
    }

    /// An endpoint as the store keeps it.
    pub(crate) fn sealed(&self, endpoint: &Endpoint) -> Result<StoredEndpoint> {
        store(endpoint, self.vault.as_ref())
    }
}
