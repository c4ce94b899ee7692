use super::Reader;
use super::schema::is_a;
use crate::model::{EntityKind, View};
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
        let (mut members, mut seen) = (Vec::new(), std::collections::HashSet::new());
        let mut open = vec![view.container.clone()];
        while let Some(container) = open.pop() {
            let below = self.below(&container);
            for member in &below {
                let wanted = view.types.is_empty() || view.types.iter().any(|ty| is_a(&member.ty, ty));
                if wanted && seen.insert(member.clone()) {
                    members.push(member.clone());
                }
            }
            if view.recursive {
                open.extend(below.into_iter().rev());
            }
        }
        members
    }

    fn below(&self, container: &MoRef) -> Vec<MoRef> {
        match self.state.entity(container).map(|entity| &entity.kind) {
            Ok(EntityKind::Folder { children, .. }) => children.clone(),
            Ok(EntityKind::Datacenter { vm, host, datastore, network }) => {
                [vm, host, datastore, network].map(MoRef::clone).to_vec()
            }
            Ok(EntityKind::Compute { hosts, pool, .. }) => hosts.iter().chain([pool]).cloned().collect(),
            Ok(EntityKind::Pool { .. } | EntityKind::Host { .. }) => {
                let vms = self.path(container, "vm").ok().flatten();
                vms.map(Value::into_refs).unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }
}
