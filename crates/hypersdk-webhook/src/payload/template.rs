//! A body of one's own: a Jinja template over `event`, `timestamp`, `id` and `data`.
//!
//! For a JSON body every `{{ value }}` is written as JSON, quotes and all, so that no value can break out of
//! its place. A template is tried when it is given, and has a bounded number of steps.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use chrono::Utc;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};
use serde::{Deserialize, Serialize};

use super::{Message, Payload, sample, timestamp};
use crate::endpoint::Fault;

const NAME: &str = "body";
const LONGEST: usize = 64 << 10;
const LONGEST_OUTPUT: usize = 1 << 20;
/// Steps a template may take; a page of text takes some hundred.
const STEPS: u64 = 100_000;
const JSON: &str = "application/json";

/// A template that was found to work.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Template {
    written: Written,
    compiled: Arc<Environment<'static>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Written {
    source: String,
    content_type: String,
}

impl Template {
    pub(super) fn parse(source: &str, content_type: Option<&str>) -> Result<Template, Fault> {
        let content_type = content_type.unwrap_or(JSON);
        if http::HeaderValue::from_str(content_type).is_err() || !content_type.contains('/') {
            return Err(Fault::new("content_type", "is no media type; write one such as text/plain"));
        }
        let written = Written { source: source.to_owned(), content_type: content_type.to_owned() };
        let template = Template::try_from(written).map_err(|message| Fault::new("template", message))?;
        for event in ["job.completed", "job.failed", "schedule.fired"] {
            let (event, data) = sample(event);
            let message = Message { id: "msg_sample", event, time: Utc::now(), data: &data };
            template.render(&message).map_err(|message| Fault::new("template", message))?;
        }
        Ok(template)
    }

    pub(super) fn source(&self) -> &str {
        &self.written.source
    }

    pub(super) fn content_type(&self) -> &str {
        &self.written.content_type
    }

    pub(super) fn render(&self, message: &Message<'_>) -> Result<Payload, String> {
        let values = context! {
            id => message.id,
            event => message.event,
            timestamp => timestamp(message.time),
            data => minijinja::Value::from(minijinja::value::Serde(message.data)),
        };
        let template = self.compiled.get_template(NAME).map_err(|error| error.to_string())?;
        let body =
            template.render(values).map_err(|error| format!("fails for {}: {error}", message.event))?;
        if body.len() > LONGEST_OUTPUT {
            return Err(format!("makes a body of more than {LONGEST_OUTPUT} bytes for {}", message.event));
        }
        if is_json(&self.written.content_type)
            && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&body)
        {
            return Err(format!(
                "makes no JSON for {}: {error}; write {{{{ value }}}} without quotes around it, or set content_type",
                message.event
            ));
        }
        Ok(Payload { content_type: self.written.content_type.clone(), body: Bytes::from(body) })
    }
}

fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == JSON || kind.ends_with("+json")
}

impl TryFrom<Written> for Template {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        if written.source.len() > LONGEST {
            return Err(format!("is longer than {LONGEST} bytes"));
        }
        let json = is_json(&written.content_type);
        let mut compiled = Environment::new();
        compiled.set_auto_escape_callback(move |_| if json { AutoEscape::Json } else { AutoEscape::None });
        compiled.set_undefined_behavior(UndefinedBehavior::Chainable);
        compiled.set_fuel(Some(STEPS));
        compiled
            .add_template_owned(NAME, written.source.clone())
            .map_err(|error| format!("cannot be read: {error}"))?;
        Ok(Template { written, compiled: Arc::new(compiled) })
    }
}

impl From<Template> for Written {
    fn from(template: Template) -> Written {
        template.written
    }
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Eq for Template {}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.written.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn render(source: &str, content_type: Option<&str>, data: &Value) -> Result<String, String> {
        let template = Template::parse(source, content_type).map_err(|fault| fault.message)?;
        let message = Message { id: "msg_1", event: "job.failed", time: Utc::now(), data };
        let payload = template.render(&message)?;
        Ok(String::from_utf8(payload.body.to_vec()).unwrap())
    }

    #[test]
    fn values_become_json_and_cannot_break_out_of_their_place() {
        let data = json!({ "vm_path": "a\"}, \"x\": \"\n</script>", "error": { "message": "m" } });
        let body =
            render(r#"{"vm": {{ data.vm_path }}, "event": {{ event }}, "all": {{ data }}}"#, None, &data)
                .unwrap();
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["vm"], data["vm_path"]);
        assert_eq!(body["all"], data);
        assert_eq!(body["event"], "job.failed");
    }

    #[test]
    fn a_plain_text_stays_plain() {
        let body =
            render("{{ event }}: {{ data.vm_path }}", Some("text/plain"), &json!({ "vm_path": "<a>" }));
        assert_eq!(body.unwrap(), "job.failed: <a>");
    }

    #[test]
    fn what_an_event_does_not_have_is_nothing() {
        let body = render("[{{ data.result.files or 0 }}]", None, &json!({}));
        assert_eq!(body.unwrap(), "[0]");
    }

    #[test]
    fn a_template_that_cannot_work_is_refused_when_it_is_given() {
        for (source, message) in [
            ("{{ data.", "cannot be read"),
            ("{\"vm\": \"{{ data.vm_path }}\"}", "makes no JSON"),
            ("{{ data.vm_path | nonsense }}", "unknown filter"),
            ("{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}", "fails for"),
        ] {
            let error = Template::parse(source, None).unwrap_err();
            assert_eq!(error.field, "template");
            assert!(error.message.contains(message), "{source}: {}", error.message);
        }
        assert_eq!(Template::parse("x", Some("nonsense")).unwrap_err().field, "content_type");
    }
}
