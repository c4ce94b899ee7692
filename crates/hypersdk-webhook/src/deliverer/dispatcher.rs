//! Claims what is due and has it sent, each endpoint at its own pace.
//!
//! One task owns the state. An endpoint's first attempt always has a place; further ones share a number of
//! places, so that endpoints that hang cannot take all of them from one that does not.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, OptionFuture};
use hypersdk_core::Result;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::Inner;
use super::attempt::{self, Settled};
use crate::breaker::Breaker;
use crate::delivery::{Answer, ClaimedDelivery};
use crate::directory::Snapshot;
use crate::endpoint::EndpointId;

/// What a look into the store brought.
struct Found {
    claims: Vec<ClaimedDelivery>,
    /// There may be more than was asked for.
    more: bool,
    /// Something is due then.
    next: Option<Instant>,
}

/// What is claimed for an endpoint, and how it is doing.
struct Line {
    waiting: VecDeque<ClaimedDelivery>,
    in_flight: usize,
    breaker: Breaker,
}

struct Dispatcher {
    inner: Arc<Inner>,
    reports: mpsc::Sender<Settled>,
    finished: mpsc::UnboundedSender<(EndpointId, Option<Answer>)>,
    lines: HashMap<EndpointId, Line>,
    /// Which endpoint begins; the next one at each turn.
    turn: usize,
}

/// Runs until the deliverer stops and its attempts have ended.
pub(super) async fn run(inner: Arc<Inner>, reports: mpsc::Sender<Settled>) {
    // As many messages as attempts, whose number is bounded.
    let (finished, mut ended) = mpsc::unbounded_channel();
    let mut dispatcher =
        Dispatcher { inner: inner.clone(), reports, finished, lines: HashMap::new(), turn: 0 };
    let mut look: Option<BoxFuture<'static, Result<Found>>> = None;
    let mut dirty = true;
    let mut next_look = Instant::now();
    while !inner.stopping.is_cancelled() {
        let snapshot = inner.directory.current();
        dispatcher.dismiss(&snapshot).await;
        dispatcher.begin(&snapshot);
        let now = Instant::now();
        dirty |= now >= next_look;
        if dirty && look.is_none() {
            let wanted = dispatcher.wanted(&snapshot, now);
            next_look = now + inner.config.poll;
            dirty = false;
            // Who has enough, or is left alone, is looked at again when that changes.
            look = (!wanted.is_empty()).then(|| find(inner.clone(), wanted, snapshot.ids()).boxed());
        }
        let wait_until = dispatcher.next_probe(now).map_or(next_look, |probe| probe.min(next_look));
        tokio::select! {
            biased;
            () = inner.stopping.cancelled() => break,
            Some((id, answer)) = ended.recv() => {
                dispatcher.ended(&id, answer);
                while let Ok((id, answer)) = ended.try_recv() {
                    dispatcher.ended(&id, answer);
                }
                dirty |= dispatcher.is_hungry(&id);
            }
            Some(found) = OptionFuture::from(look.as_mut()) => {
                look = None;
                match found {
                    Ok(Found { claims, more, next }) => {
                        dirty |= more;
                        next_look = next.map_or(next_look, |next| next.min(next_look));
                        dispatcher.take(claims);
                    }
                    Err(error) => tracing::error!("claim webhook deliveries: {}", error.chain()),
                }
            }
            () = inner.wake.notified() => dirty = true,
            () = sleep_until(wait_until) => dirty = true,
        }
    }
    // A look that is under way claims in any case.
    if let Some(look) = look
        && let Ok(Found { claims, .. }) = look.await
    {
        dispatcher.take(claims);
    }
    for line in dispatcher.lines.values_mut() {
        for claimed in line.waiting.drain(..) {
            let _ = dispatcher.reports.send(Settled { report: claimed.release(), halt: None }).await;
        }
    }
}

/// Claims what is wanted, or finds out when something is due.
async fn find(inner: Arc<Inner>, wanted: Vec<(EndpointId, usize)>, all: Vec<EndpointId>) -> Result<Found> {
    let claims = inner.store.claim(&inner.owner, &wanted, inner.config.lease).await?;
    let more = wanted.iter().any(|(id, number)| {
        claims.iter().filter(|claimed| claimed.delivery.endpoint == *id).count() == *number
    });
    let mut found = Found { claims, more, next: None };
    if found.claims.is_empty()
        && let Some(due) = inner.store.next_due(&all).await?
    {
        let wait = (due - inner.config.clock.now()).to_std().unwrap_or(Duration::ZERO);
        found.next = Some(Instant::now() + wait);
    }
    Ok(found)
}

impl Dispatcher {
    fn line(&mut self, id: &EndpointId) -> &mut Line {
        let most = self.inner.config.per_endpoint;
        if !self.lines.contains_key(id) {
            let line = Line { waiting: VecDeque::new(), in_flight: 0, breaker: Breaker::new(most) };
            self.lines.insert(id.clone(), line);
        }
        self.lines.get_mut(id).expect("it was just put there")
    }

    fn take(&mut self, claims: Vec<ClaimedDelivery>) {
        for claimed in claims {
            let id = claimed.delivery.endpoint.clone();
            self.line(&id).waiting.push_back(claimed);
        }
    }

    /// Lets go of what waits for endpoints that get nothing any more.
    async fn dismiss(&mut self, snapshot: &Snapshot) {
        let mut dismissed = Vec::new();
        for (id, line) in &mut self.lines {
            if !line.waiting.is_empty()
                && !snapshot.find(id.as_str()).is_some_and(|endpoint| endpoint.is_active())
            {
                dismissed.extend(line.waiting.drain(..));
            }
        }
        for claimed in dismissed {
            let _ = self.reports.send(Settled { report: claimed.release(), halt: None }).await;
        }
        self.lines.retain(|id, line| line.in_flight > 0 || snapshot.find(id.as_str()).is_some());
    }

    /// Begins as many attempts as may run, one an endpoint and round.
    fn begin(&mut self, snapshot: &Snapshot) {
        let now = Instant::now();
        let mut shared: usize = self.lines.values().map(|line| line.in_flight.saturating_sub(1)).sum();
        let number = snapshot.endpoints.len();
        self.turn = self.turn.wrapping_add(1);
        loop {
            let mut begun = false;
            for offset in 0..number {
                let endpoint = &snapshot.endpoints[(self.turn + offset) % number];
                let Some(line) = self.lines.get_mut(&endpoint.id) else { continue };
                let further = line.in_flight > 0;
                if line.in_flight >= line.breaker.room(now) || (further && shared >= self.inner.config.shared)
                {
                    continue;
                }
                let Some(claimed) = line.waiting.pop_front() else { continue };
                line.in_flight += 1;
                shared += usize::from(further);
                begun = true;
                let attempt =
                    attempt::run(self.inner.clone(), endpoint.clone(), claimed, self.reports.clone());
                let (finished, id) = (self.finished.clone(), endpoint.id.clone());
                self.inner.work.spawn(async move {
                    let answer = attempt.await;
                    let _ = finished.send((id, answer));
                });
            }
            if !begun {
                return;
            }
        }
    }

    fn ended(&mut self, id: &EndpointId, answer: Option<Answer>) {
        let now = Instant::now();
        let line = self.line(id);
        line.in_flight = line.in_flight.saturating_sub(1);
        let Some(answer) = answer else { return };
        let was_open = line.breaker.opens_at().is_some();
        let opened = line.breaker.note(&answer, now);
        let is_open = line.breaker.opens_at().is_some();
        if opened {
            let pause = line.breaker.opens_at().map(|until| until - now).unwrap_or_default();
            tracing::warn!(webhook = %id, ?pause, "this webhook fails again and again; it is left alone for a while");
        }
        if was_open && !is_open {
            tracing::info!(webhook = %id, "this webhook works again");
        }
        if was_open != is_open {
            self.inner.counters.circuit(id, is_open);
        }
    }

    /// How many deliveries to claim for each endpoint that can take some.
    fn wanted(&mut self, snapshot: &Snapshot, now: Instant) -> Vec<(EndpointId, usize)> {
        let ahead = self.inner.config.ahead;
        let mut wanted = Vec::new();
        for endpoint in snapshot.endpoints.iter().filter(|endpoint| endpoint.is_active()) {
            let line = self.line(&endpoint.id);
            let most = if line.breaker.opens_at().is_some() { line.breaker.room(now) } else { ahead };
            let number = most.saturating_sub(line.waiting.len());
            if number > 0 && line.waiting.len() <= ahead / 2 {
                wanted.push((endpoint.id.clone(), number));
            }
        }
        wanted
    }

    /// True if an endpoint that is not closed off has little left to send.
    fn is_hungry(&self, id: &EndpointId) -> bool {
        self.lines.get(id).is_some_and(|line| {
            line.waiting.len() <= self.inner.config.ahead / 4 && line.breaker.opens_at().is_none()
        })
    }

    /// When an open circuit next lets something through.
    fn next_probe(&self, now: Instant) -> Option<Instant> {
        self.lines.values().filter_map(|line| line.breaker.opens_at()).filter(|until| *until > now).min()
    }
}
