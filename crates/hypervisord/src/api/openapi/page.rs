//! The document as a page: no script, nothing from elsewhere.

use std::fmt::Write;

use serde_json::Value;
use utoipa::openapi::OpenApi;

const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8884;--soft:#8882}\
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
code,pre{font:14px/1.4 ui-monospace,monospace;background:var(--soft);border-radius:.25rem}\
code{padding:.1em .3em}pre{padding:.75rem;overflow:auto}\
section{border-top:1px solid var(--line);padding:.5rem 0}\
h2{font-size:1.1rem;overflow-wrap:anywhere}table{border-collapse:collapse;width:100%}\
td,th{border-top:1px solid var(--line);padding:.3rem .6rem .3rem 0;text-align:left;vertical-align:top}\
nav ul{columns:18rem;padding-left:1.2rem}summary{cursor:pointer}\
:focus-visible{outline:2px solid;outline-offset:2px}";

/// The page.
pub(super) fn render(document: &OpenApi) -> String {
    // Its JSON form is the simplest to walk.
    let document = serde_json::to_value(document).expect("a document is always JSON");
    let mut html = String::new();
    let title = format!("{} {}", text(&document["info"]["title"]), text(&document["info"]["version"]));
    put(
        &mut html,
        format_args!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{title}: the API</title>\
         <style>{STYLE}</style></head><body><main><h1>{title}: the API</h1><p>{}</p>\
         <p>The same for programs: <a href=\"/openapi.json\">/openapi.json</a>.</p><nav aria-label=\"Routes\"><ul>",
            text(&document["info"]["description"]),
        ),
    );
    let operations = operations(&document);
    for Operation { method, path, .. } in &operations {
        put(
            &mut html,
            format_args!(
                "<li><a href=\"#{}\"><code>{} {}</code></a></li>",
                anchor(method, path),
                escape(&method.to_uppercase()),
                escape(path),
            ),
        );
    }
    html.push_str("</ul></nav>");
    for operation in &operations {
        section(&mut html, operation, &document);
    }
    html.push_str("</main></body></html>\n");
    html
}

struct Operation<'a> {
    method: &'a str,
    path: &'a str,
    it: &'a Value,
}

fn operations(document: &Value) -> Vec<Operation<'_>> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths
        .flat_map(|(path, item)| {
            let methods = item.as_object().into_iter().flatten();
            methods
                .filter(|(method, _)| ["get", "post", "put", "delete"].contains(&method.as_str()))
                .map(move |(method, it)| Operation { method, path, it })
        })
        .collect()
}

fn section(html: &mut String, operation: &Operation<'_>, document: &Value) {
    let Operation { method, path, it } = operation;
    put(
        html,
        format_args!(
            "<section id=\"{}\"><h2><code>{} {}</code></h2><p>{}</p>",
            anchor(method, path),
            escape(&method.to_uppercase()),
            escape(path),
            text(&it["summary"]),
        ),
    );
    for paragraph in it["description"].as_str().unwrap_or_default().split("\n\n") {
        put(html, format_args!("<p>{}</p>", escape(paragraph)));
    }
    if let Some(parameters) = it["parameters"].as_array().filter(|list| !list.is_empty()) {
        html.push_str("<table><caption>Parameters</caption><tr><th>name<th>in<th>type<th>meaning</tr>");
        for parameter in parameters {
            put(
                html,
                format_args!(
                    "<tr><td><code>{}</code><td>{}<td>{}<td>{}</tr>",
                    text(&parameter["name"]),
                    text(&parameter["in"]),
                    escape(&kind(&parameter["schema"])),
                    text(&parameter["description"]),
                ),
            );
        }
        html.push_str("</table>");
    }
    for (media_type, content) in it["requestBody"]["content"].as_object().into_iter().flatten() {
        details(html, &format!("Body: {media_type}"), &content["schema"], document);
    }
    for (status, answer) in it["responses"].as_object().into_iter().flatten() {
        let title = format!("{status}: {}", answer["description"].as_str().unwrap_or_default());
        match answer["content"].as_object().and_then(|content| content.iter().next()) {
            Some((media_type, content)) => {
                details(html, &format!("{title} ({media_type})"), &content["schema"], document);
            }
            None => put(html, format_args!("<p>{}</p>", escape(&title))),
        }
    }
    html.push_str("</section>");
}

fn details(html: &mut String, title: &str, schema: &Value, document: &Value) {
    let shape = shape(schema, document, 0);
    let shown = serde_json::to_string_pretty(&shape).unwrap_or_default();
    put(
        html,
        format_args!(
            "<details><summary>{}</summary><pre tabindex=\"0\">{}</pre></details>",
            escape(title),
            escape(&shown)
        ),
    );
}

/// A schema as an object of names and kinds, references followed.
fn shape(schema: &Value, document: &Value, depth: usize) -> Value {
    if depth > 6 {
        return "...".into();
    }
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/components/schemas/")) {
        return shape(&document["components"]["schemas"][name], document, depth + 1);
    }
    if let Some(properties) = schema["properties"].as_object() {
        return properties.iter().map(|(name, it)| (name.clone(), shape(it, document, depth + 1))).collect();
    }
    if !schema["items"].is_null() {
        return Value::Array(vec![shape(&schema["items"], document, depth + 1)]);
    }
    for list in ["oneOf", "anyOf", "allOf"] {
        if let Some(choices) = schema[list].as_array() {
            let shown: Vec<Value> = choices
                .iter()
                .filter(|choice| choice["type"] != "null")
                .map(|choice| shape(choice, document, depth + 1))
                .collect();
            return match <[Value; 1]>::try_from(shown) {
                Ok([only]) => only,
                Err(shown) => Value::Array(shown),
            };
        }
    }
    kind(schema).into()
}

fn kind(schema: &Value) -> String {
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().map(|word| word.as_str().unwrap_or("null")).collect::<Vec<_>>().join(" | ");
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => kind.as_str().into_iter().collect(),
    };
    let kinds = if kinds.is_empty() { "any".to_owned() } else { kinds.join(" | ") };
    match schema["format"].as_str() {
        Some(format) => format!("{kinds} ({format})"),
        None => kinds,
    }
}

fn anchor(method: &str, path: &str) -> String {
    let path: String = path.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    format!("{method}{path}")
}

fn text(value: &Value) -> String {
    escape(value.as_str().unwrap_or_default())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn put(html: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String never fails.
    let _ = html.write_fmt(arguments);
}
