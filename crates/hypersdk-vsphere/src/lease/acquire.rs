//! From nothing to a lease that is ready.

use hypersdk_core::{Error, PowerPolicy};
use tokio::sync::mpsc;

use super::Command;
use crate::api::{ExportSnapshot, ExportVm, LeaseInfo};
use crate::power;
use crate::session::Scope;
use crate::snapshot;
use crate::soap::{CallError, Fault, Malformed, MoRef};
use crate::wait::{self, Watched};

/// What to export.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) vm: MoRef,
    /// Export from a snapshot made for it; else the VM itself, which then must not run.
    pub(crate) snapshot: Option<SnapshotPlan>,
    /// Rather export from this one, if it is still there.
    pub(crate) reuse: Option<LeftSnapshot>,
    pub(crate) power: PowerPlan,
}

/// What becomes of the VM's power state.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PowerPlan {
    /// It runs and is to be stopped, in this way.
    pub(crate) stop: Option<PowerPolicy>,
    /// What was stopped runs again afterwards.
    pub(crate) restore: bool,
    /// An earlier attempt stopped it.
    pub(crate) was_running: bool,
}

/// A snapshot that an earlier attempt left behind.
#[derive(Debug)]
pub(crate) struct LeftSnapshot {
    pub(crate) name: String,
    pub(crate) id: String,
}

/// A snapshot to be made.
#[derive(Debug)]
pub(crate) struct SnapshotPlan {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) quiesce: bool,
}

/// What is held at the server by now.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) snapshot: Option<MoRef>,
    /// The snapshot is an earlier attempt's, which others wait to read from again.
    pub(super) reused: bool,
    pub(super) lease: Option<MoRef>,
    /// The VM is to be switched on again.
    pub(super) switched_off: Option<MoRef>,
}

/// Does what the plan says and notes in `held` each thing as soon as it exists. Stops between two steps, and
/// while waiting for the lease, when nobody waits for the outcome any more.
pub(super) async fn acquire(
    scope: &Scope,
    plan: &Plan,
    held: &mut Held,
    inbox: &mut mpsc::Receiver<Command>,
) -> Result<LeaseInfo, Error> {
    let given_up = || Error::cancelled("open lease");
    if plan.power.restore && (plan.power.stop.is_some() || plan.power.was_running) {
        held.switched_off = Some(plan.vm.clone());
    }
    if let Some(how) = plan.power.stop {
        tokio::select! {
            biased;
            _nobody_waits = inbox.recv() => return Err(given_up()),
            stopped = power::stop(scope, &plan.vm, how) => stopped?,
        }
    }
    let left = plan.reuse.as_ref().map(|left| &left.name);
    if let Some(name) = plan.snapshot.as_ref().map(|wanted| &wanted.name).or(left) {
        // An earlier attempt at the same job may have been killed before it could remove its own.
        for leftover in snapshot::find(scope, &plan.vm, name).await? {
            if plan.reuse.as_ref().is_some_and(|left| left.id == leftover.id) {
                tracing::info!(name, "going on with the snapshot of an earlier attempt");
                (held.snapshot, held.reused) = (Some(leftover), true);
                continue;
            }
            tracing::info!(name, "removing the snapshot of an earlier attempt");
            snapshot::remove(scope, &leftover).await?;
        }
        if inbox.is_closed() {
            return Err(given_up());
        }
    }
    if let Some(wanted) = plan.snapshot.as_ref().filter(|_| held.snapshot.is_none()) {
        let made =
            snapshot::create(scope, &plan.vm, &wanted.name, &wanted.description, wanted.quiesce).await?;
        held.snapshot = Some(made);
        if inbox.is_closed() {
            return Err(given_up());
        }
    }
    let (granted, method) = match &held.snapshot {
        Some(snapshot) => (scope.call(&ExportSnapshot { this: snapshot.clone() }).await, "ExportSnapshot"),
        None => (scope.call(&ExportVm { this: plan.vm.clone() }).await, "ExportVm"),
    };
    let lease = granted.map_err(|error| {
        if error.leaves_doubt() {
            tracing::warn!(%error, "a lease may have been granted that nobody holds; it ends by its timeout");
        }
        error.into_error(method)
    })?;
    held.lease = Some(lease.clone());
    tokio::select! {
        biased;
        _nobody_waits = inbox.recv() => Err(given_up()),
        info = ready(scope, &lease) => info.map_err(|error| error.into_error("wait for lease")),
    }
}

/// Waits until the lease is ready.
async fn ready(scope: &Scope, lease: &MoRef) -> Result<LeaseInfo, CallError> {
    let state = Watched { object: lease.clone(), kind: "HttpNfcLease", paths: &["state", "error"] };
    let limit = scope.connector().config().lease_ready_timeout;
    let outcome = wait::until(scope, &state, limit, |known| match known.get("state")?.text.as_str() {
        "ready" => Some(Ok(())),
        "initializing" => None,
        other => Some(Err(known.get("error").map_or_else(
            || Fault::new("InvalidState", format!("the lease is {other}")),
            Fault::from_localized,
        ))),
    })
    .await?;
    outcome.map_err(|fault| CallError::Fault(Box::new(fault)))?;
    let info = Watched { object: lease.clone(), kind: "HttpNfcLease", paths: &["info"] };
    let known = wait::properties(scope, &info).await?;
    let info =
        known.get("info").ok_or_else(|| Malformed("the lease is ready but says nothing".to_owned()))?;
    Ok(LeaseInfo::read(info)?)
}
