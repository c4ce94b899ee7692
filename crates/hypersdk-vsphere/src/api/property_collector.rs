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

/// `WaitForUpdatesEx`: returns when something changed, or nothing after `max_wait`.
#[derive(Debug)]
pub(crate) struct WaitForUpdatesEx {
    pub(crate) this: MoRef,
    pub(crate) version: String,
    pub(crate) max_wait: Duration,
}

/// What changed, and the version to wait from next.
#[derive(Debug)]
pub(crate) struct Updates {
    pub(crate) version: String,
    pub(crate) changed: Properties,
    /// An object left the filter: it was deleted.
    pub(crate) gone: bool,
}

impl Updates {
    fn read(value: Element) -> Result<Self, CallError> {
        let version = value.required("version")?.to_owned();
        let mut updates = Updates { version, changed: Properties::new(), gone: false };
        for filter in value.children.into_iter().filter(|child| child.name == "filterSet") {
            for update in filter.children.into_iter().filter(|child| child.name == "objectSet") {
                session_must_be_alive(&update)?;
                updates.gone |= update.text_at("kind") == Some("leave");
                updates.changed.extend(named_values(update, "changeSet"));
            }
        }
        Ok(updates)
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
        out.nest("options", |out| out.value("maxWaitSeconds", self.max_wait.as_secs().max(1)));
    }

    fn read(&self, reply: &mut ReplyReader<'_>) -> Result<Self::Reply, CallError> {
        reply.next_value()?.map(Updates::read).transpose()
    }

    fn patience(&self) -> Duration {
        self.max_wait
    }
}
