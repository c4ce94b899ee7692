//! How the pool gets a session, and what it does before it lends one again.

use std::sync::Arc;

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use hypersdk_core::Error;

use crate::session::{Connector, Session};

#[derive(Debug)]
pub(super) struct Maker {
    connector: Arc<Connector>,
}

impl Maker {
    pub(super) fn new(connector: Arc<Connector>) -> Self {
        Maker { connector }
    }
}

impl Manager for Maker {
    type Type = Arc<Session>;
    type Error = Error;

    async fn create(&self) -> Result<Arc<Session>, Error> {
        self.connector.connect().await
    }

    /// A session that the server was heard of lately is lent as it is: the check would cost a call each time,
    /// and a session that ends after all is renewed by its borrower.
    async fn recycle(&self, session: &mut Arc<Session>, _metrics: &Metrics) -> RecycleResult<Error> {
        let recent = session.silent_for() < self.connector.pool().health_check_interval;
        if !session.is_over() && (recent || session.is_alive().await) {
            return Ok(());
        }
        tracing::debug!("a session has ended at the server; the pool drops it");
        Err(RecycleError::message("the session has ended"))
    }
}
