use chrono::{DateTime, Utc};

use super::world::{State, World};
use crate::log::Event;
use crate::spec::PowerState;
use crate::wire::{Fault, MoRef};

/// A snapshot of a machine.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) moref: MoRef,
    pub(crate) vm: MoRef,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) number: i32,
    pub(crate) created: DateTime<Utc>,
    pub(crate) power: PowerState,
    pub(crate) quiesced: bool,
    pub(crate) parent: Option<String>,
    pub(crate) children: Vec<String>,
}

impl World {
    pub(crate) fn add_snapshot(
        &self,
        state: &mut State,
        vm: &MoRef,
        name: &str,
        description: &str,
        quiesced: bool,
    ) -> Result<MoRef, Fault> {
        let number = state.fresh();
        let moref = MoRef::new("VirtualMachineSnapshot", format!("snapshot-{number}"));
        let machine = state.vm_mut(vm)?;
        let parent = machine.current_snapshot.replace(moref.id.clone());
        machine.change_version += 1;
        let power = machine.power;
        match &parent {
            None => machine.root_snapshots.push(moref.id.clone()),
            Some(parent) => {
                if let Some(parent) = state.snapshots.get_mut(parent) {
                    parent.children.push(moref.id.clone());
                }
            }
        }
        let snapshot = Snapshot {
            moref: moref.clone(),
            vm: vm.clone(),
            name: name.to_owned(),
            description: description.to_owned(),
            number: number as i32,
            created: Utc::now(),
            power,
            quiesced,
            parent,
            children: Vec::new(),
        };
        state.snapshots.insert(moref.id.clone(), snapshot);
        self.log.push(Event::SnapshotCreated {
            vm: state.name(vm),
            snapshot: moref.id.clone(),
            name: name.to_owned(),
            quiesced,
        });
        Ok(moref)
    }

    /// Removes a snapshot; its children move up to its parent, or go too.
    pub(crate) fn remove_snapshot(
        &self,
        state: &mut State,
        id: &str,
        with_children: bool,
    ) -> Result<(), Fault> {
        let missing = || Fault::not_found(&MoRef::new("VirtualMachineSnapshot", id));
        if with_children {
            for child in state.snapshots.get(id).ok_or_else(missing)?.children.clone() {
                self.remove_snapshot(state, &child, true)?;
            }
        }
        let gone = state.snapshots.remove(id).ok_or_else(missing)?;
        for child in &gone.children {
            if let Some(child) = state.snapshots.get_mut(child) {
                child.parent.clone_from(&gone.parent);
            }
        }
        match gone.parent.as_ref().and_then(|parent| state.snapshots.get_mut(parent)) {
            Some(parent) => {
                parent.children.retain(|child| child != id);
                parent.children.extend(gone.children.iter().cloned());
            }
            None => {
                let roots = &mut state.vm_mut(&gone.vm)?.root_snapshots;
                roots.retain(|root| root != id);
                roots.extend(gone.children.iter().cloned());
            }
        }
        let machine = state.vm_mut(&gone.vm)?;
        machine.change_version += 1;
        if machine.current_snapshot.as_deref() == Some(id) {
            machine.current_snapshot.clone_from(&gone.parent);
        }
        self.log.push(Event::SnapshotRemoved {
            vm: state.name(&gone.vm),
            snapshot: id.to_owned(),
            name: gone.name,
        });
        Ok(())
    }
}
