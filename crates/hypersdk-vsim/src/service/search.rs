//! SearchIndex.

use super::{Answer, Reply, Request};
use crate::model::Vm;
use crate::spec::PowerState;
use crate::wire::MoRef;

impl Request<'_> {
    fn found(moref: Option<MoRef>) -> Answer {
        Ok(moref.map_or_else(Reply::default, Reply::from))
    }

    fn find_vm_by(&self, wanted: impl Fn(&Vm) -> bool) -> Answer {
        let found = self
            .world
            .read(|state| state.vms().find(|(_, vm)| wanted(vm)).map(|(entity, _)| entity.moref.clone()));
        Self::found(found)
    }

    pub(super) fn find_by_inventory_path(&self) -> Answer {
        self.this("SearchIndex")?;
        let wanted = self.arguments().text("inventoryPath").unwrap_or_default();
        let wanted = wanted.trim_matches('/');
        let found = self.world.read(|state| {
            if wanted.is_empty() {
                return Some(state.root.clone());
            }
            let mut all = state.entities.values().map(|entity| &entity.moref);
            all.find(|moref| state.path(moref).trim_start_matches('/') == wanted).cloned()
        });
        Self::found(found)
    }

    pub(super) fn find_by_uuid(&self) -> Answer {
        self.this("SearchIndex")?;
        let arguments = self.arguments();
        let uuid = arguments.text("uuid").unwrap_or_default();
        if !arguments.flag("vmSearch") {
            return Ok(Reply::default());
        }
        let instance = arguments.flag("instanceUuid");
        self.find_vm_by(|vm| uuid.eq_ignore_ascii_case(if instance { &vm.instance_uuid } else { &vm.uuid }))
    }

    pub(super) fn find_by_dns_name(&self) -> Answer {
        self.this("SearchIndex")?;
        let wanted = self.arguments().text("dnsName").unwrap_or_default();
        self.find_vm_by(|vm| vm.power == PowerState::On && vm.spec.tools && vm.spec.name == wanted)
    }

    pub(super) fn find_child(&self) -> Answer {
        self.this("SearchIndex")?;
        let parent = self.reference("entity")?;
        let name = self.arguments().text("name").unwrap_or_default();
        let found = self.world.read(|state| {
            state.entity(&parent)?;
            let mut all = state.entities.values();
            Ok(all
                .find(|entity| entity.parent.as_ref() == Some(&parent) && entity.name == name)
                .map(|entity| entity.moref.clone()))
        })?;
        Self::found(found)
    }
}
