//! Messages for people in a channel: a line that says it all, and the facts below.
//!
//! Names of VMs and texts of errors are other people's: they are escaped or kept out of markup, so that
//! none of them can mention `@everyone` or forge a link.

use serde_json::{Value, json};

use super::{Message, timestamp};

/// The good, the bad and the rest.
#[derive(Clone, Copy)]
enum Mood {
    Good,
    Bad,
    Neutral,
}

/// A message before it is anybody's format.
struct Notice {
    title: String,
    facts: Vec<(&'static str, String)>,
    mood: Mood,
}

fn notice(message: &Message<'_>) -> Notice {
    let data = message.data;
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let subject = text(&data["job_name"])
        .or_else(|| text(&data["vm_path"]))
        .or_else(|| text(&data["schedule_name"]))
        .or_else(|| text(&data["schedule_id"]))
        .or_else(|| text(&data["message"]))
        .unwrap_or_else(|| "HyperSDK".to_owned());
    let (verb, mood) = match message.event {
        "job.created" => ("Export accepted", Mood::Neutral),
        "job.started" => ("Export started", Mood::Neutral),
        "job.progress" => ("Export running", Mood::Neutral),
        "job.requeued" => ("Export will be tried again", Mood::Neutral),
        "job.completed" => ("Export completed", Mood::Good),
        "job.failed" => ("Export failed", Mood::Bad),
        "job.cancelled" => ("Export cancelled", Mood::Neutral),
        "schedule.fired" => ("Schedule fired", Mood::Neutral),
        "schedule.missed" => ("Schedule missed", Mood::Bad),
        "package.removed" => ("Package removed", Mood::Neutral),
        "webhook.test" => ("Test", Mood::Neutral),
        other => (other, Mood::Neutral),
    };
    let mut facts = Vec::new();
    let mut fact = |name, value: Option<String>| facts.extend(value.map(|value| (name, value)));
    fact("VM", text(&data["vm_path"]));
    fact("Error", text(&data["error"]["message"]));
    fact("What to do", text(&data["error"]["advice"]));
    fact("Package", text(&data["result"]["ovf_path"]));
    fact("Package", text(&data["path"]));
    fact("Reason", text(&data["reason"]));
    fact("Size", data["result"]["total_size"].as_u64().map(size));
    fact("Duration", data["result"]["duration"].as_f64().map(|seconds| format!("{seconds:.0} s")));
    fact("Progress", data["progress"]["percent_complete"].as_f64().map(|percent| format!("{percent:.0} %")));
    fact("Planned for", text(&data["planned"]));
    fact("Provider", text(&data["provider"]));
    fact("Job", text(&data["job_id"]));
    Notice { title: format!("{verb}: {subject}"), facts, mood }
}

fn size(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, "B");
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, larger);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}

fn cut(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        None => text.to_owned(),
        Some(_) => text.chars().take(longest - 1).chain(['…']).collect(),
    }
}

/// Slack: <https://api.slack.com/messaging/webhooks>. Of the markup only `&`, `<` and `>` need escaping.
pub(super) fn slack(message: &Message<'_>) -> Value {
    let notice = notice(message);
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let color = match notice.mood {
        Mood::Good => "#2eb67d",
        Mood::Bad => "#e01e5a",
        Mood::Neutral => "#868686",
    };
    let title = escape(&cut(&notice.title, 250));
    let fields: Vec<Value> = notice
        .facts
        .iter()
        .map(|(name, value)| json!({ "title": name, "value": escape(&cut(value, 1000)), "short": value.len() < 40 }))
        .collect();
    json!({
        "text": title,
        "attachments": [{ "color": color, "fallback": title, "fields": fields, "ts": message.time.timestamp() }],
    })
}

/// Teams: an adaptive card as workflows take it
/// (<https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using>).
/// Its text blocks read Markdown; facts are given as plain runs.
pub(super) fn teams(message: &Message<'_>) -> Value {
    let notice = notice(message);
    let color = match notice.mood {
        Mood::Good => "good",
        Mood::Bad => "attention",
        Mood::Neutral => "default",
    };
    let run = |text: String, bolder: bool| json!({ "type": "TextRun", "text": text, "weight": if bolder { "bolder" } else { "default" } });
    let mut body = vec![json!({
        "type": "RichTextBlock",
        "inlines": [{
            "type": "TextRun", "text": cut(&notice.title, 250), "weight": "bolder", "size": "medium", "color": color,
        }],
    })];
    for (name, value) in &notice.facts {
        body.push(json!({
            "type": "RichTextBlock",
            "inlines": [run(format!("{name}: "), true), run(cut(value, 1000), false)],
            "spacing": "small",
        }));
    }
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "body": body,
            },
        }],
    })
}

/// Discord: <https://discord.com/developers/docs/resources/webhook#execute-webhook>. At most 256 characters a
/// title and 1024 a field; nobody is mentioned.
pub(super) fn discord(message: &Message<'_>) -> Value {
    let notice = notice(message);
    let color = match notice.mood {
        Mood::Good => 0x002e_b67d,
        Mood::Bad => 0x00e0_1e5a,
        Mood::Neutral => 0x0086_8686,
    };
    let fields: Vec<Value> = notice
        .facts
        .iter()
        .map(|(name, value)| {
            json!({ "name": name, "value": cut(&plain(value), 1024), "inline": value.len() < 40 })
        })
        .collect();
    json!({
        "embeds": [{
            "title": cut(&plain(&notice.title), 256),
            "color": color,
            "timestamp": timestamp(message.time),
            "fields": fields,
        }],
        "allowed_mentions": { "parse": [] },
    })
}

/// The text with Discord's markup taken literally.
fn plain(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '*' | '_' | '~' | '`' | '|' | '[' | ']' | '<' | '>') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::Profile;
    use crate::payload::tests::rendered;

    #[test]
    fn a_channel_reads_what_happened_and_why() {
        for profile in [Profile::Slack, Profile::Teams, Profile::Discord] {
            let failed = rendered(&profile, "job.failed").to_string();
            assert!(failed.contains("Export failed: sample") && failed.contains("no route"), "{failed}");
            let done = rendered(&profile, "job.completed").to_string();
            assert!(done.contains("Export completed: sample") && done.contains("1 B"), "{done}");
        }
    }

    #[test]
    fn names_cannot_mention_or_link() {
        let data = json!({ "job_name": "<!channel> [x](https://evil.example) & @everyone" });
        let message = Message { id: "m", event: "job.failed", time: chrono::Utc::now(), data: &data };
        let text = slack(&message)["text"].as_str().unwrap().to_owned();
        assert!(text.contains("&lt;!channel&gt;") && text.contains("&amp;"), "{text}");
        let card = discord(&message);
        assert_eq!(card["allowed_mentions"]["parse"], json!([]));
        assert!(card["embeds"][0]["title"].as_str().unwrap().contains("\\[x\\]"), "{card}");
        // A text run of a card knows no markup at all.
        assert_eq!(teams(&message)["attachments"][0]["content"]["body"][0]["inlines"][0]["type"], "TextRun");
    }

    #[test]
    fn long_texts_keep_to_the_limits() {
        let data = json!({ "job_name": "ü".repeat(5000), "error": { "message": "_".repeat(5000) } });
        let message = Message { id: "m", event: "job.failed", time: chrono::Utc::now(), data: &data };
        let embed = &discord(&message)["embeds"][0];
        assert!(embed["title"].as_str().unwrap().chars().count() <= 256);
        assert!(embed["fields"][0]["value"].as_str().unwrap().chars().count() <= 1024);
        assert_eq!(size(1_610_612_736), "1.5 GiB");
    }
}
