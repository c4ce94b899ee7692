//! VirtualMachine and VirtualMachineSnapshot: power, snapshots, export.

use chrono::Utc;

use super::{Answer, Reply, Request};
use crate::log::Event;
use crate::model::{State, World};
use crate::spec::PowerState;
use crate::wire::{Fault, MoRef, Value};

/// Switches a machine, unless an export holds it or it is in that state already.
fn switch(world: &World, state: &mut State, vm: &MoRef, power: PowerState) -> Result<Option<Value>, Fault> {
    free(state, vm)?;
    let machine = state.vm_mut(vm)?;
    if machine.power == power {
        return Err(Fault::invalid_power_state(power.member(), power.member()));
    }
    machine.power = power;
    machine.booted = (power == PowerState::On).then(Utc::now);
    world.log.push(Event::PowerChanged { vm: state.name(vm), power });
    Ok(None)
}

/// Fails while an export holds the machine.
pub(super) fn free(state: &State, vm: &MoRef) -> Result<(), Fault> {
    match state.export_task(vm) {
        Some(task) => Err(Fault::task_in_progress(&task)),
        None => Ok(()),
    }
}

impl Request<'_> {
    pub(super) fn power_on(&self) -> Answer {
        let vm = self.this("VirtualMachine")?.clone();
        self.require("VirtualMachine.Interact.PowerOn", &vm)?;
        let task = self.world.run_task(
            "PowerOnVM_Task",
            "VirtualMachine.powerOn",
            &vm.clone(),
            self.user(),
            move |world, state| switch(world, state, &vm, PowerState::On),
        )?;
        Ok(task.into())
    }

    pub(super) fn power_off(&self) -> Answer {
        let vm = self.this("VirtualMachine")?.clone();
        self.require("VirtualMachine.Interact.PowerOff", &vm)?;
        let task = self.world.run_task(
            "PowerOffVM_Task",
            "VirtualMachine.powerOff",
            &vm.clone(),
            self.user(),
            move |world, state| switch(world, state, &vm, PowerState::Off),
        )?;
        Ok(task.into())
    }

    /// Answers at once; the guest is down a task's time later.
    pub(super) fn shutdown_guest(&self) -> Answer {
        let vm = self.this("VirtualMachine")?.clone();
        self.require("VirtualMachine.Interact.PowerOff", &vm)?;
        self.world.read(|state| {
            let machine = state.vm(&vm)?;
            if machine.power != PowerState::On {
                return Err(Fault::invalid_power_state("poweredOn", machine.power.member()));
            }
            if !machine.spec.tools {
                return Err(Fault::new("ToolsUnavailable", "VMware Tools are not running."));
            }
            free(state, &vm)
        })?;
        let world = self.world.clone();
        self.world.tracker.spawn(async move {
            tokio::select! {
                () = world.stop.cancelled() => {}
                () = tokio::time::sleep(world.config.task_delay) => {
                    // Somebody else may have switched it off meanwhile.
                    _ = world.change(|state| switch(&world, state, &vm, PowerState::Off));
                }
            }
        });
        Ok(Reply::default())
    }

    pub(super) fn create_snapshot(&self) -> Answer {
        let vm = self.this("VirtualMachine")?.clone();
        self.require("VirtualMachine.State.CreateSnapshot", &vm)?;
        let arguments = self.arguments();
        let name = arguments.text("name").unwrap_or_default().to_owned();
        if name.is_empty() {
            return Err(Fault::new("InvalidName", "The name of a snapshot must not be empty."));
        }
        let description = arguments.text("description").unwrap_or_default().to_owned();
        let running = self.world.read(|state| Ok(state.vm(&vm)?.power == PowerState::On))?;
        let quiesced = running && (arguments.flag("quiesce") || arguments.child("quiesceSpec").is_some());
        let task = self.world.run_task(
            "CreateSnapshot_Task",
            "VirtualMachine.createSnapshot",
            &vm.clone(),
            self.user(),
            move |world, state| {
                free(state, &vm)?;
                world.add_snapshot(state, &vm, &name, &description, quiesced).map(|moref| Some(moref.into()))
            },
        )?;
        Ok(task.into())
    }

    pub(super) fn remove_snapshot(&self) -> Answer {
        let snapshot = self.this("VirtualMachineSnapshot")?.clone();
        let vm =
            self.world.read(|state| state.vm_of(&snapshot)).ok_or_else(|| Fault::not_found(&snapshot))?;
        self.require("VirtualMachine.State.RemoveSnapshot", &vm)?;
        let children = self.arguments().flag("removeChildren");
        let task = self.world.run_task(
            "RemoveSnapshot_Task",
            "vm.Snapshot.remove",
            &vm.clone(),
            self.user(),
            move |world, state| {
                free(state, &vm)?;
                world.remove_snapshot(state, &snapshot.id, children)?;
                Ok(None)
            },
        )?;
        Ok(task.into())
    }

    pub(super) fn remove_all_snapshots(&self) -> Answer {
        let vm = self.this("VirtualMachine")?.clone();
        self.require("VirtualMachine.State.RemoveSnapshot", &vm)?;
        let task = self.world.run_task(
            "RemoveAllSnapshots_Task",
            "VirtualMachine.removeAllSnapshots",
            &vm.clone(),
            self.user(),
            move |world, state| {
                free(state, &vm)?;
                for root in state.vm(&vm)?.root_snapshots.clone() {
                    world.remove_snapshot(state, &root, true)?;
                }
                Ok(None)
            },
        )?;
        Ok(task.into())
    }

    pub(super) fn export_vm(&self) -> Answer {
        let vm = self.this("VirtualMachine")?;
        self.require("VApp.Export", vm)?;
        self.world.read(|state| {
            let power = state.vm(vm)?.power;
            if power != PowerState::Off {
                return Err(Fault::invalid_power_state("poweredOff", power.member()));
            }
            free(state, vm)
        })?;
        Ok(self.world.open_lease(vm, None, self.user())?.into())
    }

    pub(super) fn export_snapshot(&self) -> Answer {
        let snapshot = self.this("VirtualMachineSnapshot")?;
        let vm = self.world.read(|state| state.vm_of(snapshot)).ok_or_else(|| Fault::not_found(snapshot))?;
        self.require("VApp.Export", &vm)?;
        self.world.read(|state| free(state, &vm))?;
        Ok(self.world.open_lease(&vm, Some(snapshot.clone()), self.user())?.into())
    }
}
