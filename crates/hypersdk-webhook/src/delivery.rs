//! One event on its way to one endpoint.
//!
//! ```text
//!            claim                    2xx
//! pending ──────────► in flight ──────────────► delivered
//!    ▲                  │   │                       │
//!    └── retry, lease ──┘   └── last try, 410 ──► dead
//!    ▲                                              │
//!    └────────────────── redeliver ─────────────────┘
//! ```
//! [`judge`] decides what follows an attempt; it has no clock and waits for nothing.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::endpoint::{EndpointId, EndpointSpec};

/// A retry is never further away than this, unless the receiver asks for more.
const LONGEST_BACKOFF: Duration = Duration::from_secs(300);
/// What a receiver asks for with `Retry-After` is followed up to this.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);
/// The attempts that are kept of a delivery; the newest.
const KEPT_ATTEMPTS: usize = 10;

/// The identifier of a delivery, sent as `webhook-id` with every attempt.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeliveryId(String);

impl DeliveryId {
    /// A new identifier.
    pub fn generate() -> Self {
        DeliveryId(format!("msg_{}", uuid::Uuid::now_v7().simple()))
    }

    /// An identifier from its text; what is none names no delivery.
    pub fn new(text: impl Into<String>) -> Self {
        DeliveryId(text.into())
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Waiting for its turn or its next try.
    Pending,
    /// Claimed by a daemon that is about to send it, or is sending it.
    InFlight,
    /// The receiver took it.
    Delivered,
    /// Given up; may be sent again by hand.
    Dead,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [DeliveryState; 4] =
        [DeliveryState::Pending, DeliveryState::InFlight, DeliveryState::Delivered, DeliveryState::Dead];

    /// The name in JSON and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            DeliveryState::Pending => "pending",
            DeliveryState::InFlight => "in_flight",
            DeliveryState::Delivered => "delivered",
            DeliveryState::Dead => "dead",
        }
    }

    /// True if it is not ended.
    pub fn is_open(self) -> bool {
        matches!(self, DeliveryState::Pending | DeliveryState::InFlight)
    }
}

impl FromStr for DeliveryState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        DeliveryState::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| {
            format!("{text:?} is no state of a delivery: use pending, in_flight, delivered or dead")
        })
    }
}

/// A delivery to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct NewDelivery {
    /// Its identifier.
    pub id: DeliveryId,
    /// Where to.
    pub endpoint: EndpointId,
    /// Deliveries of one endpoint and lane are made one after the other, in the order they were added.
    pub lane: String,
    /// The event's name.
    pub event: String,
    /// When it happened.
    pub time: DateTime<Utc>,
    /// What it says.
    pub data: Value,
    /// Only the newest counts: it takes the place of one in its lane that still waits, and is not kept once
    /// it was tried.
    pub latest_only: bool,
}

/// A delivery as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Its identifier.
    pub id: DeliveryId,
    /// Where to.
    pub endpoint: EndpointId,
    /// What it is kept in order with.
    pub lane: String,
    /// The event's name.
    pub event: String,
    /// When it happened.
    pub time: DateTime<Utc>,
    /// What it says.
    pub data: Value,
    /// See [`NewDelivery::latest_only`].
    pub latest_only: bool,
    /// Where it stands.
    pub state: DeliveryState,
    /// Attempts since it was added or last sent again by hand.
    pub tries: u32,
    /// The last attempts, the newest last.
    pub attempts: Vec<Attempt>,
    /// When it was added.
    pub created_at: DateTime<Utc>,
    /// Not to be tried before.
    pub due_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
}

/// A claimed delivery and the number that proves the claim.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimedDelivery {
    /// The delivery, in flight.
    pub delivery: Delivery,
    /// Rises with every claim; a report with an old number changes nothing.
    pub fence: i64,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it began.
    pub at: DateTime<Utc>,
    /// The status of the answer, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The beginning of the answer's body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// When the next attempt is due, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<DateTime<Utc>>,
}

impl Attempt {
    /// The last entry of a delivery that nobody will try again.
    pub fn given_up(at: DateTime<Utc>, cause: &str) -> Self {
        Attempt {
            at,
            status: None,
            duration_ms: 0,
            error: Some(cause.to_owned()),
            answer: None,
            next_at: None,
        }
    }
}

/// What came of an attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status, if there was an answer.
    pub status: Option<u16>,
    /// How long the receiver wants to be left alone.
    pub retry_after: Option<Duration>,
    /// The beginning of its body.
    pub body: Option<String>,
    /// Why it failed; `None` if it did not.
    pub error: Option<String>,
    /// How long it took.
    pub took: Duration,
}

impl Answer {
    /// True if the receiver took the message.
    pub fn is_success(&self) -> bool {
        self.error.is_none()
    }

    /// True if the receiver says that nobody is there any more.
    pub fn is_gone(&self) -> bool {
        self.status == Some(410)
    }
}

/// What becomes of a delivery after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The receiver took it.
    Delivered,
    /// It is tried again at this time.
    Retry(DateTime<Utc>),
    /// It is given up.
    Dead,
    /// It goes back as it was; nothing was sent.
    Release,
}

/// The end of a claim, to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The delivery.
    pub id: DeliveryId,
    /// The claim's number.
    pub fence: i64,
    /// What becomes of it.
    pub verdict: Verdict,
    /// Attempts since it was added or last sent again by hand.
    pub tries: u32,
    /// The attempts to keep.
    pub attempts: Vec<Attempt>,
}

impl ClaimedDelivery {
    /// The report that nothing was sent.
    pub fn release(self) -> Report {
        let ClaimedDelivery { delivery, fence } = self;
        let Delivery { id, tries, attempts, .. } = delivery;
        Report { id, fence, verdict: Verdict::Release, tries, attempts }
    }
}

/// Decides what follows an attempt that began at `began` and ended in `answer`. `jitter` is from 0 to 1.
pub fn judge(
    claimed: ClaimedDelivery,
    spec: &EndpointSpec,
    began: DateTime<Utc>,
    answer: &Answer,
    now: DateTime<Utc>,
    jitter: f64,
) -> Report {
    let ClaimedDelivery { delivery, fence } = claimed;
    let tries = delivery.tries.saturating_add(1);
    let verdict = if answer.is_success() {
        Verdict::Delivered
    } else if answer.is_gone() || delivery.latest_only || tries > spec.retry {
        Verdict::Dead
    } else {
        let wait = backoff(spec.retry_delay, tries, jitter)
            .max(answer.retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER));
        Verdict::Retry((now + wait).trunc_subsecs(6))
    };
    let next_at = match verdict {
        Verdict::Retry(at) => Some(at),
        _ => None,
    };
    let mut attempts = delivery.attempts;
    attempts.push(Attempt {
        at: began,
        status: answer.status,
        duration_ms: u64::try_from(answer.took.as_millis()).unwrap_or(u64::MAX),
        error: answer.error.clone(),
        answer: answer.body.clone(),
        next_at,
    });
    let surplus = attempts.len().saturating_sub(KEPT_ATTEMPTS);
    attempts.drain(..surplus);
    Report { id: delivery.id, fence, verdict, tries, attempts }
}

/// The wait after the `tries`-th attempt: doubled each time up to five minutes, give or take a quarter.
fn backoff(first: Duration, tries: u32, jitter: f64) -> Duration {
    let doubled = first.saturating_mul(1_u32.checked_shl(tries.saturating_sub(1)).unwrap_or(u32::MAX));
    doubled.min(LONGEST_BACKOFF.max(first)).mul_f64(0.75 + 0.5 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::EndpointInput;

    fn spec(retry: u32) -> EndpointSpec {
        let url = Some("https://hooks.example.com/".to_owned());
        EndpointInput { url, retry: Some(retry), ..EndpointInput::default() }.check(false, None).unwrap()
    }

    fn claimed(tries: u32) -> ClaimedDelivery {
        let now = DateTime::UNIX_EPOCH;
        let delivery = Delivery {
            id: DeliveryId::generate(),
            endpoint: EndpointId::generate(),
            lane: "job-1".into(),
            event: "job.failed".into(),
            time: now,
            data: Value::Null,
            latest_only: false,
            state: DeliveryState::InFlight,
            tries,
            attempts: Vec::new(),
            created_at: now,
            due_at: now,
            ended_at: None,
        };
        ClaimedDelivery { delivery, fence: 1 }
    }

    fn failed(status: Option<u16>) -> Answer {
        Answer { status, error: Some("failed".into()), ..Answer::default() }
    }

    fn verdict(claimed: ClaimedDelivery, retry: u32, answer: &Answer) -> Verdict {
        let now = DateTime::UNIX_EPOCH;
        judge(claimed, &spec(retry), now, answer, now, 0.5).verdict
    }

    fn after(seconds: i64) -> Verdict {
        Verdict::Retry(DateTime::from_timestamp(seconds, 0).unwrap())
    }

    #[test]
    fn a_retry_counts_the_attempts_after_the_first() {
        assert_eq!(verdict(claimed(0), 1, &failed(Some(500))), after(1));
        assert_eq!(verdict(claimed(1), 1, &failed(Some(500))), Verdict::Dead);
        assert_eq!(verdict(claimed(0), 0, &failed(None)), Verdict::Dead);
        assert_eq!(verdict(claimed(1), 1, &Answer::default()), Verdict::Delivered);
    }

    #[test]
    fn waits_double_up_to_five_minutes_give_or_take_a_quarter() {
        let waits: Vec<u64> =
            (1..=11).map(|tries| backoff(Duration::from_secs(1), tries, 0.5).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(backoff(Duration::from_secs(4), 1, 0.0), Duration::from_secs(3));
        assert_eq!(backoff(Duration::from_secs(4), 1, 1.0), Duration::from_secs(5));
        assert_eq!(backoff(Duration::from_secs(1), 100, 0.5), Duration::from_secs(300));
    }

    #[test]
    fn what_a_receiver_asks_for_is_followed_within_bounds() {
        let asks = |seconds| Answer { retry_after: Some(Duration::from_secs(seconds)), ..failed(Some(429)) };
        assert_eq!(verdict(claimed(0), 3, &asks(30)), after(30));
        assert_eq!(verdict(claimed(0), 3, &asks(0)), after(1));
        assert_eq!(verdict(claimed(0), 3, &asks(1_000_000)), after(3600));
    }

    #[test]
    fn nobody_there_and_samples_are_not_tried_again() {
        assert_eq!(verdict(claimed(0), 3, &failed(Some(410))), Verdict::Dead);
        let mut sample = claimed(0);
        sample.delivery.latest_only = true;
        assert_eq!(verdict(sample, 3, &failed(None)), Verdict::Dead);
    }

    #[test]
    fn the_newest_attempts_are_kept() {
        let mut claimed = claimed(50);
        let attempt = |status| Attempt {
            at: DateTime::UNIX_EPOCH,
            status,
            duration_ms: 1,
            error: None,
            answer: None,
            next_at: None,
        };
        claimed.delivery.attempts = (0..KEPT_ATTEMPTS).map(|_| attempt(Some(500))).collect();
        let report =
            judge(claimed, &spec(100), DateTime::UNIX_EPOCH, &failed(Some(503)), DateTime::UNIX_EPOCH, 0.5);
        assert_eq!((report.tries, report.attempts.len()), (51, KEPT_ATTEMPTS));
        assert_eq!(report.attempts.last().unwrap().status, Some(503));
    }
}
