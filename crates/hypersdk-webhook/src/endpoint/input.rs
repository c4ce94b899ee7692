//! What people write about an endpoint, checked: the same rules for a configuration and for the API.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use url::Url;

use super::{EndpointSpec, Headers, MASK};
use crate::filter::EventFilter;
use crate::payload::Profile;
use crate::signature::Secret;
use crate::target;

const SHORTEST_TIMEOUT: Duration = Duration::from_millis(100);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(300);
const MOST_RETRIES: u32 = 100;
const SHORTEST_DELAY: Duration = Duration::from_millis(10);
const LONGEST_DELAY: Duration = Duration::from_secs(3600);
const MOST_HEADERS: usize = 32;
const LONGEST_URL: usize = 2048;

/// Headers that are not theirs to set.
const RESERVED: [&str; 9] = [
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
    "te",
    "trailer",
    "upgrade",
    "expect",
];

/// A field and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The field's path, e.g. `events[1]`.
    pub field: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl Fault {
    /// A fault of a field.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Fault { field: field.into(), message: message.into() }
    }
}

/// An endpoint as it is written; what is left out has its default.
#[derive(Clone, Default)]
pub struct EndpointInput {
    /// `url`
    pub url: Option<String>,
    /// `events`
    pub events: Option<Vec<String>>,
    /// `headers`
    pub headers: Vec<(String, String)>,
    /// `timeout`
    pub timeout: Option<Duration>,
    /// `retry`
    pub retry: Option<u32>,
    /// `retry_delay`
    pub retry_delay: Option<Duration>,
    /// `enabled`
    pub enabled: Option<bool>,
    /// `secret`
    pub secret: Option<String>,
    /// `previous_secret`
    pub previous_secret: Option<String>,
    /// `profile`
    pub profile: Option<String>,
    /// `template`
    pub template: Option<String>,
    /// `content_type`
    pub content_type: Option<String>,
    /// `allow_private`
    pub allow_private: Option<bool>,
    /// `description`
    pub description: Option<String>,
}

impl std::fmt::Debug for EndpointInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EndpointInput").field("events", &self.events).finish_non_exhaustive()
    }
}

impl EndpointInput {
    /// Checks everything. `current` is what the endpoint is so far: a secret or header given as
    /// [`MASK`] stays what it is there, and a secret that changes keeps signing until `rotation_ends`.
    /// `allow_private` is the default of the key of that name.
    ///
    /// # Errors
    /// Every field that is wrong.
    pub fn check(
        self,
        allow_private: bool,
        current: Option<&EndpointSpec>,
    ) -> Result<EndpointSpec, Vec<Fault>> {
        let mut faults = Vec::new();
        let allow_private = self.allow_private.unwrap_or(allow_private);
        let url = keep(&mut faults, "url", self.check_url(allow_private, current));
        let events = match self.events.as_deref() {
            None => EventFilter::all(),
            Some([]) => {
                faults.push(Fault::new(
                    "events",
                    "the list is empty; leave it out for all, or set enabled: false",
                ));
                EventFilter::all()
            }
            Some(patterns) => EventFilter::parse(patterns).unwrap_or_else(|wrong| {
                let wrong = wrong.into_iter();
                faults.extend(wrong.map(|(index, message)| Fault::new(format!("events[{index}]"), message)));
                EventFilter::all()
            }),
        };
        let headers = headers(&self.headers, current, &mut faults);
        let timeout = self.timeout.unwrap_or(Duration::from_secs(10));
        if !(SHORTEST_TIMEOUT..=LONGEST_TIMEOUT).contains(&timeout) {
            faults.push(Fault::new("timeout", "give 100ms to 5m, for one attempt; such as 10s"));
        }
        let retry = self.retry.unwrap_or(3);
        if retry > MOST_RETRIES {
            faults.push(Fault::new("retry", format!("give 0 to {MOST_RETRIES}")));
        }
        let retry_delay = self.retry_delay.unwrap_or(Duration::from_secs(1));
        if !(SHORTEST_DELAY..=LONGEST_DELAY).contains(&retry_delay) {
            faults.push(Fault::new(
                "retry_delay",
                "give 10ms to 1h, the wait before the first retry; such as 1s",
            ));
        }
        let secret = match self.secret.as_deref() {
            None | Some("") => None,
            Some(MASK) => current.and_then(|current| current.secret.clone()),
            Some(text) => keep(&mut faults, "secret", Secret::parse(text)),
        };
        let previous = match self.previous_secret.as_deref() {
            None | Some("") => None,
            Some(text) => {
                keep(&mut faults, "previous_secret", Secret::parse(text)).map(|secret| (secret, None))
            }
        };
        if previous.is_some() && secret.is_none() {
            faults.push(Fault::new("previous_secret", "has no meaning without secret"));
        }
        let profile =
            Profile::parse(self.profile.as_deref(), self.template.as_deref(), self.content_type.as_deref());
        let profile = profile.map_err(|fault| faults.push(fault)).ok();
        let description = self.description.filter(|text| !text.is_empty());
        if description.as_ref().is_some_and(|text| text.len() > 1024) {
            faults.push(Fault::new("description", "is longer than 1024 bytes"));
        }
        match (url, profile) {
            (Some(url), Some(profile)) if faults.is_empty() => Ok(EndpointSpec {
                url,
                events,
                headers,
                timeout,
                retry,
                retry_delay,
                enabled: self.enabled.unwrap_or(true),
                secret,
                previous,
                profile,
                allow_private,
                description,
            }),
            _ => Err(faults),
        }
    }

    fn check_url(&self, allow_private: bool, current: Option<&EndpointSpec>) -> Result<Url, String> {
        const HINT: &str = "write https://host/path";
        let text = self.url.as_deref().ok_or_else(|| format!("is missing: {HINT}"))?.trim();
        // What was shown in place of a chat's URL means that URL.
        if let Some(current) =
            current.filter(|current| current.profile.is_chat() && current.shown_url() == text)
        {
            return Ok(current.url.clone());
        }
        if text.len() > LONGEST_URL {
            return Err(format!("is longer than {LONGEST_URL} bytes"));
        }
        // The text itself is not repeated: it may hold a credential.
        let url = Url::parse(text).map_err(|error| format!("is no URL ({error}); {HINT}"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return Err(format!("is no http or https URL; {HINT}"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("has a login in it; give an Authorization header in headers instead".to_owned());
        }
        if url.fragment().is_some() {
            return Err("has a fragment (#...), which is never sent; leave it out".to_owned());
        }
        if url.port() == Some(0) {
            return Err("has port 0, which nobody answers at".to_owned());
        }
        if !allow_private {
            target::check_url(&url)?;
        }
        Ok(url)
    }
}

fn keep<T>(faults: &mut Vec<Fault>, field: &str, result: Result<T, String>) -> Option<T> {
    result.map_err(|message| faults.push(Fault::new(field, message))).ok()
}

fn headers(written: &[(String, String)], current: Option<&EndpointSpec>, faults: &mut Vec<Fault>) -> Headers {
    let mut headers = Headers::default();
    if written.len() > MOST_HEADERS {
        faults.push(Fault::new("headers", format!("there are more than {MOST_HEADERS}")));
        return headers;
    }
    for (name, value) in written {
        let field = format!("headers.{name}");
        let Ok(parsed) = HeaderName::from_bytes(name.as_bytes()) else {
            faults.push(Fault::new(field, "is no header's name: letters, digits and - only"));
            continue;
        };
        if RESERVED.contains(&parsed.as_str()) {
            faults.push(Fault::new(field, "is set by the delivery itself; leave it out"));
            continue;
        }
        if parsed.as_str().starts_with("webhook-") {
            faults.push(Fault::new(
                field,
                "is a header of Standard Webhooks, set by the delivery; leave it out",
            ));
            continue;
        }
        if headers.0.iter().any(|(known, _)| *known == parsed) {
            faults.push(Fault::new(field, "is given twice"));
            continue;
        }
        let kept = current.filter(|_| value == MASK);
        let kept = kept.and_then(|current| current.headers.0.iter().find(|(known, _)| *known == parsed));
        let value = match kept {
            Some((_, value)) => Ok(value.clone()),
            None => HeaderValue::from_str(value),
        };
        match value {
            Ok(mut value) => {
                value.set_sensitive(true);
                headers.0.push((parsed, value));
            }
            Err(_) => {
                faults.push(Fault::new(field, "has a value with line feeds or other control characters"))
            }
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(url: &str) -> EndpointInput {
        EndpointInput { url: Some(url.to_owned()), ..EndpointInput::default() }
    }

    fn fields(input: EndpointInput) -> Vec<String> {
        input.check(false, None).unwrap_err().into_iter().map(|fault| fault.field).collect()
    }

    #[test]
    fn what_is_left_out_has_the_defaults_of_the_contract() {
        let spec = input("https://hooks.example.com/x").check(false, None).unwrap();
        assert_eq!(spec.timeout, Duration::from_secs(10));
        assert_eq!((spec.retry, spec.enabled, spec.allow_private), (3, true, false));
        assert_eq!(spec.events.patterns(), ["*"]);
        assert!(spec.secret.is_none() && spec.headers.is_empty());
    }

    #[test]
    fn a_bad_url_is_refused_with_the_field() {
        for url in [
            "",
            "hooks.example.com",
            "ftp://x/y",
            "https://",
            "https://u:p@x.example/",
            "https://x.example/#a",
            "http://127.0.0.1/",
            "http://169.254.169.254/",
            "http://localhost:8080/",
            "https://x:0/",
            "http://[::1]/",
        ] {
            assert_eq!(fields(input(url)), ["url"], "{url}");
        }
        assert_eq!(fields(EndpointInput::default()), ["url"]);
        let error = input("https://user:hunter2@x.example/").check(false, None).unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"));
        assert!(input("http://127.0.0.1:9/").check(true, None).is_ok());
        let own = EndpointInput { allow_private: Some(true), ..input("http://127.0.0.1:9/") };
        assert!(own.check(false, None).is_ok());
    }

    #[test]
    fn every_wrong_field_is_named_at_once() {
        let wrong = EndpointInput {
            events: Some(vec!["job.*".into(), "job.finished".into()]),
            headers: [
                ("X Y", "a"),
                ("X-Ok", "a"),
                ("Content-Type", "x"),
                ("webhook-id", "x"),
                ("X-Bad", "a\nb"),
                ("x-ok", "b"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
            timeout: Some(Duration::ZERO),
            retry: Some(101),
            secret: Some("short".into()),
            profile: Some("slak".into()),
            ..input("nonsense")
        };
        assert_eq!(
            fields(wrong),
            [
                "url",
                "events[1]",
                "headers.X Y",
                "headers.Content-Type",
                "headers.webhook-id",
                "headers.X-Bad",
                "headers.x-ok",
                "timeout",
                "retry",
                "secret",
                "profile"
            ]
        );
    }

    #[test]
    fn a_mask_means_what_was_there() {
        let first = EndpointInput {
            headers: vec![("Authorization".into(), "Bearer abc".into())],
            secret: Some("a plain secret, long enough to be one".into()),
            ..input("https://x.example/")
        };
        let first = first.check(false, None).unwrap();
        let again = EndpointInput {
            headers: vec![("authorization".into(), MASK.into())],
            secret: Some(MASK.into()),
            ..input("https://y.example/")
        };
        let again = again.check(false, Some(&first)).unwrap();
        assert_eq!((again.secret, again.headers), (first.secret, first.headers));
    }
}
