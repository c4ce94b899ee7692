//! What changes an inventory's shape: names, and machines that go.

use std::io;

use super::entity::EntityKind;
use super::inventory::escaped;
use super::world::State;
use crate::wire::{Fault, MoRef};

impl State {
    /// What a folder holds under this name.
    pub(crate) fn child(&self, folder: &MoRef, name: &str) -> Option<MoRef> {
        let wanted = escaped(name);
        let Ok(EntityKind::Folder { children, .. }) = self.entity(folder).map(|entity| &entity.kind) else {
            return None;
        };
        let named = |child: &&MoRef| self.entities.get(&child.id).is_some_and(|child| child.name == wanted);
        children.iter().find(named).cloned()
    }

    /// The error of a name that is taken.
    pub(super) fn taken(&self, folder: &MoRef, name: &str) -> io::Error {
        let path = format!("{}/{}", self.path(folder), escaped(name));
        io::Error::new(io::ErrorKind::AlreadyExists, format!("two virtual machines at inventory path {path}"))
    }

    /// Gives an entity another name, unless something beside it has that.
    pub(crate) fn rename(&mut self, moref: &MoRef, name: &str) -> Result<(), Fault> {
        let parent = self.entity(moref)?.parent.clone();
        if let Some(other) =
            parent.and_then(|parent| self.child(&parent, name)).filter(|other| other != moref)
        {
            return Err(Fault::duplicate_name(name, &other));
        }
        self.entity_mut(moref)?.name = escaped(name);
        Ok(())
    }

    /// Takes a machine out of the inventory, with its snapshots.
    pub(crate) fn remove_vm(&mut self, moref: &MoRef) -> Result<(), Fault> {
        self.vm(moref)?;
        if let Some(parent) = self.entity(moref)?.parent.clone()
            && let EntityKind::Folder { children, .. } = &mut self.entity_mut(&parent)?.kind
        {
            children.retain(|child| child != moref);
        }
        self.entities.remove(&moref.id);
        self.snapshots.retain(|_, snapshot| snapshot.vm != *moref);
        Ok(())
    }
}
