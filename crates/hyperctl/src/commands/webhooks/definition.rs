//! A webhook as flags or a file, and as the API wants it.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::super::document;
use super::path;
use crate::client::Client;
use crate::failure::{Failure, mistake};

/// How events are sent.
#[derive(Debug, clap::Args)]
pub struct EndpointArgs {
    /// Only these events, such as job.completed,job.failed or 'schedule.*'.
    #[arg(long, value_name = "EVENT", value_delimiter = ',')]
    pub events: Vec<String>,
    /// A file whose first line is the secret that signs each request; at least 24 bytes.
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// The form of the body: standard, slack, teams, discord or cloudevents.
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// How long one attempt may take, such as 10s.
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<String>,
    /// Further attempts after the first, 0 to 100.
    #[arg(long, value_name = "N")]
    pub retry: Option<u32>,
    /// The wait before the first of them, such as 1s; it doubles each time.
    #[arg(long, value_name = "DURATION")]
    pub retry_delay: Option<String>,
    /// Whether addresses inside the daemon's network may be called.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub allow_private: Option<bool>,
    /// A sentence for people.
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
}

impl EndpointArgs {
    /// What was given, by the names of the API.
    fn fields(&self) -> Result<Map<String, Value>, Failure> {
        let mut fields = Map::new();
        let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        if !self.events.is_empty() {
            set("events", json!(self.events));
        }
        if let Some(file) = &self.secret_file {
            let text = std::fs::read_to_string(file)
                .map_err(|error| mistake(format!("--secret-file {}", file.display()), &error))?;
            set("secret", json!(text.lines().next().unwrap_or_default().trim()));
        }
        let texts = [
            ("profile", &self.profile),
            ("timeout", &self.timeout),
            ("retry_delay", &self.retry_delay),
            ("description", &self.description),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                set(name, json!(text));
            }
        }
        if let Some(retry) = self.retry {
            set("retry", json!(retry));
        }
        if let Some(allow) = self.allow_private {
            set("allow_private", json!(allow));
        }
        Ok(fields)
    }
}

/// A new webhook.
#[derive(Debug, clap::Args)]
pub struct CreateArgs {
    /// The address. That of a chat is a secret: give it in a --file, where no list of processes shows it.
    #[arg(value_name = "URL", required_unless_present = "file")]
    pub address: Option<String>,
    /// Its id, such as ops; made up if not given.
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// Make it, and send nothing to it yet.
    #[arg(long)]
    pub disabled: bool,
    /// A YAML or JSON file with the fields of POST /webhooks; - for standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "address")]
    pub file: Option<PathBuf>,
    /// How events are sent.
    #[command(flatten)]
    pub endpoint: EndpointArgs,
}

impl CreateArgs {
    pub(super) fn body(&self) -> Result<Value, Failure> {
        let mut fields = self.file.as_deref().map(document::read).transpose()?.unwrap_or_default();
        fields.extend(self.endpoint.fields()?);
        for (name, text) in [("url", &self.address), ("id", &self.id)] {
            if let Some(text) = text {
                fields.insert(name.to_owned(), json!(text));
            }
        }
        if self.disabled {
            fields.insert("enabled".to_owned(), json!(false));
        }
        Ok(Value::Object(fields))
    }
}

/// A webhook that is to be another.
#[derive(Debug, clap::Args)]
pub struct ChangeArgs {
    /// The webhook.
    pub id: String,
    /// Another address.
    #[arg(long, value_name = "URL")]
    pub address: Option<String>,
    /// Put the definition in this YAML or JSON file in the place of the whole; - for standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "address")]
    pub file: Option<PathBuf>,
    /// How events are sent.
    #[command(flatten)]
    pub endpoint: EndpointArgs,
}

impl ChangeArgs {
    pub(super) async fn carry_out(&self, client: &Client) -> Result<Value, Failure> {
        let mut given = self.endpoint.fields()?;
        if let Some(url) = &self.address {
            given.insert("url".to_owned(), json!(url));
        }
        let route = path(&self.id, "");
        if let Some(file) = &self.file {
            let mut fields = document::read(file)?;
            fields.extend(given);
            return client.put(&route, &Value::Object(fields)).await;
        }
        // Secrets are shown as a mask, and what comes back as the mask stays what it is.
        client.change(&route, |fields| fields.extend(given.clone())).await
    }
}
