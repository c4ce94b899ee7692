//! `Idempotency-Key`: a request that is sent again is not carried out again.
//!
//! The key is noted before the request is carried out and its answer is kept after that, each in a write of
//! its own. Between them the process may die, so the jobs of such a request have identifiers that follow from
//! the key: carried out again, it finds them.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hypersdk_core::{JobId, KeptAnswer, Replay};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::ApiState;
use super::problem::{FieldError, Problem};
use crate::auth::Identity;

/// The header, <https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>.
const NAME: &str = "idempotency-key";
/// Tells an answer that is given again.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// The longest key.
const LONGEST: usize = 255;

/// A key of somebody's, for one kind of request.
#[derive(Debug)]
pub(super) struct Key {
    digest: String,
    fingerprint: String,
    /// It was noted before, and no answer was kept.
    pub(super) is_begun: bool,
}

/// What is to be done.
pub(super) enum Course {
    /// Carry it out, and keep the answer under the key if there is one.
    CarryOut(Option<Key>),
    /// This was the answer.
    Again(Response),
}

/// Looks up the key of a request, if it has one.
pub(super) async fn course(
    state: &ApiState,
    identity: &Identity,
    headers: &HeaderMap,
    body: &Value,
) -> Result<Course, Problem> {
    let Some(value) = headers.get(NAME) else { return Ok(Course::CarryOut(None)) };
    let text = value.to_str().unwrap_or_default();
    if text.is_empty() || text.len() > LONGEST {
        let message = format!("expected 1 to {LONGEST} visible ASCII characters");
        return Err(Problem::invalid(vec![FieldError::new("Idempotency-Key", message)]));
    }
    // One person's key is another's surprise.
    let digest = hex(&format!("{}\0{text}", identity.name));
    let fingerprint = hex(&body.to_string());
    let found = state.replays.begin(&digest, &fingerprint).await?;
    let key = |is_begun| Course::CarryOut(Some(Key { digest, fingerprint, is_begun }));
    match found {
        Replay::New => Ok(key(false)),
        Replay::Begun => Ok(key(true)),
        Replay::Other => {
            let message = "was used for another request before; choose a new one for each request";
            Err(Problem::invalid(vec![FieldError::new("Idempotency-Key", message)]))
        }
        Replay::Answered(KeptAnswer { status, body }) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::ACCEPTED);
            let json = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            Ok(Course::Again(
                (status, [json, (REPLAYED, HeaderValue::from_static("true"))], body).into_response(),
            ))
        }
    }
}

impl Key {
    /// The identifier of the job at this place of the request.
    pub(super) fn job(&self, index: usize) -> JobId {
        let digest = hex(&format!("{}\0{}\0{index}", self.digest, self.fingerprint));
        format!("job-{}", &digest[..32]).parse().expect("letters and digits")
    }

    /// Keeps the answer.
    pub(super) async fn finish(&self, state: &ApiState, status: StatusCode, body: &impl serde::Serialize) {
        let body = serde_json::to_string(body).expect("an answer is always JSON");
        let answer = KeptAnswer { status: status.as_u16(), body };
        // Without it the request is carried out again, and finds its jobs.
        if let Err(error) = state.replays.finish(&self.digest, &answer).await {
            tracing::warn!("keep answer: {}", error.chain());
        }
    }

    /// Forgets the key: nothing was done, so it may be tried again.
    pub(super) async fn forget(&self, state: &ApiState) {
        if let Err(error) = state.replays.forget(&self.digest).await {
            tracing::warn!("forget key: {}", error.chain());
        }
    }
}

fn hex(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}
