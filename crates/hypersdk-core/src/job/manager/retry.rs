//! What becomes of a job when its attempt has ended: a decision without clock, chance or store.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::Retries;
use super::attempt::Stop;
use crate::error::{Error, ErrorKind, Result, RetryHint};
use crate::job::{Failure, JobSpec, Outcome, Settled};

/// How often and how long a job is tried: its own wishes, or else the manager's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) retry_attempts: u32,
    pub(super) retry_delay: Duration,
    pub(super) timeout: Option<Duration>,
}

impl Limits {
    pub(super) fn of(spec: &JobSpec, retries: Retries) -> Limits {
        let timeout =
            spec.timeout_ms.map(|ms| Some(Duration::from_millis(ms)).filter(|limit| !limit.is_zero()));
        Limits {
            retry_attempts: spec.retry_attempts.unwrap_or(retries.attempts),
            retry_delay: spec.retry_delay_ms.map_or(retries.delay, Duration::from_millis),
            timeout: timeout.unwrap_or(retries.job_timeout),
        }
    }
}

const LONGEST_DELAY: Duration = Duration::from_secs(300);

/// How the attempt is to be settled. `failures` is how many attempts failed before this one; `jitter` is
/// 0 to 1.
pub(super) fn decide(
    result: Result<Outcome>,
    stop: Option<Stop>,
    failures: u32,
    limits: &Limits,
    now: DateTime<Utc>,
    jitter: f64,
) -> Settled {
    let error = match result {
        Ok(outcome) => return Settled::Completed(outcome),
        Err(error) => error,
    };
    match stop {
        Some(Stop::User) => Settled::Cancelled,
        // For a lost claim nothing is written; this is what it would have been.
        Some(Stop::Drain | Stop::Lost) => Settled::Requeued { failure: None, not_before: None },
        Some(Stop::Timeout) => Settled::Failed(Failure::from(&timed_out(limits))),
        None if error.is_retryable() && failures < limits.retry_attempts => Settled::Requeued {
            failure: Some(Failure::from(&error)),
            not_before: Some(now + delay(&error, failures, limits.retry_delay, jitter)),
        },
        None => Settled::Failed(Failure::from(&error)),
    }
}

/// The wait before the next attempt: doubled with each failure, give or take a quarter, and never less than
/// the error asks for.
fn delay(error: &Error, failures: u32, first: Duration, jitter: f64) -> Duration {
    let doubled = first.saturating_mul(2_u32.saturating_pow(failures)).min(LONGEST_DELAY.max(first));
    let wait = doubled.mul_f64(0.75 + jitter / 2.0);
    match error.retry() {
        RetryHint::After(least) => wait.max(least),
        RetryHint::Backoff | RetryHint::Never => wait,
    }
}

fn timed_out(limits: &Limits) -> Error {
    let limit = limits.timeout.unwrap_or_default().as_secs_f64();
    Error::new(ErrorKind::Timeout, "run job", format!("not done after {limit} s, the longest a job may take"))
        .with_retry(RetryHint::Never)
        .with_advice("allow jobs more time, or run fewer at once")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unavailable() -> Error {
        Error::new(ErrorKind::Unavailable, "open export", "no route to host")
    }

    fn waits(error: impl Fn() -> Error, failures: u32, jitter: f64) -> Duration {
        delay(&error(), failures, Duration::from_secs(4), jitter)
    }

    #[test]
    fn the_wait_doubles_up_to_five_minutes() {
        let seconds: Vec<_> = (0..9).map(|failures| waits(unavailable, failures, 0.5).as_secs()).collect();
        assert_eq!(seconds, [4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(waits(unavailable, u32::MAX, 0.5), LONGEST_DELAY);
    }

    #[test]
    fn the_wait_strays_by_a_quarter_at_most() {
        assert_eq!(waits(unavailable, 0, 0.0), Duration::from_secs(3));
        assert_eq!(waits(unavailable, 0, 1.0), Duration::from_secs(5));
    }

    #[test]
    fn the_wait_is_never_shorter_than_the_server_asked_for() {
        let after =
            |seconds| move || unavailable().with_retry(RetryHint::After(Duration::from_secs(seconds)));
        assert_eq!(waits(after(90), 0, 0.5), Duration::from_secs(90));
        assert_eq!(waits(after(1), 0, 0.5), Duration::from_secs(4));
    }

    #[test]
    fn an_attempt_is_settled_by_its_result_and_why_it_was_stopped() {
        let mut spec = JobSpec::new("/DC0/vm/web".parse().unwrap(), "/srv");
        spec.retry_attempts = Some(2);
        let limits =
            Limits::of(&spec, Retries { attempts: 9, delay: Duration::from_secs(5), job_timeout: None });
        let settle = |kind, stop, failures| {
            let result = Err(Error::new(kind, "export", "failed"));
            match decide(result, stop, failures, &limits, Utc::now(), 0.5) {
                Settled::Completed(_) => "completed".to_owned(),
                Settled::Cancelled => "cancelled".to_owned(),
                Settled::Failed(failure) => format!("failed {}", failure.kind),
                Settled::Requeued { failure: None, not_before: None } => "again".to_owned(),
                Settled::Requeued { failure, not_before } => {
                    format!("later {}", failure.is_some() && not_before.is_some())
                }
            }
        };
        use ErrorKind::{Cancelled, NotFound, Unavailable};
        assert_eq!(settle(Unavailable, None, 0), "later true");
        assert_eq!(settle(Unavailable, None, 1), "later true");
        assert_eq!(settle(Unavailable, None, 2), "failed unavailable");
        assert_eq!(settle(NotFound, None, 0), "failed not_found");
        assert_eq!(settle(Cancelled, None, 0), "failed cancelled");
        for kind in [Cancelled, Unavailable, NotFound] {
            assert_eq!(settle(kind, Some(Stop::User), 0), "cancelled");
            assert_eq!(settle(kind, Some(Stop::Drain), 9), "again");
            assert_eq!(settle(kind, Some(Stop::Timeout), 0), "failed timeout");
        }
    }
}
