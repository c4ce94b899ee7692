//! CloudEvents 1.0, structured mode
//! (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>).

use serde_json::{Value, json};

use super::{Message, timestamp};

pub(super) const MEDIA_TYPE: &str = "application/cloudevents+json; charset=utf-8";

/// The message as an event whose subject is the job or the schedule.
pub(super) fn structured(message: &Message<'_>) -> Value {
    let mut event = json!({
        "specversion": "1.0",
        "id": message.id,
        "source": "/hypersdk",
        "type": format!("hypersdk.{}", message.event),
        "time": timestamp(message.time),
        "datacontenttype": "application/json",
        "data": message.data,
    });
    if let Some(subject) = message.data["job_id"].as_str().or(message.data["schedule_id"].as_str()) {
        event["subject"] = subject.into();
    }
    event
}

#[cfg(test)]
mod tests {
    use crate::payload::Profile;
    use crate::payload::tests::rendered;

    #[test]
    fn every_required_attribute_is_there() {
        let event = rendered(&Profile::Cloudevents, "job.completed");
        for name in ["specversion", "id", "source", "type", "time", "datacontenttype", "subject"] {
            assert!(event[name].as_str().is_some_and(|text| !text.is_empty()), "{name}: {event}");
        }
        assert_eq!(event["type"], "hypersdk.job.completed");
        assert_eq!(event["data"]["result"]["total_size"], 1);
    }
}
