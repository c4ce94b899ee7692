//! `PropertyCollector`: reads properties of many objects at once, and waits for them to change.

use std::time::Duration;

use super::method;
use crate::soap::{CallError, Element, Fault, FaultKind, Malformed, MoRef, Properties, ReplyReader, Writer};

/// Which properties of which objects.
#[derive(Debug, Clone)]
pub(crate) struct FilterSpec {
    pub(crate) properties: Vec<PropertySpec>,
    pub(crate) objects: Vec<ObjectSpec>,
}

/// The paths wanted of objects of one type.
#[derive(Debug, Clone)]
pub(crate) struct PropertySpec {
    pub(crate) kind: &'static str,
    pub(crate) paths: &'static [&'static str],
}

/// Where to begin, and where to go on from there.
#[derive(Debug, Clone)]
pub(crate) struct ObjectSpec {
    pub(crate) object: MoRef,
    /// Leave the object itself out.
    pub(crate) skip: bool,
    pub(crate) select: Vec<Select>,
}

/// A step from objects to further objects.
#[derive(Debug, Clone)]
pub(crate) enum Select {
    /// Follow a property.
    Traverse(Traversal),
    /// Do as the traversal of that name does.
    Again(&'static str),
}

/// `TraversalSpec`.
#[derive(Debug, Clone)]
pub(crate) struct Traversal {
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) path: &'static str,
    pub(crate) select: Vec<Select>,
}

impl FilterSpec {
    /// Some properties of one object.
    pub(crate) fn of(object: MoRef, kind: &'static str, paths: &'static [&'static str]) -> Self {
        FilterSpec {
            properties: vec![PropertySpec { kind, paths }],
            objects: vec![ObjectSpec { object, skip: false, select: Vec::new() }],
        }
    }

    fn write(&self, name: &str, out: &mut Writer) {
        out.nest(name, |out| {
            for spec in &self.properties {
                out.nest("propSet", |out| {
                    out.text("type", spec.kind);
                    out.value("all", false);
                    for path in spec.paths {
                        out.text("pathSet", path);
                    }
                });
            }
            for spec in &self.objects {
                out.nest("objectSet", |out| {
                    out.moref("obj", &spec.object);
                    out.value("skip", spec.skip);
                    spec.select.iter().for_each(|select| select.write(out));
                });
            }
        });
    }
}

impl Select {
    fn write(&self, out: &mut Writer) {
        match self {
            Select::Again(name) => out.typed("selectSet", "SelectionSpec", |out| out.text("name", name)),
            Select::Traverse(traversal) => out.typed("selectSet", "TraversalSpec", |out| {
                out.text("name", traversal.name);
                out.text("type", traversal.kind);
                out.text("path", traversal.path);
                out.value("skip", false);
                traversal.select.iter().for_each(|select| select.write(out));
            }),
        }
    }
}

/// `ObjectContent`: one object and the properties it has; what is unset or not readable is left out.
#[derive(Debug, Clone)]
pub(crate) struct ObjectContent {
    pub(crate) object: MoRef,
    pub(crate) properties: Properties,
}

impl ObjectContent {
    fn read(element: Element) -> Result<Self, CallError> {
        let object = element.child("obj").ok_or_else(|| Malformed::missing("obj", "objects"))?.moref()?;
        session_must_be_alive(&element)?;
        Ok(ObjectContent { object, properties: named_values(element, "propSet") })
    }
}

/// Some servers say in each property that the session is gone, instead of failing the call.
fn session_must_be_alive(element: &Element) -> Result<(), CallError> {
    let faults = element.all("missingSet").filter_map(|missing| missing.child("fault"));
    match faults.map(Fault::from_localized).find(|fault| fault.kind() == FaultKind::NotAuthenticated) {
        Some(fault) => Err(CallError::Fault(Box::new(fault))),
        None => Ok(()),
    }
}

/// The `name` and `val` of each child called `set`.
fn named_values(element: Element, set: &str) -> Properties {
    let mut properties = Properties::new();
    for entry in element.children.into_iter().filter(|child| child.name == set) {
        let (mut name, mut value) = (None, None);
        for part in entry.children {
            match part.name.as_str() {
                "name" => name = Some(part.text),
                "val" => value = Some(part),
                _ => {}
            }
        }
        if let (Some(name), Some(value)) = (name, value) {
            properties.insert(name, value);
        }
    }
    properties
}

/// A page of a retrieval; `token` asks for the next one.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) token: Option<String>,
    pub(crate) objects: Vec<ObjectContent>,
}

impl Page {
    fn read(reply: &mut ReplyReader<'_>) -> Result<Self, CallError> {
        let mut page = Page::default();
        if !reply.enter_value()? {
            return Ok(page);
        }
        while let Some(child) = reply.next_child()? {
            match child.name.as_str() {
                "token" => page.token = Some(child.text).filter(|token| !token.is_empty()),
                "objects" => page.objects.push(ObjectContent::read(child)?),
                _ => {}
            }
        }
        Ok(page)
    }
}

/// `RetrievePropertiesEx`.
#[derive(Debug)]
pub(crate) struct RetrievePropertiesEx {
    pub(crate) this: MoRef,
    pub(crate) spec: FilterSpec,
    pub(crate) max_objects: Option<u32>,
}

method!(RetrievePropertiesEx, "RetrievePropertiesEx", idempotent: true, reply: Page, write: |call, out| {
    call.spec.write("specSet", out);
    out.nest("options", |out| {
        if let Some(max_objects) = call.max_objects {
            out.value("maxObjects", max_objects);
        }
    });
}, read: |reply| Page::read(reply)?);

/// `ContinueRetrievePropertiesEx`: the page after the one that gave the token.
#[derive(Debug)]
pub(crate) struct ContinueRetrievePropertiesEx {
    pub(crate) this: MoRef,
    pub(crate) token: String,
}

method!(ContinueRetrievePropertiesEx, "ContinueRetrievePropertiesEx", idempotent: false, session_bound: true,
    reply: Page, write: |call, out| { out.text("token", &call.token); }, read: |reply| Page::read(reply)?);

/// `CreatePropertyCollector`: each waiter needs one of its own.
#[derive(Debug)]
pub(crate) struct CreatePropertyCollector {
    pub(crate) this: MoRef,
}

method!(CreatePropertyCollector, "CreatePropertyCollector", idempotent: true, reply: MoRef,
    write: |_call, _out| {}, read: |reply| reply.moref()?);

/// `DestroyPropertyCollector`, with its filters.
#[derive(Debug)]
pub(crate) struct DestroyPropertyCollector {
    pub(crate) this: MoRef,
}

method!(DestroyPropertyCollector, "DestroyPropertyCollector", idempotent: true, session_bound: true, reply: (),
    write: |_call, _out| {}, read: |_reply| ());

/// `CreateFilter` on a collector of one's own.
#[derive(Debug)]
pub(crate) struct CreateFilter {
    pub(crate) this: MoRef,
    pub(crate) spec: FilterSpec,
}

method!(CreateFilter, "CreateFilter", idempotent: false, session_bound: true, reply: MoRef, write: |call, out| {
    call.spec.write("spec", out);
    out.value("partialUpdates", false);
}, read: |reply| reply.moref()?);

/// `WaitForUpdatesEx`: returns when something changed, or nothing after `max_wait`, to the second; at once if that is
/// zero.
#[derive(Debug)]
pub(crate) struct WaitForUpdatesEx {
    pub(crate) this: MoRef,
    pub(crate) version: String,
    pub(crate) max_wait: Duration,
    /// Objects of one reply at most; the server's choice if absent.
    pub(crate) max_objects: Option<u32>,
}

/// What changed, and the version to wait from next.
#[derive(Debug, Default)]
pub(crate) struct Updates {
    pub(crate) version: String,
    /// There is more, which the next call gives at once.
    pub(crate) truncated: bool,
    pub(crate) objects: Vec<ObjectUpdate>,
}

/// `ObjectUpdate`: what is new of one object.
#[derive(Debug)]
pub(crate) struct ObjectUpdate {
    pub(crate) object: MoRef,
    /// It left the filter: it was deleted, or is not shown any more.
    pub(crate) left: bool,
    /// Properties by path; one without a value was unset.
    pub(crate) changes: Vec<(String, Option<Element>)>,
}

impl ObjectUpdate {
    fn read(element: Element) -> Result<Self, CallError> {
        session_must_be_alive(&element)?;
        let object = element.child("obj").ok_or_else(|| Malformed::missing("obj", "objectSet"))?.moref()?;
        let left = element.text_at("kind") == Some("leave");
        let mut changes = Vec::new();
        for change in element.children.into_iter().filter(|child| child.name == "changeSet") {
            let (mut name, mut value) = (None, None);
            for part in change.children {
                match part.name.as_str() {
                    "name" => name = Some(part.text),
                    "val" => value = Some(part),
                    _ => {}
                }
            }
            changes.extend(name.map(|name| (name, value)));
        }
        Ok(ObjectUpdate { object, left, changes })
    }
}

impl Updates {
    /// Object by object, so that a large reply is never a large tree.
    fn read(reply: &mut ReplyReader<'_>) -> Result<Option<Self>, CallError> {
        if !reply.enter_value()? {
            return Ok(None);
        }
        let (mut updates, mut version) = (Updates::default(), None);
        while let Some(child) = reply.enter_child()? {
            match child.name.as_str() {
                "version" => version = Some(reply.fill(child)?.text),
                "truncated" => updates.truncated = reply.fill(child)?.text.trim() == "true",
                "filterSet" => {
                    while let Some(part) = reply.enter_child()? {
                        let is_object = part.name == "objectSet";
                        let part = reply.fill(part)?;
                        if is_object {
                            updates.objects.push(ObjectUpdate::read(part)?);
                        }
                    }
                }
                _ => drop(reply.fill(child)?),
            }
        }
        updates.version = version.ok_or_else(|| Malformed::missing("version", "returnval"))?;
        Ok(Some(updates))
    }
}

impl crate::soap::Call for WaitForUpdatesEx {
    const METHOD: &'static str = "WaitForUpdatesEx";
    const IDEMPOTENT: bool = true;
    const SESSION_BOUND: bool = true;
    type Reply = Option<Updates>;

    fn this(&self) -> &MoRef {
        &self.this
    }

    fn write(&self, out: &mut Writer) {
        out.text("version", &self.version);
        out.nest("options", |out| {
            out.value("maxWaitSeconds", self.max_wait.as_secs());
            if let Some(max_objects) = self.max_objects {
                out.value("maxObjectUpdates", max_objects);
            }
        });
    }

    fn read(&self, reply: &mut ReplyReader<'_>) -> Result<Self::Reply, CallError> {
        Updates::read(reply)
    }

    fn patience(&self) -> Duration {
        self.max_wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soap::Call;

    #[test]
    fn updates_are_read_object_by_object_with_what_was_unset_and_what_left() {
        let xml = r#"<s:Envelope xmlns:s="x" xmlns:i="y"><s:Body><WaitForUpdatesExResponse><returnval>
            <version>4</version><filterSet><filter type="PropertyFilter">f</filter>
            <objectSet><kind>modify</kind><obj type="VirtualMachine">vm-1</obj>
            <changeSet><name>name</name><op>assign</op><val i:type="xsd:string">web</val></changeSet>
            <changeSet><name>parentVApp</name><op>assign</op></changeSet></objectSet>
            <objectSet><kind>leave</kind><obj type="VirtualMachine">vm-2</obj></objectSet></filterSet>
            <truncated>true</truncated></returnval></WaitForUpdatesExResponse></s:Body></s:Envelope>"#;
        let call = WaitForUpdatesEx {
            this: MoRef::new("PropertyCollector", "pc"),
            version: "3".to_owned(),
            max_wait: Duration::ZERO,
            max_objects: Some(2),
        };
        let updates = call.read(&mut ReplyReader::open(xml).unwrap()).unwrap().unwrap();
        assert_eq!((updates.version.as_str(), updates.truncated), ("4", true));
        let [changed, left] = &updates.objects[..] else { panic!("{updates:?}") };
        assert_eq!(changed.changes[0].1.as_ref().unwrap().text, "web");
        assert_eq!((changed.changes[1].0.as_str(), &changed.changes[1].1), ("parentVApp", &None));
        assert_eq!((left.object.id.as_str(), left.left, changed.left), ("vm-2", true, false));
        let nothing = xml.replace("<returnval>", "<other>").replace("</returnval>", "</other>");
        assert!(call.read(&mut ReplyReader::open(&nothing).unwrap()).unwrap().is_none());
    }
}
