//! A borrowed session on behalf of one piece of work.

use std::any::Any;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::Instrument;

use super::{Connector, Session};
use crate::api::ServiceContent;
use crate::soap::{Call, CallError};

/// Borrows a session. Each call carries the work's name and a number as its operation id, which the server
/// writes into its logs. The session is given back when the last clone is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    session: Arc<Session>,
    work: Arc<str>,
    calls: Arc<AtomicU64>,
    /// The lender's: dropping it gives the session back.
    _loan: Arc<dyn Any + Send + Sync>,
}

impl Scope {
    pub(crate) fn new(session: Arc<Session>, work: &Arc<str>, loan: Arc<dyn Any + Send + Sync>) -> Self {
        Scope { session, work: Arc::clone(work), calls: Arc::default(), _loan: loan }
    }

    /// Calls a method; see [`Session`] about sessions that end.
    pub(crate) async fn call<C: Call>(&self, call: &C) -> Result<C::Reply, CallError> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        self.session.call(call, &format!("{}-{number}", self.work)).await
    }

    pub(crate) fn content(&self) -> &ServiceContent {
        self.session.content()
    }

    pub(crate) fn connector(&self) -> &Arc<Connector> {
        self.session.connector()
    }

    /// The same session for tidying up after the work, which does not keep it from the next borrower.
    pub(super) fn afterwards(&self) -> Scope {
        Scope { _loan: Arc::new(()), ..self.clone() }
    }

    /// Starts background work that ends by itself; the provider's `close` waits for it. Its calls belong to the span
    /// in which it is started.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.session.connector().spawn(work.in_current_span());
    }
}
