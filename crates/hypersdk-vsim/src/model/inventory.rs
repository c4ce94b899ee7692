//! The inventory at start, for either kind of server.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use chrono::Utc;
use uuid::Uuid;

use super::entity::{Entity, EntityKind, Vm, VmDisk};
use super::world::State;
use crate::spec::{Config, Kind, PowerState, VmSpec};
use crate::wire::MoRef;

const FIRST_VM: u64 = 101;
const FIRST_DISK_KEY: i32 = 2000;
/// The SCSI controller itself sits on this unit.
const CONTROLLER_UNIT: i32 = 7;

/// Ids of the entities that stand once a server, by kind of server.
struct Names {
    root: (&'static str, &'static str),
    datacenter: (&'static str, &'static str),
    vm: &'static str,
    host: &'static str,
    datastore: &'static str,
    network: &'static str,
    compute: (&'static str, &'static str, &'static str),
    pool: &'static str,
    net: &'static str,
}

const VCENTER: Names = Names {
    root: ("group-d1", "Datacenters"),
    datacenter: ("datacenter-2", "DC0"),
    vm: "group-v3",
    host: "group-h4",
    datastore: "group-s5",
    network: "group-n6",
    compute: ("ClusterComputeResource", "domain-c8", "DC0_C0"),
    pool: "resgroup-9",
    net: "network-7",
};

const ESXI: Names = Names {
    root: ("ha-folder-root", "ha-folder-root"),
    datacenter: ("ha-datacenter", "ha-datacenter"),
    vm: "ha-folder-vm",
    host: "ha-folder-host",
    datastore: "ha-folder-datastore",
    network: "ha-folder-network",
    compute: ("ComputeResource", "ha-compute-res", "localhost.localdomain"),
    pool: "ha-root-pool",
    net: "HaNetwork-VM Network",
};

struct Builder<'a> {
    state: &'a mut State,
    names: &'static Names,
    kind: Kind,
    hosts: Vec<MoRef>,
    datastores: Vec<(MoRef, String)>,
}

fn names(kind: Kind) -> &'static Names {
    match kind {
        Kind::VirtualCenter => &VCENTER,
        Kind::Esxi => &ESXI,
    }
}

/// Lays out the inventory; two machines of one path, or a source file that
/// cannot be read, are errors.
pub(crate) fn populate(config: &Config, machines: Vec<VmSpec>) -> io::Result<State> {
    let names = names(config.kind);
    let mut state = State::new(MoRef::new("Folder", names.root.0));
    let mut builder =
        Builder { state: &mut state, names, kind: config.kind, hosts: Vec::new(), datastores: Vec::new() };
    builder.frame();
    builder.equipment(config);
    let mut taken = HashSet::new();
    for spec in machines {
        let folder = builder.vm_folder(&spec.folder);
        if !taken.insert((folder.id.clone(), spec.name.clone())) {
            return Err(builder.state.taken(&folder, &spec.name));
        }
        builder.machine(&folder, spec)?;
    }
    Ok(state)
}

/// Adds a machine to an inventory that is in use.
pub(crate) fn add_machine(state: &mut State, kind: Kind, spec: VmSpec) -> io::Result<MoRef> {
    let of_type = |ty: &str| -> Vec<(MoRef, String)> {
        let all = state.entities.values().filter(|entity| entity.moref.ty == ty);
        all.map(|entity| (entity.moref.clone(), entity.name.clone())).collect()
    };
    let hosts = of_type("HostSystem").into_iter().map(|(host, _)| host).collect();
    let datastores = of_type("Datastore");
    let mut builder = Builder { state, names: names(kind), kind, hosts, datastores };
    let folder = builder.vm_folder(&spec.folder);
    if builder.state.child(&folder, &spec.name).is_some() {
        return Err(builder.state.taken(&folder, &spec.name));
    }
    builder.machine(&folder, spec)
}

/// Names with a slash are escaped in the inventory, as vCenter does.
pub(super) fn escaped(name: &str) -> String {
    name.replace('%', "%25").replace('/', "%2f").replace('\\', "%5c")
}

impl Builder<'_> {
    fn add(&mut self, moref: &MoRef, name: &str, parent: Option<&MoRef>, kind: EntityKind) {
        if let Some(Ok(parent)) = parent.map(|parent| self.state.entity_mut(parent))
            && let EntityKind::Folder { children, .. } = &mut parent.kind
        {
            children.push(moref.clone());
        }
        let entity =
            Entity { moref: moref.clone(), name: escaped(name), parent: parent.cloned(), kind, revision: 0 };
        self.state.entities.insert(moref.id.clone(), entity);
    }

    fn folder(
        &mut self,
        id: &str,
        name: &str,
        parent: Option<&MoRef>,
        types: &'static [&'static str],
    ) -> MoRef {
        let moref = MoRef::new("Folder", id);
        self.add(&moref, name, parent, EntityKind::Folder { children: Vec::new(), types });
        moref
    }

    /// Root folder, datacenter and its four folders.
    fn frame(&mut self) {
        let names = self.names;
        let root = self.folder(names.root.0, names.root.1, None, &["Folder", "Datacenter"]);
        let datacenter = MoRef::new("Datacenter", names.datacenter.0);
        let folder = |id: &str| MoRef::new("Folder", id);
        let kind = EntityKind::Datacenter {
            vm: folder(names.vm),
            host: folder(names.host),
            datastore: folder(names.datastore),
            network: folder(names.network),
        };
        self.add(&datacenter, names.datacenter.1, Some(&root), kind);
        self.folder(names.vm, "vm", Some(&datacenter), &["Folder", "VirtualMachine", "VirtualApp"]);
        self.folder(names.host, "host", Some(&datacenter), &["Folder", "ComputeResource"]);
        self.folder(names.datastore, "datastore", Some(&datacenter), &["Folder", "Datastore", "StoragePod"]);
        self.folder(names.network, "network", Some(&datacenter), &["Folder", "Network"]);
    }

    /// Network, datastores, hosts and the pool they share.
    fn equipment(&mut self, config: &Config) {
        let names = self.names;
        let network = MoRef::new("Network", names.net);
        self.add(&network, "VM Network", Some(&MoRef::new("Folder", names.network)), EntityKind::Network);
        for index in 0..config.datastores {
            let name = format!("datastore{}", index + 1);
            let id = match self.kind {
                Kind::VirtualCenter => format!("datastore-{}", 21 + index),
                Kind::Esxi => format!("6500a1b2-{:08x}-0000-000000000000", index + 1),
            };
            let moref = MoRef::new("Datastore", id);
            self.add(&moref, &name, Some(&MoRef::new("Folder", names.datastore)), EntityKind::Datastore);
            self.datastores.push((moref, name));
        }
        let datastores: Vec<MoRef> = self.datastores.iter().map(|(moref, _)| moref.clone()).collect();
        let compute = MoRef::new(names.compute.0, names.compute.1);
        let pool = MoRef::new("ResourcePool", names.pool);
        let count = if self.kind == Kind::Esxi { 1 } else { config.hosts };
        let hosts: Vec<(MoRef, String)> = (0..count)
            .map(|index| match self.kind {
                Kind::VirtualCenter => {
                    let reached = config.host_address.filter(|_| index == 0);
                    let name = reached.map_or(format!("DC0_C0_H{index}"), |at| at.ip().to_string());
                    (MoRef::new("HostSystem", format!("host-{}", 1001 + index)), name)
                }
                Kind::Esxi => (MoRef::new("HostSystem", "ha-host"), names.compute.2.to_owned()),
            })
            .collect();
        self.hosts = hosts.iter().map(|(moref, _)| moref.clone()).collect();
        let kind = EntityKind::Compute {
            hosts: self.hosts.clone(),
            pool: pool.clone(),
            datastores: datastores.clone(),
            network: network.clone(),
        };
        self.add(&compute, names.compute.2, Some(&MoRef::new("Folder", names.host)), kind);
        self.add(&pool, "Resources", Some(&compute), EntityKind::Pool { owner: compute.clone() });
        for (moref, name) in hosts {
            let kind = EntityKind::Host { datastores: datastores.clone(), network: network.clone() };
            self.add(&moref, &name, Some(&compute), kind);
        }
    }

    /// The folder of this path below the `vm` folder, made where it is missing.
    fn vm_folder(&mut self, path: &str) -> MoRef {
        let mut folder = MoRef::new("Folder", self.names.vm);
        if self.kind == Kind::Esxi {
            return folder;
        }
        for part in path.split('/').filter(|part| !part.is_empty()) {
            folder = match self.state.child(&folder, part).filter(|child| child.ty == "Folder") {
                Some(found) => found,
                None => {
                    self.state.folders += 1;
                    let id = format!("group-v{}", self.state.folders);
                    self.folder(&id, part, Some(&folder), &["Folder", "VirtualMachine", "VirtualApp"])
                }
            };
        }
        folder
    }

    fn machine(&mut self, folder: &MoRef, spec: VmSpec) -> io::Result<MoRef> {
        let index = self.state.machines;
        self.state.machines += 1;
        let id = match self.kind {
            Kind::VirtualCenter => format!("vm-{}", FIRST_VM + index as u64),
            Kind::Esxi => (index + 1).to_string(),
        };
        let moref = MoRef::new("VirtualMachine", id);
        let (home, home_name) = self.datastores[index % self.datastores.len()].clone();
        let mut disks = Vec::new();
        for (number, disk) in spec.disks.iter().enumerate() {
            let (datastore, datastore_name) =
                self.datastores[(index + number) % self.datastores.len()].clone();
            let suffix = if number == 0 { String::new() } else { format!("_{number}") };
            let unit = number as i32;
            disks.push(VmDisk {
                spec: Arc::new(disk.clone()),
                capacity: disk.capacity()?,
                populated: disk.populated()?,
                datastore,
                file_name: format!("[{datastore_name}] {0}/{0}{suffix}.vmdk", spec.name),
                key: FIRST_DISK_KEY + unit,
                unit: if unit >= CONTROLLER_UNIT { unit + 1 } else { unit },
            });
        }
        let number = index as u128 + 1;
        let vm = Vm {
            power: spec.power,
            booted: (spec.power == PowerState::On).then(Utc::now),
            created: Utc::now(),
            uuid: Uuid::from_u128(0x4210_0000_0000_4000_8000_0000_0000_0000 | number).to_string(),
            instance_uuid: Uuid::from_u128(0x5010_0000_0000_4000_8000_0000_0000_0000 | number).to_string(),
            host: self.hosts[index % self.hosts.len()].clone(),
            pool: MoRef::new("ResourcePool", self.names.pool),
            network: MoRef::new("Network", self.names.net),
            mac: format!(
                "00:50:56:{:02x}:{:02x}:{:02x}",
                index >> 16 & 0x3f,
                index >> 8 & 0xff,
                index & 0xff
            ),
            home,
            home_name,
            disks,
            lease: None,
            root_snapshots: Vec::new(),
            current_snapshot: None,
            change_version: 1,
            recent_tasks: Vec::new(),
            spec: spec.clone(),
        };
        self.add(&moref, &spec.name, Some(folder), EntityKind::Vm(Box::new(vm)));
        Ok(moref)
    }
}
