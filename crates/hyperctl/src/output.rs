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

/// Prints a JSON document on stdout.
pub(crate) fn json(value: &Value) {
    let text = serde_json::to_string_pretty(value).expect("a value is always JSON");
    let _ = writeln!(io::stdout().lock(), "{text}");
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
    fn a_name_cannot_drive_the_terminal() {
        assert_eq!(printable("web\u{1b}[2J01\nx"), "web\u{fffd}[2J01\nx");
    }
}
