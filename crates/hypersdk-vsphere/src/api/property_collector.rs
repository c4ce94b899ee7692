//! `PropertyCollector`: reads properties of many objects at once, and waits for them to change.

use std::time::Duration;

use super::method;
use crate::soap::{
    CallError, Element, Fault, FaultKind, Malformed, MoRef, Name, Properties, ReplyReader, Writer, name,
};

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
    /// Of an element just entered.
    fn read(reply: &mut ReplyReader<'_>) -> Result<Self, CallError> {
        let (mut object, mut properties) = (None, Properties::new());
        while let Some(part) = reply.enter_child()? {
            match &*part.name {
                "obj" => object = Some(reply.fill(part)?.moref()?),
                "propSet" => {
                    if let (Some(name), Some(value)) = named_value(reply)? {
                        properties.insert(name, value);
                    }
                }
                "missingSet" => session_must_be_alive(&reply.fill(part)?)?,
                _ => drop(reply.text()?),
            }
        }
        Ok(ObjectContent { object: object.ok_or_else(|| Malformed::missing("obj", "objects"))?, properties })
    }
}

/// Some servers say in each property that the session is gone, instead of failing the call.
fn session_must_be_alive(missing: &Element) -> Result<(), CallError> {
    match missing.child("fault").map(Fault::from_localized) {
        Some(fault) if fault.kind() == FaultKind::NotAuthenticated => Err(CallError::Fault(Box::new(fault))),
        _ => Ok(()),
    }
}

/// The `name` and `val` of an element just entered.
fn named_value(reply: &mut ReplyReader<'_>) -> Result<(Option<Name>, Option<Element>), Malformed> {
    let (mut named, mut value) = (None, None);
    while let Some(part) = reply.enter_child()? {
        match &*part.name {
            "name" => named = Some(name(&reply.text()?)),
            "val" => value = Some(reply.fill(part)?),
            _ => drop(reply.text()?),
        }
    }
    Ok((named, value))
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
        while let Some(child) = reply.enter_child()? {
            match &*child.name {
                "token" => page.token = Some(reply.text()?.into_owned()).filter(|token| !token.is_empty()),
                "objects" => page.objects.push(ObjectContent::read(reply)?),
                _ => drop(reply.text()?),
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

/// What changed, and the version to wait from next, which gives at once what this had no room for.
#[derive(Debug, Default)]
pub(crate) struct Updates {
    pub(crate) version: String,
    pub(crate) objects: Vec<ObjectUpdate>,
}

/// `ObjectUpdate`: what is new of one object.
#[derive(Debug)]
pub(crate) struct ObjectUpdate {
    pub(crate) object: MoRef,
    /// It left the filter: it was deleted, or is not shown any more.
    pub(crate) left: bool,
    /// Properties by path; one without a value was unset.
    pub(crate) changes: Vec<(Name, Option<Element>)>,
}

impl ObjectUpdate {
    /// Of an element just entered.
    fn read(reply: &mut ReplyReader<'_>) -> Result<Self, CallError> {
        let (mut object, mut left, mut changes) = (None, false, Vec::new());
        while let Some(part) = reply.enter_child()? {
            match &*part.name {
                "kind" => left = reply.text()? == "leave",
                "obj" => object = Some(reply.fill(part)?.moref()?),
                "changeSet" => {
                    let (name, value) = named_value(reply)?;
                    changes.extend(name.map(|name| (name, value)));
                }
                "missingSet" => session_must_be_alive(&reply.fill(part)?)?,
                _ => drop(reply.text()?),
            }
        }
        let object = object.ok_or_else(|| Malformed::missing("obj", "objectSet"))?;
        Ok(ObjectUpdate { object, left, changes })
    }
}

impl Updates {
    fn read(document: &str) -> Result<Option<Self>, CallError> {
        let mut updates = Updates::default();
        let found = each_update(document, |update| updates.objects.push(update))?;
        Ok(found.map(|(version, _)| Updates { version, ..updates }))
    }
}

/// Gives object by object to `take`, so that a large reply is never a large tree; then its version, and whether it was
/// truncated. None if there is no news.
fn each_update(
    document: &str,
    mut take: impl FnMut(ObjectUpdate),
) -> Result<Option<(String, bool)>, CallError> {
    let reply = &mut ReplyReader::open(document)?;
    if !reply.enter_value()? {
        return Ok(None);
    }
    let (mut version, mut truncated) = (None, false);
    while let Some(child) = reply.enter_child()? {
        match &*child.name {
            "version" => version = Some(reply.text()?.into_owned()),
            "truncated" => truncated = reply.text()?.trim() == "true",
            "filterSet" => {
                while let Some(part) = reply.enter_child()? {
                    match &*part.name {
                        "objectSet" => take(ObjectUpdate::read(reply)?),
                        _ => drop(reply.text()?),
                    }
                }
            }
            _ => drop(reply.text()?),
        }
    }
    let version = version.ok_or_else(|| Malformed::missing("version", "returnval"))?;
    Ok(Some((version, truncated)))
}

/// An answer to [`WaitForUpdatesEx`] of which only the version has been read, which is all it takes to ask for the
/// next one.
#[derive(Debug)]
pub(crate) struct UnreadUpdates {
    pub(crate) version: String,
    document: String,
}

impl UnreadUpdates {
    fn new(document: String) -> Result<Option<Self>, CallError> {
        let reply = &mut ReplyReader::open(&document)?;
        if !reply.enter_value()? {
            return Ok(None);
        }
        while let Some(child) = reply.enter_child()? {
            // By the schema it is the first.
            if child.name == "version" {
                let version = reply.text()?.into_owned();
                return Ok(Some(UnreadUpdates { version, document }));
            }
            reply.text()?;
        }
        Err(Malformed::missing("version", "returnval").into())
    }

    /// Gives what changed to `take`, object by object. True if there is more, which the next call gives at once.
    pub(crate) fn each(&self, take: impl FnMut(ObjectUpdate)) -> Result<bool, CallError> {
        Ok(each_update(&self.document, take)?.is_some_and(|(_, truncated)| truncated))
    }
}

/// [`WaitForUpdatesEx`], whose answer somebody else is going to read.
#[derive(Debug)]
pub(crate) struct WaitForUnreadUpdates(pub(crate) WaitForUpdatesEx);

impl crate::soap::Call for WaitForUnreadUpdates {
    const METHOD: &'static str = WaitForUpdatesEx::METHOD;
    const IDEMPOTENT: bool = WaitForUpdatesEx::IDEMPOTENT;
    const SESSION_BOUND: bool = WaitForUpdatesEx::SESSION_BOUND;
    type Reply = Option<UnreadUpdates>;

    fn this(&self) -> &MoRef {
        self.0.this()
    }

    fn write(&self, out: &mut Writer) {
        self.0.write(out);
    }

    fn read(&self, document: String) -> Result<Self::Reply, CallError> {
        UnreadUpdates::new(document)
    }

    fn patience(&self) -> Duration {
        self.0.patience()
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

    fn read(&self, document: String) -> Result<Self::Reply, CallError> {
        Updates::read(&document)
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
        let updates = call.read(xml.to_owned()).unwrap().unwrap();
        assert_eq!(updates.version, "4");
        let [changed, left] = &updates.objects[..] else { panic!("{updates:?}") };
        assert_eq!(changed.changes[0].1.as_ref().unwrap().text, "web");
        assert_eq!((&*changed.changes[1].0, &changed.changes[1].1), ("parentVApp", &None));
        assert_eq!((left.object.id.as_str(), left.left, changed.left), ("vm-2", true, false));
        let unread = WaitForUnreadUpdates(call);
        let mut seen = Vec::new();
        let told = unread.read(xml.to_owned()).unwrap().unwrap();
        assert_eq!(told.version, "4");
        assert!(told.each(|update| seen.push(update)).unwrap());
        assert_eq!(format!("{seen:?}"), format!("{:?}", updates.objects));
        let nothing = xml.replace("<returnval>", "<other>").replace("</returnval>", "</other>");
        assert!(unread.0.read(nothing.clone()).unwrap().is_none());
        assert!(unread.read(nothing).unwrap().is_none());
    }
}
