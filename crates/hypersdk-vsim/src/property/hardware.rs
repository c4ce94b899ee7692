//! VirtualMachineConfigInfo.

use super::devices::devices;
use crate::model::{Entity, Vm};
use crate::spec::Obstacle;
use crate::wire::{Struct, Value};

pub(super) fn guest_name(guest_id: &str) -> &'static str {
    match guest_id {
        "debian12_64Guest" => "Debian GNU/Linux 12 (64-bit)",
        "rhel9_64Guest" => "Red Hat Enterprise Linux 9 (64-bit)",
        "ubuntu64Guest" => "Ubuntu Linux (64-bit)",
        "windows2019srvNext_64Guest" => "Microsoft Windows Server 2022 (64-bit)",
        "windows2019srv_64Guest" => "Microsoft Windows Server 2019 (64-bit)",
        "otherGuest64" => "Other (64-bit)",
        _ => "Other Linux (64-bit)",
    }
}

pub(super) fn vmx_path(vm: &Vm) -> String {
    format!("[{}] {1}/{1}.vmx", vm.home_name, vm.spec.name)
}

/// Fields of VirtualMachineConfigInfo, in the order of the schema.
const CONFIG: &[&str] = &[
    "changeVersion",
    "modified",
    "name",
    "guestFullName",
    "version",
    "uuid",
    "createDate",
    "instanceUuid",
    "template",
    "guestId",
    "alternateGuestName",
    "annotation",
    "files",
    "flags",
    "defaultPowerOps",
    "hardware",
    "extraConfig",
    "bootOptions",
    "changeTrackingEnabled",
    "firmware",
    "keyId",
];

pub(super) fn config(entity: &Entity, vm: &Vm) -> Struct {
    let fields = CONFIG.iter().copied();
    fields.fold(Struct::new("VirtualMachineConfigInfo"), |config, name| {
        config.maybe(name, config_field(entity, vm, name))
    })
}

/// One field of it: most listings want no more, and the devices are many.
pub(super) fn config_field(entity: &Entity, vm: &Vm, name: &str) -> Option<Value> {
    let spec = &vm.spec;
    let value = match name {
        "changeVersion" => format!("{}.{}", vm.created.format("%Y-%m-%dT%H:%M:%S"), vm.change_version).into(),
        "modified" | "createDate" => vm.created.into(),
        "name" => (&entity.name).into(),
        "guestFullName" => guest_name(&spec.guest_id).into(),
        "version" => "vmx-19".into(),
        "uuid" => (&vm.uuid).into(),
        "instanceUuid" => (&vm.instance_uuid).into(),
        "template" | "changeTrackingEnabled" => false.into(),
        "guestId" => (&spec.guest_id).into(),
        "alternateGuestName" | "annotation" => "".into(),
        "files" => files(vm).into(),
        "flags" => Struct::new("VirtualMachineFlagInfo").with("enableLogging", true).into(),
        "defaultPowerOps" => power_ops().into(),
        "hardware" => hardware(vm).into(),
        "extraConfig" => extra_config(vm),
        "bootOptions" => Struct::new("VirtualMachineBootOptions").with("bootDelay", 0i64).into(),
        "firmware" => (if spec.nvram.is_some() { "efi" } else { "bios" }).into(),
        "keyId" if spec.obstacles.contains(&Obstacle::Encryption) => encryption_key().into(),
        _ => return None,
    };
    Some(value)
}

fn files(vm: &Vm) -> Struct {
    let home = format!("[{}] {}/", vm.home_name, vm.spec.name);
    Struct::new("VirtualMachineFileInfo")
        .with("vmPathName", vmx_path(vm))
        .with("snapshotDirectory", &home)
        .with("suspendDirectory", &home)
        .with("logDirectory", &home)
}

fn power_ops() -> Struct {
    Struct::new("VirtualMachineDefaultPowerOpInfo")
        .with("powerOffType", "soft")
        .with("suspendType", "hard")
        .with("resetType", "soft")
        .with("standbyAction", "checkpoint")
}

fn hardware(vm: &Vm) -> Struct {
    Struct::new("VirtualHardware")
        .with("numCPU", vm.spec.cpus)
        .with("numCoresPerSocket", 1)
        .with("memoryMB", vm.spec.memory_mib)
        .with("virtualICH7MPresent", false)
        .with("virtualSMCPresent", false)
        .with("device", Value::list("VirtualDevice", devices(vm)))
}

fn extra_config(vm: &Vm) -> Value {
    let mut extra = vec![("sched.swap.derivedName", String::new())];
    if vm.spec.nvram.is_some() {
        extra.push(("nvram", format!("{}.nvram", vm.spec.name)));
    }
    let option = |(key, value): (&str, String)| {
        Struct::new("OptionValue").with("key", key).with("value", Value::any(value))
    };
    Value::list("OptionValue", extra.into_iter().map(option))
}

fn encryption_key() -> Struct {
    let provider = Struct::new("KeyProviderId").with("id", "vsim");
    Struct::new("CryptoKeyId").with("keyId", "2f6d3c1a").with("providerId", provider)
}
