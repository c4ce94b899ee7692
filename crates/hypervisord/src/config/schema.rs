//! The table of keys as a JSON schema, for editors, and as the tables of docs/configuration.md.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::keys::{self, Key, Kind, Section};

/// What [`duration`](super::duration) reads.
const DURATION: &str = r"^\s*([0-9]+(ms|s|m|h|d))+\s*$|^\s*0\s*$";

/// The schema of a configuration file, JSON Schema 2020-12.
pub(crate) fn json() -> Value {
    let mut schema = object(&keys::TOP);
    schema.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    schema.insert("title".into(), "The configuration of hypervisord".into());
    Value::Object(schema)
}

fn object(section: &Section) -> Map<String, Value> {
    let properties: Map<String, Value> =
        section.keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    let required: Vec<&str> = section.keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    let mut object = Map::new();
    object.insert("type".into(), "object".into());
    object.insert("properties".into(), properties.into());
    object.insert("additionalProperties".into(), false.into());
    if !required.is_empty() {
        object.insert("required".into(), json!(required));
    }
    object
}

fn property(key: &Key) -> Value {
    let mut property = match &key.kind {
        // YAML takes `007` for a number, and it is a password all the same.
        Kind::Text => json!({ "type": ["string", "number", "boolean"] }),
        Kind::Path => json!({ "type": "string", "minLength": 1 }),
        Kind::Boolean => json!({ "enum": [true, false, "yes", "no", "on", "off"] }),
        Kind::Number(low, high) => json!({ "type": "integer", "minimum": low, "maximum": high }),
        Kind::Part => json!({ "type": "number", "minimum": 0, "maximum": 1 }),
        Kind::Duration => json!({ "anyOf": [{ "type": "string", "pattern": DURATION }, { "const": 0 }] }),
        Kind::Words(words) => json!({ "enum": words }),
        // `off` is a truth value to some readers of YAML.
        Kind::Rate => json!({ "anyOf": [{ "type": ["string", "integer"] }, { "const": false }] }),
        Kind::Texts => {
            json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
        }
        Kind::Free => json!({
            "type": ["object", "null"],
            "additionalProperties": { "type": ["string", "number", "boolean"] },
        }),
        Kind::Section(section) => {
            let mut object = object(section);
            // A section whose keys are all commented out.
            object.insert("type".into(), json!(["object", "null"]));
            Value::Object(object)
        }
        Kind::Entries(section) => json!({ "type": ["array", "null"], "items": object(section) }),
    };
    property["description"] = key.about.into();
    if let Some(default) = key.default.or(key.shown) {
        property["default"] = match &key.kind {
            Kind::Boolean => json!(default == "true"),
            Kind::Number(..) => default.parse::<u32>().map_or(Value::Null, Value::from),
            Kind::Part => default.parse::<u32>().map_or(Value::Null, Value::from),
            Kind::Texts => serde_json::from_str(default).unwrap_or_else(|_| default.into()),
            _ => default.into(),
        };
    }
    property
}

/// Every key with its default, as tables of Markdown.
pub(crate) fn markdown() -> String {
    let mut text = String::new();
    for key in keys::TOP.keys {
        if let Some(heading) = key.heading {
            // Writing to a String never fails.
            let _ = write!(text, "\n## {heading}\n\n| key | default | | SIGHUP |\n|---|---|---|---|\n");
        }
        rows(&mut text, "", key, key.reloaded);
    }
    text.trim_start().to_owned()
}

fn rows(text: &mut String, prefix: &str, key: &Key, reloaded: bool) {
    let path = keys::join(prefix, key.name);
    let default = key.default.or(key.shown).map_or("none".to_owned(), |default| format!("`{default}`"));
    let taken = if reloaded { "taken up" } else { "" };
    let _ = writeln!(text, "| `{path}` | {default} | {} | {taken} |", key.about);
    let Some(section) = key.below() else { return };
    let (path, of_connections) = match key.kind {
        Kind::Entries(_) => (format!("{path}[]"), key.name == "providers"),
        _ => (path, false),
    };
    for below in section.keys {
        // An entry has the keys of the default connection, which stand at the top.
        if !(of_connections && keys::TOP.find(below.name).is_some()) {
            rows(text, &path, below, reloaded);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The part of docs/configuration.md that is made.
    const BEGIN: &str = "<!-- made from the code by `hypervisord config-schema --markdown`: begin -->\n";
    const END: &str = "<!-- made from the code: end -->\n";

    fn at(path: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
    }

    /// Compares, or writes if HYPERSDK_BLESS is set.
    fn agree(path: &str, made: &str) {
        let committed = std::fs::read_to_string(at(path)).unwrap_or_default();
        if committed != made && std::env::var_os("HYPERSDK_BLESS").is_some() {
            std::fs::write(at(path), made).unwrap();
            return;
        }
        assert!(
            committed == made,
            "{path} is not what the code says; run HYPERSDK_BLESS=1 cargo test -p hypervisord config::schema"
        );
    }

    #[test]
    fn the_committed_schema_is_that_of_the_code() {
        agree("config.schema.json", &(serde_json::to_string_pretty(&json()).unwrap() + "\n"));
    }

    #[test]
    fn the_reference_is_that_of_the_code() {
        let page = std::fs::read_to_string(at("docs/configuration.md")).unwrap();
        let (before, rest) = page.split_once(BEGIN).expect("its beginning is marked");
        let (_, after) = rest.split_once(END).expect("its end is marked");
        agree("docs/configuration.md", &format!("{before}{BEGIN}\n{}\n{END}{after}", markdown().trim_end()));
    }

    #[test]
    fn defaults_that_are_decided_elsewhere_are_those_that_are_shown() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.yaml");
        std::fs::write(&file, "webhooks:\n  - url: https://hooks.example.com/\n").unwrap();
        let sources = super::super::Sources { file: Some(file), ..Default::default() };
        let shown: Value =
            serde_saphyr::from_str(&super::super::Config::load(&sources).unwrap().to_yaml()).unwrap();
        let webhook = &shown["webhooks"][0];
        for key in keys::WEBHOOK.keys.iter().filter(|key| key.shown.is_some() && key.name != "content_type") {
            let default = match key.name {
                "events" => json!(["*"]),
                _ => property(key)["default"].clone(),
            };
            assert_eq!(webhook[key.name], default, "{}", key.name);
        }
        assert_eq!(shown["history"]["keep"], 0);
        assert_eq!(shown["history"]["max_age"], "0s");
    }
}
