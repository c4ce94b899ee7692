//! ManagedEntity: names, and machines that go.

use super::machine::free;
use super::{Answer, Reply, Request};
use crate::model::State;
use crate::spec::PowerState;
use crate::wire::{Fault, MoRef};

/// Fails unless the machine may go.
fn disposable(state: &State, vm: &MoRef) -> Result<(), Fault> {
    if state.vm(vm)?.power == PowerState::On {
        return Err(Fault::invalid_power_state("poweredOff", "poweredOn"));
    }
    free(state, vm)
}

impl Request<'_> {
    pub(super) fn rename(&self) -> Answer {
        let entity = self.call.this.clone();
        let privilege = match entity.ty.as_str() {
            "VirtualMachine" => "VirtualMachine.Config.Rename",
            "Folder" => "Folder.Rename",
            "Datacenter" => "Datacenter.Rename",
            "Datastore" => "Datastore.Rename",
            _ => "Host.Inventory.RenameCluster",
        };
        self.world.read(|state| state.entity(&entity).map(|_| ()))?;
        self.require(privilege, &entity)?;
        let name = self.arguments().text("newName").unwrap_or_default().to_owned();
        if name.is_empty() {
            return Err(Fault::new("InvalidName", "A name must not be empty."));
        }
        let task = self.world.run_task(
            "Rename_Task",
            "ManagedEntity.rename",
            &entity.clone(),
            self.user(),
            move |_, state| state.rename(&entity, &name).map(|()| None),
        )?;
        Ok(task.into())
    }

    pub(super) fn destroy(&self) -> Answer {
        let vm = self.this("VirtualMachine")?.clone();
        self.require("VirtualMachine.Inventory.Delete", &vm)?;
        let task = self.world.run_task(
            "Destroy_Task",
            "VirtualMachine.destroy",
            &vm.clone(),
            self.user(),
            move |_, state| {
                disposable(state, &vm)?;
                state.remove_vm(&vm).map(|()| None)
            },
        )?;
        Ok(task.into())
    }

    pub(super) fn unregister(&self) -> Answer {
        let vm = self.this("VirtualMachine")?;
        self.require("VirtualMachine.Inventory.Unregister", vm)?;
        self.world.change(|state| {
            disposable(state, vm)?;
            state.remove_vm(vm)
        })?;
        Ok(Reply::default())
    }
}
