//! Where work gets its session from: one session for all, made when first needed.

use std::sync::Arc;
use std::time::Duration;

use hypersdk_core::Error;

use super::{Connector, Scope, Session};
use crate::config::VsphereConfig;

/// How long closing waits for leases to be released before it logs out all the same.
const CLOSE_PATIENCE: Duration = Duration::from_secs(10);

/// Lends sessions of one connection.
#[derive(Debug)]
pub(crate) struct Sessions {
    connector: Arc<Connector>,
    shared: tokio::sync::Mutex<Option<Arc<Session>>>,
}

impl Sessions {
    /// # Errors
    /// [`ErrorKind::Invalid`](hypersdk_core::ErrorKind::Invalid) for a configuration that cannot be used.
    pub(crate) fn new(config: VsphereConfig) -> Result<Arc<Self>, Error> {
        Ok(Arc::new(Sessions { connector: Connector::new(config)?, shared: tokio::sync::Mutex::new(None) }))
    }

    /// Borrows the session on behalf of some work, logging in if there is none.
    pub(crate) async fn borrow(&self, work: &str) -> Result<Scope, Error> {
        let mut shared = self.shared.lock().await;
        let session = match shared.as_ref() {
            Some(session) => Arc::clone(session),
            None => Arc::clone(shared.insert(self.connector.connect().await?)),
        };
        Ok(Scope::new(session, work))
    }

    /// Waits a little for background work at the server, then logs out. A later borrower logs in anew.
    pub(crate) async fn close(&self) {
        let mut shared = self.shared.lock().await;
        let Some(session) = shared.take() else { return };
        session.stop_keepalive();
        let tasks = self.connector.tasks();
        tasks.close();
        if tokio::time::timeout(CLOSE_PATIENCE, tasks.wait()).await.is_err() {
            tracing::warn!("work is still under way at the server, logging out all the same");
        }
        tasks.reopen();
        session.log_out().await;
    }
}
