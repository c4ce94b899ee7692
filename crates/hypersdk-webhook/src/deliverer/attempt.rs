//! One attempt, from the claim to the report.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::Inner;
use crate::delivery::{Answer, ClaimedDelivery, Report, Verdict, judge};
use crate::endpoint::{Endpoint, EndpointId};
use crate::payload::Message;

/// What the settler writes.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) report: Report,
    /// The endpoint is to be halted, for this reason.
    pub(super) halt: Option<(EndpointId, String)>,
}

/// Makes the attempt and hands over what came of it; returns the answer for the endpoint's pace.
pub(super) async fn run(
    inner: Arc<Inner>,
    endpoint: Arc<Endpoint>,
    claimed: ClaimedDelivery,
    reports: mpsc::Sender<Settled>,
) -> Option<Answer> {
    let delivery = &claimed.delivery;
    let message = Message {
        id: delivery.id.as_str(),
        event: &delivery.event,
        time: delivery.time,
        data: &delivery.data,
    };
    let began = inner.config.clock.now();
    inner.counters.began(&endpoint.id);
    let answer = tokio::select! {
        answer = inner.client.send(&endpoint.spec, &message, began) => Some(answer),
        () = inner.abandon.cancelled() => None,
    };
    let Some(answer) = answer else {
        inner.counters.ended(&endpoint.id, None, std::time::Duration::ZERO);
        let settled = Settled { report: claimed.release(), halt: None };
        let _ = reports.send(settled).await;
        return None;
    };
    let event = delivery.event.clone();
    let report = judge(claimed, &endpoint.spec, began, &answer, inner.config.clock.now(), fastrand::f64());
    inner.counters.ended(&endpoint.id, Some(report.verdict), answer.took);
    if answer.error.is_some() {
        say(&endpoint, &event, &report, &answer);
    }
    let halt = answer.is_gone().then(|| {
        let reason = "it answered 410 Gone; correct its url, or resume it".to_owned();
        (endpoint.id.clone(), reason)
    });
    // The settler outlives every attempt.
    let _ = reports.send(Settled { report, halt }).await;
    Some(answer)
}

/// The log's line about a failure.
fn say(endpoint: &Endpoint, event: &str, report: &Report, answer: &Answer) {
    let error = answer.error.as_deref().unwrap_or_default();
    let next = match report.verdict {
        Verdict::Retry(at) => format!("tried again at {}", at.format("%Y-%m-%dT%H:%M:%S%.3fZ")),
        _ => "given up".to_owned(),
    };
    tracing::warn!(
        webhook = %endpoint.id,
        target = %endpoint.spec.shown_origin(),
        event,
        delivery = %report.id,
        attempt = report.tries,
        millis = u64::try_from(answer.took.as_millis()).unwrap_or(u64::MAX),
        "webhook delivery failed: {error}; {next}"
    );
}
