//! The session pool: where work gets its session from.
//!
//! A login costs a TLS handshake and three calls, and a vCenter has a limit on sessions. So sessions are kept:
//!
//! ```text
//!            ┌── one that is idle, checked if nothing was heard of it for a while
//! borrow ────┼── a new login, while there are fewer than `max_connections`
//!            ├── the session of a long piece of work, shared with it
//!            └── wait in order, at most `borrow_timeout`
//! ```
//!
//! Work has its session to itself while there are enough. Long work (an export, which makes a call now and then
//! for hours) shares its session rather than let others starve: vSphere serves the calls of one session side by
//! side. So more exports than sessions are no fault, and look-ups get through while they run. What an export
//! holds at the server stays with the session that made it; the session is given back when the last clone of the
//! [`Scope`] is gone, whether work ended, failed, panicked or was cancelled.
//!
//! A session that ended at the server is renewed in place when its borrower notices, once for all who notice
//! ([`Session`]); an idle one is dropped by the check. Idle sessions are logged out after `idle_timeout`, all of
//! them by [`Sessions::close`].
//!
//! Slots, order of waiting and reuse are `deadpool`'s; who holds what, sharing, figures and upkeep are here.

mod ledger;
mod maker;
mod upkeep;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{Object, Pool, PoolError, QueueMode, TimeoutType, Timeouts};
use hypersdk_core::{ConnectionStats, Error, ErrorKind};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::ledger::{Ledger, Loan};
use self::maker::Maker;
use crate::config::{PoolConfig, VsphereConfig};
use crate::session::{Connector, Scope, Session};

/// How long closing waits for leases to be released before it logs out all the same.
const CLOSE_PATIENCE: Duration = Duration::from_secs(10);

/// Lends the sessions of one connection.
#[derive(Debug)]
pub(crate) struct Sessions {
    connector: Arc<Connector>,
    ledger: Arc<Ledger>,
    /// Closing puts a new one in place, for whoever comes later.
    slots: Mutex<Arc<Slots>>,
    borrowed: AtomicU64,
    reused: AtomicU64,
    timeouts: AtomicU64,
    waiting: AtomicU64,
}

/// The sessions there are between one closing and the next.
#[derive(Debug)]
struct Slots {
    pool: Pool<Maker>,
    looked_after: AtomicBool,
    upkeep: CancellationToken,
    _upkeep_ends_with_the_slots: DropGuard,
}

impl Slots {
    fn new(connector: &Arc<Connector>) -> Arc<Self> {
        let config = connector.pool();
        let upkeep = CancellationToken::new();
        let pool = Pool::builder(Maker::new(Arc::clone(connector)))
            .max_size(config.max_connections.max(1) as usize)
            // The session used last is lent first, so that the others can become idle.
            .queue_mode(QueueMode::Lifo)
            .runtime(Runtime::Tokio1)
            .build()
            .expect("a runtime is named, and nothing else is needed");
        let looked_after = AtomicBool::new(false);
        Arc::new(Slots {
            pool,
            looked_after,
            _upkeep_ends_with_the_slots: upkeep.clone().drop_guard(),
            upkeep,
        })
    }
}

impl Sessions {
    /// # Errors
    /// [`ErrorKind::Invalid`] for a configuration that cannot be used. Nothing is connected yet.
    pub(crate) fn new(config: VsphereConfig) -> Result<Arc<Self>, Error> {
        let connector = Connector::new(config)?;
        Ok(Arc::new(Sessions {
            slots: Mutex::new(Slots::new(&connector)),
            connector,
            ledger: Arc::default(),
            borrowed: AtomicU64::new(0),
            reused: AtomicU64::new(0),
            timeouts: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
        }))
    }

    /// Borrows a session for a few calls on behalf of `work`, logging in if need be.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if none came free in time, naming who has them; else what logging in failed
    /// with.
    ///
    /// # Cancel safety
    /// Dropping the future leaves nothing behind: a login under way ends in an idle or logged out session.
    pub(crate) async fn borrow(&self, work: &str) -> Result<Scope, Error> {
        self.lend(work, false).await
    }

    /// As [`borrow`](Self::borrow), for work that keeps its session for long and calls seldom: others may share
    /// the session.
    pub(crate) async fn hold(&self, work: &str) -> Result<Scope, Error> {
        self.lend(work, true).await
    }

    async fn lend(&self, work: &str, shareable: bool) -> Result<Scope, Error> {
        let work: Arc<str> = work.into();
        let loan = if self.config().enabled {
            self.pooled(&work, shareable).await?
        } else {
            let session = self.connector.connect().await?;
            self.ledger.lend(&work, shareable, session, None)
        };
        self.borrowed.fetch_add(1, Ordering::Relaxed);
        let session = Arc::clone(loan.session());
        Ok(Scope::new(session, &work, Arc::new(loan)))
    }

    async fn pooled(&self, work: &Arc<str>, shareable: bool) -> Result<Loan, Error> {
        loop {
            let slots = self.slots();
            let at_once = match slots.pool.timeout_get(&wait(Duration::ZERO)).await {
                Err(PoolError::Timeout(TimeoutType::Wait)) => {
                    if let Some(loan) = self.ledger.share(work, shareable) {
                        self.reused.fetch_add(1, Ordering::Relaxed);
                        return Ok(loan);
                    }
                    let _counted = Counted::new(&self.waiting);
                    slots.pool.timeout_get(&wait(self.config().borrow_timeout)).await
                }
                other => other,
            };
            match at_once {
                Ok(object) => {
                    upkeep::begin(&slots, &self.connector);
                    if Object::metrics(&object).recycle_count > 0 {
                        self.reused.fetch_add(1, Ordering::Relaxed);
                    }
                    let session = Arc::clone(&object);
                    return Ok(self.ledger.lend(work, shareable, session, Some(object)));
                }
                // Closed while waiting: there is a new one.
                Err(PoolError::Closed) => {}
                Err(PoolError::Backend(error)) => return Err(error),
                Err(PoolError::Timeout(_)) => {
                    self.timeouts.fetch_add(1, Ordering::Relaxed);
                    return Err(self.exhausted());
                }
                Err(error) => {
                    return Err(Error::new(ErrorKind::Internal, "borrow session", error.to_string()));
                }
            }
        }
    }

    fn exhausted(&self) -> Error {
        let holders: Vec<String> = self
            .ledger
            .holders()
            .into_iter()
            .map(|holder| format!("{} ({} s)", holder.work, holder.seconds))
            .collect();
        let message = format!(
            "the session pool of {} is exhausted: all {} sessions are in use and none came free within {:?}; \
             held by {}",
            self.connector.endpoint().host(),
            self.config().max_connections,
            self.config().borrow_timeout,
            if holders.is_empty() { "nobody any more".to_owned() } else { holders.join(", ") },
        );
        Error::new(ErrorKind::Unavailable, "borrow session", message)
            .with_advice("raise connection_pool.max_connections, or find out why the holders take so long")
    }

    /// What outlives the sessions.
    pub(crate) fn connector(&self) -> &Arc<Connector> {
        &self.connector
    }

    /// The figures now.
    pub(crate) fn stats(&self) -> ConnectionStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = self.connector.counts();
        let in_use = self.ledger.lent();
        let mut stats = ConnectionStats::default();
        stats.pooled = self.config().enabled;
        stats.total_connections = counts.open().max(in_use);
        stats.in_use = in_use;
        stats.idle = stats.total_connections - in_use;
        stats.max_connections = if stats.pooled { self.config().max_connections.into() } else { 0 };
        stats.waiting = read(&self.waiting);
        stats.total_created = counts.created();
        stats.total_closed = counts.closed();
        stats.total_renewed = counts.renewed();
        stats.total_borrowed = read(&self.borrowed);
        stats.total_reused = read(&self.reused).min(stats.total_borrowed);
        stats.total_timeouts = read(&self.timeouts);
        stats.holders = self.ledger.holders();
        stats
    }

    /// Logs idle sessions out, waits a little for background work at the server, then logs out the others. A
    /// later borrower logs in anew.
    pub(crate) async fn close(&self) {
        let old = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *slots, Slots::new(&self.connector))
        };
        old.upkeep.cancel();
        let idle = old.pool.retain(|_, _| false).removed;
        old.pool.close();
        log_out(idle).await;
        let lent = self.ledger.sessions();
        lent.iter().filter_map(Weak::upgrade).for_each(|session| session.stop_keepalive());
        let tasks = self.connector.tasks();
        tasks.close();
        if tokio::time::timeout(CLOSE_PATIENCE, tasks.wait()).await.is_err() {
            tracing::warn!("work is still under way at the server, logging out all the same");
        }
        tasks.reopen();
        log_out(lent.iter().filter_map(Weak::upgrade).collect()).await;
    }

    fn slots(&self) -> Arc<Slots> {
        Arc::clone(&self.slots.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn config(&self) -> &PoolConfig {
        self.connector.pool()
    }
}

/// Logs out of all of them at once.
async fn log_out(sessions: Vec<Arc<Session>>) {
    futures::future::join_all(sessions.iter().map(|session| session.log_out())).await;
}

fn wait(wait: Duration) -> Timeouts {
    Timeouts { wait: Some(wait), create: None, recycle: None }
}

/// Counts somebody for as long as it exists.
struct Counted<'a>(&'a AtomicU64);

impl<'a> Counted<'a> {
    fn new(counter: &'a AtomicU64) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Counted(counter)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
