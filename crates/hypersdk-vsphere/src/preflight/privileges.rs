//! Privileges the account lacks, by name and object.

use hypersdk_core::{ErrorKind, ExportOptions, Finding, PowerState};

use super::{Facts, takes_snapshot};
use crate::api::HasPrivilegeOnEntities;
use crate::session::Scope;
use crate::soap::{CallError, MoRef};
use crate::wait::{self, Watched};

/// What the export of this VM takes.
fn needed(facts: &Facts, options: &ExportOptions) -> Vec<&'static str> {
    let mut privileges = vec!["VApp.Export"];
    if takes_snapshot(facts, options) {
        privileges.extend(["VirtualMachine.State.CreateSnapshot", "VirtualMachine.State.RemoveSnapshot"]);
    }
    if facts.power == PowerState::On && options.power.stops() {
        privileges.push("VirtualMachine.Interact.PowerOff");
        if options.restore_power {
            privileges.push("VirtualMachine.Interact.PowerOn");
        }
    }
    privileges
}

/// A finding for each that is missing.
pub(super) async fn missing(
    scope: &Scope,
    vm: &MoRef,
    facts: &Facts,
    options: &ExportOptions,
) -> Vec<Finding> {
    match held(scope, vm, needed(facts, options)).await {
        Err(error) => {
            vec![Finding::info(
                "privileges",
                format!("the account's privileges could not be asked for: {error}"),
            )]
        }
        Ok(held) => held
            .into_iter()
            .filter(|(_, granted)| !granted)
            .map(|(privilege, _)| {
                let text =
                    format!("the account lacks the privilege {privilege} on {} ({})", facts.name, vm.id);
                Finding::error("privilege_missing", ErrorKind::PermissionDenied, text).with_advice(format!(
                    "grant {privilege} to the account on the VM or a folder above it, and propagate it"
                ))
            })
            .collect(),
    }
}

async fn held(
    scope: &Scope,
    vm: &MoRef,
    privileges: Vec<&'static str>,
) -> Result<Vec<(String, bool)>, CallError> {
    let (Some(this), Some(sessions)) =
        (scope.content().authorization_manager.clone(), scope.content().session_manager.clone())
    else {
        return Ok(Vec::new());
    };
    let watched = Watched { object: sessions, kind: "SessionManager", paths: &["currentSession"] };
    let known = wait::properties(scope, &watched).await?;
    let Some(session) = known.get("currentSession").and_then(|session| session.text_at("key")) else {
        return Ok(Vec::new());
    };
    let session = session.to_owned();
    scope.call(&HasPrivilegeOnEntities { this, entity: vm.clone(), session, privileges }).await
}
