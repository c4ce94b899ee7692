//! Where events go, and how.

mod input;
mod stored;

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use url::Url;

pub use input::{EndpointInput, Fault};
pub use stored::StoredEndpoint;
pub(crate) use stored::{load, store};

use crate::filter::EventFilter;
use crate::payload::Profile;
use crate::signature::Secret;

/// What is shown in place of a secret; given back, it means: leave the secret as it is.
pub const MASK: &str = "********";

/// The identifier of an endpoint: made up for those of the API, a name for those of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EndpointId(String);

impl EndpointId {
    /// A new identifier.
    pub fn generate() -> Self {
        EndpointId(format!("wh-{}", uuid::Uuid::now_v7()))
    }

    /// The identifier of an endpoint without a name: the same for the same URL, and nothing can be read from it.
    pub fn of_url(url: &Url) -> Self {
        let hash = ring::digest::digest(&ring::digest::SHA256, url.as_str().as_bytes());
        let hex: String = hash.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        EndpointId(format!("cfg-{hex}"))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EndpointId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let legal = (1..=64).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        match legal {
            true if text == "deliveries" => Err("deliveries is the name of a route; use another".to_owned()),
            true => Ok(EndpointId(text.to_owned())),
            false => Err(format!(
                "{text:?} is no name of a webhook: use 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or digit"
            )),
        }
    }
}

impl TryFrom<String> for EndpointId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<EndpointId> for String {
    fn from(id: EndpointId) -> String {
        id.0
    }
}

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for EndpointId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Who keeps an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The configuration: it is changed there.
    Config,
    /// The API: it lies in the store.
    Api,
}

/// What an endpoint is told to be.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointSpec {
    /// Where requests go.
    pub url: Url,
    /// What it wants to hear of.
    pub events: EventFilter,
    /// Headers that go along. Their values may be credentials and are kept like those.
    pub headers: Headers,
    /// How long one attempt may take, from the look-up of the name to the end of the answer.
    pub timeout: Duration,
    /// Further attempts after the first has failed.
    pub retry: u32,
    /// The wait before the first of them; it doubles each time, up to five minutes, give or take a quarter.
    pub retry_delay: Duration,
    /// Events are delivered; if not, none are kept for it either.
    pub enabled: bool,
    /// What requests are signed with.
    pub secret: Option<Secret>,
    /// A secret that is being replaced, which signs as well until an instant, or for as long as it is given.
    pub previous: Option<(Secret, Option<DateTime<Utc>>)>,
    /// The form of the body.
    pub profile: Profile,
    /// Addresses inside the network may be called.
    pub allow_private: bool,
    /// A text for people.
    pub description: Option<String>,
}

impl EndpointSpec {
    /// The secrets that sign at `now`, the newest first.
    pub fn secrets(&self, now: DateTime<Utc>) -> impl Iterator<Item = &Secret> {
        let previous = self.previous.as_ref().filter(|(_, until)| until.is_none_or(|until| now < until));
        self.secret.iter().chain(previous.map(|(secret, _)| secret))
    }

    /// The URL as it may be logged: a path may be a credential (those of chats are).
    pub fn shown_origin(&self) -> String {
        let port = self.url.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{}{port}", self.url.scheme(), self.url.host_str().unwrap_or_default())
    }

    /// The URL as it may be shown to whoever may read endpoints: whole, but for chats.
    pub fn shown_url(&self) -> String {
        if self.profile.is_chat() { format!("{}/{MASK}", self.shown_origin()) } else { self.url.to_string() }
    }
}

/// Headers whose values cannot be printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(pub(crate) Vec<(HeaderName, HeaderValue)>);

impl Headers {
    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

/// Why an endpoint that should work does not get anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halt {
    /// Since when.
    pub since: DateTime<Utc>,
    /// Why, for people.
    pub reason: String,
}

/// An endpoint.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Its identifier.
    pub id: EndpointId,
    /// Who keeps it.
    pub origin: Origin,
    /// What it is told to be.
    pub spec: EndpointSpec,
    /// Since when it gets events.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// Rises with each change.
    pub version: i64,
    /// It answered that it is gone, or its secrets cannot be read.
    pub halt: Option<Halt>,
}

impl Endpoint {
    /// An endpoint of the configuration.
    pub fn configured(id: EndpointId, spec: EndpointSpec) -> Self {
        Endpoint {
            id,
            origin: Origin::Config,
            spec,
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
            version: 0,
            halt: None,
        }
    }

    /// True if something may be sent to it.
    pub fn is_active(&self) -> bool {
        self.spec.enabled && self.halt.is_none()
    }

    /// True if it is to be told of an event of this name and time. What came while it was halted is kept for
    /// it; what came while it was disabled or not there is not.
    pub fn wants(&self, event: &str, time: DateTime<Utc>) -> bool {
        self.spec.enabled && self.spec.events.matches(event) && self.created_at <= time
    }
}
