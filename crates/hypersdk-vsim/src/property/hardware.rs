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

pub(super) fn config(entity: &Entity, vm: &Vm) -> Struct {
    let spec = &vm.spec;
    let home = format!("[{}] {}/", vm.home_name, spec.name);
    let files = Struct::new("VirtualMachineFileInfo")
        .with("vmPathName", vmx_path(vm))
        .with("snapshotDirectory", &home)
        .with("suspendDirectory", &home)
        .with("logDirectory", &home);
    let power_ops = Struct::new("VirtualMachineDefaultPowerOpInfo")
        .with("powerOffType", "soft")
        .with("suspendType", "hard")
        .with("resetType", "soft")
        .with("standbyAction", "checkpoint");
    let hardware = Struct::new("VirtualHardware")
        .with("numCPU", spec.cpus)
        .with("numCoresPerSocket", 1)
        .with("memoryMB", spec.memory_mib)
        .with("virtualICH7MPresent", false)
        .with("virtualSMCPresent", false)
        .with("device", Value::list("VirtualDevice", devices(vm)));
    let mut extra = vec![("sched.swap.derivedName".to_owned(), String::new())];
    if spec.nvram.is_some() {
        extra.push(("nvram".to_owned(), format!("{}.nvram", spec.name)));
    }
    let extra = extra
        .into_iter()
        .map(|(key, value)| Struct::new("OptionValue").with("key", key).with("value", Value::any(value)));
    Struct::new("VirtualMachineConfigInfo")
        .with("changeVersion", format!("{}.{}", vm.created.format("%Y-%m-%dT%H:%M:%S"), vm.change_version))
        .with("modified", vm.created)
        .with("name", &entity.name)
        .with("guestFullName", guest_name(&spec.guest_id))
        .with("version", "vmx-19")
        .with("uuid", &vm.uuid)
        .with("createDate", vm.created)
        .with("instanceUuid", &vm.instance_uuid)
        .with("template", false)
        .with("guestId", &spec.guest_id)
        .with("alternateGuestName", "")
        .with("annotation", "")
        .with("files", files)
        .with("flags", Struct::new("VirtualMachineFlagInfo").with("enableLogging", true))
        .with("defaultPowerOps", power_ops)
        .with("hardware", hardware)
        .with("extraConfig", Value::list("OptionValue", extra))
        .with("bootOptions", Struct::new("VirtualMachineBootOptions").with("bootDelay", 0i64))
        .with("changeTrackingEnabled", false)
        .with("firmware", if spec.nvram.is_some() { "efi" } else { "bios" })
        .maybe("keyId", spec.obstacles.contains(&Obstacle::Encryption).then(encryption_key))
}

fn encryption_key() -> Struct {
    let provider = Struct::new("KeyProviderId").with("id", "vsim");
    Struct::new("CryptoKeyId").with("keyId", "2f6d3c1a").with("providerId", provider)
}
