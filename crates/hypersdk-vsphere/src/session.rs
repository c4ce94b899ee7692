//! Sessions: login, keepalive, one re-login when a session ends early, logout.
//!
//! A [`Session`] is one login. Work borrows it through a [`Scope`], which names the work in each call's
//! operation id. A session that nobody holds any more logs out by itself, in the background.

mod connector;
mod discard;
mod scope;
mod sessions;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) use connector::Connector;
pub(crate) use discard::Discard;
pub(crate) use scope::Scope;
pub(crate) use sessions::Sessions;

use crate::api::{CurrentTime, Logout, ServiceContent};
use crate::soap::{Call, CallError, Cookie, FaultKind, MoRef, SoapClient};

/// The longest a logout may take: nobody's shutdown waits for a server that is away.
const LOGOUT_TIMEOUT: Duration = Duration::from_secs(5);

/// One login at one server.
#[derive(Debug)]
pub(crate) struct Session {
    connector: Arc<Connector>,
    client: SoapClient,
    content: ServiceContent,
    manager: MoRef,
    login: RwLock<LoginState>,
    renewing: tokio::sync::Mutex<()>,
    ended: AtomicBool,
    keepalive: CancellationToken,
    _keepalive_ends_with_the_session: DropGuard,
}

/// The cookie in use, and how often it was renewed.
#[derive(Debug, Clone)]
struct LoginState {
    cookie: Cookie,
    generation: u64,
}

impl Session {
    fn start(
        connector: Arc<Connector>,
        client: SoapClient,
        content: ServiceContent,
        manager: MoRef,
        cookie: Cookie,
    ) -> Arc<Self> {
        let keepalive = CancellationToken::new();
        let session = Arc::new(Session {
            client,
            content,
            manager,
            login: RwLock::new(LoginState { cookie, generation: 0 }),
            renewing: tokio::sync::Mutex::new(()),
            ended: AtomicBool::new(false),
            _keepalive_ends_with_the_session: keepalive.clone().drop_guard(),
            keepalive: keepalive.clone(),
            connector,
        });
        let interval = session.connector.config().keepalive_interval;
        session.connector.spawn(keep_alive(Arc::downgrade(&session), interval, keepalive));
        session
    }

    /// Calls a method in this session. If the session has ended meanwhile, logs in once more and repeats the
    /// call, unless it names something that went with the old session.
    async fn call<C: Call>(&self, call: &C, op_id: &str) -> Result<C::Reply, CallError> {
        let login = self.login_state();
        let error = match self.client.call(call, op_id, Some(&login.cookie)).await {
            Ok(reply) => return Ok(reply.value),
            Err(error) => error,
        };
        if error.fault().is_none_or(|fault| fault.kind() != FaultKind::NotAuthenticated)
            || self.ended.load(Ordering::Acquire)
        {
            return Err(error);
        }
        self.renew(login.generation, op_id).await?;
        if C::SESSION_BOUND {
            return Err(CallError::SessionReplaced);
        }
        let login = self.login_state();
        self.client.call(call, op_id, Some(&login.cookie)).await.map(|reply| reply.value)
    }

    /// Logs in anew, unless somebody else already did since `generation`.
    async fn renew(&self, generation: u64, op_id: &str) -> Result<(), CallError> {
        let _one_at_a_time = self.renewing.lock().await;
        if self.login_state().generation != generation {
            return Ok(());
        }
        tracing::info!(server = %self.connector.endpoint().host(), "the session ended, logging in again");
        let cookie = self.connector.login(&self.client, &self.manager, op_id).await?;
        *self.login.write().unwrap_or_else(PoisonError::into_inner) =
            LoginState { cookie, generation: generation + 1 };
        Ok(())
    }

    /// Logs out. Work that still borrows the session fails from here on.
    pub(crate) async fn log_out(&self) {
        self.keepalive.cancel();
        if !self.ended.swap(true, Ordering::AcqRel) {
            // A renewal under way would leave its new login behind.
            let _renewed = self.renewing.lock().await;
            log_out(self.client.clone(), self.manager.clone(), self.login_state().cookie).await;
        }
    }

    /// Ends the keepalive, so that nothing of this session is left running but borrowed work.
    pub(crate) fn stop_keepalive(&self) {
        self.keepalive.cancel();
    }

    fn login_state(&self) -> LoginState {
        self.login.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.ended.swap(true, Ordering::AcqRel) {
            let logout = log_out(self.client.clone(), self.manager.clone(), self.login_state().cookie);
            self.connector.spawn(logout);
        }
    }
}

async fn log_out(client: SoapClient, manager: MoRef, cookie: Cookie) {
    let call = Logout { this: manager };
    let logout = client.call(&call, "logout", Some(&cookie));
    match tokio::time::timeout(LOGOUT_TIMEOUT, logout).await {
        Ok(Ok(_)) => tracing::debug!("logged out"),
        Ok(Err(error)) if error.fault().is_some_and(|fault| fault.kind() == FaultKind::NotAuthenticated) => {}
        Ok(Err(error)) => tracing::warn!(%error, "logout failed, the session stays until the server ends it"),
        Err(_) => tracing::warn!("logout took too long, the session stays until the server ends it"),
    }
}

/// Keeps a session from ending for lack of calls, for as long as somebody holds it.
async fn keep_alive(session: Weak<Session>, interval: Duration, stop: CancellationToken) {
    for count in 1u64.. {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(interval) => {}
        }
        let Some(session) = session.upgrade() else { return };
        let op_id = format!("keepalive-{count}");
        let call = CurrentTime::new();
        let result = tokio::select! {
            () = stop.cancelled() => return,
            result = session.call(&call, &op_id) => result,
        };
        if let Err(error) = result {
            tracing::warn!(%error, "keepalive failed");
        }
    }
}
