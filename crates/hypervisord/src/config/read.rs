//! Reading typed values out of the merged layers, noting every mistake instead of stopping at the first.

use std::path::PathBuf;

use figment::value::{Dict, Tag, Value};
use figment::{Figment, Metadata};

use super::environment::EnvironmentLayer;
use super::files::Files;
use super::keys::{self, nearest};
use super::mistake::{Mistake, Origin};
use super::{ENVIRONMENT_LAYER, FILE_LAYER, FLAG_LAYER, FLAGS};

/// The merged layers, and how to tell where a value came from.
#[derive(Debug)]
pub(super) struct Layers {
    pub(super) figment: Figment,
    pub(super) files: Option<Files>,
    pub(super) environment: EnvironmentLayer,
}

impl Layers {
    fn origin(&self, path: &str, tag: Tag) -> Origin {
        match self.figment.get_metadata(tag).map(|layer: &Metadata| layer.name.as_ref()) {
            Some(FILE_LAYER) => self.origin_in_files(path),
            Some(ENVIRONMENT_LAYER) => self
                .environment
                .variable(path)
                .map_or(Origin::Unknown, |variable| Origin::Environment(variable.to_owned())),
            Some(FLAG_LAYER) => FLAGS
                .iter()
                .find(|(key, _)| *key == path)
                .map_or(Origin::Unknown, |(_, flag)| Origin::Flag(flag)),
            _ => Origin::Unknown,
        }
    }

    fn origin_in_files(&self, path: &str) -> Origin {
        self.files.as_ref().map_or(Origin::Unknown, |files| files.origin_of(path))
    }

    /// Of two origins, the one with the greater rank overrides the other.
    fn rank(&self, origin: &Origin) -> usize {
        match origin {
            Origin::Unknown => 0,
            Origin::File { .. } => {
                1 + self.files.as_ref().and_then(|files| files.position(origin)).unwrap_or_default()
            }
            Origin::Environment(_) => usize::MAX - 1,
            Origin::Flag(_) => usize::MAX,
        }
    }
}

/// A text with its origin.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) path: String,
    pub(super) text: String,
    pub(super) origin: Origin,
}

/// Keys that stand together, merged.
#[derive(Debug)]
pub(super) struct Values {
    pub(super) path: String,
    dict: Dict,
    section: &'static keys::Section,
}

/// Collects mistakes while values are read.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    layers: &'a Layers,
    pub(super) mistakes: Vec<Mistake>,
    pub(super) warnings: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(layers: &'a Layers) -> Self {
        Reader { layers, mistakes: Vec::new(), warnings: Vec::new() }
    }

    /// The keys of the top level.
    pub(super) fn top(&self) -> Values {
        let dict = keys::TOP
            .names()
            .filter_map(|key| Some((key.to_owned(), self.layers.figment.find_value(key).ok()?)))
            .collect();
        Values { path: String::new(), dict, section: &keys::TOP }
    }

    /// The entries of a list, each with the keys of `section` and its defaults.
    pub(super) fn entries(
        &mut self,
        values: &Values,
        key: &str,
        section: &'static keys::Section,
    ) -> Vec<Values> {
        let path = keys::join(&values.path, key);
        let Some(value) = values.dict.get(key) else { return Vec::new() };
        let Some(items) = value.as_array() else {
            self.refuse(&path, value.tag(), "expected a list, each entry beginning with `- `");
            return Vec::new();
        };
        let mut entries = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}[{index}]");
            match item.as_dict() {
                Some(dict) => {
                    let mut dict = dict.clone();
                    for (name, default) in section.defaults() {
                        dict.entry(name.to_owned()).or_insert_with(|| Value::from(default));
                    }
                    entries.push(Values { path, dict, section });
                }
                None => self.refuse(&path, item.tag(), "expected keys and values"),
            }
        }
        entries
    }

    /// The keys below `key`, which are those of `section`, with its defaults.
    pub(super) fn below(&mut self, values: &Values, key: &str, section: &'static keys::Section) -> Values {
        let path = keys::join(&values.path, key);
        let mut dict = match values.dict.get(key).map(|value| (value.as_dict(), value.tag())) {
            Some((Some(dict), _)) => dict.clone(),
            Some((None, tag)) => {
                self.refuse(&path, tag, "expected keys and values");
                Dict::new()
            }
            None => Dict::new(),
        };
        for (name, default) in section.defaults() {
            dict.entry(name.to_owned()).or_insert_with(|| Value::from(default));
        }
        Values { path, dict, section }
    }

    /// The texts of a list; one text is a list of one.
    pub(super) fn texts(&mut self, values: &Values, key: &str) -> Vec<String> {
        let Some(value) = values.dict.get(key) else { return Vec::new() };
        if let Some(text) = value.as_str() {
            return vec![text.to_owned()];
        }
        let texts: Option<Vec<String>> = value
            .as_array()
            .and_then(|items| items.iter().map(|item| item.as_str().map(str::to_owned)).collect());
        texts.unwrap_or_else(|| {
            self.refuse(&keys::join(&values.path, key), value.tag(), "expected a list of texts");
            Vec::new()
        })
    }

    /// True if the key has a value in some layer.
    pub(super) fn is_set(&self, values: &Values, key: &str) -> bool {
        values.dict.contains_key(key)
    }

    /// The texts of a list, or the one that stands in its place, if the key is set.
    pub(super) fn one_or_more(&mut self, values: &Values, key: &str) -> Option<Vec<String>> {
        let value = values.dict.get(key)?;
        let Some(items) = value.as_array() else { return Some(vec![self.text(values, key)?.text]) };
        let (path, mut texts) = (keys::join(&values.path, key), Vec::new());
        for (index, item) in items.iter().enumerate() {
            match item.as_str() {
                Some(text) => texts.push(text.to_owned()),
                None => self.refuse(&format!("{path}[{index}]"), item.tag(), "expected one value"),
            }
        }
        Some(texts)
    }

    /// The texts under keys of the writer's own, in the order of their names.
    pub(super) fn free(&mut self, values: &Values, key: &str) -> Vec<(String, Text)> {
        let path = keys::join(&values.path, key);
        let Some(value) = values.dict.get(key) else { return Vec::new() };
        let Some(dict) = value.as_dict() else {
            self.refuse(&path, value.tag(), "expected keys and values");
            return Vec::new();
        };
        let mut texts = Vec::new();
        for (name, item) in dict {
            let path = keys::join(&path, name);
            match item.as_str() {
                Some(text) => {
                    let origin = self.layers.origin(&path, item.tag());
                    texts.push((name.clone(), Text { path, text: text.to_owned(), origin }));
                }
                None => self.refuse(&path, item.tag(), "expected one value"),
            }
        }
        texts
    }

    /// Notes a mistake of a field that may stand deeper, such as `events[1]`, or be missing.
    pub(super) fn mistake_below(&mut self, values: &Values, field: &str, message: impl Into<String>) {
        let path = keys::join(&values.path, field);
        let origin = match self.layers.origin_in_files(&path) {
            Origin::Unknown => self.layers.origin_in_files(&values.path),
            origin => origin,
        };
        self.mistakes.push(Mistake::new(path, origin, message));
    }

    /// Where the key's value is from.
    pub(super) fn origin(&self, values: &Values, key: &str) -> Origin {
        let path = keys::join(&values.path, key);
        values.dict.get(key).map_or(Origin::Unknown, |value| self.layers.origin(&path, value.tag()))
    }

    /// The key's text, if it is set.
    pub(super) fn text(&mut self, values: &Values, key: &str) -> Option<Text> {
        let path = keys::join(&values.path, key);
        let value = values.dict.get(key)?;
        match value.as_str() {
            Some(text) => {
                let origin = self.layers.origin(&path, value.tag());
                Some(Text { path, text: text.to_owned(), origin })
            }
            None => {
                self.refuse(&path, value.tag(), "expected one value");
                None
            }
        }
    }

    /// The key's value by `parse`, if it is set; a value that does not parse is noted.
    pub(super) fn optional<T>(
        &mut self,
        values: &Values,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let Text { path, text, origin } = self.text(values, key)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(message) => {
                self.mistakes.push(Mistake::new(path, origin, message));
                None
            }
        }
    }

    /// The value of a key with a default; a value that does not parse is noted, and the default used.
    ///
    /// # Panics
    /// If the table gives the key no default that `parse` takes.
    pub(super) fn value<T>(
        &mut self,
        values: &Values,
        key: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> T {
        self.optional(values, key, &parse).unwrap_or_else(|| {
            let default =
                values.section.defaults().find(|(name, _)| *name == key).map(|(_, default)| default);
            default.and_then(|text| parse(text).ok()).expect("the table's defaults parse")
        })
    }

    /// The whole number of a key with a default, within the range that the table gives it.
    pub(super) fn number(&mut self, values: &Values, key: &str) -> u32 {
        self.value(values, key, within(values, key))
    }

    /// The same of a key without a default, if it is set.
    pub(super) fn optional_number(&mut self, values: &Values, key: &str) -> Option<u32> {
        self.optional(values, key, within(values, key))
    }

    /// Which of two places overrides the other: the one with the greater rank.
    pub(super) fn rank(&self, origin: &Origin) -> usize {
        self.layers.rank(origin)
    }

    /// Notes a mistake at a key.
    pub(super) fn mistake(&mut self, values: &Values, key: &str, message: impl Into<String>) {
        let origin = self.origin(values, key);
        self.mistakes.push(Mistake::new(keys::join(&values.path, key), origin, message));
    }

    /// Notes that a key is missing: at the place of the section it should stand in.
    pub(super) fn mistake_at(&mut self, values: &Values, key: &str, message: impl Into<String>) {
        let section = if values.path.is_empty() { "vcenter_url" } else { &values.path };
        let origin = self.layers.origin_in_files(section);
        self.mistakes.push(Mistake::new(keys::join(&values.path, key), origin, message));
    }

    fn refuse(&mut self, path: &str, tag: Tag, message: &str) {
        self.mistakes.push(Mistake::new(path, self.layers.origin(path, tag), message));
    }
}

/// A truth value.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false: write one of them")),
    }
}

/// A whole number within the range of the key.
fn within(values: &Values, key: &str) -> impl Fn(&str) -> Result<u32, String> + use<> {
    let (low, high) = values.section.range(key).expect("the table says that it is a number");
    move |text| match text.parse::<u32>() {
        Ok(number) if (low..=high).contains(&number) => Ok(number),
        _ => Err(format!("{text:?} is not a whole number from {low} to {high}")),
    }
}

/// A path.
pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("expected a path".to_owned()) } else { Ok(PathBuf::from(text)) }
}

/// One of a few words.
pub(super) fn one_of<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
        let known = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        match nearest(text, words.iter().map(|(word, _)| *word)) {
            Some(word) => format!("{text:?} is not one of {known}; did you mean {word}?"),
            None => format!("{text:?} is not one of {known}"),
        }
    })
}
