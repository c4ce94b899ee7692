//! A PropertyCollector: pages not fetched yet, filters, and what each filter
//! has already told its client.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::Reader;
use super::filter::{FilterSpec, Values};
use crate::wire::{Fault, MoRef, Struct, Value};

/// A page of a retrieval: the objects, and the token of the rest.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) objects: Vec<Struct>,
    pub(crate) token: Option<String>,
}

/// What a client was told of an object.
#[derive(Debug)]
struct Told {
    /// The object's revision then, if it has any.
    revision: Option<u64>,
    values: Values,
}

/// What a filter selects, and how far its client was told of it.
#[derive(Debug)]
pub(crate) struct Selection {
    /// Of the state, when it was made.
    generation: u64,
    objects: Vec<MoRef>,
    /// Objects that were told of and are not selected any more.
    gone: Vec<MoRef>,
    /// Of the machines before this one, everything has been told.
    next: usize,
}

impl Selection {
    pub(crate) fn of(spec: &FilterSpec, reader: Reader<'_>) -> Result<Self, Fault> {
        let (objects, generation) = (spec.objects(reader)?, reader.state.generation());
        Ok(Self { generation, objects, gone: Vec::new(), next: 0 })
    }
}

#[derive(Debug)]
struct Filter {
    id: String,
    spec: FilterSpec,
    selection: Selection,
    told: HashMap<MoRef, Told>,
}

/// One property collector of one session.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    /// What is left of retrievals, each with its page size, by token.
    pages: HashMap<String, (usize, Vec<Struct>)>,
    filters: Vec<Filter>,
    version: u64,
    /// The last report, for a client that lost it.
    last: Option<Struct>,
    /// That client has asked.
    repeat: bool,
    /// Cancelled when it is destroyed or its waits are cancelled.
    pub(crate) cancel: CancellationToken,
}

impl Collector {
    /// Cuts a page off a retrieval; `number` names the rest.
    pub(crate) fn page(&mut self, mut objects: Vec<Struct>, size: usize, number: u64) -> Page {
        if objects.len() <= size {
            return Page { objects, token: None };
        }
        let rest = objects.split_off(size);
        let token = number.to_string();
        self.pages.insert(token.clone(), (size, rest));
        Page { objects, token: Some(token) }
    }

    /// What a token stands for: the page size and the objects left.
    pub(crate) fn take_rest(&mut self, token: &str) -> Result<(usize, Vec<Struct>), Fault> {
        self.pages.remove(token).ok_or_else(|| Fault::invalid_argument("token"))
    }

    pub(crate) fn add_filter(&mut self, id: String, spec: FilterSpec, selection: Selection) {
        self.filters.push(Filter { id, spec, selection, told: HashMap::new() });
    }

    /// Whether there was such a filter.
    pub(crate) fn remove_filter(&mut self, id: &str) -> bool {
        let count = self.filters.len();
        self.filters.retain(|filter| filter.id != id);
        self.filters.len() < count
    }

    /// Makes ready to report from a version on: the empty one starts over, the
    /// present one goes on, the one before repeats.
    pub(crate) fn rewind(&mut self, version: &str) -> Result<(), Fault> {
        self.repeat = false;
        if version.is_empty() {
            self.filters.iter_mut().for_each(Filter::rewind);
            self.last = None;
        } else if version.parse() == Ok(self.version.wrapping_sub(1)) && self.last.is_some() {
            self.repeat = true;
        } else if version.parse() != Ok(self.version) {
            return Err(Fault::new("InvalidCollectorVersion", "The collector version is not known."));
        }
        Ok(())
    }

    /// The UpdateSet of what changed since the last report, or `None`.
    pub(crate) fn updates(&mut self, reader: Reader<'_>, limit: usize) -> Option<Struct> {
        if std::mem::take(&mut self.repeat) {
            return self.last.clone();
        }
        let mut room = Room { left: limit, truncated: false };
        let mut sets = Vec::new();
        for filter in &mut self.filters {
            let updates = filter.news(reader, &mut room);
            if !updates.is_empty() {
                sets.push(
                    Struct::new("PropertyFilterUpdate")
                        .with("filter", MoRef::new("PropertyFilter", &filter.id))
                        .with("objectSet", Value::list("ObjectUpdate", updates)),
                );
            }
        }
        if sets.is_empty() {
            return None;
        }
        self.version += 1;
        let set = Struct::new("UpdateSet")
            .with("version", self.version.to_string())
            .with("filterSet", Value::list("PropertyFilterUpdate", sets));
        let set = if room.truncated { set.with("truncated", true) } else { set };
        self.last = Some(set.clone());
        Some(set)
    }
}

/// Room for objects in one UpdateSet.
struct Room {
    left: usize,
    truncated: bool,
}

impl Room {
    fn take(&mut self) -> bool {
        self.truncated |= self.left == 0;
        self.left = self.left.saturating_sub(1);
        !self.truncated
    }
}

impl Filter {
    /// Has everything told once more.
    fn rewind(&mut self) {
        self.told.clear();
        self.selection.gone.clear();
        self.selection.next = 0;
    }

    /// Selects anew if that can give something else than the last time.
    fn select(&mut self, reader: Reader<'_>) {
        if self.selection.generation == reader.state.generation() {
            return;
        }
        // An object that went away selects nothing; it is told that it left.
        let nothing = || Selection {
            generation: reader.state.generation(),
            objects: Vec::new(),
            gone: Vec::new(),
            next: 0,
        };
        let mut selection = Selection::of(&self.spec, reader).unwrap_or_else(|_| nothing());
        let present: HashSet<&MoRef> = selection.objects.iter().collect();
        selection.gone = self.told.keys().filter(|object| !present.contains(object)).cloned().collect();
        self.selection = selection;
    }

    /// What is to be told, as far as there is room. Only what may have changed is looked at.
    fn news(&mut self, reader: Reader<'_>, room: &mut Room) -> Vec<Struct> {
        self.select(reader);
        let Selection { objects, gone, next, .. } = &mut self.selection;
        let mut updates = Vec::new();
        while let Some(object) = gone.last() {
            if !room.take() {
                return updates;
            }
            self.told.remove(object);
            updates.push(update("leave", object, Vec::new()));
            gone.pop();
        }
        for (number, object) in objects.iter().enumerate() {
            // A machine changes with nothing else than the state.
            if number < *next && object.ty == "VirtualMachine" {
                continue;
            }
            let revision = reader.revision(object);
            let told = self.told.get_mut(object);
            if revision.is_some() && told.as_ref().is_some_and(|told| told.revision == revision) {
                continue;
            }
            let values = self.spec.values(reader, object).unwrap_or_default();
            let (kind, changes) = match &told {
                None => ("enter", changes(&Values::new(), &values)),
                Some(told) => ("modify", changes(&told.values, &values)),
            };
            if let Some(told) = told
                && changes.is_empty()
            {
                told.revision = revision;
                continue;
            }
            if !room.take() {
                *next = number;
                return updates;
            }
            updates.push(update(kind, object, changes));
            self.told.insert(object.clone(), Told { revision, values });
        }
        *next = objects.len();
        updates
    }
}

fn changes(old: &Values, new: &Values) -> Vec<Struct> {
    let change = |name: &Arc<str>| {
        Struct::new("PropertyChange")
            .with("name", Arc::clone(name))
            .with("op", Value::Enum("PropertyChangeOp", "assign"))
    };
    let set = new.iter().filter(|(name, value)| old.get(*name) != Some(value));
    let unset = old.keys().filter(|name| !new.contains_key(*name));
    set.map(|(name, value)| change(name).with("val", Value::Any(Arc::clone(value))))
        .chain(unset.map(change))
        .collect()
}

fn update(kind: &'static str, object: &MoRef, changes: Vec<Struct>) -> Struct {
    Struct::new("ObjectUpdate")
        .with("kind", Value::Enum("ObjectUpdateKind", kind))
        .with("obj", object)
        .with("changeSet", Value::list("PropertyChange", changes))
}

impl Reader<'_> {
    /// The ObjectContents of a retrieval.
    pub(crate) fn retrieve(&self, spec: &FilterSpec) -> Result<Vec<Struct>, Fault> {
        let content = |object: MoRef| {
            let properties = spec.values(*self, &object)?.into_iter().map(|(name, value)| {
                Struct::new("DynamicProperty").with("name", name).with("val", Value::Any(value))
            });
            Ok(Struct::new("ObjectContent")
                .with("obj", object)
                .with("propSet", Value::list("DynamicProperty", properties)))
        };
        spec.objects(*self)?.into_iter().map(content).collect()
    }
}
