//! How fast an endpoint is called: a circuit breaker, and room that shrinks while the receiver is overrun.
//!
//! ```text
//! closed ── FAILURES in a row ──► open ── pause over ──► one probe ── success ──► closed
//!                                   ▲                        │
//!                                   └── failure, pause × 2 ──┘
//! ```
//! While it is open nothing is claimed for the endpoint, so its deliveries keep their tries. Times are given,
//! nothing waits here.

use std::time::Duration;

use tokio::time::Instant;

use crate::delivery::Answer;

/// Failures in a row that open it.
const FAILURES: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// What a receiver that says it is overrun may ask for.
const LONGEST_THROTTLE: Duration = Duration::from_secs(3600);

/// The state of one endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Breaker {
    /// Attempts that may run at once.
    room: usize,
    most: usize,
    failures: u32,
    throttles: u32,
    pause: Duration,
    open_until: Option<Instant>,
}

impl Breaker {
    /// A closed one, with room for `most` attempts at once.
    pub(crate) fn new(most: usize) -> Self {
        let most = most.max(1);
        Breaker { room: most, most, failures: 0, throttles: 0, pause: FIRST_PAUSE, open_until: None }
    }

    /// How many attempts may run at once now.
    pub(crate) fn room(&self, now: Instant) -> usize {
        match self.open_until {
            None => self.room,
            Some(until) if now < until => 0,
            Some(_) => 1,
        }
    }

    /// When it lets a probe through, while it is open.
    pub(crate) fn opens_at(&self) -> Option<Instant> {
        self.open_until
    }

    /// Takes note of an attempt's end. True if the circuit opened by it.
    pub(crate) fn note(&mut self, answer: &Answer, now: Instant) -> bool {
        if answer.is_success() {
            self.failures = 0;
            self.throttles = 0;
            self.pause = FIRST_PAUSE;
            self.open_until = None;
            self.room = (self.room + 1).min(self.most);
            return false;
        }
        if matches!(answer.status, Some(429 | 503)) && answer.retry_after.is_some() {
            return self.throttle(answer.retry_after.unwrap_or_default(), now);
        }
        self.failures += 1;
        let probe_failed = self.open_until.is_some_and(|until| until <= now);
        if self.failures < FAILURES && !probe_failed {
            return false;
        }
        if self.open_until.is_some_and(|until| now < until) {
            // Attempts that began before it opened.
            return false;
        }
        let opened = self.open_until.is_none();
        self.open_until = Some(now + self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        opened
    }

    /// The receiver is overrun: less at once, and if it says so twice in a row, nothing for as long as it asks.
    fn throttle(&mut self, wait: Duration, now: Instant) -> bool {
        self.room = (self.room / 2).max(1);
        self.throttles += 1;
        if self.throttles < 2 {
            return false;
        }
        let until = now + wait.min(LONGEST_THROTTLE);
        let opened = self.open_until.is_none();
        self.open_until = Some(self.open_until.map_or(until, |known| known.max(until)));
        opened
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure() -> Answer {
        Answer { status: Some(500), error: Some("answered 500".into()), ..Answer::default() }
    }

    fn throttled(seconds: u64) -> Answer {
        Answer { status: Some(429), retry_after: Some(Duration::from_secs(seconds)), ..failure() }
    }

    #[test]
    fn failures_in_a_row_open_it_and_one_success_closes_it() {
        let (mut breaker, now) = (Breaker::new(32), Instant::now());
        for _ in 0..FAILURES - 1 {
            assert!(!breaker.note(&failure(), now));
        }
        breaker.note(&Answer::default(), now);
        for _ in 0..FAILURES - 1 {
            assert!(!breaker.note(&failure(), now));
        }
        assert_eq!(breaker.room(now), 32);
        assert!(breaker.note(&failure(), now));
        assert_eq!(breaker.room(now), 0);
        let later = breaker.opens_at().unwrap();
        assert_eq!(breaker.room(later), 1, "one probe");
        breaker.note(&Answer::default(), later);
        assert_eq!(breaker.room(later), 32);
    }

    #[test]
    fn a_probe_that_fails_doubles_the_pause_up_to_a_minute() {
        let (mut breaker, mut now) = (Breaker::new(32), Instant::now());
        (0..FAILURES).for_each(|_| _ = breaker.note(&failure(), now));
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let until = breaker.opens_at().unwrap();
            pauses.push((until - now).as_secs());
            now = until;
            breaker.note(&failure(), now);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn stragglers_do_not_prolong_the_pause() {
        let (mut breaker, now) = (Breaker::new(32), Instant::now());
        (0..FAILURES + 20).for_each(|_| _ = breaker.note(&failure(), now));
        assert_eq!(breaker.opens_at(), Some(now + FIRST_PAUSE));
    }

    #[test]
    fn an_overrun_receiver_gets_less_at_once_and_then_a_rest() {
        let (mut breaker, now) = (Breaker::new(32), Instant::now());
        breaker.note(&throttled(5), now);
        assert_eq!(breaker.room(now), 16);
        breaker.note(&throttled(5), now);
        assert_eq!((breaker.room(now), breaker.opens_at()), (0, Some(now + Duration::from_secs(5))));
        let later = now + Duration::from_secs(5);
        breaker.note(&Answer::default(), later);
        assert_eq!(breaker.room(later), 9);
    }
}
