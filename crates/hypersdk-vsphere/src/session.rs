//! Sessions: login, keepalive, one re-login when a session ends early, logout.
//!
//! A [`Session`] is one login. Work borrows it through a [`Scope`], which names the work in each call's
//! operation id. A session that nobody holds any more logs out by itself, in the background.
//!
//! Logins run as background work of their own: the reply to one carries the only cookie, so it is waited for even
//! when whoever wanted it has gone, and the session is then logged out.

mod connector;
mod counts;
mod discard;
mod scope;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::Instrument;

pub(crate) use connector::Connector;
pub(crate) use counts::Counts;
pub(crate) use discard::Discard;
pub(crate) use scope::Scope;

use crate::api::{FilterSpec, Logout, ObjectContent, RetrievePropertiesEx, ServiceContent};
use crate::soap::{Call, CallError, Cookie, FaultKind, MoRef, SoapClient};

/// The longest a logout may take: nobody's shutdown waits for a server that is away.
const LOGOUT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest a check may take. A server that is slower than this is not asked whether a session lives.
const CHECK_TIMEOUT: Duration = Duration::from_secs(10);

/// One login at one server.
#[derive(Debug)]
pub(crate) struct Session {
    connector: Arc<Connector>,
    client: SoapClient,
    content: ServiceContent,
    manager: MoRef,
    login: RwLock<LoginState>,
    renewing: tokio::sync::Mutex<()>,
    /// It was logged out, or is about to be.
    ended: AtomicBool,
    /// The server says that it ended, and nobody has renewed it.
    lost: AtomicBool,
    made: Instant,
    /// When the server last answered in it, in milliseconds after `made`.
    heard: AtomicU64,
    /// When somebody last worked with it, likewise.
    worked: AtomicU64,
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
        connector.counts().note_created();
        let session = Arc::new(Session {
            client,
            content,
            manager,
            login: RwLock::new(LoginState { cookie, generation: 0 }),
            renewing: tokio::sync::Mutex::new(()),
            ended: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            made: Instant::now(),
            heard: AtomicU64::new(0),
            worked: AtomicU64::new(0),
            _keepalive_ends_with_the_session: keepalive.clone().drop_guard(),
            keepalive: keepalive.clone(),
            connector,
        });
        let interval = session.connector.config().keepalive_interval;
        session.connector.spawn(keep_alive(Arc::downgrade(&session), interval, keepalive));
        session
    }

    fn content(&self) -> &ServiceContent {
        &self.content
    }

    fn connector(&self) -> &Arc<Connector> {
        &self.connector
    }

    /// Calls a method in this session. If the session has ended meanwhile, logs in once more and repeats the
    /// call, unless it names something that went with the old session.
    async fn call<C: Call>(self: &Arc<Self>, call: &C, op_id: &str) -> Result<C::Reply, CallError> {
        let login = self.login_state();
        let error = match self.client.call(call, op_id, Some(&login.cookie)).await {
            Ok(reply) => {
                self.note_heard();
                return Ok(reply.value);
            }
            Err(error) => error,
        };
        if !is_not_authenticated(&error) || self.ended.load(Ordering::Acquire) {
            return Err(error);
        }
        self.renew(login.generation, op_id).await?;
        if C::SESSION_BOUND {
            return Err(CallError::SessionReplaced);
        }
        let login = self.login_state();
        self.client.call(call, op_id, Some(&login.cookie)).await.map(|reply| reply.value)
    }

    /// Logs in anew, unless somebody else already did since `generation`. The login goes on when the caller is
    /// dropped: its cookie must not get lost.
    async fn renew(self: &Arc<Self>, generation: u64, op_id: &str) -> Result<(), CallError> {
        let (done, outcome) = oneshot::channel();
        let (session, op_id) = (Arc::clone(self), op_id.to_owned());
        let renewal = async move {
            // Whoever asked may have gone.
            let _ = done.send(session.log_in_again(generation, &op_id).await);
        };
        self.connector.spawn(renewal.in_current_span());
        outcome.await.unwrap_or(Err(CallError::SessionReplaced))
    }

    async fn log_in_again(&self, generation: u64, op_id: &str) -> Result<(), CallError> {
        let _one_at_a_time = self.renewing.lock().await;
        if self.login_state().generation != generation {
            return Ok(());
        }
        if self.ended.load(Ordering::Acquire) {
            return Err(CallError::SessionReplaced);
        }
        self.lost.store(true, Ordering::Release);
        tracing::info!(server = %self.connector.endpoint().host(), "the session ended, logging in again");
        let cookie = self.connector.login(&self.client, &self.manager, op_id).await?;
        *self.login.write().unwrap_or_else(PoisonError::into_inner) =
            LoginState { cookie, generation: generation + 1 };
        self.lost.store(false, Ordering::Release);
        self.connector.counts().note_renewed();
        self.note_heard();
        Ok(())
    }

    /// Asks the server whether the session still lives, without renewing it: whether it is the current one, as
    /// other calls are answered to anybody by some servers. It counts as alive while the server cannot be asked.
    pub(crate) async fn is_alive(&self) -> bool {
        let login = self.login_state();
        let call = RetrievePropertiesEx {
            this: self.content.property_collector.clone(),
            spec: FilterSpec::of(self.manager.clone(), "SessionManager", &["currentSession"]),
            max_objects: None,
        };
        let answer = self.client.call(&call, "session-check", Some(&login.cookie));
        let ended = match tokio::time::timeout(CHECK_TIMEOUT, answer).await {
            Ok(Ok(page)) => {
                let current = |content: &ObjectContent| content.properties.contains_key("currentSession");
                !page.value.objects.iter().any(current)
            }
            Ok(Err(error)) if is_not_authenticated(&error) => true,
            Ok(Err(error)) => {
                tracing::debug!(%error, "the session cannot be checked");
                return !self.is_over();
            }
            Err(_) => {
                tracing::debug!("checking the session took too long");
                return !self.is_over();
            }
        };
        if !ended {
            self.note_heard();
        } else if self.login_state().generation == login.generation {
            self.lost.store(true, Ordering::Release);
        }
        !self.is_over()
    }

    /// True if it was logged out, or has ended at the server and was not renewed.
    pub(crate) fn is_over(&self) -> bool {
        self.ended.load(Ordering::Acquire) || self.lost.load(Ordering::Acquire)
    }

    /// How long the server has not answered in it.
    pub(crate) fn silent_for(&self) -> Duration {
        self.since(&self.heard)
    }

    /// How long nobody has worked with it.
    pub(crate) fn idle_for(&self) -> Duration {
        self.since(&self.worked)
    }

    /// Notes that somebody has just worked with it.
    pub(crate) fn note_worked(&self) {
        self.note(&self.worked);
    }

    fn note_heard(&self) {
        self.note(&self.heard);
    }

    fn note(&self, when: &AtomicU64) {
        when.store(u64::try_from(self.made.elapsed().as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn since(&self, when: &AtomicU64) -> Duration {
        self.made.elapsed().saturating_sub(Duration::from_millis(when.load(Ordering::Relaxed)))
    }

    /// Logs out. Work that still borrows the session fails from here on.
    pub(crate) async fn log_out(&self) {
        self.keepalive.cancel();
        if !self.ended.swap(true, Ordering::AcqRel) {
            self.connector.counts().note_closed();
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
            self.connector.counts().note_closed();
            let logout = log_out(self.client.clone(), self.manager.clone(), self.login_state().cookie);
            self.connector.spawn(logout);
        }
    }
}

fn is_not_authenticated(error: &CallError) -> bool {
    error.fault().is_some_and(|fault| fault.kind() == FaultKind::NotAuthenticated)
}

async fn log_out(client: SoapClient, manager: MoRef, cookie: Cookie) {
    let call = Logout { this: manager };
    let logout = client.call(&call, "logout", Some(&cookie));
    match tokio::time::timeout(LOGOUT_TIMEOUT, logout).await {
        Ok(Ok(_)) => tracing::debug!("logged out"),
        Ok(Err(error)) if is_not_authenticated(&error) => {}
        Ok(Err(error)) => tracing::warn!(%error, "logout failed, the session stays until the server ends it"),
        Err(_) => tracing::warn!("logout took too long, the session stays until the server ends it"),
    }
}

/// Keeps a session from ending for lack of calls, for as long as somebody holds it. One that has ended is not
/// renewed for it: whoever borrows it does that.
async fn keep_alive(session: Weak<Session>, interval: Duration, stop: CancellationToken) {
    let mut pause = interval;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        let Some(session) = session.upgrade() else { return };
        let silent = session.silent_for();
        pause = interval.saturating_sub(silent);
        if pause.is_zero() {
            pause = interval;
            tokio::select! {
                () = stop.cancelled() => return,
                _alive = session.is_alive() => {}
            }
        }
    }
}
