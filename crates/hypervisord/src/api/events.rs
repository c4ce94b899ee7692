//! `GET /jobs/{id}/events` and `GET /events`: what happens, as it happens.
//!
//! A cursor over the event log, so a client that comes back with `Last-Event-ID` misses nothing. Between
//! the events, progress is sampled; it has no position and is not repeated. A job's stream ends after the
//! event that ends the job, and any when the daemon stops. Nothing is kept for a client that reads slowly: it
//! is its own cursor that falls behind, and the server closes connections that take nothing.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use futures::stream::{self, Stream};
use hypersdk_core::{Event, EventKind, JobId, Outcome, Progress, Seq};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

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

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(events)).routes(routes!(all_events))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EventParams {
    /// As the header `Last-Event-ID`, which goes before it
    last_event_id: Option<String>,
}

/// One event of a stream.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what a message is made of")]
struct StreamEvent {
    /// `job.created`, `job.progress`, ...
    event: String,
    /// JSON: `event`, `timestamp` and `data`; of `job.progress`, `job_id` and `progress`
    data: String,
    /// Its position in the log; what is not in the log has none
    #[schema(required = false)]
    id: String,
}

/// A job's events as they happen
///
/// Server-sent events. Those of the log have an `id`; one that is sent back as `Last-Event-ID` goes on behind it.
#[utoipa::path(get, path = "/jobs/{id}/events", tag = "jobs", params(("id" = String, Path, description = "The job"), EventParams), responses(
    (status = 200, body = StreamEvent, content_type = "text/event-stream", description = "Until the job has ended"),
))]
async fn events(
    State(state): State<ApiState>,
    JobPath(id): JobPath,
    Params(params): Params<EventParams>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Message, Infallible>>>, Problem> {
    let job = super::jobs::find(&state, &id).await?;
    let after = last_seen(&headers, params)?.unwrap_or(Seq::START);
    Ok(answer(Cursor::new(state, Some(id), after, job.status.is_final())))
}

/// All events as they happen
///
/// Server-sent events, from now on, or behind `Last-Event-ID`.
#[utoipa::path(get, path = "/events", tag = "jobs", params(EventParams), responses(
    (status = 200, body = StreamEvent, content_type = "text/event-stream", description = "Without end"),
))]
async fn all_events(
    State(state): State<ApiState>,
    Params(params): Params<EventParams>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Message, Infallible>>>, Problem> {
    let after = last_seen(&headers, params)?.unwrap_or(*state.manager.store().latest().borrow());
    Ok(answer(Cursor::new(state, None, after, false)))
}

fn last_seen(headers: &HeaderMap, params: EventParams) -> Result<Option<Seq>, Problem> {
    let header = headers.get("last-event-id").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let Some(text) = header.or(params.last_event_id) else { return Ok(None) };
    let wrong = |_| Problem::invalid(vec![FieldError::new("Last-Event-ID", "expected the id of an event")]);
    text.trim().parse().map(|number| Some(Seq(number))).map_err(wrong)
}

fn answer(cursor: Cursor) -> Sse<impl Stream<Item = Result<Message, Infallible>>> {
    let stream = stream::unfold(cursor, |mut cursor| async move {
        let message = cursor.next().await?;
        Some((Ok(message), cursor))
    });
    Sse::new(stream).keep_alive(KeepAlive::new().interval(HEARTBEAT))
}

/// A position in the log, or in one job's part of it.
struct Cursor {
    state: ApiState,
    job: Option<JobId>,
    after: Seq,
    grown: watch::Receiver<Seq>,
    read: VecDeque<Event>,
    /// The progress that was shown last.
    shown: HashMap<JobId, Progress>,
    /// Progress that is to be shown.
    samples: VecDeque<(JobId, Progress)>,
    sample: Interval,
    /// The job's end has been seen: what is in the log now is all there will be.
    ended: bool,
}

impl Cursor {
    fn new(state: ApiState, job: Option<JobId>, after: Seq, ended: bool) -> Self {
        let grown = state.manager.store().latest();
        let mut sample = tokio::time::interval(SAMPLE);
        sample.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Cursor {
            state,
            job,
            after,
            grown,
            read: VecDeque::new(),
            shown: HashMap::new(),
            samples: VecDeque::new(),
            sample,
            ended,
        }
    }

    /// The next message, or `None` at the end.
    async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(event) = self.read.pop_front() {
                self.after = event.seq;
                self.ended |= self.job.is_some() && is_end(event.kind);
                return Some(event_message(&event));
            }
            if let Some((job, progress)) = self.samples.pop_front() {
                let body = json!({ "job_id": job, "progress": ProgressView::from(&progress) });
                self.shown.insert(job, progress);
                return Some(message("job.progress", &body));
            }
            // Noted before reading, so that what is written meanwhile wakes the wait below.
            self.grown.borrow_and_update();
            match self.state.manager.store().read_after(self.after, self.job.as_ref(), BATCH).await {
                Ok(events) => self.read.extend(events),
                Err(error) => {
                    tracing::error!("read events: {}", error.chain());
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
                _ = self.sample.tick() => self.look(),
            }
        }
    }

    /// Notes the progress that has not been shown.
    fn look(&mut self) {
        let manager = &self.state.manager;
        let now = match &self.job {
            Some(job) => manager
                .watch_progress(job)
                .map(|progress| (job.clone(), progress.borrow().clone()))
                .into_iter()
                .collect(),
            None => manager.progress_of_running(),
        };
        self.shown.retain(|job, _| now.iter().any(|(running, _)| running == job));
        self.samples.extend(now.into_iter().filter(|(job, progress)| self.shown.get(job) != Some(progress)));
    }
}

fn is_end(kind: EventKind) -> bool {
    matches!(kind, EventKind::JobCompleted | EventKind::JobFailed | EventKind::JobCancelled)
}

/// What an event says. The log keeps an outcome in the core's words; to the outside a result looks as it does
/// in its job.
pub(crate) fn shaped_data(event: &Event) -> Value {
    let mut data = event.data.clone();
    if let Some(result) = data.get_mut("result")
        && let Ok(outcome) = serde_json::from_value::<Outcome>(result.take())
    {
        *result = json!(ResultView::from(&outcome));
    }
    data
}

fn event_message(event: &Event) -> Message {
    let data = shaped_data(event);
    let body = json!({ "event": event.kind.as_str(), "timestamp": event.time, "data": data });
    message(event.kind.as_str(), &body).id(event.seq.to_string())
}

fn message(name: &str, body: &serde_json::Value) -> Message {
    Message::default().event(name).data(body.to_string())
}
