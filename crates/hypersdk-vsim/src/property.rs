//! Properties: what each object shows, and how a PropertyCollector picks them.

mod collector;
mod devices;
mod entity;
mod filter;
mod hardware;
mod schema;
mod service;
mod view;
mod vm;

pub(crate) use collector::{Collector, Page, Selection};
pub(crate) use filter::FilterSpec;
pub(crate) use service::{about, user_session};

use crate::model::{Entity, EntityKind, State, World};
use crate::wire::{Fault, MoRef, Value};
use vm::machine_leaf;

/// Reads properties, as one session sees them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    pub(crate) world: &'a World,
    pub(crate) state: &'a State,
    /// Key of the session; empty before login.
    pub(crate) session: &'a str,
}

impl<'a> Reader<'a> {
    /// Whether the object is there for this session.
    pub(crate) fn exists(&self, object: &MoRef) -> bool {
        match object.ty.as_str() {
            "Task" => self.state.tasks.contains_key(&object.id),
            "HttpNfcLease" => self.state.leases.contains_key(&object.id),
            "VirtualMachineSnapshot" => self.state.snapshots.contains_key(&object.id),
            "ContainerView" => {
                self.state.views.get(&object.id).is_some_and(|view| view.session == self.session)
            }
            _ => self.state.entity(object).is_ok() || self.is_service(object),
        }
    }

    /// An object whose properties are about to be read.
    fn subject<'o>(&self, object: &'o MoRef) -> Subject<'a, 'o> {
        Subject { object, entity: self.state.entity(object).ok(), roots: Vec::new() }
    }

    /// The first part of a property path.
    fn root(&self, subject: &Subject<'_, '_>, name: &str) -> Option<Value> {
        let object = subject.object;
        match object.ty.as_str() {
            "Task" => self.task(object, name),
            "HttpNfcLease" => self.lease(object, name),
            "VirtualMachineSnapshot" => self.snapshot(object, name),
            "ContainerView" => self.view(object, name),
            _ => match subject.entity {
                Some(entity) => self.entity(entity, name),
                None => self.service(object, name),
            },
        }
    }

    /// The value at a property path; `None` where it is unset.
    pub(crate) fn path(&self, object: &MoRef, path: &str) -> Result<Option<Value>, Fault> {
        self.path_of(&mut self.subject(object), path)
    }

    /// As [`path`](Self::path), where several paths of one object are read: what they begin with is made once.
    fn path_of<'o>(&self, subject: &mut Subject<'a, 'o>, path: &'o str) -> Result<Option<Value>, Fault> {
        if let Some(entity) = subject.entity
            && let EntityKind::Vm(vm) = &entity.kind
            && let Some(leaf) = machine_leaf(entity, vm, path)
        {
            return Ok(Some(leaf));
        }
        let (root, rest) = path.split_once('.').map_or((path, None), |(root, rest)| (root, Some(rest)));
        let (root, key) = indexed(root);
        let known = subject.roots.iter().position(|(name, _)| *name == root);
        let at = match known {
            Some(at) => at,
            None => {
                let value = self.root(subject, root);
                if value.is_none() && !schema::has_property(&subject.object.ty, root) {
                    return Err(Fault::invalid_property(path));
                }
                if path == root {
                    return Ok(value);
                }
                subject.roots.push((root, value));
                subject.roots.len() - 1
            }
        };
        let mut value = subject.roots[at].1.as_ref().and_then(|value| pick(value, key));
        for part in rest.into_iter().flat_map(|rest| rest.split('.')) {
            let (name, key) = indexed(part);
            value = match value {
                Some(Value::Struct(data)) => data.get(name).and_then(|value| pick(value, key)),
                Some(_) => return Err(Fault::invalid_property(path)),
                None => None,
            };
        }
        Ok(value.cloned())
    }

    /// Which change of it this is, of an object whose properties change with nothing else.
    fn revision(&self, object: &MoRef) -> Option<u64> {
        let entity = (object.ty == "VirtualMachine").then(|| self.state.entity(object))?;
        entity.ok().map(|entity| entity.revision)
    }

    /// Every property of the object that is set.
    fn all(&self, subject: &Subject<'_, '_>) -> Vec<(&'static str, Value)> {
        schema::properties(&subject.object.ty)
            .into_iter()
            .flatten()
            .filter_map(|name| Some((name, self.root(subject, name)?)))
            .collect()
    }
}

/// An object of which several properties are read.
#[derive(Debug)]
struct Subject<'a, 'o> {
    object: &'o MoRef,
    /// It itself, if it is of the inventory.
    entity: Option<&'a Entity>,
    /// First parts of its property paths, with their values.
    roots: Vec<(&'o str, Option<Value>)>,
}

/// Splits `device[2000]` into name and key.
fn indexed(part: &str) -> (&str, Option<&str>) {
    match part.strip_suffix(']').and_then(|part| part.split_once('[')) {
        Some((name, key)) => (name, Some(key.trim_matches('"'))),
        None => (part, None),
    }
}

/// The item of an array whose `key` is this one.
fn pick<'v>(value: &'v Value, key: Option<&str>) -> Option<&'v Value> {
    let Some(key) = key else { return Some(value) };
    let Value::Array(_, items) = value else { return None };
    items.iter().find(|item| match item {
        Value::Struct(data) => match data.get("key") {
            Some(Value::Int(number)) => number.to_string() == key,
            Some(Value::Text(text)) => **text == *key,
            _ => false,
        },
        _ => false,
    })
}
