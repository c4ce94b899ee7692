//! What is in the way of an export, found without changing anything.

mod devices;
mod hosts;
mod privileges;

use hypersdk_core::{
    ErrorKind, ExportOptions, Finding, PowerPolicy, PowerState, Preflight, PreflightDepth, Result,
};

use crate::api::CreateDescriptor;
use crate::export::{self, Facts};
use crate::session::Scope;
use crate::soap::{FaultKind, MoRef};
use crate::wait::{self, Watched};

/// Free space below which a snapshot is risky, in bytes.
const SNAPSHOT_ROOM: u64 = 1 << 30;

/// Looks at a VM.
pub(crate) async fn look(
    scope: &Scope,
    vm: &MoRef,
    options: &ExportOptions,
    depth: PreflightDepth,
) -> Result<Preflight> {
    let facts = export::inspect(scope, vm).await?;
    let mut findings: Vec<Finding> = power(&facts, options).into_iter().collect();
    findings.extend(privileges::missing(scope, vm, &facts, options).await);
    findings.extend(devices::look(scope, vm, &facts, options).await);
    if takes_snapshot(&facts, options) {
        findings.extend(room_for_a_snapshot(scope, vm).await);
    }
    findings.extend(describe(scope, vm, &facts, options).await);
    if depth == PreflightDepth::Thorough {
        findings.extend(hosts::reach(scope, vm).await);
    }
    let taken = facts.taken(options);
    let expected_bytes = Some(taken.iter().map(|disk| export::estimate(disk)).sum());
    Ok(Preflight { findings, expected_bytes }.sorted())
}

fn takes_snapshot(facts: &Facts, options: &ExportOptions) -> bool {
    facts.power == PowerState::On && options.power == PowerPolicy::Snapshot
}

/// What will be done about the power state.
fn power(facts: &Facts, options: &ExportOptions) -> Option<Finding> {
    let on_again = if options.restore_power { ", and switched on again after it" } else { "" };
    match (facts.power, options.power) {
        (PowerState::Off, _) => None,
        (PowerState::Suspended, _) => Some(
            Finding::error("power_state", ErrorKind::Conflict, "the VM is suspended")
                .with_advice("resume it or power it off"),
        ),
        (PowerState::On, PowerPolicy::Keep) => Some(
            Finding::error("power_state", ErrorKind::Conflict, "the VM runs, and power is keep").with_advice(
                "power the VM off, or let the job do it with power shutdown, poweroff or snapshot",
            ),
        ),
        (PowerState::On, PowerPolicy::Snapshot) => Some(Finding::info(
            "power_state",
            "the VM runs: it is exported from a temporary snapshot, as after a power failure unless quiesced",
        )),
        (PowerState::On, PowerPolicy::Shutdown) if !facts.tools => Some(
            Finding::error(
                "tools",
                ErrorKind::Conflict,
                "the guest cannot be shut down: VMware Tools do not run",
            )
            .with_advice("start VMware Tools in the guest, or use power poweroff or snapshot"),
        ),
        (PowerState::On, PowerPolicy::Shutdown) => Some(Finding::info(
            "power_state",
            format!("the VM runs: its guest is shut down for the export{on_again}"),
        )),
        (PowerState::On, PowerPolicy::Poweroff) => Some(Finding::warning(
            "power_state",
            format!("the VM runs: it is switched off hard for the export{on_again}"),
        )),
    }
}

async fn room_for_a_snapshot(scope: &Scope, vm: &MoRef) -> Vec<Finding> {
    let watched = Watched { object: vm.clone(), kind: "VirtualMachine", paths: &["datastore"] };
    let Ok(known) = wait::properties(scope, &watched).await else { return Vec::new() };
    let datastores = known.get("datastore").map(|list| list.children.as_slice()).unwrap_or_default();
    let mut findings = Vec::new();
    for datastore in datastores.iter().filter_map(|item| item.moref().ok()) {
        let watched = Watched { object: datastore, kind: "Datastore", paths: &["summary"] };
        let Ok(known) = wait::properties(scope, &watched).await else { continue };
        let Some(summary) = known.get("summary") else { continue };
        let (name, free) = (summary.text_at("name").unwrap_or("?"), summary.number::<u64>("freeSpace"));
        if let Some(free) = free.filter(|free| *free < SNAPSHOT_ROOM) {
            findings.push(
                Finding::warning(
                    "space_there",
                    format!("datastore {name} has {free} bytes free; a snapshot grows while the export runs"),
                )
                .with_advice("free space on the datastore, or power the VM off for the export"),
            );
        }
    }
    findings
}

/// Has the descriptor made as if there were no files: what cannot be described cannot be exported.
async fn describe(scope: &Scope, vm: &MoRef, facts: &Facts, options: &ExportOptions) -> Vec<Finding> {
    let Some(this) = scope.content().ovf_manager.clone() else {
        return vec![Finding::error("descriptor", ErrorKind::Unsupported, "the server has no OVF manager")];
    };
    let (files, name) = (Vec::new(), facts.name.clone());
    let call = CreateDescriptor { this, vm: vm.clone(), files, name, images: false, snapshot: None };
    match scope.call(&call).await {
        Err(error) => {
            let busy = error.fault().is_some_and(|fault| fault.kind() == FaultKind::TaskInProgress);
            let why = if busy { "the VM is busy".to_owned() } else { error.to_string() };
            vec![Finding::info("descriptor", format!("a descriptor could not be tried: {why}"))]
        }
        Ok(tried) => {
            let refuses = ["OvfUnsupported", "OvfUnableToExport", "OvfExport", "OvfConnectedDevice"];
            let errors = tried.errors.iter().map(|fault| {
                let text = format!("the server cannot describe the VM: {fault}");
                if refuses.iter().any(|prefix| fault.type_name().starts_with(prefix)) {
                    Finding::error("descriptor", ErrorKind::Unsupported, text)
                        .with_advice("remove the device it names from the VM, or disconnect it")
                } else {
                    Finding::warning("descriptor", text)
                }
            });
            let warnings = tried.warnings.iter();
            let warnings = warnings.map(|fault| Finding::info("descriptor", fault.to_string()));
            let disks = described_disks(&tried.descriptor, facts.taken(options).len());
            errors.chain(warnings).chain(disks).collect()
        }
    }
}

/// The disks of a descriptor against those of the hardware that are to be exported. A server that describes none
/// on a trial says nothing about them.
fn described_disks(descriptor: &str, wanted: usize) -> Option<Finding> {
    let described = descriptor.matches("<Disk ").count() + descriptor.matches("<ovf:Disk ").count();
    (1..wanted).contains(&described).then(|| {
        let text = format!("the server describes {described} disks, {wanted} are to be exported");
        Finding::warning("disk_count", text)
            .with_advice("detach what it cannot export, or leave it out with options.disks.exclude")
    })
}
