//! A PropertyCollector: pages not fetched yet, filters, and what each filter
//! has already told its client.

use std::collections::{BTreeMap, HashMap, HashSet};

use tokio_util::sync::CancellationToken;

use super::Reader;
use super::filter::{FilterSpec, Selection};
use crate::wire::{Fault, MoRef, Struct, Value};

/// A page of a retrieval: the objects, and the token of the rest.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) objects: Vec<Struct>,
    pub(crate) token: Option<String>,
}

/// What a filter has reported: objects with the values last sent.
type Reported = HashMap<MoRef, BTreeMap<String, Value>>;

#[derive(Debug)]
struct Filter {
    id: String,
    spec: FilterSpec,
    reported: Reported,
    /// As of the version before, for a client that lost a reply.
    before: Reported,
}

/// One property collector of one session.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    /// What is left of retrievals, each with its page size, by token.
    pages: HashMap<String, (usize, Vec<Struct>)>,
    filters: Vec<Filter>,
    version: u64,
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

    pub(crate) fn add_filter(&mut self, id: String, spec: FilterSpec) {
        self.filters.push(Filter { id, spec, reported: Reported::new(), before: Reported::new() });
    }

    /// Whether there was such a filter.
    pub(crate) fn remove_filter(&mut self, id: &str) -> bool {
        let count = self.filters.len();
        self.filters.retain(|filter| filter.id != id);
        self.filters.len() < count
    }

    pub(crate) fn filters(&self) -> Vec<FilterSpec> {
        self.filters.iter().map(|filter| filter.spec.clone()).collect()
    }

    /// Makes ready to report from a version on: the empty one starts over, the
    /// present one goes on, the one before repeats.
    pub(crate) fn rewind(&mut self, version: &str) -> Result<(), Fault> {
        if version.is_empty() {
            self.filters.iter_mut().for_each(|filter| filter.reported.clear());
        } else if version.parse() == Ok(self.version.wrapping_sub(1)) && self.version > 1 {
            self.filters.iter_mut().for_each(|filter| filter.reported.clone_from(&filter.before));
        } else if version.parse() != Ok(self.version) {
            return Err(Fault::new("InvalidCollectorVersion", "The collector version is not known."));
        }
        Ok(())
    }

    /// The UpdateSet of what changed since the last report, or `None`.
    pub(crate) fn updates(&mut self, selections: Vec<Selection>, limit: usize) -> Option<Struct> {
        let mut room = Room { left: limit, truncated: false };
        let mut sets = Vec::new();
        let mut all_reported = Vec::new();
        for (filter, selection) in self.filters.iter().zip(selections) {
            let mut reported = filter.reported.clone();
            let updates = diff(&mut reported, selection, &mut room);
            all_reported.push(reported);
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
        for (filter, reported) in self.filters.iter_mut().zip(all_reported) {
            filter.before = std::mem::replace(&mut filter.reported, reported);
        }
        self.version += 1;
        let set = Struct::new("UpdateSet")
            .with("version", self.version.to_string())
            .with("filterSet", Value::list("PropertyFilterUpdate", sets));
        Some(if room.truncated { set.with("truncated", true) } else { set })
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

/// Updates from what was reported to what is selected, as far as there is room.
fn diff(reported: &mut Reported, selection: Selection, room: &mut Room) -> Vec<Struct> {
    let mut updates = Vec::new();
    let present: HashSet<&MoRef> = selection.iter().map(|(object, _)| object).collect();
    let gone: Vec<MoRef> = reported.keys().filter(|object| !present.contains(object)).cloned().collect();
    for object in gone {
        if !room.take() {
            return updates;
        }
        reported.remove(&object);
        updates.push(update("leave", &object, Vec::new()));
    }
    for (object, values) in selection {
        let (kind, changes) = match reported.get(&object) {
            None => ("enter", changes(&BTreeMap::new(), &values)),
            Some(old) => ("modify", changes(old, &values)),
        };
        if kind == "modify" && changes.is_empty() {
            continue;
        }
        if !room.take() {
            return updates;
        }
        updates.push(update(kind, &object, changes));
        reported.insert(object, values);
    }
    updates
}

fn changes(old: &BTreeMap<String, Value>, new: &BTreeMap<String, Value>) -> Vec<Struct> {
    let change = |name: &String| {
        Struct::new("PropertyChange").with("name", name).with("op", Value::Enum("PropertyChangeOp", "assign"))
    };
    let set = new.iter().filter(|(name, value)| old.get(*name) != Some(value));
    let unset = old.keys().filter(|name| !new.contains_key(*name));
    set.map(|(name, value)| change(name).with("val", Value::any(value.clone())))
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
        let content = |(object, values): (MoRef, BTreeMap<String, Value>)| {
            let properties = values.into_iter().map(|(name, value)| {
                Struct::new("DynamicProperty").with("name", name).with("val", Value::any(value))
            });
            Struct::new("ObjectContent")
                .with("obj", object)
                .with("propSet", Value::list("DynamicProperty", properties))
        };
        Ok(spec.select(*self)?.into_iter().map(content).collect())
    }
}
