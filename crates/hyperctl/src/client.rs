//! The daemon's REST API, as this program sees it: paths, JSON, and problems.
//!
//! A request that never reached the daemon is repeated a few times; one that may have is repeated only if
//! it changes nothing. Answers are read as plain JSON: what the daemon adds is shown, not refused.

mod problem;
mod tls;

use std::fmt;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderValue, IF_MATCH};
use reqwest::{Method, RequestBuilder};
use secrecy::ExposeSecret;
use serde_json::{Map, Value};
use url::Url;

pub(crate) use problem::{Problem, field_errors as problem_fields};

use crate::contexts::Connection;
use crate::failure::{Failure, chain};

/// How long a connection may take to come about.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// How long an answer may take: the daemon itself may have to ask a slow vCenter.
const ANSWER_PATIENCE: Duration = Duration::from_secs(120);
/// How much longer where the daemon reads a whole package before it answers.
const LONG_PATIENCE: Duration = Duration::from_secs(24 * 3600);
/// Repetitions of a request at most.
const REPETITIONS: usize = 3;
/// Attempts at a change that others keep being faster than.
const CHANGES: usize = 5;

/// A client of one daemon.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    authorization: Option<HeaderValue>,
}

/// What the daemon answered with.
struct Answer {
    status: u16,
    media_type: String,
    tag: Option<HeaderValue>,
    text: String,
}

/// Why there is no answer.
enum Attempt {
    /// The request never left.
    Unsent(String),
    /// It may have arrived.
    Lost(String),
}

impl Client {
    /// A client of the daemon that `connection` names.
    pub(crate) fn new(connection: &Connection) -> Result<Self, Failure> {
        let authorization = match &connection.token {
            None => None,
            Some(token) => {
                let mut value =
                    HeaderValue::from_str(&format!("Bearer {}", token.expose_secret())).map_err(|_| {
                        Failure::usage("the token has characters that no token has; set it again")
                    })?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::config(connection.ca_file.as_deref())?)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_PATIENCE)
            .user_agent(concat!("hyperctl/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Failure::usage(format!("build the HTTP client: {}", chain(&error))))?;
        Ok(Client { http, base: connection.url.clone(), authorization })
    }

    /// True if the daemon is on this machine, so that a path here is a path there.
    pub(crate) fn is_local(&self) -> bool {
        crate::contexts::is_loopback(&self.base)
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.call(Method::GET, path, None, ANSWER_PATIENCE).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call(Method::POST, path, Some(body), ANSWER_PATIENCE).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<Value, Failure> {
        self.call(Method::DELETE, path, None, ANSWER_PATIENCE).await
    }

    /// Puts a whole definition in the place of what is at `path`.
    pub(crate) async fn put(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call(Method::PUT, path, Some(body), ANSWER_PATIENCE).await
    }

    /// Changes a part of what is at `path` and leaves the rest as it is. If somebody else changes it at the
    /// same time, theirs is kept too: the change is made again to what is there then.
    pub(crate) async fn change(
        &self,
        path: &str,
        edit: impl Fn(&mut Map<String, Value>),
    ) -> Result<Value, Failure> {
        for attempt in 1.. {
            let (mut body, tag) = self.exchange(Method::GET, path, None, None, ANSWER_PATIENCE).await?;
            body.as_object_mut().map(&edit);
            match self.exchange(Method::PUT, path, Some(&body), tag, ANSWER_PATIENCE).await {
                Err(Failure::Refused(problem)) if problem.status == 412 && attempt < CHANGES => {}
                answer => return answer.map(|(json, _)| json),
            }
        }
        unreachable!("the last attempt returns")
    }

    /// A `POST` that reads a whole package before it answers.
    pub(crate) async fn post_patiently(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call(Method::POST, path, Some(body), LONG_PATIENCE).await
    }

    /// A `DELETE` that takes large files away before it answers.
    pub(crate) async fn delete_patiently(&self, path: &str) -> Result<Value, Failure> {
        self.call(Method::DELETE, path, None, LONG_PATIENCE).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        patience: Duration,
    ) -> Result<Value, Failure> {
        self.exchange(method, path, body, None, patience).await.map(|(json, _)| json)
    }

    /// Sends a request, and gives the answer with its tag. With `expected` it is carried out only if the
    /// thing still has that tag.
    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        expected: Option<HeaderValue>,
        patience: Duration,
    ) -> Result<(Value, Option<HeaderValue>), Failure> {
        let url = self.base.join(path.trim_start_matches('/')).map_err(|error| {
            Failure::usage(format!("{path} makes no address under {}: {error}", self.base))
        })?;
        let request = || {
            let mut request = self
                .http
                .request(method.clone(), url.clone())
                .header(ACCEPT, "application/json, application/problem+json")
                .timeout(patience);
            if let Some(authorization) = &self.authorization {
                request = request.header(AUTHORIZATION, authorization.clone());
            }
            if let Some(tag) = &expected {
                request = request.header(IF_MATCH, tag.clone());
            }
            match body {
                Some(body) => request.json(body),
                None => request,
            }
        };
        let safe = method == Method::GET;
        let policy = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_times(REPETITIONS)
            .with_jitter();
        let answer = (|| send(request()))
            .retry(policy)
            .when(|attempt| matches!(attempt, Attempt::Unsent(_)) || safe)
            .await;
        let Answer { status, media_type, tag, text } = answer.map_err(|attempt| self.unreachable(attempt))?;
        let json = media_type.ends_with("json").then(|| serde_json::from_str(&text).ok()).flatten();
        match (status, json) {
            (200..=299, Some(json)) => Ok((json, tag)),
            (200..=299, None) if text.trim().is_empty() => Ok((Value::Null, tag)),
            (200..=299, None) => Err(Failure::Unreachable(format!(
                "{} answers, but not as a HyperSDK daemon does ({media_type}); check the address",
                self.base
            ))),
            (status, json) => Err(Failure::Refused(Problem::read(status, json.as_ref(), &text))),
        }
    }

    fn unreachable(&self, attempt: Attempt) -> Failure {
        let base = self.base.as_str().trim_end_matches('/');
        Failure::Unreachable(match attempt {
            Attempt::Unsent(why) => format!(
                "no daemon can be reached at {base}: {why}\n  \
                 start one (`hypervisord demo` to try), or name another with --url, --context or HYPERCTL_URL"
            ),
            Attempt::Lost(why) => format!(
                "{base} gave no answer: {why}\n  the request may have been carried out; look before you repeat it"
            ),
        })
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.base.as_str().trim_end_matches('/'))
    }
}

async fn send(request: RequestBuilder) -> Result<Answer, Attempt> {
    let lost = |error: reqwest::Error| match error.is_connect() {
        true => Attempt::Unsent(chain(&error.without_url())),
        false => Attempt::Lost(chain(&error.without_url())),
    };
    let answer = request.send().await.map_err(lost)?;
    let media_type = answer
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or("no media type")
        .trim()
        .to_owned();
    let status = answer.status().as_u16();
    let tag = answer.headers().get(ETAG).cloned();
    Ok(Answer { status, media_type, tag, text: answer.text().await.map_err(lost)? })
}

/// One segment of a path, escaped.
pub(crate) fn segment(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => escaped.push(byte.into()),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

/// A path with the parameters that have a value.
pub(crate) fn with_query(path: &str, parameters: &[(&str, Option<String>)]) -> String {
    let set: Vec<String> = parameters
        .iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", segment(value.as_deref()?))))
        .collect();
    if set.is_empty() { path.to_owned() } else { format!("{path}?{}", set.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_segment_or_a_parameter_is_escaped() {
        assert_eq!(segment("/DC0/vm/a b"), "%2FDC0%2Fvm%2Fa%20b");
        let path = with_query("/vms", &[("name", Some("web*&x".into())), ("folder", None)]);
        assert_eq!(path, "/vms?name=web%2A%26x");
    }
}
