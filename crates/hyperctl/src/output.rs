//! What is printed: tables for people, the daemon's own JSON for programs.

pub(crate) mod table;
pub(crate) mod units;

use std::io::{self, IsTerminal, Write};

use serde_json::Value;

/// Who reads the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// People.
    Text,
    /// Programs: one JSON document on stdout and nothing else there.
    Json,
}

/// Prints one line, or several, on stdout. A reader that has gone away (`| head`) ends the output quietly.
pub(crate) fn line(text: impl AsRef<str>) {
    let _ = writeln!(io::stdout().lock(), "{}", printable(text.as_ref()));
}

/// Prints a remark on stderr.
pub(crate) fn remark(text: impl AsRef<str>) {
    let _ = writeln!(io::stderr().lock(), "{}", printable(text.as_ref()));
}

/// Asks on stderr, and leaves the cursor behind the question.
pub(crate) fn prompt(text: impl AsRef<str>) {
    let mut stderr = io::stderr().lock();
    let _ = write!(stderr, "{}", printable(text.as_ref()));
    let _ = stderr.flush();
}

/// Prints a JSON document on stdout.
pub(crate) fn json(value: &Value) {
    let text = serde_json::to_string_pretty(value).expect("a value is always JSON");
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// Shows one thing in full: the daemon's JSON, or a line for each field under the name that it has there.
pub(crate) fn thing(value: &Value, format: Format) {
    match format {
        // Deletions are answered without a word.
        _ if value.is_null() => {}
        Format::Json => json(value),
        Format::Text => {
            let mut rows = Vec::new();
            flatten(value, String::new(), &mut rows);
            let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
            for (name, value) in rows {
                line(format!("{name:<width$}  {value}"));
            }
        }
    }
}

/// Fields of fields as `a.b`; what is not set is left out.
fn flatten(value: &Value, name: String, rows: &mut Vec<(String, String)>) {
    let below = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
    match value {
        Value::Null => {}
        Value::Object(fields) => {
            fields.iter().for_each(|(key, value)| flatten(value, below(key), rows));
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            items.iter().enumerate().for_each(|(index, item)| flatten(item, below(&index.to_string()), rows));
        }
        Value::Array(items) if items.is_empty() => {}
        other => rows.push((name, word(other))),
    }
}

/// True if stderr is a terminal that can move its cursor, so that bars can be drawn there.
pub(crate) fn can_draw() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// A text of the daemon's as it may be printed: control characters could drive the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// A text within an answer; `-` if it is missing or null.
pub(crate) fn word(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(word).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// A list within an answer; empty if it is missing.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_shown_field_by_field_under_the_names_of_the_api() {
        let thing = serde_json::json!({ "id": "a", "none": null, "list": ["x", "y"], "empty": [],
            "inner": { "n": 1, "windows": [{ "from": "22:00" }] } });
        let mut rows = Vec::new();
        flatten(&thing, String::new(), &mut rows);
        let mut shown: Vec<String> = rows.iter().map(|(name, value)| format!("{name}={value}")).collect();
        shown.sort();
        assert_eq!(shown, ["id=a", "inner.n=1", "inner.windows.0.from=22:00", "list=x,y"]);
    }

    #[test]
    fn a_name_cannot_drive_the_terminal() {
        assert_eq!(printable("web\u{1b}[2J01\nx"), "web\u{fffd}[2J01\nx");
    }
}
