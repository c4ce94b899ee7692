//! One attempt over HTTP: signed, bounded in time and size, to an address that may be called.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use hypersdk_core::{Error, ErrorKind, Result};
use tokio::time::Instant;

use crate::delivery::Answer;
use crate::endpoint::EndpointSpec;
use crate::payload::{Message, Payload};
use crate::signature::signature;
use crate::target;

/// So much of an answer's body is read.
const BODY_LIMIT: usize = 4 << 10;
const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// Sends. Connections are kept and used again, by host.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    guarded: reqwest::Client,
    trusting: reqwest::Client,
}

/// What is sent, as it may be shown.
#[derive(Debug, Clone)]
pub struct Request {
    /// The headers; values that may be credentials are marked as sensitive.
    pub headers: HeaderMap,
    /// The body.
    pub payload: Payload,
}

impl Client {
    /// # Errors
    /// The system's authorities cannot be read, or TLS cannot be set up.
    pub(crate) fn new(idle_per_host: usize) -> Result<Self> {
        let tls = tls()?;
        let build = |guarded: bool| {
            let mut builder = reqwest::Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .http1_only()
                .redirect(reqwest::redirect::Policy::none())
                .referer(false)
                // A proxy would choose the address.
                .no_proxy()
                .retry(reqwest::retry::never())
                .tcp_nodelay(true)
                .tcp_keepalive(Duration::from_secs(30))
                // A connection that its server is about to close must not take a message along.
                .pool_idle_timeout(Duration::from_secs(10))
                .pool_max_idle_per_host(idle_per_host)
                .user_agent(concat!("hypersdk/", env!("CARGO_PKG_VERSION")));
            if guarded {
                builder = builder.dns_resolver(target::guarded());
            }
            builder
                .build()
                .map_err(|error| Error::new(ErrorKind::Internal, "build HTTP client", chain(&error)))
        };
        Ok(Client { guarded: build(true)?, trusting: build(false)? })
    }

    /// Makes one attempt. Never fails: what went wrong is the answer.
    pub(crate) async fn send(
        &self,
        spec: &EndpointSpec,
        message: &Message<'_>,
        now: DateTime<Utc>,
    ) -> Answer {
        let begun = Instant::now();
        let mut answer = match tokio::time::timeout(spec.timeout, self.exchange(spec, message, now)).await {
            Ok(answer) => answer,
            Err(_) => failure(format!("no answer within {:?}", spec.timeout)),
        };
        answer.took = begun.elapsed();
        answer
    }

    async fn exchange(&self, spec: &EndpointSpec, message: &Message<'_>, now: DateTime<Utc>) -> Answer {
        if !spec.allow_private
            && let Err(reason) = target::check_url(&spec.url)
        {
            return failure(format!("url {reason}"));
        }
        let Request { headers, payload } = match request(spec, message, now) {
            Ok(request) => request,
            Err(error) => return failure(error),
        };
        let client = if spec.allow_private { &self.trusting } else { &self.guarded };
        let response = client.post(spec.url.clone()).headers(headers).body(payload.body).send().await;
        let mut response = match response {
            Ok(response) => response,
            Err(error) => return failure(explain(&error)),
        };
        let status = response.status();
        let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|value| wait(value, now));
        let location = response.headers().get(header::LOCATION).is_some();
        // The status has decided; a body that does not come changes nothing.
        let read = tokio::time::timeout(Duration::from_secs(2).min(spec.timeout / 2), body(&mut response));
        let body = read.await.unwrap_or_default();
        let error = match status {
            _ if status.is_success() => None,
            StatusCode::GONE => Some("answered 410 Gone: nobody is there any more".to_owned()),
            _ if status.is_redirection() && location => {
                Some(format!("answered {status}: redirects are not followed; give the final address as url"))
            }
            _ => Some(format!("answered {status}")),
        };
        Answer { status: Some(status.as_u16()), retry_after, body, error, took: Duration::ZERO }
    }
}

/// What is sent for a message at `now`.
///
/// # Errors
/// A template fails.
pub fn request(spec: &EndpointSpec, message: &Message<'_>, now: DateTime<Utc>) -> Result<Request, String> {
    let payload = spec.profile.render(message)?;
    let mut headers = HeaderMap::with_capacity(spec.headers.0.len() + 4);
    let value = |text: &str| HeaderValue::from_str(text).map_err(|_| format!("{text:?} is no header"));
    for (name, value) in &spec.headers.0 {
        headers.insert(name.clone(), value.clone());
    }
    headers.insert(header::CONTENT_TYPE, value(&payload.content_type)?);
    headers.insert(ID, value(message.id)?);
    headers.insert(TIMESTAMP, HeaderValue::from(now.timestamp()));
    if let Some(signed) = signature(spec.secrets(now), message.id, now, &payload.body) {
        headers.insert(SIGNATURE, value(&signed)?);
    }
    Ok(Request { headers, payload })
}

fn failure(error: String) -> Answer {
    Answer { error: Some(error), ..Answer::default() }
}

/// The beginning of the body. A longer one is not read to its end, and its connection not used again.
async fn body(response: &mut reqwest::Response) -> Option<String> {
    let mut read = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = BODY_LIMIT - read.len();
        read.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if read.len() == BODY_LIMIT {
            break;
        }
    }
    (!read.is_empty()).then(|| String::from_utf8_lossy(&read).into_owned())
}

/// `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3).
fn wait(value: &HeaderValue, now: DateTime<Utc>) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::parse_from_rfc2822(text).ok()?;
    Some((date.to_utc() - now).to_std().unwrap_or_default())
}

/// The causes of an error, without the URL: its path may be a credential.
fn explain(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    let mut parts: Vec<String> = Vec::new();
    while let Some(error) = cause {
        let part = error.to_string();
        if !parts.iter().any(|known| known.contains(&part)) {
            parts.push(part);
        }
        cause = error.source();
    }
    let what = if error.is_connect() { "cannot connect" } else { "the connection broke" };
    if parts.is_empty() { what.to_owned() } else { format!("{what}: {}", parts.join(": ")) }
}

fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

fn tls() -> Result<rustls::ClientConfig> {
    let failed = |error: rustls::Error| Error::new(ErrorKind::Internal, "set up TLS", error.to_string());
    let mut roots = rustls::RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!("certificate authorities of the system: {error}");
    }
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        tracing::warn!(
            "no certificate authorities were found: webhooks over https will fail; install ca-certificates"
        );
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_seconds_or_a_date() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let read = |text: &str| wait(&HeaderValue::from_str(text).unwrap(), now);
        assert_eq!(read("120"), Some(Duration::from_secs(120)));
        assert_eq!(read("Fri, 15 Jan 2027 08:00:30 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(read("Fri, 15 Jan 2027 07:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(read("soon"), None);
    }
}
