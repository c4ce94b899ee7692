//! docs/api.md is made from the daemon's own description of its API.

use std::fmt::Write;
use std::path::Path;

use hypersdk_tests::{Daemon, DaemonConfig};
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_hypervisord");

const HEAD: &str = "# API reference

Every route, made from the same description that `GET /openapi.json` answers; `GET /docs` of a running daemon shows it with
all the fields of answers. [The daemon](daemon.md#the-api) explains the API in sentences and examples,
[Security](security.md#roles) says who may do what. Beside the answers that are listed, every
route may answer with a problem: 4xx if the request is wrong or not allowed, 5xx if the daemon or the source of the VMs failed
([Errors](daemon.md#errors)).
";

fn text(value: &Value) -> String {
    let words: Vec<&str> = value.as_str().unwrap_or_default().split_whitespace().collect();
    words.join(" ").replace('|', "\\|")
}

/// What a schema is, in a word or two.
fn kind(schema: &Value, document: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|name| name.rsplit('/').next()) {
        return kind(&document["components"]["schemas"][name], document);
    }
    if let Some(words) = schema["enum"].as_array() {
        return words
            .iter()
            .filter_map(Value::as_str)
            .map(|word| format!("`{word}`"))
            .collect::<Vec<_>>()
            .join(", ");
    }
    if let Some(forms) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
        let forms = forms.iter().filter(|form| form["type"] != "null");
        return forms.map(|form| kind(form, document)).collect::<Vec<_>>().join(" or ");
    }
    match &schema["type"] {
        Value::String(one) => one.clone(),
        Value::Array(several) => several
            .iter()
            .filter_map(Value::as_str)
            .filter(|one| *one != "null")
            .collect::<Vec<_>>()
            .join(" or "),
        _ => "see `GET /docs`".to_owned(),
    }
}

/// The fields of a body: name, kind, what it is for.
fn fields(schema: &Value, document: &Value) -> Vec<(String, String, String)> {
    if let Some(name) = schema["$ref"].as_str().and_then(|name| name.rsplit('/').next()) {
        return fields(&document["components"]["schemas"][name], document);
    }
    // Of several forms of a body, the first is the plain one.
    if let Some(first) =
        schema["oneOf"].as_array().or(schema["anyOf"].as_array()).and_then(|forms| forms.first())
    {
        return fields(first, document);
    }
    let parts = schema["allOf"].as_array().into_iter().flatten().flat_map(|part| fields(part, document));
    let own = schema["properties"].as_object().into_iter().flatten();
    parts
        .chain(own.map(|(name, field)| (name.clone(), kind(field, document), text(&field["description"]))))
        .collect()
}

fn render(document: &Value) -> String {
    let mut page = HEAD.to_owned();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            // Writing to a String never fails.
            let _ =
                write!(page, "\n## {} {path}\n\n{}.\n", method.to_uppercase(), text(&operation["summary"]));
            let description = text(&operation["description"]);
            if !description.is_empty() {
                let _ = write!(page, "\n{description}\n");
            }
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            if !parameters.is_empty() {
                page.push_str("\n| parameter | in | | |\n|---|---|---|---|\n");
            }
            for parameter in &parameters {
                let (name, place) = (text(&parameter["name"]), text(&parameter["in"]));
                let kind = kind(&parameter["schema"], document);
                let _ =
                    writeln!(page, "| `{name}` | {place} | {kind} | {} |", text(&parameter["description"]));
            }
            let body = fields(&operation["requestBody"]["content"]["application/json"]["schema"], document);
            if !body.is_empty() {
                page.push_str("\n| field of the body | | |\n|---|---|---|\n");
            }
            for (name, kind, about) in body {
                let _ = writeln!(page, "| `{name}` | {kind} | {about} |");
            }
            page.push_str("\n| answer | |\n|---|---|\n");
            let answers = operation["responses"].as_object().expect("answers").iter();
            for (status, answer) in answers.filter(|(status, _)| !status.ends_with("XX")) {
                let _ = writeln!(page, "| {status} | {} |", text(&answer["description"]));
            }
        }
    }
    page
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reference_of_the_api_is_that_of_the_daemon() {
    let directory = tempfile::tempdir().unwrap();
    let daemon =
        Daemon::start(BINARY, &DaemonConfig::bare(directory.path()).set("orphan_sweep_interval", "0"));
    let (status, document) = daemon.client().get("/openapi.json").await;
    assert_eq!(status, 200);
    let made = render(&document);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/api.md");
    if std::env::var_os("HYPERSDK_BLESS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == made,
        "docs/api.md is not what the daemon says; run HYPERSDK_BLESS=1 cargo test -p hypervisord --test e2e api_page"
    );
}
