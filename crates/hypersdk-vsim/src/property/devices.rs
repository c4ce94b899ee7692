//! The virtual devices of a machine.

use crate::disk::Attachment;
use crate::model::{Vm, VmDisk};
use crate::spec::Obstacle;
use crate::wire::{Struct, Value};

const CONTROLLER_KEY: i32 = 1000;
const NIC_KEY: i32 = 4000;
const IDE_KEY: i32 = 200;
const DRIVE_KEY: i32 = 3000;

fn description(label: impl Into<String>, summary: impl Into<String>) -> Struct {
    Struct::new("Description").with("label", label.into()).with("summary", summary.into())
}

pub(super) fn devices(vm: &Vm) -> Vec<Struct> {
    let keys = vm.disks.iter().map(|disk| Value::Int(disk.key)).collect();
    let controller = Struct::subtype("ParaVirtualSCSIController")
        .with("key", CONTROLLER_KEY)
        .with("deviceInfo", description("SCSI controller 0", "VMware paravirtual SCSI"))
        .with("busNumber", 0)
        .with("device", Value::Array("int", keys))
        .with("hotAddRemove", true)
        .with("sharedBus", Value::Enum("VirtualSCSISharing", "noSharing"))
        .with("scsiCtlrUnitNumber", 7);
    let backing = Struct::subtype("VirtualEthernetCardNetworkBackingInfo")
        .with("deviceName", "VM Network")
        .with("network", &vm.network);
    let nic = Struct::subtype("VirtualVmxnet3")
        .with("key", NIC_KEY)
        .with("deviceInfo", description("Network adapter 1", "VM Network"))
        .with("backing", backing)
        .with("unitNumber", 7)
        .with("addressType", "assigned")
        .with("macAddress", &vm.mac)
        .with("wakeOnLanEnabled", true);
    let disks = vm.disks.iter().enumerate().map(|(index, disk)| disk_device(index, disk));
    let obstacles = vm.spec.obstacles.iter().flat_map(|obstacle| obstacle_devices(vm, obstacle));
    std::iter::once(controller).chain(disks).chain([nic]).chain(obstacles).collect()
}

fn disk_device(index: usize, disk: &VmDisk) -> Struct {
    let kib = disk.capacity / 1024;
    let backing = disk_backing(index, disk);
    Struct::subtype("VirtualDisk")
        .with("key", disk.key)
        .with("deviceInfo", description(format!("Hard disk {}", index + 1), format!("{kib} KB")))
        .with("backing", backing)
        .with("controllerKey", CONTROLLER_KEY)
        .with("unitNumber", disk.unit)
        .with("capacityInKB", kib as i64)
        .with("capacityInBytes", disk.capacity as i64)
}

fn disk_backing(index: usize, disk: &VmDisk) -> Struct {
    let uuid = format!("6000C29{:x}-0000-4000-8000-{:012x}", index % 16, disk.key);
    let attachment = disk.spec.attachment;
    if let Attachment::RawVirtual | Attachment::RawPhysical = attachment {
        let mode = if attachment == Attachment::RawPhysical { "physicalMode" } else { "virtualMode" };
        return Struct::subtype("VirtualDiskRawDiskMappingVer1BackingInfo")
            .with("fileName", &disk.file_name)
            .with("datastore", &disk.datastore)
            .with("deviceName", "vml.0200000000600508b1001c")
            .with("compatibilityMode", mode)
            .with("diskMode", "persistent")
            .with("uuid", uuid);
    }
    let mode = if attachment == Attachment::Independent { "independent_persistent" } else { "persistent" };
    Struct::subtype("VirtualDiskFlatVer2BackingInfo")
        .with("fileName", &disk.file_name)
        .with("datastore", &disk.datastore)
        .with("diskMode", mode)
        .with("split", false)
        .with("writeThrough", false)
        .with("thinProvisioned", true)
        .with("uuid", uuid)
}

fn obstacle_devices(vm: &Vm, obstacle: &Obstacle) -> Vec<Struct> {
    match obstacle {
        Obstacle::Encryption | Obstacle::Consolidation => Vec::new(),
        Obstacle::Tpm => vec![
            Struct::subtype("VirtualTPM")
                .with("key", 11000)
                .with("deviceInfo", description("Virtual TPM", "Trusted Platform Module")),
        ],
        Obstacle::Passthrough => vec![
            Struct::subtype("VirtualPCIPassthrough")
                .with("key", 13000)
                .with("deviceInfo", description("PCI device 0", "A device of the host")),
        ],
        Obstacle::ConnectedIso(_) => drive(vm),
    }
}

/// A drive with an image in it, and the controller it hangs on.
fn drive(vm: &Vm) -> Vec<Struct> {
    let image = format!("[{}] iso/{}.iso", vm.home_name, vm.spec.name);
    let controller = Struct::subtype("VirtualIDEController")
        .with("key", IDE_KEY)
        .with("deviceInfo", description("IDE 0", "IDE 0"))
        .with("busNumber", 0)
        .with("device", Value::Array("int", vec![Value::Int(DRIVE_KEY)]));
    let connectable = Struct::new("VirtualDeviceConnectInfo")
        .with("startConnected", true)
        .with("allowGuestControl", true)
        .with("connected", true)
        .with("status", "ok");
    let drive = Struct::subtype("VirtualCdrom")
        .with("key", DRIVE_KEY)
        .with("deviceInfo", description("CD/DVD drive 1", format!("ISO {image}")))
        .with(
            "backing",
            Struct::subtype("VirtualCdromIsoBackingInfo")
                .with("fileName", &image)
                .with("datastore", &vm.home),
        )
        .with("connectable", connectable)
        .with("controllerKey", IDE_KEY)
        .with("unitNumber", 0);
    vec![controller, drive]
}
