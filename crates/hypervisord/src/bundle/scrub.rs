//! Removing secrets: those that are known word for word, and whatever looks like one.

use std::sync::LazyLock;

use regex::{Captures, Regex};
use secrecy::ExposeSecret;
use serde_json::Value;

use crate::config::{Config, Sources, files_of};

const MASK: &str = "********";

/// A known secret shorter than this would take half the text along; the patterns still find it where it is called
/// a password.
const SHORTEST: usize = 4;

/// Words in the name of a key or variable whose value is a secret.
const WORDS: [&str; 10] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "api_key",
    "apikey",
    "private_key",
    "authorization",
    "cookie",
];

/// `name: value` and `name=value`, the value in quotes or up to the next blank.
static NAMED: LazyLock<Regex> = LazyLock::new(|| {
    let words = WORDS.join("|").replace('_', "[_-]?");
    pattern(&format!(
        r#"(?i)(\\?["']?[\w.-]*(?:{words})[\w.-]*\\?["']?\s*[:=]\s*)(?:(?:bearer|basic|digest)\s+)?(\\?"(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;&}}\]]+)"#
    ))
});
/// What an HTTP header brings.
static SCHEME: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/=._~-]{6,}"));
/// A login in a URL.
static LOGIN: LazyLock<Regex> = LazyLock::new(|| pattern(r"://[^/\s@]+@"));
static PEM: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)")
});
/// Tokens with a telling beginning: ours, those of webhooks, and JSON web tokens.
static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b(?:hsk_[A-Za-z0-9_-]+|whsec_[A-Za-z0-9+/=_-]+|eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*)",
    )
});

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is well-formed")
}

/// Knows this machine's secrets.
pub(super) struct Scrubber {
    /// The longest first: one may be part of another.
    known: Vec<String>,
}

impl Scrubber {
    /// Collects what is known: the configuration's passwords, what its file calls a secret, and the environment's.
    pub(super) fn new(sources: &Sources, config: Option<&Config>) -> Self {
        let mut known = Vec::new();
        for provider in config.iter().flat_map(|config| &config.providers) {
            known.push(provider.password.expose_secret().to_owned());
        }
        let files = sources.file.as_deref().map(files_of).unwrap_or_default();
        for text in files.iter().filter_map(|file| std::fs::read_to_string(file).ok()) {
            for captures in NAMED.captures_iter(&text) {
                known.push(captures[2].trim_matches(['"', '\'']).to_owned());
            }
        }
        known.extend(std::env::vars().filter(|(name, _)| is_secret(name)).map(|(_, value)| value));
        Scrubber::of(known)
    }

    fn of(known: Vec<String>) -> Self {
        let mut forms: Vec<String> = known
            .into_iter()
            .filter(|secret| secret.len() >= SHORTEST && !secret.starts_with("${"))
            .flat_map(|secret| {
                let quoted = Value::from(secret.as_str()).to_string();
                let escaped: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
                [escaped, quoted.trim_matches('"').to_owned(), secret]
            })
            .collect();
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        forms.dedup();
        Scrubber { known: forms }
    }

    /// A text without secrets.
    pub(super) fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.known {
            text = text.replace(secret, MASK);
        }
        let text = PEM.replace_all(&text, MASK);
        let text = LOGIN.replace_all(&text, format!("://{MASK}@"));
        let text = NAMED.replace_all(&text, |captures: &Captures<'_>| {
            let value = &captures[2];
            let quote = match value.chars().next() {
                Some('"') => "\"",
                Some('\'') => "'",
                Some('\\') => "\\\"",
                _ => "",
            };
            format!("{}{quote}{MASK}{quote}", &captures[1])
        });
        let text = SCHEME.replace_all(&text, format!("$1 {MASK}"));
        TOKEN.replace_all(&text, MASK).into_owned()
    }

    /// A document without secrets, still a document.
    pub(super) fn json(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.json(item)).collect(),
            Value::Object(fields) => fields
                .into_iter()
                .map(|(name, value)| match value {
                    Value::String(_) | Value::Number(_) if is_secret(&name) => (name, MASK.into()),
                    value => (name, self.json(value)),
                })
                .collect(),
            other => other,
        }
    }
}

/// True if a key or variable of this name holds a secret.
fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase().replace('-', "_");
    WORDS.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scrubber() -> Scrubber {
        Scrubber::of(vec!["hunter2 \"x\"/y".to_owned(), "swordfish".to_owned()])
    }

    #[test]
    fn a_known_secret_is_found_in_every_dress() {
        for dressed in
            ["it is hunter2 \"x\"/y.", r#"{"a":"hunter2 \"x\"/y"}"#, "q=hunter2+%22x%22%2Fy", "<swordfish>"]
        {
            let clean = scrubber().text(dressed);
            assert!(!clean.contains("hunter2") && !clean.contains("swordfish"), "{clean}");
        }
    }

    #[test]
    fn what_looks_like_a_secret_is_one() {
        for text in [
            "password=LEAK1234",
            "password: 'LEAK 1234'",
            r#"{"client_secret": "LEAK1234"}"#,
            r#"body {\"password\":\"LEAK1234\"}"#,
            "Authorization: Bearer LEAK1234abc",
            "sent bearer LEAK1234abc to",
            "Cookie: LEAK1234",
            "postgres://user:LEAK1234@host/db",
            "hsk_LEAK1234",
            "whsec_LEAK1234==",
            "eyJLEAK1234.eyJLEAK1234.LEAK1234",
            "-----BEGIN RSA PRIVATE KEY-----\nLEAK1234\n-----END RSA PRIVATE KEY-----",
            "-----BEGIN PRIVATE KEY-----\nLEAK1234",
            "x-api-key: LEAK1234",
        ] {
            let clean = scrubber().text(text);
            assert!(!clean.contains("LEAK"), "{text} became {clean}");
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        let text = "2026-11-24 INFO job=job-1: exporting /DC0/vm/web from esxi01: 3 files, sha256 ab12";
        assert_eq!(scrubber().text(text), text);
    }

    #[test]
    fn a_document_stays_a_document() {
        let clean = scrubber()
            .json(json!({ "token": 12345, "n": 1, "list": [{ "why": "swordfish", "secret": "s" }] }));
        assert_eq!(clean, json!({ "token": MASK, "n": 1, "list": [{ "why": MASK, "secret": MASK }] }));
    }
}
