//! PropertyFilterSpec: which objects, and what of them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::Reader;
use super::schema::{has_property, is_a};
use crate::wire::{Fault, MoRef, Node, Value};

/// Properties of an object that are set, by path.
pub(crate) type Values = BTreeMap<Arc<str>, Arc<Value>>;

/// A PropertyFilterSpec as the client sent it.
#[derive(Clone, Debug)]
pub(crate) struct FilterSpec {
    properties: Vec<PropertySpec>,
    objects: Vec<ObjectSpec>,
    traversals: HashMap<String, Traversal>,
    report_missing: bool,
}

#[derive(Clone, Debug)]
struct PropertySpec {
    ty: String,
    all: bool,
    paths: Vec<Arc<str>>,
}

#[derive(Clone, Debug)]
struct ObjectSpec {
    object: MoRef,
    skip: bool,
    select: Vec<Selector>,
}

/// A SelectionSpec: a traversal, or the name of one defined elsewhere.
#[derive(Clone, Debug)]
enum Selector {
    Named(String),
    Traversal(Traversal),
}

#[derive(Clone, Debug)]
struct Traversal {
    ty: String,
    path: String,
    skip: bool,
    select: Vec<Selector>,
}

impl FilterSpec {
    pub(crate) fn parse(node: &Node) -> Result<Self, Fault> {
        let properties = node
            .all("propSet")
            .map(|set| {
                let ty = set.text("type").unwrap_or_default().to_owned();
                let paths: Vec<Arc<str>> = set.all("pathSet").map(|path| path.content().into()).collect();
                for path in &paths {
                    let root = path.split(['.', '[']).next().unwrap_or_default();
                    if !has_property(&ty, root) {
                        return Err(Fault::invalid_property(path));
                    }
                }
                Ok(PropertySpec { ty, all: set.flag("all"), paths })
            })
            .collect::<Result<_, _>>()?;
        let mut traversals = HashMap::new();
        let objects = node
            .all("objectSet")
            .map(|set| {
                Ok(ObjectSpec {
                    object: set
                        .reference("obj")
                        .ok_or_else(|| Fault::invalid_argument("specSet.objectSet.obj"))?,
                    skip: set.flag("skip"),
                    select: selectors(set, &mut traversals),
                })
            })
            .collect::<Result<Vec<_>, Fault>>()?;
        if objects.is_empty() {
            return Err(Fault::invalid_argument("specSet.objectSet"));
        }
        Ok(Self {
            properties,
            objects,
            traversals,
            report_missing: node.flag("reportMissingObjectsInResults"),
        })
    }

    /// The objects that the filter selects now, in the order found.
    pub(crate) fn objects(&self, reader: Reader<'_>) -> Result<Vec<MoRef>, Fault> {
        let mut walk =
            Walk { spec: self, reader, visited: HashSet::new(), found: Vec::new(), seen: HashSet::new() };
        for object in &self.objects {
            if reader.exists(&object.object) {
                walk.visit(&object.object, object.skip, &object.select)?;
            } else if !self.report_missing {
                return Err(Fault::not_found(&object.object));
            }
        }
        Ok(walk.found)
    }

    /// What the filter shows of an object.
    pub(crate) fn values(&self, reader: Reader<'_>, object: &MoRef) -> Result<Values, Fault> {
        let (mut values, mut subject) = (Values::new(), reader.subject(object));
        for spec in self.properties.iter().filter(|spec| is_a(&object.ty, &spec.ty)) {
            if spec.all {
                values.extend(
                    reader.all(&subject).into_iter().map(|(name, value)| (name.into(), value.into())),
                );
            }
            for path in &spec.paths {
                if let Some(value) = reader.path_of(&mut subject, path)? {
                    values.insert(path.clone(), value.into());
                }
            }
        }
        Ok(values)
    }
}

fn selectors(node: &Node, named: &mut HashMap<String, Traversal>) -> Vec<Selector> {
    let selector = |select: &Node| match (select.text("path"), select.text("type")) {
        (Some(path), Some(ty)) => {
            let traversal = Traversal {
                ty: ty.to_owned(),
                path: path.to_owned(),
                skip: select.flag("skip"),
                select: selectors(select, named),
            };
            if let Some(name) = select.text("name").filter(|name| !name.is_empty()) {
                named.insert(name.to_owned(), traversal.clone());
            }
            Selector::Traversal(traversal)
        }
        _ => Selector::Named(select.text("name").unwrap_or_default().to_owned()),
    };
    node.all("selectSet").map(selector).collect()
}

struct Walk<'a> {
    spec: &'a FilterSpec,
    reader: Reader<'a>,
    /// Objects already left by a traversal, so that loops end.
    visited: HashSet<(MoRef, *const Traversal)>,
    found: Vec<MoRef>,
    seen: HashSet<MoRef>,
}

impl<'a> Walk<'a> {
    fn visit(&mut self, object: &MoRef, skip: bool, select: &'a [Selector]) -> Result<(), Fault> {
        let wanted = self.spec.properties.iter().any(|spec| is_a(&object.ty, &spec.ty));
        if !skip && wanted && self.seen.insert(object.clone()) {
            self.found.push(object.clone());
        }
        for selector in select {
            let traversal = match selector {
                Selector::Traversal(traversal) => traversal,
                Selector::Named(name) => self
                    .spec
                    .traversals
                    .get(name)
                    .ok_or_else(|| Fault::invalid_argument("specSet.objectSet.selectSet.name"))?,
            };
            if !is_a(&object.ty, &traversal.ty) || !self.visited.insert((object.clone(), traversal)) {
                continue;
            }
            let next = self.reader.path(object, &traversal.path)?.map(Value::into_refs).unwrap_or_default();
            for next in next {
                self.visit(&next, traversal.skip, &traversal.select)?;
            }
        }
        Ok(())
    }
}
