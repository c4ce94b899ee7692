//! Power states.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use hypersdk_core::{Error, ErrorKind, PowerPolicy, PowerState};

use crate::api::{PowerOffVmTask, PowerOnVmTask, ShutdownGuest};
use crate::session::Scope;
use crate::soap::{CallError, MoRef};
use crate::wait::{self, Watched};

/// The longest a guest may take to shut down.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(10 * 60);

/// `runtime.powerState` in core's words.
pub(crate) fn read(text: &str) -> PowerState {
    match text {
        "poweredOn" => PowerState::On,
        "suspended" => PowerState::Suspended,
        _ => PowerState::Off,
    }
}

/// Switches a VM on, and waits for it.
pub(crate) async fn on(scope: &Scope, vm: &MoRef) -> Result<(), Error> {
    let started = scope.call(&PowerOnVmTask { this: vm.clone() }).await;
    finish(scope, started, format!("power on {}", vm.id)).await
}

/// Switches a VM off hard, and waits for it.
pub(crate) async fn off(scope: &Scope, vm: &MoRef) -> Result<(), Error> {
    let started = scope.call(&PowerOffVmTask { this: vm.clone() }).await;
    finish(scope, started, format!("power off {}", vm.id)).await
}

/// Stops a VM that runs, as the policy says, and waits until it is off.
pub(crate) async fn stop(scope: &Scope, vm: &MoRef, how: PowerPolicy) -> Result<(), Error> {
    if how != PowerPolicy::Shutdown {
        return off(scope, vm).await;
    }
    let operation = || format!("shut down {}", vm.id);
    scope.call(&ShutdownGuest { this: vm.clone() }).await.map_err(|error| error.into_error(operation()))?;
    let state = Watched { object: vm.clone(), kind: "VirtualMachine", paths: &["runtime.powerState"] };
    let is_off = |known: &crate::soap::Properties| {
        known.get("runtime.powerState").filter(|state| state.text == "poweredOff").map(|_| ())
    };
    wait::until(scope, &state, SHUTDOWN_PATIENCE, is_off).await.map_err(|error| {
        error.into_error(operation()).with_advice("shut the guest down yourself, or use power poweroff")
    })
}

/// Switches a VM on unless it runs, and waits for it. One that is busy is tried again.
pub(crate) async fn ensure_on(scope: &Scope, vm: &MoRef) -> Result<(), Error> {
    let attempt = || async {
        let state = Watched { object: vm.clone(), kind: "VirtualMachine", paths: &["runtime.powerState"] };
        let known = wait::properties(scope, &state).await.map_err(|error| error.into_error("look up VM"))?;
        match known.get("runtime.powerState") {
            Some(state) if state.text == "poweredOn" => Ok(()),
            _ => on(scope, vm).await,
        }
    };
    let backoff = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(500))
        .with_max_delay(Duration::from_secs(20))
        .with_max_times(5)
        .with_jitter();
    attempt.retry(backoff).when(|error| error.is_retryable() || error.kind() == ErrorKind::Conflict).await
}

async fn finish(scope: &Scope, started: Result<MoRef, CallError>, operation: String) -> Result<(), Error> {
    let outcome = match started {
        Ok(task) => wait::task(scope, task).await.map(drop),
        Err(error) => Err(error),
    };
    outcome.map_err(|error| error.into_error(operation))
}
