//! What a client knows of a thing already: `If-None-Match` spares it the answer, `If-Match` keeps it from undoing a
//! change that it has not seen.
//!
//! A tag is `"VERSION-DIGEST"`: the version of the definition, which rises with every change somebody makes, and a
//! digest of the answer, which also tells what happened since (a run, a delivery). Answers are compared by the whole
//! tag. Changes are compared by the version alone: that a schedule fired since it was looked at is no reason to
//! refuse its new definition.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::IntoParams;

use super::problem::Problem;

/// For the document: a look that may be spared.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes what `Known` takes from the headers")]
pub(super) struct LookHeaders {
    /// The `ETag` of an earlier answer: if it is still the same, 304 without a body
    #[param(rename = "If-None-Match")]
    if_none_match: Option<String>,
}

/// For the document: a change under a condition.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes what `Known` takes from the headers")]
pub(super) struct ChangeHeaders {
    /// The `ETag` that was shown: if somebody has changed it since, 412 and nothing is done
    #[param(rename = "If-Match")]
    if_match: Option<String>,
}

/// The conditions of a request.
#[derive(Debug, Default)]
pub(super) struct Known {
    shown: Option<String>,
    expected: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Known {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // What is no text names no tag, so it matches nothing.
        let list = |name: HeaderName| {
            let values = parts.headers.get_all(name);
            let texts: Vec<&str> = values.iter().map(|value| value.to_str().unwrap_or_default()).collect();
            (!texts.is_empty()).then(|| texts.join(","))
        };
        Ok(Known { shown: list(header::IF_NONE_MATCH), expected: list(header::IF_MATCH) })
    }
}

impl Known {
    /// Whether a change of what is at `version` may go on, and the version that it must then still be at.
    ///
    /// # Errors
    /// 412 with what to do at `path`.
    pub(super) fn expects(&self, version: i64, path: &str) -> Result<Option<i64>, Problem> {
        let Some(expected) = &self.expected else { return Ok(None) };
        for tag in tags(expected) {
            match version_of(tag) {
                _ if tag == "*" => return Ok(None),
                Some(known) if known == version => return Ok(Some(version)),
                _ => {}
            }
        }
        Err(outdated(path))
    }

    /// The answer to a look.
    pub(super) fn answer<T: Serialize>(&self, version: i64, view: &T) -> Response {
        self.answer_about(version, view, view)
    }

    /// The answer to a look at something that `essence` is all there is to say of, but for the time of day.
    pub(super) fn answer_about<E: Serialize, T: Serialize>(
        &self,
        version: i64,
        essence: &E,
        view: &T,
    ) -> Response {
        let Ok(tag) = tag(version, essence) else { return unwritable() };
        let known = self.shown.as_ref().is_some_and(|shown| {
            tags(shown).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
        });
        if known {
            return (StatusCode::NOT_MODIFIED, headers(&tag)).into_response();
        }
        respond(StatusCode::OK, &tag, view)
    }
}

/// The answer to a change, with the tag that the next one may name.
pub(super) fn changed<T: Serialize>(status: StatusCode, version: i64, view: &T) -> Response {
    match tag(version, view) {
        Ok(tag) => respond(status, &tag, view),
        Err(_) => unwritable(),
    }
}

/// Somebody has changed it meanwhile.
pub(super) fn outdated(path: &str) -> Problem {
    let detail = format!(
        "it is not what If-Match names any more: look again at GET {path}, make your change to what is there now, \
         and send its ETag"
    );
    Problem::new(StatusCode::PRECONDITION_FAILED, detail)
}

fn respond<T: Serialize>(status: StatusCode, tag: &str, view: &T) -> Response {
    (status, headers(tag), axum::Json(view)).into_response()
}

/// A browser asks each time whether what it has is still the newest.
fn headers(tag: &str) -> [(HeaderName, HeaderValue); 2] {
    let tag = HeaderValue::from_str(tag).expect("a number and hexadecimal");
    [(header::ETAG, tag), (header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))]
}

fn tag<T: Serialize>(version: i64, essence: &T) -> serde_json::Result<String> {
    let digest = Sha256::digest(serde_json::to_vec(essence)?);
    Ok(format!("\"{version}-{}\"", hex::encode(&digest[..8])))
}

fn unwritable() -> Response {
    Problem::internal("an answer cannot be written as JSON").into_response()
}

/// The tags of a list. None of ours has a comma in it.
fn tags(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim)
}

/// The version in a strong tag of ours.
fn version_of(tag: &str) -> Option<i64> {
    tag.strip_prefix('"')?.strip_suffix('"')?.split_once('-')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expecting(tag: &str) -> Known {
        Known { expected: Some(tag.to_owned()), shown: None }
    }

    fn showing(tag: &str) -> StatusCode {
        Known { shown: Some(tag.to_owned()), expected: None }.answer(3, &"same").status()
    }

    #[test]
    fn a_change_goes_by_the_version_alone_and_only_by_a_strong_tag() {
        assert_eq!(Known::default().expects(3, "/x").unwrap(), None);
        assert_eq!(expecting("\"3-00\"").expects(3, "/x").unwrap(), Some(3));
        assert_eq!(expecting("\"2-00\", \"3-11\"").expects(3, "/x").unwrap(), Some(3));
        assert_eq!(expecting("*").expects(3, "/x").unwrap(), None);
        for tag in ["\"2-00\"", "W/\"3-00\"", "3", "", "\"\"", "\"x-3\""] {
            let problem = expecting(tag).expects(3, "/x").unwrap_err();
            assert_eq!(problem.status(), StatusCode::PRECONDITION_FAILED, "{tag}");
        }
    }

    #[test]
    fn a_look_is_spared_only_if_all_of_the_answer_is_the_same() {
        let tag = tag(3, &"same").unwrap();
        let other = super::tag(3, &"another").unwrap();
        assert_eq!(showing(&tag), StatusCode::NOT_MODIFIED);
        assert_eq!(showing(&format!("W/{tag}")), StatusCode::NOT_MODIFIED);
        assert_eq!(showing(&format!("{other}, {tag}")), StatusCode::NOT_MODIFIED);
        for other in [other.as_str(), "\"3\"", ""] {
            assert_eq!(showing(other), StatusCode::OK, "{other}");
        }
    }
}
