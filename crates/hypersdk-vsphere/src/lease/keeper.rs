//! The task that owns a lease: renews it, completes or aborts it, and removes the snapshot.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hypersdk_core::{Error, ErrorKind, RetryHint};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::acquire::{Held, Plan, acquire};
use super::{Command, Lost, Shared};
use crate::api::{HttpNfcLeaseAbort, HttpNfcLeaseComplete, HttpNfcLeaseProgress, LeaseInfo};
use crate::http::TransportError;
use crate::power;
use crate::session::Scope;
use crate::snapshot;
use crate::soap::{CallError, Fault, FaultKind, MoRef};
use crate::wait::{self, Watched};

/// How long a failed opening waits for its own clean-up before it reports.
const CLEAN_UP_PATIENCE: Duration = Duration::from_secs(10);
/// How often a lost answer to Complete is asked for again.
const COMPLETE_ATTEMPTS: u32 = 4;

/// What the holder learns when the lease is ready.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) object: MoRef,
    pub(super) info: LeaseInfo,
    pub(super) snapshot: Option<MoRef>,
}

#[derive(Debug)]
pub(super) struct Keeper {
    scope: Scope,
    shared: Arc<Shared>,
    lost: watch::Sender<Option<Lost>>,
}

impl Keeper {
    pub(super) fn new(scope: Scope, shared: Arc<Shared>, lost: watch::Sender<Option<Lost>>) -> Self {
        Keeper { scope, shared, lost }
    }

    /// The whole life of a lease.
    pub(super) async fn run(
        self,
        plan: Plan,
        mut inbox: mpsc::Receiver<Command>,
        ready: oneshot::Sender<Result<Ready, Error>>,
    ) {
        let mut held = Held::default();
        let acquired = acquire(&self.scope, &plan, &mut held, &mut inbox).await;
        let (info, object) = match (acquired, held.lease.clone()) {
            (Ok(info), Some(object)) => (info, object),
            (outcome, _) => {
                let error = outcome.err().unwrap_or_else(super::keeper_ended);
                // The lease of a process that was killed is in the way for a while; the snapshot is wanted after it.
                if held.reused && matches!(error.retry(), RetryHint::After(_)) {
                    held.snapshot = None;
                }
                let reason = error.to_string();
                let mut release = std::pin::pin!(self.release(held, &reason));
                let released = timeout(CLEAN_UP_PATIENCE, release.as_mut()).await.is_ok();
                // Nobody may be waiting any more; the clean-up goes on regardless.
                drop(ready.send(Err(error)));
                if !released {
                    release.await;
                }
                return;
            }
        };
        let snapshot = held.snapshot.clone();
        let lease_timeout = Duration::from_secs(info.timeout_seconds.max(1));
        if ready.send(Ok(Ready { object: object.clone(), info, snapshot })).is_err() {
            return self.release(held, "the export was given up").await;
        }
        match self.keep(&object, lease_timeout, &mut inbox).await {
            None => self.release(held, "the export was given up").await,
            Some(Command::Abort { reason, done }) => {
                self.release(held, &reason).await;
                // The session is back in the pool when the holder goes on.
                drop(self);
                let _unless_nobody_waits = done.send(());
            }
            Some(Command::Complete { done }) => {
                let known_loss = self.lost.borrow().clone();
                let outcome = match known_loss {
                    Some(lost) => Err(lost.error("complete lease")),
                    None => self.complete(&object).await,
                };
                if outcome.is_ok() {
                    held.lease = None;
                }
                self.release(held, "the export could not be completed").await;
                drop(self);
                let _unless_nobody_waits = done.send(outcome);
            }
        }
    }

    /// Renews the lease until the holder says what becomes of it, or is gone.
    async fn keep(
        &self,
        lease: &MoRef,
        lease_timeout: Duration,
        inbox: &mut mpsc::Receiver<Command>,
    ) -> Option<Command> {
        let interval = (lease_timeout / 5).min(Duration::from_secs(30));
        let hurried = (interval / 4).min(Duration::from_secs(5));
        let mut renewed = Instant::now();
        let mut next = renewed + interval;
        loop {
            let renewal = async {
                tokio::select! {
                    () = sleep_until(next) => {}
                    () = self.shared.renew_now.notified() => {}
                }
                self.renew(lease, lease_timeout / 3).await
            };
            let error = tokio::select! {
                biased;
                command = inbox.recv() => return command,
                result = renewal => match result {
                    Ok(()) => {
                        renewed = Instant::now();
                        next = renewed + interval;
                        self.shared.renewals.send_modify(|count| *count += 1);
                        continue;
                    }
                    Err(error) => error,
                },
            };
            tracing::warn!(%error, "the lease was not renewed");
            if let Some(lost) = self.diagnose(lease, error, renewed.elapsed(), lease_timeout).await {
                tracing::error!(error = %lost.0.chain(), "the lease is lost");
                self.lost.send_replace(Some(lost));
                return inbox.recv().await;
            }
            next = Instant::now() + hurried;
        }
    }

    async fn renew(&self, lease: &MoRef, limit: Duration) -> Result<(), CallError> {
        let percent = self.shared.percent.load(Ordering::Relaxed);
        let call = HttpNfcLeaseProgress { this: lease.clone(), percent };
        timeout(limit, self.scope.call(&call))
            .await
            .unwrap_or(Err(CallError::Transport(TransportError::Timeout { after: limit })))
    }

    /// Whether a failed renewal means that the lease is lost. A fault may be passing, so the lease's own state
    /// decides; without an answer, its timeout does.
    async fn diagnose(
        &self,
        lease: &MoRef,
        error: CallError,
        since_renewal: Duration,
        lease_timeout: Duration,
    ) -> Option<Lost> {
        if error.fault().is_some() {
            match timeout(lease_timeout / 3, self.state(lease)).await {
                Ok(Ok(State::Ready)) => return None,
                Ok(Ok(State::Ended(fault))) => return Some(Lost::new(fault.into_error("renew lease"))),
                Ok(Err(_)) | Err(_) => {}
            }
        }
        (since_renewal > lease_timeout).then(|| {
            let message = format!("it could not be renewed for {} s: {error}", since_renewal.as_secs());
            Lost::new(Error::new(ErrorKind::Timeout, "renew lease", message))
        })
    }

    async fn state(&self, lease: &MoRef) -> Result<State, CallError> {
        let watched = Watched { object: lease.clone(), kind: "HttpNfcLease", paths: &["state", "error"] };
        let known = match wait::properties(&self.scope, &watched).await {
            Err(CallError::Fault(fault)) if fault.kind() == FaultKind::ManagedObjectNotFound => {
                return Ok(State::Ended(Fault::new("Timedout", "the server no longer knows the lease")));
            }
            other => other?,
        };
        Ok(match known.get("state").map(|state| state.text.as_str()) {
            Some("ready" | "initializing") => State::Ready,
            Some("done") => {
                State::Ended(Fault::new("InvalidState", "the lease was completed by somebody else"))
            }
            _ => {
                State::Ended(known.get("error").map_or_else(
                    || Fault::new("Timedout", "the server ended the lease"),
                    Fault::from_localized,
                ))
            }
        })
    }

    /// Completes the lease. If the answer is lost, the lease's state tells whether it was done.
    async fn complete(&self, lease: &MoRef) -> Result<(), Error> {
        let mut in_doubt = false;
        for attempt in 1..=COMPLETE_ATTEMPTS {
            let error = match self.scope.call(&HttpNfcLeaseComplete { this: lease.clone() }).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let settled = |kind| matches!(kind, FaultKind::InvalidState | FaultKind::ManagedObjectNotFound);
            if in_doubt && error.fault().is_some_and(|fault| settled(fault.kind())) {
                // Only a lease that an earlier attempt completed is in neither state.
                return match self.state_text(lease).await {
                    Some(state) if state != "done" => Err(error.into_error("complete lease")),
                    _ => Ok(()),
                };
            }
            if !error.leaves_doubt() || attempt == COMPLETE_ATTEMPTS {
                return Err(error.into_error("complete lease").with_retry(RetryHint::Backoff));
            }
            tracing::warn!(%error, "the answer to Complete is lost, asking again");
            in_doubt = true;
            tokio::time::sleep(Duration::from_millis(200 << attempt)).await;
        }
        Err(super::keeper_ended())
    }

    async fn state_text(&self, lease: &MoRef) -> Option<String> {
        let watched = Watched { object: lease.clone(), kind: "HttpNfcLease", paths: &["state"] };
        Some(wait::properties(&self.scope, &watched).await.ok()?.remove("state")?.text)
    }

    /// Aborts the lease if it is held, then removes the snapshot if there is one. What fails is logged: there
    /// is nobody left who could do more about it.
    async fn release(&self, held: Held, reason: &str) {
        if let Some(lease) = held.lease {
            let settled = |fault: &Fault| {
                matches!(
                    fault.kind(),
                    FaultKind::InvalidState | FaultKind::ManagedObjectNotFound | FaultKind::Timedout
                )
            };
            match self.scope.call(&HttpNfcLeaseAbort { this: lease, reason: reason.to_owned() }).await {
                Ok(()) => tracing::debug!(reason, "lease aborted"),
                Err(error) if error.fault().is_some_and(settled) => {}
                Err(error) => tracing::error!(%error, "the lease was not aborted; it ends by its timeout"),
            }
        }
        if let Some(made) = held.snapshot
            && let Err(error) = snapshot::remove(&self.scope, &made).await
        {
            tracing::error!(error = %error.chain(), snapshot = made.id, "a snapshot is left behind");
        }
        if let Some(vm) = held.switched_off
            && let Err(error) = power::ensure_on(&self.scope, &vm).await
        {
            tracing::error!(error = %error.chain(), vm = vm.id, "the VM was not switched on again");
        }
    }
}

/// Whether a lease still stands.
enum State {
    Ready,
    Ended(Fault),
}
