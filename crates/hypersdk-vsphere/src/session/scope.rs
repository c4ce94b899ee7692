//! A borrowed session on behalf of one piece of work.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Connector, Session};
use crate::api::ServiceContent;
use crate::soap::{Call, CallError};

/// Borrows a session. Each call carries the work's name and a number as its operation id, which the server
/// writes into its logs.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    session: Arc<Session>,
    work: Arc<str>,
    calls: Arc<AtomicU64>,
}

impl Scope {
    pub(crate) fn new(session: Arc<Session>, work: &str) -> Self {
        Scope { session, work: work.into(), calls: Arc::default() }
    }

    /// Calls a method; see [`Session`] about sessions that end.
    pub(crate) async fn call<C: Call>(&self, call: &C) -> Result<C::Reply, CallError> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        self.session.call(call, &format!("{}-{number}", self.work)).await
    }

    pub(crate) fn content(&self) -> &ServiceContent {
        &self.session.content
    }

    pub(crate) fn connector(&self) -> &Arc<Connector> {
        &self.session.connector
    }

    /// Starts background work that ends by itself; the provider's `close` waits for it.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.session.connector.spawn(work);
    }
}
