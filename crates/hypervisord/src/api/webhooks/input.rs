//! What `POST /webhooks` and `PUT /webhooks/{id}` understand.

use std::time::Duration;

use hypersdk_webhook::{EndpointId, EndpointInput, EndpointSpec};
use serde_json::Value;
use utoipa::ToSchema;

use super::super::fields::Fields;
use super::super::problem::{FieldError, Problem};
use crate::config::parse_duration;

/// What `POST /webhooks` takes, for the document. What a webhook is shown with beside that may be there and counts for
/// nothing.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `read` takes from its fields")]
pub(super) struct EndpointFields {
    /// Up to 64 of `A-Z a-z 0-9 . _ -`; made up if not given
    id: Option<String>,
    #[schema(example = "https://hooks.example.com/hypersdk")]
    url: String,
    /// `*`, families such as `job.*`, or names; everything but `job.progress` if not given
    #[schema(required = false, example = json!(["job.completed", "job.failed"]))]
    events: Vec<String>,
    /// Of one attempt, such as `10s`
    timeout: Option<String>,
    /// Further attempts after the first
    #[schema(minimum = 0, maximum = 100)]
    retry: Option<i64>,
    /// The wait before the first of them, such as `1s`; it doubles each time
    retry_delay: Option<String>,
    enabled: Option<bool>,
    /// Signs each request; at least 24 bytes
    secret: Option<String>,
    /// Signs as well, while receivers move to `secret`
    previous_secret: Option<String>,
    /// `standard`, `slack`, `teams`, `discord`, `cloudevents` or `template`
    profile: Option<String>,
    /// The body, with the profile `template`
    template: Option<String>,
    /// What the template makes
    content_type: Option<String>,
    /// Addresses inside the network may be called
    allow_private: Option<bool>,
    description: Option<String>,
    #[schema(required = false)]
    headers: std::collections::BTreeMap<String, String>,
}

/// Fields that an endpoint is shown with and that nobody sets.
const SHOWN: [&str; 7] = ["origin", "status", "halted", "created_at", "updated_at", "version", "deliveries"];

/// Reads an endpoint; `current` is what it is so far.
pub(super) fn read(
    body: Value,
    allow_private: bool,
    current: Option<&EndpointSpec>,
) -> Result<(Option<EndpointId>, EndpointSpec), Problem> {
    let mut fields = Fields::open("", body).map_err(|error| Problem::malformed(error.message))?;
    let id = fields.parsed("id", str::parse::<EndpointId>);
    let mut input = EndpointInput {
        url: fields.text("url"),
        events: texts(&mut fields, "events"),
        timeout: duration(&mut fields, "timeout"),
        retry: fields.integer("retry", 0, 100).and_then(|number| u32::try_from(number).ok()),
        retry_delay: duration(&mut fields, "retry_delay"),
        enabled: fields.boolean("enabled"),
        secret: fields.text("secret"),
        previous_secret: fields.text("previous_secret"),
        profile: fields.text("profile"),
        template: fields.text("template"),
        content_type: fields.text("content_type"),
        allow_private: fields.boolean("allow_private"),
        description: fields.text("description"),
        ..EndpointInput::default()
    };
    for (name, value) in fields.object("headers").unwrap_or_default() {
        match value {
            Value::String(text) => input.headers.push((name, text)),
            _ => fields.wrong(&format!("headers.{name}"), "expected a text"),
        }
    }
    for name in SHOWN {
        fields.take(name);
    }
    let mut errors = Vec::new();
    let spec = input.check(allow_private, current).map_err(|faults| {
        errors.extend(faults.into_iter().map(|fault| FieldError::new(fault.field, fault.message)));
    });
    // What is of the wrong type counts as missing in the check: its own complaint says more.
    let mut all = fields.close();
    errors.retain(|error: &FieldError| !all.iter().any(|known| known.field == error.field));
    all.extend(errors);
    match spec {
        Ok(spec) if all.is_empty() => Ok((id, spec)),
        _ => Err(Problem::invalid(all)),
    }
}

fn texts(fields: &mut Fields, name: &'static str) -> Option<Vec<String>> {
    match fields.take(name)? {
        Value::String(text) => Some(vec![text]),
        Value::Array(items) => {
            let mut texts = Vec::new();
            for (index, item) in items.into_iter().enumerate() {
                match item {
                    Value::String(text) => texts.push(text),
                    _ => fields.wrong(&format!("{name}[{index}]"), "expected a text"),
                }
            }
            Some(texts)
        }
        _ => {
            fields.wrong(name, "expected a list of texts");
            None
        }
    }
}

/// A duration as in the configuration, or whole seconds.
fn duration(fields: &mut Fields, name: &'static str) -> Option<Duration> {
    let read = match fields.take(name)? {
        Value::String(text) => parse_duration(&text),
        Value::Number(number) => number
            .as_u64()
            .map(Duration::from_secs)
            .ok_or_else(|| format!("{number} is no whole number of seconds; write a duration such as 30s")),
        _ => Err("write a duration such as 30s".to_owned()),
    };
    read.map_err(|message| fields.wrong(name, message)).ok()
}
