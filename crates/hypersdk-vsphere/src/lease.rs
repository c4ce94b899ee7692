//! The export lease, and the temporary snapshot it may stand on.
//!
//! Both belong to a keeper task of their own, started before anything is asked of the server. Whoever exports
//! holds a [`Lease`], whose channel is the only way to the keeper:
//!
//! ```text
//!           ┌── snapshot ── lease ── ready ──┐        renews every min(30 s, timeout/5)
//! keeper ───┤                                ├── keep ──┬── complete ──┐
//!           └───────── fails, or nobody ─────┘          ├── abort ─────┼── remove snapshot ── end
//!                      waits any more ──────────────────┴── nobody left┘
//! ```
//!
//! So the lease is completed or aborted and the snapshot removed on every path, also when the export's future
//! is dropped in the middle of opening. The keeper is tracked: closing the provider waits for it.

mod acquire;
mod keeper;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use hypersdk_core::{Error, ErrorKind};
use tokio::sync::{Notify, mpsc, oneshot, watch};

pub(crate) use acquire::{LeftSnapshot, Plan, PowerPlan, SnapshotPlan};

use crate::api::LeaseInfo;
use crate::session::Scope;
use crate::soap::MoRef;

/// How long a broken stream waits to learn whether its lease is the cause.
const VERDICT_PATIENCE: Duration = Duration::from_secs(2);

/// What the holder tells the keeper.
#[derive(Debug)]
enum Command {
    Complete { done: oneshot::Sender<Result<(), Error>> },
    Abort { reason: String, done: oneshot::Sender<()> },
}

/// Why a lease ended early; kept for everybody who asks.
#[derive(Debug, Clone)]
pub(crate) struct Lost(Arc<Error>);

impl Lost {
    fn new(error: Error) -> Self {
        Lost(Arc::new(error))
    }

    /// The error of an operation that needed the lease.
    pub(crate) fn error(&self, operation: impl Into<std::borrow::Cow<'static, str>>) -> Error {
        let error = Error::new(self.0.kind(), operation, format!("the lease is lost: {}", self.0.message()))
            .with_retry(self.0.retry());
        match self.0.advice() {
            Some(advice) => error.with_advice(advice),
            None => error,
        }
    }
}

/// What the keeper shows to the holder.
#[derive(Debug, Default)]
struct Shared {
    percent: AtomicU8,
    renew_now: Notify,
    /// How often the lease was renewed.
    renewals: watch::Sender<u64>,
}

/// A held lease. Dropping it aborts.
#[derive(Debug)]
pub(crate) struct Lease {
    commands: mpsc::Sender<Command>,
    shared: Arc<Shared>,
    lost: watch::Receiver<Option<Lost>>,
}

/// A lease that is ready.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) lease: Lease,
    pub(crate) object: MoRef,
    pub(crate) info: LeaseInfo,
    pub(crate) snapshot: Option<MoRef>,
}

/// Takes the snapshot if one is planned, asks for the lease, and waits until it is ready.
///
/// # Cancel safety
/// Dropping the future releases at the server whatever was held by then.
pub(crate) async fn open(scope: &Scope, plan: Plan) -> Result<Opened, Error> {
    // One command at most is ever sent.
    let (commands, inbox) = mpsc::channel(1);
    let (ready, outcome) = oneshot::channel();
    let (lost_sender, lost) = watch::channel(None);
    let shared = Arc::new(Shared::default());
    let keeper = keeper::Keeper::new(scope.clone(), Arc::clone(&shared), lost_sender);
    scope.spawn(keeper.run(plan, inbox, ready));
    let held = outcome.await.unwrap_or_else(|_| Err(keeper_ended()))?;
    Ok(Opened {
        lease: Lease { commands, shared, lost },
        object: held.object,
        info: held.info,
        snapshot: held.snapshot,
    })
}

fn keeper_ended() -> Error {
    Error::new(ErrorKind::Internal, "hold lease", "the lease's keeper ended")
}

impl Lease {
    /// What the server is told at the next renewal.
    pub(crate) fn set_percent(&self, percent: u8) {
        self.shared.percent.store(percent.min(100), Ordering::Relaxed);
    }

    /// Tells when the lease is lost.
    pub(crate) fn lost(&self) -> watch::Receiver<Option<Lost>> {
        self.lost.clone()
    }

    /// A renewal at once; used when something else suggests that the lease is gone.
    pub(crate) fn probe(&self) -> Probe {
        Probe { shared: Arc::clone(&self.shared), lost: self.lost.clone() }
    }

    /// Completes the lease and removes the snapshot.
    pub(crate) async fn complete(self) -> Result<(), Error> {
        let (done, outcome) = oneshot::channel();
        if self.commands.send(Command::Complete { done }).await.is_err() {
            return Err(keeper_ended());
        }
        outcome.await.unwrap_or_else(|_| Err(keeper_ended()))
    }

    /// Aborts the lease and removes the snapshot, and waits for that for at most `patience`.
    pub(crate) async fn abort(self, reason: &str, patience: Duration) {
        let (done, outcome) = oneshot::channel();
        if self.commands.send(Command::Abort { reason: reason.to_owned(), done }).await.is_ok()
            && tokio::time::timeout(patience, outcome).await.is_err()
        {
            tracing::warn!("the lease is still being released, in the background");
        }
    }
}

/// Asks the keeper whether the lease still stands.
#[derive(Debug, Clone)]
pub(crate) struct Probe {
    shared: Arc<Shared>,
    lost: watch::Receiver<Option<Lost>>,
}

impl Probe {
    /// Tells when the lease is lost.
    pub(crate) fn lost(&self) -> watch::Receiver<Option<Lost>> {
        self.lost.clone()
    }

    /// Has the lease renewed at once, and tells why it is lost if it turns out to be.
    pub(crate) async fn verdict(mut self) -> Option<Lost> {
        let mut renewals = self.shared.renewals.subscribe();
        self.shared.renew_now.notify_one();
        let verdict = async {
            tokio::select! {
                biased;
                lost = self.lost.wait_for(Option::is_some) => lost.ok().and_then(|lost| lost.clone()),
                _renewed = renewals.changed() => None,
            }
        };
        tokio::time::timeout(VERDICT_PATIENCE, verdict).await.unwrap_or(None)
    }
}
