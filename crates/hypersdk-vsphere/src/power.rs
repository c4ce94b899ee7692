//! Power states.

use hypersdk_core::{Error, PowerState};

use crate::api::{PowerOffVmTask, PowerOnVmTask};
use crate::session::Scope;
use crate::soap::{CallError, MoRef};
use crate::wait;

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

async fn finish(scope: &Scope, started: Result<MoRef, CallError>, operation: String) -> Result<(), Error> {
    let outcome = match started {
        Ok(task) => wait::task(scope, task).await.map(drop),
        Err(error) => Err(error),
    };
    outcome.map_err(|error| error.into_error(operation))
}
