//! Webhooks: where events go, and what their secrets are sealed with.

use std::path::PathBuf;
use std::time::Duration;

use hypersdk_webhook::{Endpoint, EndpointId, EndpointInput, Vault};
use secrecy::ExposeSecret;

use super::environment::Environment;
use super::read::{Reader, Values, boolean, path};
use super::{duration, keys, secret};

/// Where events go.
#[derive(Debug, Clone)]
pub struct WebhookConfig {
    /// The endpoints that stand in the configuration.
    pub endpoints: Vec<Endpoint>,
    /// Endpoints may be inside the network unless they say otherwise.
    pub allow_private: bool,
    /// How often the progress of a running job is told to whoever wants it.
    pub progress_interval: Duration,
    /// The key that seals the secrets of endpoints made over the API.
    pub secret_key_file: Option<PathBuf>,
}

/// Reads everything about webhooks.
pub(super) fn read(reader: &mut Reader<'_>, top: &Values, environment: &Environment) -> WebhookConfig {
    let allow_private = reader.value(top, "webhook_allow_private", boolean);
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for entry in reader.entries(top, "webhooks", &keys::WEBHOOK) {
        let Some(endpoint) = endpoint(reader, &entry, environment, allow_private) else { continue };
        if endpoints.iter().any(|known| known.id == endpoint.id) {
            let message =
                format!("is that of another webhook ({}); give each a name of its own", endpoint.id);
            reader.mistake_below(&entry, "name", message);
            continue;
        }
        endpoints.push(endpoint);
    }
    let secret_key_file = reader.optional(top, "secret_key_file", |text| {
        let path = path(text)?;
        match Vault::open(&path) {
            Ok(_) => Ok(path),
            Err(error) => Err(format!(
                "cannot be used: {}; make one with `hypervisord secret-key FILE`",
                error.message()
            )),
        }
    });
    WebhookConfig {
        endpoints,
        allow_private,
        progress_interval: reader.value(top, "webhook_progress_interval", interval),
        secret_key_file,
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = duration::parse(text)?;
    if interval < Duration::from_millis(500) { Err("write 500ms or more".to_owned()) } else { Ok(interval) }
}

fn endpoint(
    reader: &mut Reader<'_>,
    entry: &Values,
    environment: &Environment,
    allow_private: bool,
) -> Option<Endpoint> {
    let before = reader.mistakes.len();
    let name = reader.optional(entry, "name", str::parse::<EndpointId>);
    let mut headers = Vec::new();
    for (name, text) in reader.free(entry, "headers") {
        if let Some(value) = secret::expand(reader, text, environment) {
            headers.push((name, value.expose_secret().to_owned()));
        }
    }
    let url = reader.text(entry, "url").and_then(|text| secret::expand(reader, text, environment));
    let previous = reader.text(entry, "previous_secret");
    let previous = previous.and_then(|text| secret::expand(reader, text, environment));
    let credential = match &name {
        Some(name) => format!("hypersdk.webhook.{name}.secret"),
        None => "hypersdk.webhook.secret".to_owned(),
    };
    let names = secret::Names { direct: "secret", file: "secret_file", credential: &credential };
    let secret = secret::secret(reader, entry, environment, &names);
    let text = |secret: Option<secrecy::SecretString>| secret.map(|text| text.expose_secret().to_owned());
    let input = EndpointInput {
        url: text(url),
        events: reader.one_or_more(entry, "events"),
        headers,
        timeout: reader.optional(entry, "timeout", duration::parse),
        retry: reader.optional_number(entry, "retry"),
        retry_delay: reader.optional(entry, "retry_delay", duration::parse),
        enabled: reader.optional(entry, "enabled", boolean),
        secret: text(secret),
        previous_secret: text(previous),
        profile: reader.text(entry, "profile").map(|text| text.text),
        template: reader.text(entry, "template").map(|text| text.text),
        content_type: reader.text(entry, "content_type").map(|text| text.text),
        allow_private: reader.optional(entry, "allow_private", boolean),
        description: reader.text(entry, "description").map(|text| text.text),
    };
    match input.check(allow_private, None) {
        Ok(_) if reader.mistakes.len() > before => None,
        Ok(spec) => {
            let id = name.unwrap_or_else(|| EndpointId::of_url(&spec.url));
            Some(Endpoint::configured(id, spec))
        }
        Err(faults) => {
            for fault in faults {
                let path = keys::join(&entry.path, &fault.field);
                // What could not be read is missing here, and was told already.
                if !reader.mistakes[before..].iter().any(|mistake| mistake.key == path) {
                    reader.mistake_below(entry, &fault.field, fault.message);
                }
            }
            None
        }
    }
}
