//! Container views: what is below an object of the inventory.

use std::collections::{HashMap, HashSet};

use super::Reader;
use super::schema::is_a;
use crate::model::{EntityKind, State, View};
use crate::wire::{MoRef, Value};

impl Reader<'_> {
    pub(super) fn view(&self, moref: &MoRef, name: &str) -> Option<Value> {
        let view = self.state.views.get(&moref.id).filter(|view| view.session == self.session)?;
        match name {
            "view" => Some(Value::refs(self.members(view))),
            "container" => Some((&view.container).into()),
            "type" => Some(Value::Array("string", view.types.iter().map(Value::from).collect())),
            "recursive" => Some(view.recursive.into()),
            _ => None,
        }
    }

    /// What a container view shows now.
    fn members(&self, view: &View) -> Vec<MoRef> {
        let wanted = |ty: &str| view.types.is_empty() || view.types.iter().any(|wanted| is_a(ty, wanted));
        let (mut members, mut seen) = (Vec::new(), HashSet::new());
        let mut below = Below { state: self.state, machines: None };
        let mut open = vec![&view.container];
        while let Some(container) = open.pop() {
            let within = below.of(container);
            members
                .extend(within.iter().filter(|member| wanted(&member.ty) && seen.insert(**member)).copied());
            if view.recursive {
                open.extend(within.into_iter().rev().filter(|member| holds(&member.ty)));
            }
        }
        members.into_iter().cloned().collect()
    }
}

/// Whether a view looks into objects of this type.
fn holds(ty: &str) -> bool {
    !matches!(ty, "VirtualMachine" | "Datastore" | "Network")
}

/// What stands right below each object of the inventory.
struct Below<'a> {
    state: &'a State,
    /// By host and by resource pool, once somebody asks for those of one.
    machines: Option<HashMap<&'a MoRef, Vec<&'a MoRef>>>,
}

impl<'a> Below<'a> {
    fn of(&mut self, container: &MoRef) -> Vec<&'a MoRef> {
        match self.state.entity(container).map(|entity| &entity.kind) {
            Ok(EntityKind::Folder { children, .. }) => children.iter().collect(),
            Ok(EntityKind::Datacenter { vm, host, datastore, network }) => vec![vm, host, datastore, network],
            Ok(EntityKind::Compute { hosts, pool, .. }) => hosts.iter().chain([pool]).collect(),
            Ok(EntityKind::Pool { .. } | EntityKind::Host { .. }) => {
                let state = self.state;
                let machines = self.machines.get_or_insert_with(|| machines(state));
                machines.get(container).cloned().unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }
}

fn machines(state: &State) -> HashMap<&MoRef, Vec<&MoRef>> {
    let mut machines: HashMap<&MoRef, Vec<&MoRef>> = HashMap::new();
    for (entity, vm) in state.vms() {
        for container in [&vm.host, &vm.pool] {
            machines.entry(container).or_default().push(&entity.moref);
        }
    }
    machines
}
