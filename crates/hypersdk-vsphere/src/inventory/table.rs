//! The inventory as a watcher keeps it: small, and in the server's own terms.

use std::collections::HashMap;

use hypersdk_core::VmSummary;

use super::paths::Ancestors;
use super::summary::{Entry, Texts};
use crate::api::ObjectUpdate;
use crate::soap::{Element, MoRef, Name, Properties};

/// What an update meant for the VMs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    Added(String),
    Changed(String),
    Removed(String),
    /// Something that VMs are in or on changed: any of them may have another path or host now.
    Ancestors,
    Nothing,
}

/// The VMs, and what their paths and names are made of.
#[derive(Debug)]
pub(super) struct Table {
    root: MoRef,
    vms: HashMap<Box<str>, Entry>,
    /// What is known of everything else, as the server gave it.
    others: HashMap<MoRef, Properties>,
    ancestors: Ancestors,
    texts: Texts,
}

impl Table {
    /// An empty inventory below this folder.
    pub(super) fn new(root: MoRef) -> Self {
        Table {
            root,
            vms: HashMap::new(),
            others: HashMap::new(),
            ancestors: Ancestors::default(),
            texts: Texts::default(),
        }
    }

    /// Takes in what changed of one object. After an [`Effect::Ancestors`] the table is to be
    /// [settled](Self::settle).
    pub(super) fn apply(&mut self, update: ObjectUpdate) -> Effect {
        let ObjectUpdate { object, left, changes } = update;
        if object.kind != "VirtualMachine" {
            return self.apply_other(object, left, changes);
        }
        if left {
            return match self.vms.remove(object.id.as_str()) {
                Some(_) => Effect::Removed(object.id),
                None => Effect::Nothing,
            };
        }
        let count = self.vms.len();
        let entry = self.vms.entry(object.id.as_str().into()).or_default();
        for (path, value) in &changes {
            entry.set(path, value.as_ref(), &mut self.texts);
        }
        if self.vms.len() > count { Effect::Added(object.id) } else { Effect::Changed(object.id) }
    }

    fn apply_other(&mut self, object: MoRef, left: bool, changes: Vec<(Name, Option<Element>)>) -> Effect {
        if left {
            self.others.remove(&object);
            return Effect::Ancestors;
        }
        let known = self.others.entry(object).or_default();
        for (path, value) in changes {
            match value {
                Some(value) => known.insert(path, value),
                None => known.remove(&path),
            };
        }
        Effect::Ancestors
    }

    /// Makes what names and paths are built of anew.
    pub(super) fn settle(&mut self) {
        let mut ancestors = Ancestors::default();
        for (object, properties) in &self.others {
            ancestors.note(object, properties);
        }
        self.ancestors = ancestors;
    }

    /// How many VMs there are.
    pub(super) fn len(&self) -> usize {
        self.vms.len()
    }

    /// Every VM, by path and then by id.
    pub(super) fn summaries(&self) -> Vec<VmSummary> {
        let vms = self.vms.iter();
        let mut all: Vec<VmSummary> =
            vms.map(|(id, entry)| entry.summary(id, &self.ancestors, &self.root)).collect();
        all.sort_unstable_by(|a, b| a.path.cmp(&b.path).then_with(|| a.id.cmp(&b.id)));
        all
    }

    /// One VM.
    pub(super) fn get(&self, id: &str) -> Option<VmSummary> {
        self.vms.get(id).map(|entry| entry.summary(id, &self.ancestors, &self.root))
    }

    /// What happened between an earlier reading and this one.
    pub(super) fn since(&self, earlier: &Table) -> Vec<Effect> {
        if self.others != earlier.others || self.root != earlier.root {
            return vec![Effect::Ancestors];
        }
        let gone = earlier.vms.keys().filter(|id| !self.vms.contains_key(*id));
        let gone = gone.map(|id| Effect::Removed(id.to_string()));
        let other = self.vms.iter().filter_map(|(id, entry)| match earlier.vms.get(id) {
            None => Some(Effect::Added(id.to_string())),
            Some(before) if before != entry => Some(Effect::Changed(id.to_string())),
            Some(_) => None,
        });
        gone.chain(other).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soap::parse_tree;

    fn update(kind: &str, id: &str, properties: &str) -> ObjectUpdate {
        let tree = parse_tree(&format!("<p>{properties}</p>"));
        let changes = tree.children.into_iter().map(|value| (value.name.clone(), Some(value))).collect();
        ObjectUpdate { object: MoRef::new(kind, id), left: false, changes }
    }

    fn table() -> Table {
        let mut table = Table::new(MoRef::new("Folder", "root"));
        for (kind, id, properties) in [
            ("VirtualMachine", "vm-1", r#"<name>a</name><parent type="Folder">f</parent>"#),
            ("VirtualMachine", "vm-2", r#"<name>b</name><parent type="Folder">f</parent>"#),
            ("Folder", "f", r#"<name>vm</name><parent type="Folder">root</parent>"#),
        ] {
            table.apply(update(kind, id, properties));
        }
        table.settle();
        table
    }

    fn paths(table: &Table) -> Vec<String> {
        table.summaries().into_iter().map(|vm| vm.path).collect()
    }

    #[test]
    fn a_renamed_folder_renames_what_is_in_it() {
        let mut table = table();
        assert_eq!(paths(&table), ["/vm/a", "/vm/b"]);
        assert_eq!(table.apply(update("Folder", "f", "<name>all</name>")), Effect::Ancestors);
        table.settle();
        assert_eq!(paths(&table), ["/all/a", "/all/b"]);
    }

    #[test]
    fn what_an_update_leaves_out_stays_as_it_was() {
        let mut table = table();
        let changed = Effect::Changed("vm-1".to_owned());
        let renamed = update("VirtualMachine", "vm-1", "<name>z</name>");
        assert_eq!(table.apply(renamed), changed);
        assert_eq!(paths(&table), ["/vm/b", "/vm/z"]);
        let orphan = ObjectUpdate {
            object: MoRef::new("VirtualMachine", "vm-1"),
            left: false,
            changes: vec![("parent".into(), None)],
        };
        assert_eq!(table.apply(orphan), changed);
        assert_eq!(paths(&table), ["/vm/b", "/z"]);
    }

    #[test]
    fn two_readings_differ_by_what_happened_between_them() {
        let (before, mut now) = (table(), table());
        assert_eq!(now.since(&before), []);
        now.apply(update("VirtualMachine", "vm-1", "<name>z</name>"));
        now.apply(ObjectUpdate {
            object: MoRef::new("VirtualMachine", "vm-2"),
            left: true,
            changes: Vec::new(),
        });
        now.apply(update("VirtualMachine", "vm-3", "<name>c</name>"));
        let effects = now.since(&before);
        for effect in [
            Effect::Removed("vm-2".to_owned()),
            Effect::Changed("vm-1".to_owned()),
            Effect::Added("vm-3".to_owned()),
        ] {
            assert!(effects.contains(&effect), "{effects:?}");
        }
        now.apply(update("Folder", "f", "<name>all</name>"));
        assert_eq!(now.since(&before), [Effect::Ancestors]);
    }
}
