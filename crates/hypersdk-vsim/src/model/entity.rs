use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::disk::DiskSpec;
use crate::spec::{PowerState, VmSpec};
use crate::wire::MoRef;

/// The slot of the drive that holds an image, as a lease's keys end.
pub(crate) const DRIVE: &str = "VirtualIDEController0:0";

/// A managed entity of the inventory.
#[derive(Clone, Debug)]
pub(crate) struct Entity {
    pub(crate) moref: MoRef,
    pub(crate) name: String,
    pub(crate) parent: Option<MoRef>,
    pub(crate) kind: EntityKind,
    /// Of the state, when this last changed.
    pub(crate) revision: u64,
}

#[derive(Clone, Debug)]
pub(crate) enum EntityKind {
    Folder { children: Vec<MoRef>, types: &'static [&'static str] },
    Datacenter { vm: MoRef, host: MoRef, datastore: MoRef, network: MoRef },
    Compute { hosts: Vec<MoRef>, pool: MoRef, datastores: Vec<MoRef>, network: MoRef },
    Pool { owner: MoRef },
    Host { datastores: Vec<MoRef>, network: MoRef },
    Datastore,
    Network,
    Vm(Box<Vm>),
}

/// A virtual machine.
#[derive(Clone, Debug)]
pub(crate) struct Vm {
    pub(crate) spec: VmSpec,
    pub(crate) power: PowerState,
    pub(crate) booted: Option<DateTime<Utc>>,
    pub(crate) created: DateTime<Utc>,
    pub(crate) uuid: String,
    pub(crate) instance_uuid: String,
    pub(crate) host: MoRef,
    pub(crate) pool: MoRef,
    pub(crate) network: MoRef,
    pub(crate) mac: String,
    /// Where its configuration lives.
    pub(crate) home: MoRef,
    pub(crate) home_name: String,
    pub(crate) disks: Vec<VmDisk>,
    /// The lease held on it, by id.
    pub(crate) lease: Option<String>,
    /// Snapshots without a parent, by id, oldest first.
    pub(crate) root_snapshots: Vec<String>,
    pub(crate) current_snapshot: Option<String>,
    /// Grows with each change of the configuration.
    pub(crate) change_version: u64,
    pub(crate) recent_tasks: Vec<MoRef>,
}

/// A disk attached to a machine.
#[derive(Clone, Debug)]
pub(crate) struct VmDisk {
    pub(crate) spec: Arc<DiskSpec>,
    pub(crate) capacity: u64,
    pub(crate) populated: u64,
    pub(crate) datastore: MoRef,
    pub(crate) file_name: String,
    pub(crate) key: i32,
    pub(crate) unit: i32,
}

impl Vm {
    /// Datastores of configuration and disks, each once.
    pub(crate) fn datastores(&self) -> Vec<MoRef> {
        let mut all = vec![self.home.clone()];
        for disk in &self.disks {
            if !all.contains(&disk.datastore) {
                all.push(disk.datastore.clone());
            }
        }
        all
    }

    /// The disks an export has, of a snapshot or of the machine itself, with their numbers.
    pub(crate) fn exported_disks(&self, from_snapshot: bool) -> impl Iterator<Item = (usize, &VmDisk)> {
        let all = self.disks.iter().enumerate();
        all.filter(move |(_, disk)| disk.spec.attachment.is_exported(from_snapshot))
    }

    pub(crate) fn committed(&self) -> u64 {
        self.disks.iter().map(|disk| disk.populated).sum()
    }
}
