//! Inventory paths: `/datacenter/vm/folder/name`, the root folder left out.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::api::{FilterSpec, ObjectContent, ObjectSpec, PropertySpec, Select, Traversal};
use crate::soap::{Element, MoRef, Properties};

/// What paths are made of, and the names of hosts, clusters, datastores and attributes.
pub(super) fn of_ancestors() -> Vec<PropertySpec> {
    vec![
        PropertySpec { kind: "Folder", paths: &["name", "parent"] },
        PropertySpec { kind: "Datacenter", paths: &["name", "parent"] },
        PropertySpec { kind: "HostSystem", paths: &["name", "parent"] },
        PropertySpec { kind: "ClusterComputeResource", paths: &["name"] },
        PropertySpec { kind: "Datastore", paths: &["name"] },
    ]
}

/// A vApp, the vApps around it, and the folders above them.
pub(super) fn of_vapp(vapp: MoRef) -> FilterSpec {
    let mut properties = of_ancestors();
    properties.push(PropertySpec { kind: "VirtualApp", paths: &["name", "parent", "parentFolder"] });
    let step = |name, kind, path, select| Select::Traverse(Traversal { name, kind, path, select });
    let select = vec![
        step("parent", "ManagedEntity", "parent", vec![Select::Again("parent"), Select::Again("folder")]),
        step("folder", "VirtualApp", "parentFolder", vec![Select::Again("parent")]),
    ];
    FilterSpec { properties, objects: vec![ObjectSpec { object: vapp, skip: false, select }] }
}

/// Names and parents of folders, datacenters and vApps, by id.
#[derive(Debug, Default)]
pub(super) struct Ancestors {
    entries: HashMap<String, Ancestor>,
    hosts: HashMap<String, Ancestor>,
    clusters: HashMap<String, String>,
    datastores: HashMap<String, String>,
    attributes: HashMap<i32, String>,
}

#[derive(Debug)]
struct Ancestor {
    name: String,
    parent: Option<String>,
}

impl Ancestors {
    /// Takes note of an object with the properties `name`, `parent` and, for a vApp, `parentFolder`.
    pub(super) fn add(&mut self, content: &ObjectContent) {
        self.note(&content.object, &content.properties);
    }

    /// The same, of an object that is not at hand in one piece.
    pub(super) fn note(&mut self, object: &MoRef, properties: &Properties) {
        if let Some(fields) = properties.get("field") {
            let field = |field: &Element| Some((field.number("key")?, field.text_at("name")?.to_owned()));
            self.attributes = fields.children.iter().filter_map(field).collect();
            return;
        }
        let Some(name) = properties.get("name") else { return };
        let (id, shown) = (object.id.clone(), || unescape(&name.text).into_owned());
        match object.kind.as_str() {
            "HostSystem" => {
                let parent = reference(properties, "parent").map(|parent| parent.id);
                self.hosts.insert(id, Ancestor { name: shown(), parent });
                return;
            }
            "ClusterComputeResource" => {
                self.clusters.insert(id, shown());
                return;
            }
            "Datastore" => {
                self.datastores.insert(id, shown());
                return;
            }
            _ => {}
        }
        let parent = reference(properties, "parentFolder").or_else(|| {
            // The parent of a vApp that stands in a resource pool is no part of its inventory path.
            reference(properties, "parent").filter(|parent| parent.kind != "ResourcePool")
        });
        let parent = parent.map(|parent| parent.id);
        self.entries.insert(object.id.clone(), Ancestor { name: escape(&name.text).into_owned(), parent });
    }

    /// True if the object was noted.
    pub(super) fn knows(&self, object: &MoRef) -> bool {
        self.entries.contains_key(&object.id)
    }

    /// The path of a VM from its name and the id of the folder or vApp it is in. Where the account may not see an
    /// ancestor, the path begins below it.
    pub(super) fn path(&self, name: &str, within: Option<&str>, root: &MoRef) -> String {
        let name = escape(name);
        let mut names = vec![name.as_ref()];
        let mut next = within;
        while let Some(id) = next.take_if(|id| **id != root.id) {
            let Some(ancestor) = self.entries.get(id) else { break };
            names.push(&ancestor.name);
            // An inventory is a tree; a server that answers otherwise must not hang the client.
            if names.len() > 100 {
                break;
            }
            next = ancestor.parent.as_deref();
        }
        names.iter().rev().flat_map(|name| ["/", name]).collect()
    }

    /// A host's name.
    pub(super) fn host(&self, id: &str) -> Option<&str> {
        self.hosts.get(id).map(|host| host.name.as_str())
    }

    /// The name of the cluster a host belongs to.
    pub(super) fn cluster(&self, host: &str) -> Option<&str> {
        let cluster = self.hosts.get(host)?.parent.as_ref()?;
        self.clusters.get(cluster).map(String::as_str)
    }

    /// A datastore's name.
    pub(super) fn datastore(&self, id: &str) -> Option<&str> {
        self.datastores.get(id).map(String::as_str)
    }

    /// A custom attribute's name.
    pub(super) fn attribute(&self, key: i32) -> Option<&str> {
        self.attributes.get(&key).map(String::as_str)
    }
}

pub(super) fn reference(properties: &Properties, name: &str) -> Option<MoRef> {
    properties.get(name)?.moref().ok()
}

/// Names come with `/`, `\` and `%` escaped already; a server that does not is helped along.
fn escape(name: &str) -> Cow<'_, str> {
    if name.contains('/') { Cow::Owned(name.replace('/', "%2f")) } else { Cow::Borrowed(name) }
}

/// A name as people wrote it.
pub(crate) fn unescape(name: &str) -> Cow<'_, str> {
    if !name.contains('%') {
        return Cow::Borrowed(name);
    }
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let code = rest.get(at + 1..at + 3).map(str::to_ascii_lowercase);
        let character = match code.as_deref() {
            Some("2f") => Some('/'),
            Some("5c") => Some('\\'),
            Some("25") => Some('%'),
            _ => None,
        };
        out.push(character.unwrap_or('%'));
        rest = &rest[at + if character.is_some() { 3 } else { 1 }..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(kind: &str, id: &str, name: &str, parent: Option<(&str, &str)>) -> ObjectContent {
        related(kind, id, name, "parent", parent)
    }

    fn related(kind: &str, id: &str, name: &str, how: &str, to: Option<(&str, &str)>) -> ObjectContent {
        let mut writer = crate::soap::Writer::default();
        writer.nest("p", |out| {
            out.text("name", name);
            if let Some((kind, id)) = to {
                out.moref(how, &MoRef::new(kind, id));
            }
        });
        let tree = crate::soap::parse_tree(&writer.finish());
        let properties =
            tree.children.into_iter().map(|child: Element| (child.name.clone(), child)).collect();
        ObjectContent { object: MoRef::new(kind, id), properties }
    }

    fn path_of(ancestors: &Ancestors, vm: &ObjectContent, root: &MoRef) -> String {
        let within = ["parentVApp", "parent"].iter().find_map(|name| reference(&vm.properties, name));
        ancestors.path(&vm.properties["name"].text, within.as_ref().map(|within| within.id.as_str()), root)
    }

    #[test]
    fn a_path_runs_from_below_the_root_to_the_name_with_slashes_escaped() {
        let root = MoRef::new("Folder", "group-d1");
        let mut ancestors = Ancestors::default();
        ancestors.add(&object("Folder", "group-d1", "Datacenters", None));
        ancestors.add(&object("Datacenter", "dc-2", "DC0", Some(("Folder", "group-d1"))));
        ancestors.add(&object("Folder", "group-v3", "vm", Some(("Datacenter", "dc-2"))));
        ancestors.add(&object("Folder", "group-v4", "a%2fb", Some(("Folder", "group-v3"))));
        let vm = object("VirtualMachine", "vm-5", "web/01", Some(("Folder", "group-v4")));
        assert_eq!(path_of(&ancestors, &vm, &root), "/DC0/vm/a%2fb/web%2f01");
    }

    #[test]
    fn a_vapp_stands_in_the_path_below_its_folder_and_in_vapps_around_it() {
        let root = MoRef::new("Folder", "group-d1");
        let mut ancestors = Ancestors::default();
        ancestors.add(&object("Folder", "group-v3", "vm", Some(("Folder", "group-d1"))));
        ancestors.add(&related(
            "VirtualApp",
            "vapp-1",
            "outer",
            "parentFolder",
            Some(("Folder", "group-v3")),
        ));
        ancestors.add(&object("VirtualApp", "vapp-2", "inner", Some(("VirtualApp", "vapp-1"))));
        ancestors.add(&object("VirtualApp", "vapp-3", "alone", Some(("ResourcePool", "resgroup-1"))));
        let path_in = |vapp| {
            let vm = related("VirtualMachine", "vm-5", "web", "parentVApp", Some(("VirtualApp", vapp)));
            path_of(&ancestors, &vm, &root)
        };
        assert_eq!(path_in("vapp-2"), "/vm/outer/inner/web");
        assert_eq!(path_in("vapp-3"), "/alone/web");
    }

    #[test]
    fn an_invisible_ancestor_shortens_the_path_and_a_loop_ends() {
        let root = MoRef::new("Folder", "group-d1");
        let mut ancestors = Ancestors::default();
        ancestors.add(&object("Folder", "group-v3", "team", Some(("Folder", "hidden"))));
        let vm = object("VirtualMachine", "vm-5", "web", Some(("Folder", "group-v3")));
        assert_eq!(path_of(&ancestors, &vm, &root), "/team/web");
        ancestors.add(&object("Folder", "loop", "x", Some(("Folder", "loop"))));
        let vm = object("VirtualMachine", "vm-6", "web", Some(("Folder", "loop")));
        assert!(path_of(&ancestors, &vm, &root).ends_with("/x/web"));
    }

    #[test]
    fn names_are_shown_as_written() {
        assert_eq!(unescape("a%2fb%5cc%25d%zz%"), "a/b\\c%d%zz%");
    }
}
