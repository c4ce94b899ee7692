use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::entity::{Entity, EntityKind, Vm};
use super::lease::Lease;
use super::session::Session;
use super::snapshot::Snapshot;
use super::task::Task;
use crate::disk::DiskSpec;
use crate::faults::FaultBook;
use crate::log::Log;
use crate::property::Collector;
use crate::spec::Config;
use crate::wire::{Fault, MoRef};

/// Where NFC is served, as device URLs name it.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    /// `*`, or host and port.
    pub(crate) authority: String,
    /// SHA-1 thumbprint of its certificate.
    pub(crate) thumbprint: String,
}

/// Everything the connections share.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) config: Config,
    pub(crate) nfc: Endpoint,
    pub(crate) log: Log,
    pub(crate) faults: FaultBook,
    pub(crate) stop: CancellationToken,
    pub(crate) tracker: TaskTracker,
    state: Mutex<State>,
    changes: watch::Sender<u64>,
}

/// The part of the world that changes.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) root: MoRef,
    pub(crate) entities: BTreeMap<String, Entity>,
    /// By cookie.
    pub(crate) sessions: HashMap<String, Session>,
    pub(crate) tasks: BTreeMap<String, Task>,
    pub(crate) leases: BTreeMap<String, Lease>,
    pub(crate) snapshots: BTreeMap<String, Snapshot>,
    pub(crate) views: BTreeMap<String, View>,
    /// By session key and collector id.
    pub(crate) collectors: BTreeMap<(String, String), Collector>,
    counter: u64,
    /// Grows with whatever may change what a filter selects.
    generation: u64,
    /// Grows with each change of an entity.
    revision: u64,
    /// Machines and folders ever made; their ids follow from it.
    pub(super) machines: usize,
    pub(super) folders: u64,
}

/// A container view of a session.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) session: String,
    pub(crate) container: MoRef,
    pub(crate) types: Vec<String>,
    pub(crate) recursive: bool,
}

impl World {
    pub(crate) fn new(config: Config, nfc: Endpoint, state: State) -> Self {
        Self {
            config,
            nfc,
            log: Log::new(),
            faults: FaultBook::default(),
            stop: CancellationToken::new(),
            tracker: TaskTracker::new(),
            state: Mutex::new(state),
            changes: watch::Sender::new(0),
        }
    }

    pub(crate) fn read<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the state and wakes those who wait for updates.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let result = self.note(|state| {
            state.reselect();
            change(state)
        });
        self.wake();
        result
    }

    /// Has those who wait for updates look again.
    pub(crate) fn wake(&self) {
        self.changes.send_modify(|version| *version += 1);
    }

    /// Changes what nobody waits for: books of a session, not the inventory.
    pub(crate) fn note<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A disk of the machine of this name, id or path, counted from 0.
    pub(crate) fn disk(&self, vm: &str, disk: usize) -> io::Result<Arc<DiskSpec>> {
        let found = self.read(|state| {
            let (_, machine) = state.find_vm(vm)?;
            Some(Arc::clone(&machine.disks.get(disk)?.spec))
        });
        found.ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("no disk {disk} of a virtual machine {vm}"))
        })
    }

    pub(crate) fn rename(&self, vm: &str, name: &str) -> io::Result<()> {
        self.with_vm(vm, |state, moref| state.rename(moref, name))
    }

    pub(crate) fn remove_vm(&self, vm: &str) -> io::Result<()> {
        self.with_vm(vm, State::remove_vm)
    }

    /// Changes the machine of this name, id or path.
    fn with_vm(
        &self,
        vm: &str,
        change: impl FnOnce(&mut State, &MoRef) -> Result<(), Fault>,
    ) -> io::Result<()> {
        self.change(|state| {
            let found = state.find_vm(vm).map(|(entity, _)| entity.moref.clone());
            let missing = || io::Error::new(io::ErrorKind::NotFound, format!("no virtual machine {vm}"));
            change(state, &found.ok_or_else(missing)?).map_err(|fault| io::Error::other(fault.message))
        })
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

impl State {
    pub(crate) fn new(root: MoRef) -> Self {
        Self {
            root,
            entities: BTreeMap::new(),
            sessions: HashMap::new(),
            tasks: BTreeMap::new(),
            leases: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            views: BTreeMap::new(),
            collectors: BTreeMap::new(),
            counter: 0,
            generation: 0,
            revision: 0,
            machines: 0,
            folders: 40,
        }
    }

    /// A number not given out before.
    pub(crate) fn fresh(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// What filters selected so far is to be selected anew.
    pub(crate) fn reselect(&mut self) {
        self.generation += 1;
    }

    /// Of two equal ones, a filter selects the same.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn entity(&self, moref: &MoRef) -> Result<&Entity, Fault> {
        self.entities
            .get(&moref.id)
            .filter(|entity| entity.moref == *moref)
            .ok_or_else(|| Fault::not_found(moref))
    }

    pub(crate) fn vm(&self, moref: &MoRef) -> Result<&Vm, Fault> {
        match &self.entity(moref)?.kind {
            EntityKind::Vm(vm) => Ok(vm),
            _ => Err(Fault::not_supported()),
        }
    }

    /// An entity that is about to change.
    pub(crate) fn entity_mut(&mut self, moref: &MoRef) -> Result<&mut Entity, Fault> {
        self.entity(moref)?;
        self.revision += 1;
        let entity = self.entities.get_mut(&moref.id).ok_or_else(|| Fault::not_found(moref))?;
        entity.revision = self.revision;
        Ok(entity)
    }

    /// A machine that is about to change.
    pub(crate) fn vm_mut(&mut self, moref: &MoRef) -> Result<&mut Vm, Fault> {
        self.vm(moref)?;
        match &mut self.entity_mut(moref)?.kind {
            EntityKind::Vm(vm) => Ok(vm),
            _ => Err(Fault::not_found(moref)),
        }
    }

    pub(crate) fn name(&self, moref: &MoRef) -> String {
        self.entities.get(&moref.id).map(|entity| entity.name.clone()).unwrap_or_default()
    }

    pub(crate) fn vms(&self) -> impl Iterator<Item = (&Entity, &Vm)> {
        self.entities.values().filter_map(|entity| match &entity.kind {
            EntityKind::Vm(vm) => Some((entity, &**vm)),
            _ => None,
        })
    }

    /// The machine of this name, managed object id or inventory path.
    pub(crate) fn find_vm(&self, wanted: &str) -> Option<(&Entity, &Vm)> {
        self.vms()
            .find(|(entity, _)| entity.moref.id == wanted || entity.name == wanted)
            .or_else(|| self.vms().find(|(entity, _)| self.path(&entity.moref) == wanted))
    }

    /// Inventory path, `/DC0/vm/web-01`; the root folder has none.
    pub(crate) fn path(&self, moref: &MoRef) -> String {
        let mut parts = Vec::new();
        let mut next = self.entities.get(&moref.id);
        while let Some(entity) = next.filter(|entity| entity.parent.is_some()) {
            parts.push(entity.name.as_str());
            next = entity.parent.as_ref().and_then(|parent| self.entities.get(&parent.id));
        }
        parts.iter().rev().fold(String::new(), |path, part| path + "/" + part)
    }

    /// The machine a managed object belongs to: itself, or that of a lease or snapshot.
    pub(crate) fn vm_of(&self, moref: &MoRef) -> Option<MoRef> {
        match moref.ty.as_str() {
            "VirtualMachine" => Some(moref.clone()),
            "HttpNfcLease" => self.leases.get(&moref.id).map(|lease| lease.vm.clone()),
            "VirtualMachineSnapshot" => self.snapshots.get(&moref.id).map(|snapshot| snapshot.vm.clone()),
            _ => None,
        }
    }
}
