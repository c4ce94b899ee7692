use super::Reader;
use super::hardware::{config, config_field, guest_name, vmx_path};
use crate::model::{Entity, Vm};
use crate::spec::{Obstacle, PowerState};
use crate::wire::{MoRef, Struct, Value};

impl Reader<'_> {
    pub(super) fn machine(&self, entity: &Entity, vm: &Vm, name: &str) -> Option<Value> {
        match name {
            "config" => Some(config(entity, vm).into()),
            "summary" => Some(self.vm_summary(entity, vm).into()),
            "runtime" => Some(runtime(vm).into()),
            "guest" => Some(guest(vm).into()),
            "guestHeartbeatStatus" => {
                let up = vm.power == PowerState::On && vm.spec.tools;
                Some(Value::Enum("ManagedEntityStatus", if up { "green" } else { "gray" }))
            }
            "datastore" => Some(Value::refs(vm.datastores())),
            "network" => Some(Value::refs([vm.network.clone()])),
            "resourcePool" => Some((&vm.pool).into()),
            "recentTask" => Some(Value::refs(vm.recent_tasks.iter().cloned())),
            "storage" => Some(storage(vm).into()),
            "layoutEx" => Some(file_layout(vm).into()),
            "snapshot" => self.snapshot_info(vm).map(Value::from),
            "rootSnapshot" => Some(Value::refs(vm.root_snapshots.iter().map(|id| snapshot_ref(id)))),
            _ => None,
        }
    }

    fn vm_summary(&self, entity: &Entity, vm: &Vm) -> Struct {
        let config =
            filled("VirtualMachineConfigSummary", SUMMARY_CONFIG, |name| summary_field(entity, vm, name));
        let guest = Struct::new("VirtualMachineGuestSummary")
            .with("guestId", &vm.spec.guest_id)
            .with("guestFullName", guest_name(&vm.spec.guest_id))
            .with("toolsStatus", tools_status(vm))
            .with("toolsRunningStatus", tools_running(vm));
        let stats = Struct::new("VirtualMachineQuickStats")
            .with("guestHeartbeatStatus", Value::Enum("ManagedEntityStatus", "gray"));
        let storage = filled("VirtualMachineStorageSummary", SUMMARY_STORAGE, |name| storage_field(vm, name));
        Struct::new("VirtualMachineSummary")
            .with("vm", &entity.moref)
            .with("runtime", runtime(vm))
            .with("guest", guest)
            .with("config", config)
            .with("storage", storage)
            .with("quickStats", stats)
            .with("overallStatus", Value::Enum("ManagedEntityStatus", "green"))
    }

    fn snapshot_info(&self, vm: &Vm) -> Option<Struct> {
        if vm.root_snapshots.is_empty() {
            return None;
        }
        Some(
            Struct::new("VirtualMachineSnapshotInfo")
                .maybe("currentSnapshot", vm.current_snapshot.as_deref().map(snapshot_ref))
                .with("rootSnapshotList", self.snapshot_trees(&vm.root_snapshots)),
        )
    }

    fn snapshot_trees(&self, ids: &[String]) -> Value {
        let trees = ids.iter().filter_map(|id| self.state.snapshots.get(id)).map(|snapshot| {
            Struct::new("VirtualMachineSnapshotTree")
                .with("snapshot", &snapshot.moref)
                .with("vm", &snapshot.vm)
                .with("name", &snapshot.name)
                .with("description", &snapshot.description)
                .with("id", snapshot.number)
                .with("createTime", snapshot.created)
                .with("state", Value::Enum("VirtualMachinePowerState", snapshot.power.member()))
                .with("quiesced", snapshot.quiesced)
                .with("childSnapshotList", self.snapshot_trees(&snapshot.children))
                .with("replaySupported", false)
        });
        Value::list("VirtualMachineSnapshotTree", trees.collect::<Vec<_>>())
    }

    pub(super) fn snapshot(&self, moref: &MoRef, name: &str) -> Option<Value> {
        let snapshot = self.state.snapshots.get(&moref.id)?;
        match name {
            "vm" => Some((&snapshot.vm).into()),
            "childSnapshot" => Some(Value::refs(snapshot.children.iter().map(|id| snapshot_ref(id)))),
            "config" => {
                let entity = self.state.entity(&snapshot.vm).ok()?;
                Some(config(entity, self.state.vm(&snapshot.vm).ok()?).into())
            }
            _ => None,
        }
    }
}

fn snapshot_ref(id: &str) -> MoRef {
    MoRef::new("VirtualMachineSnapshot", id)
}

fn tools_status(vm: &Vm) -> Value {
    let status = match (vm.spec.tools, vm.power) {
        (false, _) => "toolsNotInstalled",
        (true, PowerState::On) => "toolsOk",
        (true, PowerState::Off | PowerState::Suspended) => "toolsNotRunning",
    };
    Value::Enum("VirtualMachineToolsStatus", status)
}

fn tools_running(vm: &Vm) -> &'static str {
    if vm.spec.tools && vm.power == PowerState::On { "guestToolsRunning" } else { "guestToolsNotRunning" }
}

/// The value at paths of two or three names, as listings ask for, without all that stands beside it; none if it is
/// unset, or the path of another kind.
pub(super) fn machine_leaf(entity: &Entity, vm: &Vm, path: &str) -> Option<Value> {
    let (within, name) = path.rsplit_once('.')?;
    match within {
        "config" => config_field(entity, vm, name),
        "runtime" => runtime_field(vm, name),
        "summary.config" => summary_field(entity, vm, name),
        "summary.storage" => storage_field(vm, name),
        _ => None,
    }
}

/// A data object of those of these fields that are set.
fn filled(
    ty: &'static str,
    fields: &'static [&'static str],
    value: impl Fn(&str) -> Option<Value>,
) -> Struct {
    fields.iter().fold(Struct::new(ty), |data, name| data.maybe(name, value(name)))
}

const SUMMARY_CONFIG: &[&str] = &[
    "name",
    "template",
    "vmPathName",
    "memorySizeMB",
    "cpuReservation",
    "memoryReservation",
    "numCpu",
    "numEthernetCards",
    "numVirtualDisks",
    "uuid",
    "instanceUuid",
    "guestId",
    "guestFullName",
    "annotation",
];

fn summary_field(entity: &Entity, vm: &Vm, name: &str) -> Option<Value> {
    Some(match name {
        "name" => (&entity.name).into(),
        "template" => false.into(),
        "vmPathName" => vmx_path(vm).into(),
        "memorySizeMB" => vm.spec.memory_mib.into(),
        "cpuReservation" | "memoryReservation" => 0.into(),
        "numCpu" => vm.spec.cpus.into(),
        "numEthernetCards" => 1.into(),
        "numVirtualDisks" => (vm.disks.len() as i32).into(),
        "uuid" => (&vm.uuid).into(),
        "instanceUuid" => (&vm.instance_uuid).into(),
        "guestId" => (&vm.spec.guest_id).into(),
        "guestFullName" => guest_name(&vm.spec.guest_id).into(),
        "annotation" => "".into(),
        _ => return None,
    })
}

const SUMMARY_STORAGE: &[&str] = &["committed", "uncommitted", "unshared", "timestamp"];

fn storage_field(vm: &Vm, name: &str) -> Option<Value> {
    Some(match name {
        "committed" | "unshared" => (vm.committed() as i64).into(),
        "uncommitted" => uncommitted(vm).into(),
        "timestamp" => vm.created.into(),
        _ => return None,
    })
}

const RUNTIME: &[&str] = &[
    "host",
    "connectionState",
    "powerState",
    "faultToleranceState",
    "toolsInstallerMounted",
    "bootTime",
    "numMksConnections",
    "recordReplayState",
    "onlineStandby",
    "consolidationNeeded",
];

fn runtime(vm: &Vm) -> Struct {
    filled("VirtualMachineRuntimeInfo", RUNTIME, |name| runtime_field(vm, name))
}

fn runtime_field(vm: &Vm, name: &str) -> Option<Value> {
    Some(match name {
        "host" => (&vm.host).into(),
        "connectionState" => Value::Enum("VirtualMachineConnectionState", "connected"),
        "powerState" => Value::Enum("VirtualMachinePowerState", vm.power.member()),
        "faultToleranceState" => Value::Enum("VirtualMachineFaultToleranceState", "notConfigured"),
        "toolsInstallerMounted" | "onlineStandby" => false.into(),
        "bootTime" => vm.booted?.into(),
        "numMksConnections" => 0.into(),
        "recordReplayState" => Value::Enum("VirtualMachineRecordReplayState", "inactive"),
        "consolidationNeeded" => vm.spec.obstacles.contains(&Obstacle::Consolidation).into(),
        _ => return None,
    })
}

fn guest(vm: &Vm) -> Struct {
    let running = vm.power == PowerState::On;
    Struct::new("GuestInfo")
        .with("toolsStatus", tools_status(vm))
        .with("toolsRunningStatus", tools_running(vm))
        .with("toolsVersion", if vm.spec.tools { "12352" } else { "0" })
        .with("guestId", &vm.spec.guest_id)
        .with("guestFullName", guest_name(&vm.spec.guest_id))
        .maybe("hostName", (running && vm.spec.tools).then_some(&vm.spec.name))
        .with("guestState", if running { "running" } else { "notRunning" })
}

fn uncommitted(vm: &Vm) -> i64 {
    vm.disks.iter().map(|disk| disk.capacity.saturating_sub(disk.populated) as i64).sum()
}

/// What each disk occupies on its datastore.
fn file_layout(vm: &Vm) -> Struct {
    let files = vm.disks.iter().zip(0..).map(|(disk, number)| {
        Struct::new("VirtualMachineFileLayoutExFileInfo")
            .with("key", number)
            .with("name", &disk.file_name)
            .with("type", "diskExtent")
            .with("size", disk.populated as i64)
            .with("uniqueSize", disk.populated as i64)
            .with("accessible", true)
    });
    let disks = vm.disks.iter().zip(0..).map(|(disk, number)| {
        let unit = Struct::new("VirtualMachineFileLayoutExDiskUnit")
            .with("fileKey", Value::Array("int", vec![Value::Int(number)]));
        Struct::new("VirtualMachineFileLayoutExDiskLayout")
            .with("key", disk.key)
            .with("chain", Value::list("VirtualMachineFileLayoutExDiskUnit", [unit]))
    });
    Struct::new("VirtualMachineFileLayoutEx")
        .with("file", Value::list("VirtualMachineFileLayoutExFileInfo", files))
        .with("disk", Value::list("VirtualMachineFileLayoutExDiskLayout", disks))
        .with("timestamp", vm.created)
}

fn storage(vm: &Vm) -> Struct {
    let usage = vm.datastores().into_iter().map(|datastore| {
        let here = vm.disks.iter().filter(|disk| disk.datastore == datastore);
        let (committed, capacity) =
            here.fold((0, 0), |(used, size), disk| (used + disk.populated, size + disk.capacity));
        Struct::new("VirtualMachineUsageOnDatastore")
            .with("datastore", datastore)
            .with("committed", committed as i64)
            .with("uncommitted", capacity.saturating_sub(committed) as i64)
            .with("unshared", committed as i64)
    });
    Struct::new("VirtualMachineStorageInfo")
        .with("perDatastoreUsage", Value::list("VirtualMachineUsageOnDatastore", usage))
        .with("timestamp", vm.created)
}
