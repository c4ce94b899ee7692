//! What is sent: one event in the form its receiver reads.

mod chat;
mod cloudevents;
mod template;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::endpoint::Fault;
use template::Template;

/// The form of a body.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// `{"event", "timestamp", "data"}`.
    #[default]
    Standard,
    /// A message for Slack's incoming webhooks (and Mattermost's).
    Slack,
    /// An adaptive card for a workflow of Microsoft Teams.
    Teams,
    /// A message for Discord's webhooks.
    Discord,
    /// CloudEvents 1.0 in structured mode.
    Cloudevents,
    /// A text of one's own.
    Template(Template),
}

/// The names of the profiles.
const NAMES: [&str; 6] = ["standard", "slack", "teams", "discord", "cloudevents", "template"];

impl Profile {
    /// Reads a profile from its name and what belongs to it.
    pub(crate) fn parse(
        name: Option<&str>,
        template: Option<&str>,
        content_type: Option<&str>,
    ) -> Result<Profile, Fault> {
        let implied = if template.is_some() { "template" } else { "standard" };
        let profile = match name.unwrap_or(implied) {
            "standard" => Profile::Standard,
            "slack" => Profile::Slack,
            "teams" => Profile::Teams,
            "discord" => Profile::Discord,
            "cloudevents" => Profile::Cloudevents,
            "template" => {
                let source =
                    template.ok_or_else(|| Fault::new("template", "is missing: the text of the body"))?;
                return Template::parse(source, content_type).map(Profile::Template);
            }
            other => {
                let nearest = NAMES
                    .into_iter()
                    .max_by(|a, b| strsim::jaro_winkler(other, a).total_cmp(&strsim::jaro_winkler(other, b)));
                let known = NAMES.join(", ");
                let nearest = nearest.filter(|name| strsim::jaro_winkler(other, name) >= 0.8);
                let hint = nearest.map(|name| format!("; did you mean {name}?")).unwrap_or_default();
                return Err(Fault::new("profile", format!("{other:?} is not one of {known}{hint}")));
            }
        };
        if template.is_some() {
            return Err(Fault::new("template", "goes with profile: template only"));
        }
        if content_type.is_some() {
            return Err(Fault::new("content_type", "goes with profile: template only"));
        }
        Ok(profile)
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Profile::Standard => "standard",
            Profile::Slack => "slack",
            Profile::Teams => "teams",
            Profile::Discord => "discord",
            Profile::Cloudevents => "cloudevents",
            Profile::Template(_) => "template",
        }
    }

    /// The text and the content type of a template.
    pub fn template(&self) -> Option<(&str, &str)> {
        match self {
            Profile::Template(template) => Some((template.source(), template.content_type())),
            _ => None,
        }
    }

    /// True if whoever knows the URL may write into a channel.
    pub(crate) fn is_chat(&self) -> bool {
        matches!(self, Profile::Slack | Profile::Teams | Profile::Discord)
    }

    /// The body of a message.
    ///
    /// # Errors
    /// A template fails for this event.
    pub fn render(&self, message: &Message<'_>) -> Result<Payload, String> {
        let body = match self {
            Profile::Standard => standard(message),
            Profile::Slack => chat::slack(message),
            Profile::Teams => chat::teams(message),
            Profile::Discord => chat::discord(message),
            Profile::Cloudevents => {
                let body = cloudevents::structured(message);
                return Ok(Payload {
                    content_type: cloudevents::MEDIA_TYPE.to_owned(),
                    body: to_bytes(&body),
                });
            }
            Profile::Template(template) => return template.render(message),
        };
        Ok(Payload { content_type: "application/json".to_owned(), body: to_bytes(&body) })
    }
}

/// One event for one endpoint.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    /// The same for every attempt: what a receiver knows a repetition by.
    pub id: &'a str,
    /// The event's name.
    pub event: &'a str,
    /// When it happened.
    pub time: DateTime<Utc>,
    /// What it says.
    pub data: &'a Value,
}

/// A body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// Its media type.
    pub content_type: String,
    /// Its bytes.
    pub body: Bytes,
}

fn to_bytes(body: &Value) -> Bytes {
    Bytes::from(body.to_string())
}

fn timestamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

fn standard(message: &Message<'_>) -> Value {
    json!({ "event": message.event, "timestamp": timestamp(message.time), "data": message.data })
}

/// An event such as they come, to try things with.
fn sample(event: &'static str) -> (&'static str, Value) {
    let mut data = json!({
        "job_id": "job-00000000-0000-7000-8000-000000000000", "job_name": "sample", "vm_path": "/DC0/vm/sample",
        "output_dir": "/srv/exports", "provider": "default", "attempt": 1,
    });
    match event {
        "job.failed" => {
            data["error"] = json!({ "kind": "unavailable", "message": "no route", "advice": null })
        }
        "job.completed" => {
            data["result"] = json!({
                "vm_name": "sample", "ovf_path": "/srv/exports/sample.ova", "files": [], "total_size": 1,
                "duration": 1.0, "checksum": "00", "warnings": [],
            });
        }
        _ => {}
    }
    (event, data)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn rendered(profile: &Profile, event: &'static str) -> Value {
        let (event, data) = sample(event);
        let time = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let payload = profile.render(&Message { id: "msg_1", event, time, data: &data }).unwrap();
        serde_json::from_slice(&payload.body).unwrap()
    }

    #[test]
    fn the_standard_body_is_the_contracts() {
        let body = rendered(&Profile::Standard, "job.failed");
        let mut names: Vec<_> = body.as_object().unwrap().keys().collect();
        names.sort();
        assert_eq!(names, ["data", "event", "timestamp"]);
        assert_eq!(
            (&body["event"], &body["timestamp"]),
            (&json!("job.failed"), &json!("2027-01-15T08:00:00Z"))
        );
        assert_eq!(body["data"]["error"]["kind"], "unavailable");
    }

    #[test]
    fn a_profile_is_known_by_its_name() {
        for name in NAMES {
            let template = (name == "template").then_some("{{ data }}");
            assert_eq!(Profile::parse(Some(name), template, None).unwrap().name(), name);
        }
        assert_eq!(Profile::parse(None, None, None).unwrap(), Profile::Standard);
        assert!(
            Profile::parse(Some("slak"), None, None).unwrap_err().message.contains("did you mean slack?")
        );
        assert_eq!(Profile::parse(Some("slack"), Some("x"), None).unwrap_err().field, "template");
        assert_eq!(Profile::parse(Some("template"), None, None).unwrap_err().field, "template");
    }
}
