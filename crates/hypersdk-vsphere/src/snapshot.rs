//! Snapshots: made for an export, found again by name, removed.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use hypersdk_core::{Error, ErrorKind};

use crate::api::{CreateSnapshotTask, RemoveSnapshotTask};
use crate::session::Scope;
use crate::soap::{CallError, Element, FaultKind, MoRef};
use crate::wait::{self, Watched};

/// Makes a snapshot without memory. If it is in doubt whether the server made it, it is looked for and
/// removed before the error is returned.
pub(crate) async fn create(
    scope: &Scope,
    vm: &MoRef,
    name: &str,
    description: &str,
    quiesce: bool,
) -> Result<MoRef, Error> {
    let operation = format!("snapshot {}", vm.id);
    let call = CreateSnapshotTask {
        this: vm.clone(),
        name: name.to_owned(),
        description: description.to_owned(),
        quiesce,
    };
    let outcome = match scope.call(&call).await {
        Ok(task) => wait::task(scope, task).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(result) => match result.as_ref().map(Element::moref) {
            Some(Ok(snapshot)) => Ok(snapshot),
            _ => find(scope, vm, name)
                .await?
                .pop()
                .ok_or_else(|| Error::new(ErrorKind::Internal, operation, "the server made no snapshot")),
        },
        Err(error) => {
            if error.leaves_doubt() {
                tracing::warn!(%error, name, "it is in doubt whether a snapshot was made, looking for it");
                remove_named(scope, vm, name).await;
            }
            Err(error.into_error(operation))
        }
    }
}

/// Removes every snapshot of that name; what fails is logged.
pub(crate) async fn remove_named(scope: &Scope, vm: &MoRef, name: &str) {
    match find(scope, vm, name).await {
        Ok(found) => {
            for snapshot in found {
                if let Err(error) = remove(scope, &snapshot).await {
                    tracing::error!(error = %error.chain(), name, "a snapshot is left behind");
                }
            }
        }
        Err(error) => tracing::error!(error = %error.chain(), name, "a snapshot may be left behind"),
    }
}

/// The snapshots of a VM that have this name.
pub(crate) async fn find(scope: &Scope, vm: &MoRef, name: &str) -> Result<Vec<MoRef>, Error> {
    let watched = Watched { object: vm.clone(), kind: "VirtualMachine", paths: &["snapshot"] };
    let known = wait::properties(scope, &watched)
        .await
        .map_err(|error| error.into_error(format!("list snapshots of {}", vm.id)))?;
    let mut found = Vec::new();
    if let Some(info) = known.get("snapshot") {
        collect_named(info.all("rootSnapshotList"), name, &mut found);
    }
    Ok(found)
}

/// Walks a tree of `VirtualMachineSnapshotTree`.
fn collect_named<'a>(trees: impl Iterator<Item = &'a Element>, name: &str, found: &mut Vec<MoRef>) {
    for tree in trees {
        if tree.text_at("name") == Some(name) {
            found.extend(tree.moref_at("snapshot"));
        }
        collect_named(tree.all("childSnapshotList"), name, found);
    }
}

/// Removes a snapshot and consolidates its disks. One that is gone already is no error; a VM that is busy is
/// waited for.
pub(crate) async fn remove(scope: &Scope, snapshot: &MoRef) -> Result<(), Error> {
    let attempt = || async {
        let task = scope.call(&RemoveSnapshotTask { this: snapshot.clone() }).await?;
        wait::task(scope, task).await
    };
    let backoff = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(Duration::from_secs(20))
        .with_max_times(7)
        .with_jitter();
    match attempt.retry(backoff).when(may_be_repeated).await {
        Ok(_) => Ok(()),
        Err(error) if is_gone(&error) => Ok(()),
        Err(error) => Err(error.into_error(format!("remove snapshot {}", snapshot.id))),
    }
}

fn is_gone(error: &CallError) -> bool {
    error.fault().is_some_and(|fault| fault.kind() == FaultKind::ManagedObjectNotFound)
}

/// Removing twice does no harm, so all but a clear refusal is tried again.
fn may_be_repeated(error: &CallError) -> bool {
    match error.fault() {
        Some(fault) => matches!(
            fault.kind(),
            FaultKind::TaskInProgress
                | FaultKind::InvalidState
                | FaultKind::FileLocked
                | FaultKind::HostUnavailable
        ),
        None => !matches!(error, CallError::Malformed(_)),
    }
}
