//! An endpoint of the API as a store keeps it: what may be read in clear, and what is sealed.

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::HeaderValue;
use hypersdk_core::{Error, ErrorKind, Result, RetryHint};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{Endpoint, EndpointId, EndpointSpec, Halt, Headers, Origin};
use crate::filter::EventFilter;
use crate::payload::Profile;
use crate::signature::Secret;
use crate::vault::Vault;

/// A row. The store knows nothing of what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEndpoint {
    /// Its identifier.
    pub id: EndpointId,
    /// What may be read, as JSON.
    pub spec: String,
    /// What may not.
    pub sealed: Option<Vec<u8>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// Rises with each change; 1 at first.
    pub version: i64,
}

#[derive(Serialize, Deserialize)]
struct Open {
    /// Absent where it is sealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    events: Vec<String>,
    timeout_ms: u64,
    retry: u32,
    retry_delay_ms: u64,
    enabled: bool,
    profile: Profile,
    allow_private: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Closed {
    url: String,
    headers: Vec<(String, String)>,
    secret: Option<String>,
    previous: Option<String>,
    previous_until: Option<DateTime<Utc>>,
}

/// An endpoint as a row.
///
/// # Errors
/// `Invalid` if it has secrets and there is no key to seal them with.
pub(crate) fn store(endpoint: &Endpoint, vault: Option<&Vault>) -> Result<StoredEndpoint> {
    let spec = &endpoint.spec;
    let has_secrets = spec.secret.is_some() || !spec.headers.is_empty();
    if has_secrets && vault.is_none() {
        let field = if spec.secret.is_some() { "secret" } else { "headers" };
        let message =
            format!("{field} would lie in the database in clear, as no secret_key_file is configured");
        return Err(Error::new(ErrorKind::Invalid, "keep webhook", message).with_advice(
            "make a key with `hypervisord secret-key FILE` and set secret_key_file, or put the webhook into the configuration",
        ));
    }
    let internal =
        |error: serde_json::Error| Error::new(ErrorKind::Internal, "keep webhook", error.to_string());
    let open = Open {
        url: vault.is_none().then(|| spec.url.to_string()),
        events: spec.events.patterns(),
        timeout_ms: millis(spec.timeout),
        retry: spec.retry,
        retry_delay_ms: millis(spec.retry_delay),
        enabled: spec.enabled,
        profile: spec.profile.clone(),
        allow_private: spec.allow_private,
        description: spec.description.clone(),
    };
    let sealed = match vault {
        None => None,
        Some(vault) => {
            let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
            let closed = Closed {
                url: spec.url.to_string(),
                headers: spec.headers.0.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
                secret: spec.secret.as_ref().map(|secret| secret.expose().to_owned()),
                previous: spec.previous.as_ref().map(|(secret, _)| secret.expose().to_owned()),
                previous_until: spec.previous.as_ref().and_then(|(_, until)| *until),
            };
            Some(vault.seal(endpoint.id.as_str(), &serde_json::to_vec(&closed).map_err(internal)?)?)
        }
    };
    Ok(StoredEndpoint {
        id: endpoint.id.clone(),
        spec: serde_json::to_string(&open).map_err(internal)?,
        sealed,
        created_at: endpoint.created_at,
        updated_at: endpoint.updated_at,
        version: endpoint.version,
    })
}

/// An endpoint from its row. One whose secrets cannot be read is halted, not lost.
///
/// # Errors
/// `Corrupt` for a row that no version of this program has written.
pub(crate) fn load(row: StoredEndpoint, vault: Option<&Vault>) -> Result<Endpoint> {
    let corrupt = |error: String| {
        Error::new(ErrorKind::Corrupt, format!("read webhook {}", row.id), error).with_retry(RetryHint::Never)
    };
    let open: Open = serde_json::from_str(&row.spec).map_err(|error| corrupt(error.to_string()))?;
    let closed = row.sealed.as_ref().map(|sealed| match vault {
        Some(vault) => vault.unseal(row.id.as_str(), sealed),
        None => {
            Err(Error::new(ErrorKind::Invalid, "open webhook secrets", "no secret_key_file is configured")
                .with_advice("configure the key they were sealed with"))
        }
    });
    let mut halt = None;
    let closed: Option<Closed> = match closed {
        None => None,
        Some(Ok(clear)) => Some(serde_json::from_slice(&clear).map_err(|error| corrupt(error.to_string()))?),
        Some(Err(error)) => {
            let advice = error.advice().unwrap_or_default();
            let reason = format!("its secrets cannot be read: {}; {advice}", error.message());
            halt = Some(Halt { since: row.updated_at, reason });
            None
        }
    };
    let parse = |text: &str| Url::parse(text).map_err(|error| corrupt(format!("url: {error}")));
    let events = EventFilter::parse(&open.events).map_err(|wrong| corrupt(format!("events: {wrong:?}")))?;
    let mut spec = EndpointSpec {
        url: parse(open.url.as_deref().unwrap_or("https://sealed.invalid/"))?,
        events,
        headers: Headers::default(),
        timeout: Duration::from_millis(open.timeout_ms),
        retry: open.retry,
        retry_delay: Duration::from_millis(open.retry_delay_ms),
        enabled: open.enabled,
        secret: None,
        previous: None,
        profile: open.profile,
        allow_private: open.allow_private,
        description: open.description,
    };
    if let Some(closed) = closed {
        spec.url = parse(&closed.url)?;
        for (name, value) in &closed.headers {
            let name = name.parse().map_err(|_| corrupt("a header's name".to_owned()))?;
            let mut value =
                HeaderValue::from_str(value).map_err(|_| corrupt("a header's value".to_owned()))?;
            value.set_sensitive(true);
            spec.headers.0.push((name, value));
        }
        let secret = |text: Option<String>| text.map(|text| Secret::parse(&text)).transpose();
        spec.secret = secret(closed.secret).map_err(corrupt)?;
        let previous = secret(closed.previous).map_err(corrupt)?;
        spec.previous = previous.map(|secret| (secret, closed.previous_until));
    }
    Ok(Endpoint {
        id: row.id,
        origin: Origin::Api,
        spec,
        created_at: row.created_at,
        updated_at: row.updated_at,
        version: row.version,
        halt,
    })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::EndpointInput;
    use crate::vault::for_tests;

    fn endpoint(secret: Option<&str>) -> Endpoint {
        let input = EndpointInput {
            url: Some("https://hooks.example.com/T0/B0/token".into()),
            headers: secret.map(|_| ("Authorization".into(), "Bearer token".into())).into_iter().collect(),
            secret: secret.map(str::to_owned),
            ..EndpointInput::default()
        };
        let spec = input.check(false, None).unwrap();
        Endpoint { origin: Origin::Api, version: 1, ..Endpoint::configured("wh-1".parse().unwrap(), spec) }
    }

    #[test]
    fn secrets_headers_and_urls_are_sealed_and_come_back() {
        let vault = for_tests(7);
        let endpoint = endpoint(Some("a plain secret, long enough to be one"));
        let row = store(&endpoint, Some(&vault)).unwrap();
        for hidden in ["token", "plain secret", "hooks.example.com"] {
            assert!(!row.spec.contains(hidden), "{}", row.spec);
        }
        let back = load(row.clone(), Some(&vault)).unwrap();
        assert_eq!(format!("{back:?}"), format!("{endpoint:?}"));
        assert_eq!(back.spec.secret, endpoint.spec.secret);
        assert_eq!(back.spec.headers, endpoint.spec.headers);
        assert!(back.is_active());

        for key in [None, Some(for_tests(8))] {
            let back = load(row.clone(), key.as_ref()).unwrap();
            assert!(!back.is_active());
            assert!(back.halt.unwrap().reason.contains("secrets cannot be read"));
        }
    }

    #[test]
    fn secrets_are_refused_without_a_key_and_the_rest_is_not() {
        let error = store(&endpoint(Some("a plain secret, long enough to be one")), None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.advice().unwrap().contains("secret_key_file"), "{error}");
        let row = store(&endpoint(None), None).unwrap();
        assert_eq!(row.sealed, None);
        assert_eq!(load(row, None).unwrap().spec.url.path(), "/T0/B0/token");
    }
}
