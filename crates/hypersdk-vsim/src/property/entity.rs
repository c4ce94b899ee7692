use super::Reader;
use crate::model::{Entity, EntityKind, Vm};
use crate::spec::Kind;
use crate::wire::{MoRef, Struct, Value};

const GIB: i64 = 1 << 30;
const DATASTORE_CAPACITY: i64 = 4096 * GIB;

fn green() -> Value {
    Value::Enum("ManagedEntityStatus", "green")
}

impl Reader<'_> {
    pub(super) fn entity(&self, entity: &Entity, name: &str) -> Option<Value> {
        match name {
            "name" => return Some((&entity.name).into()),
            "parent" => return entity.parent.as_ref().map(Value::from),
            "overallStatus" | "configStatus" => return Some(green()),
            "configIssue" => return Some(Value::Array("Event", Vec::new())),
            "disabledMethod" => return Some(Value::Array("MethodName", Vec::new())),
            "permission" => return Some(Value::Array("Permission", Vec::new())),
            "tag" => return Some(Value::Array("Tag", Vec::new())),
            "effectiveRole" => return Some(Value::Array("int", vec![Value::Int(-1)])),
            "alarmActionsEnabled" => return Some(true.into()),
            _ => {}
        }
        match &entity.kind {
            EntityKind::Vm(vm) => self.machine(entity, vm, name),
            _ if name == "recentTask" => Some(Value::refs([])),
            EntityKind::Folder { children, types } => match name {
                "childEntity" => Some(Value::refs(children.iter().cloned())),
                "childType" => {
                    Some(Value::Array("string", types.iter().map(|name| Value::from(*name)).collect()))
                }
                _ => None,
            },
            EntityKind::Datacenter { vm, host, datastore, network } => match name {
                "vmFolder" => Some(vm.into()),
                "hostFolder" => Some(host.into()),
                "datastoreFolder" => Some(datastore.into()),
                "networkFolder" => Some(network.into()),
                "datastore" => Some(Value::refs(self.children(datastore))),
                "network" => Some(Value::refs(self.children(network))),
                "configuration" => Some(Struct::new("DatacenterConfigInfo").into()),
                _ => None,
            },
            EntityKind::Compute { hosts, pool, datastores, network } => match name {
                "host" => Some(Value::refs(hosts.iter().cloned())),
                "resourcePool" => Some(pool.into()),
                "datastore" => Some(Value::refs(datastores.iter().cloned())),
                "network" => Some(Value::refs([network.clone()])),
                "summary" => Some(self.compute_summary(entity, hosts.len()).into()),
                _ => None,
            },
            EntityKind::Pool { owner } => match name {
                "owner" => Some(owner.into()),
                "vm" => Some(self.machines(|vm| vm.pool == entity.moref)),
                "resourcePool" => Some(Value::refs([])),
                _ => None,
            },
            EntityKind::Host { datastores, network } => match name {
                "vm" => Some(self.machines(|vm| vm.host == entity.moref)),
                "datastore" => Some(Value::refs(datastores.iter().cloned())),
                "network" => Some(Value::refs([network.clone()])),
                "runtime" => Some(host_runtime().into()),
                "summary" => Some(self.host_summary(entity).into()),
                _ => None,
            },
            EntityKind::Datastore => match name {
                "vm" => Some(self.machines(|vm| vm.datastores().contains(&entity.moref))),
                "summary" => Some(self.datastore_summary(entity).into()),
                "info" => Some(self.datastore_info(entity).into()),
                "host" => Some(self.datastore_hosts(entity)),
                "capability" => Some(datastore_capability().into()),
                _ => None,
            },
            EntityKind::Network => match name {
                "vm" => Some(self.machines(|vm| vm.network == entity.moref)),
                "host" => Some(Value::refs(self.hosts())),
                "summary" => Some(
                    Struct::new("NetworkSummary")
                        .with("network", &entity.moref)
                        .with("name", &entity.name)
                        .with("accessible", true)
                        .with("ipPoolName", "")
                        .into(),
                ),
                _ => None,
            },
        }
    }

    fn children(&self, folder: &MoRef) -> Vec<MoRef> {
        match self.state.entity(folder).map(|entity| &entity.kind) {
            Ok(EntityKind::Folder { children, .. }) => children.clone(),
            _ => Vec::new(),
        }
    }

    fn hosts(&self) -> Vec<MoRef> {
        let all = self.state.entities.values();
        all.filter(|entity| entity.moref.ty == "HostSystem").map(|entity| entity.moref.clone()).collect()
    }

    fn machines(&self, wanted: impl Fn(&Vm) -> bool) -> Value {
        Value::refs(self.state.vms().filter(|(_, vm)| wanted(vm)).map(|(entity, _)| entity.moref.clone()))
    }

    fn compute_summary(&self, entity: &Entity, hosts: usize) -> Struct {
        let cluster = entity.moref.ty == "ClusterComputeResource";
        let hosts = hosts as i32;
        let summary = if cluster {
            Struct::subtype("ClusterComputeResourceSummary")
        } else {
            Struct::new("ComputeResourceSummary")
        }
        .with("totalCpu", hosts * 32 * 2600)
        .with("totalMemory", i64::from(hosts) * 256 * GIB)
        .with("numCpuCores", (hosts * 16) as i16)
        .with("numCpuThreads", (hosts * 32) as i16)
        .with("effectiveCpu", hosts * 30 * 2600)
        .with("effectiveMemory", i64::from(hosts) * 250 * 1024)
        .with("numHosts", hosts)
        .with("numEffectiveHosts", hosts)
        .with("overallStatus", green());
        if cluster { summary.with("currentFailoverLevel", 0).with("numVmotions", 0) } else { summary }
    }

    fn host_summary(&self, entity: &Entity) -> Struct {
        let hardware = Struct::new("HostHardwareSummary")
            .with("vendor", "HyperSDK")
            .with("model", "Simulated Host")
            .with("uuid", "4c4c4544-0000-4000-8000-000000000001")
            .with("memorySize", 256 * GIB)
            .with("cpuModel", "Simulated CPU @ 2.60GHz")
            .with("cpuMhz", 2600)
            .with("numCpuPkgs", 2i16)
            .with("numCpuCores", 16i16)
            .with("numCpuThreads", 32i16)
            .with("numNics", 2)
            .with("numHBAs", 1);
        let known = &self.world.config;
        let reached = known.host_address.filter(|at| at.ip().to_string() == entity.name);
        let thumbprint = known.host_thumbprint.as_ref().unwrap_or(&self.world.nfc.thumbprint);
        let config = Struct::new("HostConfigSummary")
            .with("name", &entity.name)
            .with("port", reached.map_or(443, |at| i32::from(at.port())))
            .with("sslThumbprint", thumbprint)
            .with("product", super::about(Kind::Esxi))
            .with("vmotionEnabled", true)
            .with("faultToleranceEnabled", false);
        Struct::new("HostListSummary")
            .with("host", &entity.moref)
            .with("hardware", hardware)
            .with("runtime", host_runtime())
            .with("config", config)
            .with("quickStats", Struct::new("HostListSummaryQuickStats").with("overallCpuUsage", 1200))
            .with("overallStatus", green())
            .with("rebootRequired", false)
    }

    fn datastore_url(entity: &Entity) -> String {
        format!("ds:///vmfs/volumes/{}/", entity.moref.id)
    }

    fn datastore_free(&self, entity: &Entity) -> i64 {
        if let Some(free) = self.world.config.datastore_free {
            return free as i64;
        }
        let disks = self.state.vms().flat_map(|(_, vm)| &vm.disks);
        let used: u64 = disks.filter(|disk| disk.datastore == entity.moref).map(|disk| disk.populated).sum();
        (DATASTORE_CAPACITY - used as i64).max(0)
    }

    fn datastore_summary(&self, entity: &Entity) -> Struct {
        Struct::new("DatastoreSummary")
            .with("datastore", &entity.moref)
            .with("name", &entity.name)
            .with("url", Self::datastore_url(entity))
            .with("capacity", DATASTORE_CAPACITY)
            .with("freeSpace", self.datastore_free(entity))
            .with("uncommitted", 0i64)
            .with("accessible", true)
            .with("multipleHostAccess", self.world.config.kind == Kind::VirtualCenter)
            .with("type", "VMFS")
            .with("maintenanceMode", "normal")
    }

    fn datastore_info(&self, entity: &Entity) -> Struct {
        Struct::subtype("VmfsDatastoreInfo")
            .with("name", &entity.name)
            .with("url", Self::datastore_url(entity))
            .with("freeSpace", self.datastore_free(entity))
            .with("maxFileSize", 64 * 1024 * GIB)
            .with("maxPhysicalRDMFileSize", 64 * 1024 * GIB)
            .with("maxVirtualRDMFileSize", 62 * 1024 * GIB)
    }

    fn datastore_hosts(&self, entity: &Entity) -> Value {
        let path = format!("/vmfs/volumes/{}", entity.moref.id);
        let mounts = self.hosts().into_iter().map(|host| {
            let mount = Struct::new("HostMountInfo")
                .with("path", &path)
                .with("accessMode", "readWrite")
                .with("mounted", true)
                .with("accessible", true);
            Struct::new("DatastoreHostMount").with("key", host).with("mountInfo", mount)
        });
        Value::list("DatastoreHostMount", mounts)
    }
}

fn host_runtime() -> Struct {
    Struct::new("HostRuntimeInfo")
        .with("connectionState", Value::Enum("HostSystemConnectionState", "connected"))
        .with("powerState", Value::Enum("HostSystemPowerState", "poweredOn"))
        .with("inMaintenanceMode", false)
}

fn datastore_capability() -> Struct {
    Struct::new("DatastoreCapability")
        .with("directoryHierarchySupported", true)
        .with("rawDiskMappingsSupported", true)
        .with("perFileThinProvisioningSupported", true)
        .with("storageIORMSupported", true)
        .with("nativeSnapshotSupported", false)
}
