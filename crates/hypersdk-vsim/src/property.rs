//! Properties: what each object shows, and how a PropertyCollector picks them.

mod collector;
mod entity;
mod filter;
mod hardware;
mod schema;
mod service;
mod view;
mod vm;

pub(crate) use collector::{Collector, Page};
pub(crate) use filter::FilterSpec;
pub(crate) use service::{about, user_session};

use crate::model::{State, World};
use crate::wire::{Fault, MoRef, Value};

/// Reads properties, as one session sees them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    pub(crate) world: &'a World,
    pub(crate) state: &'a State,
    /// Key of the session; empty before login.
    pub(crate) session: &'a str,
}

impl Reader<'_> {
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

    /// The first part of a property path.
    fn root(&self, object: &MoRef, name: &str) -> Option<Value> {
        match object.ty.as_str() {
            "Task" => self.task(object, name),
            "HttpNfcLease" => self.lease(object, name),
            "VirtualMachineSnapshot" => self.snapshot(object, name),
            "ContainerView" => self.view(object, name),
            _ => match self.state.entity(object) {
                Ok(entity) => self.entity(entity, name),
                Err(_) => self.service(object, name),
            },
        }
    }

    /// The value at a property path; `None` where it is unset.
    pub(crate) fn path(&self, object: &MoRef, path: &str) -> Result<Option<Value>, Fault> {
        let (root, rest) = path.split_once('.').map_or((path, None), |(root, rest)| (root, Some(rest)));
        let (root, key) = indexed(root);
        if !schema::has_property(&object.ty, root) {
            return Err(Fault::invalid_property(path));
        }
        let mut value = self.root(object, root).and_then(|value| pick(value, key));
        for part in rest.into_iter().flat_map(|rest| rest.split('.')) {
            let (name, key) = indexed(part);
            value = match value {
                Some(Value::Struct(data)) => data.get(name).cloned().and_then(|value| pick(value, key)),
                Some(_) => return Err(Fault::invalid_property(path)),
                None => None,
            };
        }
        Ok(value)
    }

    /// Every property of the object that is set.
    pub(crate) fn all(&self, object: &MoRef) -> Vec<(String, Value)> {
        schema::properties(&object.ty)
            .into_iter()
            .flatten()
            .filter_map(|name| Some((name.to_owned(), self.root(object, name)?)))
            .collect()
    }
}

/// Splits `device[2000]` into name and key.
fn indexed(part: &str) -> (&str, Option<&str>) {
    match part.strip_suffix(']').and_then(|part| part.split_once('[')) {
        Some((name, key)) => (name, Some(key.trim_matches('"'))),
        None => (part, None),
    }
}

/// The item of an array whose `key` is this one.
fn pick(value: Value, key: Option<&str>) -> Option<Value> {
    let Some(key) = key else { return Some(value) };
    let Value::Array(_, items) = value else { return None };
    items.into_iter().find(|item| match item {
        Value::Struct(data) => match data.get("key") {
            Some(Value::Int(number)) => number.to_string() == key,
            Some(Value::Text(text)) => text == key,
            _ => false,
        },
        _ => false,
    })
}
