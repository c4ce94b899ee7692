//! A YAML file as a tree that remembers where everything stood and what exactly was written.
//!
//! figment's own YAML reader lets a duplicate key pass and turns `007` into 7; here a duplicate key is a
//! mistake with its line, and every scalar stays the text it was, to be parsed by whoever knows its type.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use super::keys;
use super::mistake::{Mistake, Origin};

/// A node of the tree.
#[derive(Debug)]
struct Node {
    place: Location,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Null,
    Text(String),
    /// A scalar that YAML's schema took for a number or a truth value: its text is in the source.
    Plain(String),
    List(Vec<Node>),
    Map(Vec<(Spanned<String>, Node)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Content>::deserialize(deserializer)?;
        Ok(Node { place: spanned.defined, content: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("YAML")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Plain(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Plain(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Plain(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Content, E> {
        Ok(Content::Plain(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Content, E> {
        Ok(Content::Plain(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Content, E> {
        Ok(Content::Plain(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Text(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        Content::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Content::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Content, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Content::Map(map))
    }
}

/// A configuration file, ready to be a layer.
#[derive(Debug)]
pub(super) struct YamlFile {
    path: PathBuf,
    dict: Dict,
    /// Where each key stands, by its path (`providers[0].username`).
    places: BTreeMap<String, Location>,
}

impl YamlFile {
    /// Reads `text`, which came from `path`.
    ///
    /// Wrong syntax ends the reading; unknown and duplicate keys are noted in `mistakes` and left out.
    /// Keys in a spelling of earlier versions are put right and named in `warnings`.
    pub(super) fn parse(
        path: PathBuf,
        text: &str,
        mistakes: &mut Vec<Mistake>,
        warnings: &mut Vec<String>,
    ) -> Option<YamlFile> {
        let mut file = YamlFile { path, dict: Dict::new(), places: BTreeMap::new() };
        // A key that stands twice is our mistake to name, and the reading goes on.
        let options = serde_saphyr::options! {
            with_snippet: false,
            duplicate_keys: serde_saphyr::DuplicateKeyPolicy::PassThrough,
        };
        let root = match serde_saphyr::from_str_with_options::<Node>(text, options) {
            Ok(root) => root,
            Err(error) => {
                let place = error.location().unwrap_or(Location::UNKNOWN);
                mistakes.push(Mistake::new("", file.origin(place), error.without_snippet().to_string()));
                return None;
            }
        };
        match root.content {
            Content::Null => {}
            Content::Map(entries) => {
                let mut reading = Reading { text, file: &mut file, mistakes, warnings };
                let dict = reading.section("", &keys::TOP, entries);
                file.dict = dict;
            }
            Content::Text(_) | Content::Plain(_) | Content::List(_) => {
                let message = "expected keys and values such as `daemon_addr: 127.0.0.1:8080`";
                mistakes.push(Mistake::new("", file.origin(root.place), message));
            }
        }
        Some(file)
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What it says.
    pub(super) fn dict(&self) -> &Dict {
        &self.dict
    }

    /// How many entries the list at `path` has here.
    pub(super) fn entries(&self, path: &str) -> usize {
        let mut dict = &self.dict;
        let mut names = path.split('.').peekable();
        while let Some(name) = names.next() {
            match dict.get(name) {
                Some(Value::Array(_, items)) if names.peek().is_none() => return items.len(),
                Some(Value::Dict(_, below)) => dict = below,
                _ => break,
            }
        }
        0
    }

    /// Where the key at `path` stands.
    pub(super) fn origin_of(&self, path: &str) -> Origin {
        self.places.get(path).map_or(Origin::Unknown, |place| self.origin(*place))
    }

    fn origin(&self, place: Location) -> Origin {
        Origin::File { path: self.path.clone(), line: place.line(), column: place.column() }
    }
}

struct Reading<'a> {
    text: &'a str,
    file: &'a mut YamlFile,
    mistakes: &'a mut Vec<Mistake>,
    warnings: &'a mut Vec<String>,
}

impl Reading<'_> {
    fn section(
        &mut self,
        prefix: &str,
        section: &keys::Section,
        entries: Vec<(Spanned<String>, Node)>,
    ) -> Dict {
        let mut dict = Dict::new();
        for (key, node) in entries {
            let origin = self.file.origin(key.defined);
            let written = keys::join(prefix, &key.value);
            let name = match section.resolve(&key.value) {
                keys::Resolved::Known(name) => name,
                keys::Resolved::Old(name) => {
                    self.warnings.push(format!("{origin}{written} is an old spelling of {name}"));
                    name
                }
                keys::Resolved::Unknown(message) => {
                    self.mistakes.push(Mistake::new(written, origin, message));
                    continue;
                }
            };
            let path = keys::join(prefix, name);
            if !self.claim(&path, key.defined) {
                continue;
            }
            if section.is_free(name)
                && let Content::Map(entries) = node.content
            {
                dict.insert(name.to_owned(), Value::from(self.free(&path, entries)));
                continue;
            }
            if let Some(value) = self.value(&path, section.below(name), node) {
                dict.insert(name.to_owned(), value);
            }
        }
        dict
    }

    /// Notes where the key at `path` stands. False if it stands somewhere already.
    fn claim(&mut self, path: &str, place: Location) -> bool {
        if let Some(first) = self.file.places.get(path) {
            let message = format!("given twice, first on line {}: keep one of them", first.line());
            self.mistakes.push(Mistake::new(path, self.file.origin(place), message));
            return false;
        }
        self.file.places.insert(path.to_owned(), place);
        true
    }

    /// Texts under keys of the writer's own.
    fn free(&mut self, path: &str, entries: Vec<(Spanned<String>, Node)>) -> Dict {
        let mut dict = Dict::new();
        for (key, node) in entries {
            let path = keys::join(path, &key.value);
            if !self.claim(&path, key.defined) {
                continue;
            }
            if let Some(value) = self.value(&path, None, node) {
                dict.insert(key.value, value);
            }
        }
        dict
    }

    fn value(&mut self, path: &str, below: Option<&'static keys::Section>, node: Node) -> Option<Value> {
        match (node.content, below) {
            // A key without a value is a key that is not set.
            (Content::Null, _) => None,
            (Content::Text(text), _) => Some(Value::from(text)),
            (Content::Plain(parsed), _) => Some(Value::from(source(self.text, node.place).unwrap_or(parsed))),
            (Content::List(items), below) => {
                let mut list = Vec::new();
                for (index, item) in items.into_iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    self.file.places.insert(path.clone(), item.place);
                    // An entry without anything in it keeps its place, and is refused there.
                    let nothing = matches!(item.content, Content::Null).then(|| Value::from(""));
                    list.extend(self.value(&path, below, item).or(nothing));
                }
                Some(Value::from(list))
            }
            (Content::Map(entries), Some(section)) => Some(Value::from(self.section(path, section, entries))),
            (Content::Map(_), None) => {
                let origin = self.file.origin(node.place);
                self.mistakes.push(Mistake::new(path, origin, "expected one value, not keys and values"));
                None
            }
        }
    }
}

/// What was written at `place`.
fn source(text: &str, place: Location) -> Option<String> {
    let start = usize::try_from(place.span().byte_offset()?).ok()?;
    let length = usize::try_from(place.span().byte_len()?).ok()?;
    let written = text.get(start..start.checked_add(length)?)?.trim();
    (!written.is_empty()).then(|| written.to_owned())
}

impl figment::Provider for &YamlFile {
    fn metadata(&self) -> Metadata {
        Metadata::from(super::FILE_LAYER, self.path.as_path())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.dict.clone()))
    }
}
