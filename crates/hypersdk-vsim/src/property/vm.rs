use super::Reader;
use super::hardware::{config, guest_name, vmx_path};
use crate::model::Vm;
use crate::spec::{Obstacle, PowerState};
use crate::wire::{MoRef, Struct, Value};

impl Reader<'_> {
    pub(super) fn machine(&self, moref: &MoRef, vm: &Vm, name: &str) -> Option<Value> {
        let entity = self.state.entity(moref).ok()?;
        match name {
            "config" => Some(config(entity, vm).into()),
            "summary" => Some(self.vm_summary(moref, vm).into()),
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

    fn vm_summary(&self, moref: &MoRef, vm: &Vm) -> Struct {
        let name = self.state.name(moref);
        let config = Struct::new("VirtualMachineConfigSummary")
            .with("name", name)
            .with("template", false)
            .with("vmPathName", vmx_path(vm))
            .with("memorySizeMB", vm.spec.memory_mib)
            .with("cpuReservation", 0)
            .with("memoryReservation", 0)
            .with("numCpu", vm.spec.cpus)
            .with("numEthernetCards", 1)
            .with("numVirtualDisks", vm.disks.len() as i32)
            .with("uuid", &vm.uuid)
            .with("instanceUuid", &vm.instance_uuid)
            .with("guestId", &vm.spec.guest_id)
            .with("guestFullName", guest_name(&vm.spec.guest_id))
            .with("annotation", "");
        let guest = Struct::new("VirtualMachineGuestSummary")
            .with("guestId", &vm.spec.guest_id)
            .with("guestFullName", guest_name(&vm.spec.guest_id))
            .with("toolsStatus", tools_status(vm))
            .with("toolsRunningStatus", tools_running(vm));
        let stats = Struct::new("VirtualMachineQuickStats")
            .with("guestHeartbeatStatus", Value::Enum("ManagedEntityStatus", "gray"));
        let storage = Struct::new("VirtualMachineStorageSummary")
            .with("committed", vm.committed() as i64)
            .with("uncommitted", uncommitted(vm))
            .with("unshared", vm.committed() as i64)
            .with("timestamp", vm.created);
        Struct::new("VirtualMachineSummary")
            .with("vm", moref)
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

fn runtime(vm: &Vm) -> Struct {
    Struct::new("VirtualMachineRuntimeInfo")
        .with("host", &vm.host)
        .with("connectionState", Value::Enum("VirtualMachineConnectionState", "connected"))
        .with("powerState", Value::Enum("VirtualMachinePowerState", vm.power.member()))
        .with("faultToleranceState", Value::Enum("VirtualMachineFaultToleranceState", "notConfigured"))
        .with("toolsInstallerMounted", false)
        .maybe("bootTime", vm.booted)
        .with("numMksConnections", 0)
        .with("recordReplayState", Value::Enum("VirtualMachineRecordReplayState", "inactive"))
        .with("onlineStandby", false)
        .with("consolidationNeeded", vm.spec.obstacles.contains(&Obstacle::Consolidation))
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
