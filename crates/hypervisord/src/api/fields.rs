//! Reading a JSON object field by field, so that every wrong one is named.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::problem::FieldError;
use crate::config::nearest;

/// An object that is being read.
#[derive(Debug)]
pub(super) struct Fields {
    prefix: String,
    object: Map<String, Value>,
    known: BTreeSet<&'static str>,
    errors: Vec<FieldError>,
}

impl Fields {
    /// Begins to read `value`; `prefix` is its own path, empty for the body itself.
    pub(super) fn open(prefix: &str, value: Value) -> Result<Fields, FieldError> {
        match value {
            Value::Object(object) => {
                Ok(Fields { prefix: prefix.to_owned(), object, known: BTreeSet::new(), errors: Vec::new() })
            }
            other => Err(FieldError::new(prefix, format!("expected an object, found {}", kind(&other)))),
        }
    }

    /// The path of a field.
    pub(super) fn path(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}.{name}", self.prefix) }
    }

    /// Takes a field's value; `null` counts as absent.
    pub(super) fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.insert(name);
        self.object.remove(name).filter(|value| !value.is_null())
    }

    /// Whether a field is there and not taken yet.
    pub(super) fn has(&self, name: &str) -> bool {
        self.object.get(name).is_some_and(|value| !value.is_null())
    }

    /// Notes what is wrong with a field.
    pub(super) fn wrong(&mut self, name: &str, message: impl Into<String>) {
        self.errors.push(FieldError::new(self.path(name), message));
    }

    /// Takes over what is wrong with fields below.
    pub(super) fn adopt(&mut self, errors: Vec<FieldError>) {
        self.errors.extend(errors);
    }

    /// A text.
    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            other => {
                self.wrong(name, format!("expected a text, found {}", kind(&other)));
                None
            }
        }
    }

    /// A text that `parse` understands.
    pub(super) fn parsed<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(name)?;
        parse(&text).map_err(|message| self.wrong(name, message)).ok()
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&mut self, name: &'static str, words: &[(&'static str, T)]) -> Option<T> {
        self.parsed(name, |text| {
            words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
                let known = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
                format!("{text:?} is not known; use one of: {known}")
            })
        })
    }

    /// A truth value.
    pub(super) fn boolean(&mut self, name: &'static str) -> Option<bool> {
        match self.take(name)? {
            Value::Bool(value) => Some(value),
            other => {
                self.wrong(name, format!("expected true or false, found {}", kind(&other)));
                None
            }
        }
    }

    /// A whole number within a range.
    pub(super) fn integer(&mut self, name: &'static str, low: i64, high: i64) -> Option<i64> {
        let value = self.take(name)?;
        match value.as_i64() {
            Some(number) if (low..=high).contains(&number) => Some(number),
            _ => {
                self.wrong(name, format!("expected a whole number from {low} to {high}, found {value}"));
                None
            }
        }
    }

    /// An object of the submitter's own.
    pub(super) fn object(&mut self, name: &'static str) -> Option<Map<String, Value>> {
        match self.take(name)? {
            Value::Object(object) => Some(object),
            other => {
                self.wrong(name, format!("expected an object, found {}", kind(&other)));
                None
            }
        }
    }

    /// A list of texts, or one text for a list of one.
    pub(super) fn texts(&mut self, name: &'static str) -> Option<Vec<String>> {
        let texts = match self.take(name)? {
            Value::String(text) => Some(vec![text]),
            Value::Array(items) => items.into_iter().map(|item| item.as_str().map(str::to_owned)).collect(),
            _ => None,
        };
        if texts.is_none() {
            self.wrong(name, "expected a list of texts");
        }
        texts
    }

    /// Ends the reading: fields that nobody took are unknown.
    pub(super) fn close(mut self) -> Vec<FieldError> {
        let unknown: Vec<String> = self.object.keys().cloned().collect();
        for name in unknown {
            let message = match nearest(&name, self.known.iter().copied()) {
                Some(known) => format!("unknown field; did you mean {known}?"),
                None if self.known.is_empty() => "unknown field; this request takes none".to_owned(),
                None => {
                    let known = self.known.iter().copied().collect::<Vec<_>>().join(", ");
                    format!("unknown field; known here: {known}")
                }
            };
            self.wrong(&name, message);
        }
        self.errors
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
