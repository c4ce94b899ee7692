//! `GET /jobs/{id}/events`: a job's events as they happen.
//!
//! A cursor over the event log, so a client that comes back with `Last-Event-ID` misses nothing. Between
//! the events, progress is sampled; it has no position and is not repeated. The stream ends after the
//! event that ends the job, or when the daemon stops.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use axum::routing::get;
use futures::stream::{self, Stream};
use hypersdk_core::{Event, EventKind, JobId, JobStatus, Outcome, Progress, Seq};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior};

use super::ApiState;
use super::extract::{JobPath, Params};
use super::model::{ProgressView, ResultView};
use super::problem::{FieldError, Problem};

/// Events read at once.
const BATCH: usize = 100;
/// How often progress is looked at.
const SAMPLE: Duration = Duration::from_millis(500);
/// How often a silent stream shows that it lives.
const HEARTBEAT: Duration = Duration::from_secs(15);

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/jobs/{id}/events", get(events))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventParams {
    last_event_id: Option<String>,
}

async fn events(
    State(state): State<ApiState>,
    JobPath(id): JobPath,
    Params(params): Params<EventParams>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Message, Infallible>>>, Problem> {
    let job = super::jobs::find(&state, &id).await?;
    let header = headers.get("last-event-id").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let after = match header.or(params.last_event_id) {
        Some(text) => Seq(text.trim().parse().map_err(|_| {
            Problem::invalid(vec![FieldError::new("Last-Event-ID", "expected the id of an event")])
        })?),
        None => Seq::START,
    };
    let cursor = Cursor::new(state, id, after, job.status);
    let stream = stream::unfold(cursor, |mut cursor| async move {
        let message = cursor.next().await?;
        Some((Ok(message), cursor))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

/// A position in one job's part of the log.
struct Cursor {
    state: ApiState,
    job: JobId,
    after: Seq,
    grown: watch::Receiver<Seq>,
    read: VecDeque<Event>,
    shown: Option<Progress>,
    sample: Interval,
    /// The job's end has been seen: what is in the log now is all there will be.
    ended: bool,
}

impl Cursor {
    fn new(state: ApiState, job: JobId, after: Seq, status: JobStatus) -> Self {
        let grown = state.manager.store().latest();
        let mut sample = tokio::time::interval(SAMPLE);
        sample.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Cursor {
            state,
            job,
            after,
            grown,
            read: VecDeque::new(),
            shown: None,
            sample,
            ended: status.is_final(),
        }
    }

    /// The next message, or `None` at the end.
    async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(event) = self.read.pop_front() {
                self.after = event.seq;
                self.ended |= is_end(event.kind);
                return Some(event_message(&event));
            }
            // Noted before reading, so that what is written meanwhile wakes the wait below.
            self.grown.borrow_and_update();
            match self.state.manager.store().read_after(self.after, Some(&self.job), BATCH).await {
                Ok(events) => self.read.extend(events),
                Err(error) => {
                    tracing::error!(job = %self.job, "read events: {}", error.chain());
                    return None;
                }
            }
            if !self.read.is_empty() {
                continue;
            }
            if self.ended {
                return None;
            }
            tokio::select! {
                changed = self.grown.changed() => changed.ok()?,
                () = self.state.stopping.cancelled() => return None,
                _ = self.sample.tick() => {
                    if let Some(message) = self.new_progress() {
                        return Some(message);
                    }
                }
            }
        }
    }

    fn new_progress(&mut self) -> Option<Message> {
        let progress = self.state.manager.watch_progress(&self.job)?.borrow().clone();
        if self.shown.as_ref() == Some(&progress) {
            return None;
        }
        let message = message(
            "job.progress",
            &json!({ "job_id": self.job, "progress": ProgressView::from(&progress) }),
        );
        self.shown = Some(progress);
        Some(message)
    }
}

fn is_end(kind: EventKind) -> bool {
    matches!(kind, EventKind::JobCompleted | EventKind::JobFailed | EventKind::JobCancelled)
}

fn event_message(event: &Event) -> Message {
    let mut data = event.data.clone();
    // The log keeps an outcome in the core's words; here a result looks as it does in its job.
    if let Some(result) = data.get_mut("result")
        && let Ok(outcome) = serde_json::from_value::<Outcome>(result.take())
    {
        *result = json!(ResultView::from(&outcome));
    }
    let body = json!({ "event": event.kind.as_str(), "timestamp": event.time, "data": data });
    message(event.kind.as_str(), &body).id(event.seq.to_string())
}

fn message(name: &str, body: &serde_json::Value) -> Message {
    Message::default().event(name).data(body.to_string())
}
