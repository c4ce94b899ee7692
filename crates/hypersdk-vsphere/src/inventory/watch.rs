//! One watcher a server: it reads the inventory once, keeps it fresh by one WaitForUpdatesEx at a time, and gives
//! listings from memory.
//!
//! ```text
//!          somebody asks                 the last page
//!   off ────────────────► reading ─────────────────────► fresh ──┐ news, or silence for 30 s
//!    ▲                     ▲   │                          │  ▲───┘
//!    │ nobody asks   anew, │   │ an error                 │ an error: the session ended, a collector is unknown,
//!    │ for long      later │   ▼                          │ the server went away
//!    └──────────────────── away ◄─────────────────────────┘
//! ```
//!
//! Whatever breaks it leads to a new reading: nothing is patched on top of what may be stale. The first time after
//! things went well that is at once, then after waits that double, half of them chance. Who follows is told what
//! differs between the two readings. While it is away, or when the server was silent for longer than a wait may
//! take, nobody gets a copy. Its session is one of the pool that others may share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use hypersdk_core::{Error, Inventory, InventoryCopy, InventoryStats, RetryHint, VmChange, VmId, VmSummary};
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::feed::{Feed, LONGEST_WAIT};
use super::table::{Effect, Table};
use crate::api::{ObjectUpdate, UnreadUpdates};
use crate::config::InventoryConfig;
use crate::pool::Sessions;
use crate::session::Scope;
use crate::soap::{CallError, FaultKind, MoRef};

/// For how long after its last answer the server may be silent, a wait's end included.
const SILENCE: Duration = LONGEST_WAIT.saturating_add(Duration::from_secs(10));
/// The wait before a reading that follows a failed one; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest such wait, and how long a watcher that gave up stays so.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Changes kept for a follower that is slow; one that is slower is told to list anew.
const BACKLOG: usize = 1024;

/// Keeps the inventory of one server.
#[derive(Debug)]
pub(crate) struct Watcher {
    shared: Arc<Shared>,
    sessions: Arc<Sessions>,
    config: InventoryConfig,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Told when the stage changes.
    turned: watch::Sender<()>,
    changes: broadcast::Sender<VmChange>,
}

#[derive(Debug)]
struct State {
    stage: Stage,
    table: Table,
    /// The table in core's words, made when somebody asks.
    copy: Option<Arc<[VmSummary]>>,
    /// When the server last answered.
    heard: Instant,
    /// When somebody last asked.
    asked: Instant,
    readings: u64,
    changes: u64,
    stop: CancellationToken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nobody watches.
    Off,
    Reading,
    Fresh,
    /// It tries again later.
    Away,
    /// It gave up, and is not begun again before this.
    GaveUp(Instant),
}

impl State {
    /// How long ago the server answered, if the table can be vouched for.
    fn age(&self) -> Option<Duration> {
        Some(self.heard.elapsed()).filter(|age| self.stage == Stage::Fresh && *age <= SILENCE)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self, stage: Stage) {
        let mut state = self.state();
        state.stage = stage;
        if matches!(stage, Stage::Off | Stage::GaveUp(_)) {
            state.table = Table::new(MoRef::new("Folder", ""));
            state.copy = None;
        }
        drop(state);
        self.turned.send_replace(());
    }

    /// A copy, made if there is none of the present state.
    fn copy(&self) -> Option<InventoryCopy> {
        let mut state = self.state();
        let age = state.age()?;
        let vms = match &state.copy {
            Some(vms) => Arc::clone(vms),
            None => state.table.summaries().into(),
        };
        state.copy = Some(Arc::clone(&vms));
        Some(InventoryCopy::new(vms, age))
    }

    /// Notes what a whole reading found.
    fn read(&self, table: Table) {
        let mut state = self.state();
        let effects = if self.changes.receiver_count() > 0 { table.since(&state.table) } else { Vec::new() };
        state.table = table;
        state.copy = None;
        state.heard = Instant::now();
        state.readings += 1;
        let changes = told(&state.table, effects);
        drop(state);
        self.turn(Stage::Fresh);
        self.tell(changes);
    }

    /// Notes news, or that there are none.
    fn hear(&self, news: Option<Vec<ObjectUpdate>>) {
        let mut state = self.state();
        state.heard = Instant::now();
        let Some(news) = news else { return };
        let effects: Vec<Effect> = news.into_iter().map(|update| state.table.apply(update)).collect();
        state.changes += effects.len() as u64;
        state.copy = None;
        if effects.contains(&Effect::Ancestors) {
            state.table.settle();
        }
        let changes =
            if self.changes.receiver_count() > 0 { told(&state.table, effects) } else { Vec::new() };
        drop(state);
        self.tell(changes);
    }

    fn tell(&self, changes: Vec<VmChange>) {
        for change in changes {
            // The last follower may just have gone.
            let _told = self.changes.send(change);
        }
    }

    /// Nobody lists, nobody follows.
    fn is_unasked(&self, idle: Duration) -> bool {
        self.changes.receiver_count() == 0 && self.state().asked.elapsed() >= idle
    }
}

/// Effects as followers are told of them.
fn told(table: &Table, effects: Vec<Effect>) -> Vec<VmChange> {
    if effects.contains(&Effect::Ancestors) {
        return vec![VmChange::Reset];
    }
    let change = |effect| match effect {
        Effect::Added(id) => table.get(&id).map(|vm| VmChange::Added(vm.into())),
        Effect::Changed(id) => table.get(&id).map(|vm| VmChange::Changed(vm.into())),
        Effect::Removed(id) => Some(VmChange::Removed(VmId::new(id))),
        Effect::Ancestors | Effect::Nothing => None,
    };
    effects.into_iter().filter_map(change).collect()
}

impl Watcher {
    /// A watcher that does nothing yet.
    pub(crate) fn new(sessions: Arc<Sessions>, config: InventoryConfig) -> Self {
        let state = State {
            stage: Stage::Off,
            table: Table::new(MoRef::new("Folder", "")),
            copy: None,
            heard: Instant::now(),
            asked: Instant::now(),
            readings: 0,
            changes: 0,
            stop: CancellationToken::new(),
        };
        let shared = Shared {
            state: Mutex::new(state),
            turned: watch::Sender::new(()),
            changes: broadcast::Sender::new(BACKLOG),
        };
        Watcher { shared: Arc::new(shared), sessions, config }
    }

    /// Ends watching; what it has at the server is destroyed in the background. It begins again when somebody asks.
    pub(crate) fn stop(&self) {
        self.shared.state().stop.cancel();
    }

    /// Sees that somebody watches.
    fn start(&self) {
        let mut state = self.shared.state();
        state.asked = Instant::now();
        let idle = match state.stage {
            Stage::Off => true,
            Stage::GaveUp(until) => until <= Instant::now(),
            Stage::Reading | Stage::Fresh | Stage::Away => false,
        };
        if !idle {
            return;
        }
        state.stage = Stage::Reading;
        state.stop = CancellationToken::new();
        let stop = state.stop.clone();
        drop(state);
        let (shared, sessions) = (Arc::clone(&self.shared), Arc::clone(&self.sessions));
        let idle = self.config.idle_timeout;
        self.sessions.connector().spawn(async move {
            let stage = tokio::select! {
                () = stop.cancelled() => Stage::Off,
                stage = run(&shared, &sessions, idle) => stage,
            };
            shared.turn(stage);
        });
    }

    /// Waits while it reads. False if nothing came of it.
    async fn settled(&self) -> bool {
        let mut turned = self.shared.turned.subscribe();
        loop {
            turned.borrow_and_update();
            match self.shared.state().stage {
                Stage::Fresh => return true,
                Stage::Reading => {}
                Stage::Off | Stage::Away | Stage::GaveUp(_) => return false,
            }
            if turned.changed().await.is_err() {
                return false;
            }
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop();
    }
}

#[async_trait]
impl Inventory for Watcher {
    async fn copy(&self) -> Option<InventoryCopy> {
        self.start();
        if !self.settled().await {
            return None;
        }
        if self.shared.state().copy.is_some() {
            return self.shared.copy();
        }
        // A large inventory takes a while to put into words.
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || shared.copy()).await.ok().flatten()
    }

    fn changes(&self) -> BoxStream<'static, VmChange> {
        let changes = self.shared.changes.subscribe();
        self.start();
        let told = stream::unfold(changes, |mut changes| async move {
            let change = match changes.recv().await {
                Ok(change) => change,
                Err(broadcast::error::RecvError::Lagged(_)) => VmChange::Reset,
                Err(broadcast::error::RecvError::Closed) => return None,
            };
            Some((change, changes))
        });
        stream::iter([VmChange::Reset]).chain(told).boxed()
    }

    fn stats(&self) -> InventoryStats {
        let state = self.shared.state();
        let mut stats = InventoryStats::default();
        stats.vms = state.table.len() as u64;
        stats.age = state.age();
        stats.readings = state.readings;
        stats.changes = state.changes;
        stats
    }
}

/// How things went of late.
#[derive(Debug, Default)]
struct Luck {
    /// The last attempt read everything.
    read: bool,
    /// Attempts that broke off since the server last told something after a reading.
    broken: u32,
}

impl Luck {
    /// How long to wait before the next attempt.
    fn pause(&self, error: &Error) -> Duration {
        match error.retry() {
            _ if self.read && self.broken == 0 => Duration::ZERO,
            RetryHint::After(wait) => wait,
            _ => {
                let doubled = FIRST_PAUSE.saturating_mul(1 << self.broken.min(10));
                doubled.min(LONGEST_PAUSE).mul_f64(0.5 + fastrand::f64() / 2.0)
            }
        }
    }
}

/// Watches until nobody asks any more, or it is no use.
async fn run(shared: &Shared, sessions: &Sessions, idle: Duration) -> Stage {
    let mut luck = Luck::default();
    loop {
        let Err(error) = watch(shared, sessions, idle, &mut luck).await else {
            tracing::info!("nobody asks for the inventory any more; it is not watched");
            return Stage::Off;
        };
        if !error.is_retryable() {
            tracing::warn!("the inventory cannot be watched: {}", error.chain());
            return Stage::GaveUp(Instant::now() + LONGEST_PAUSE);
        }
        let pause = luck.pause(&error);
        tracing::info!(?pause, "the inventory will be read anew: {}", error.chain());
        luck.broken += 1;
        if !pause.is_zero() {
            shared.turn(Stage::Away);
            tokio::time::sleep(pause).await;
            if shared.is_unasked(idle) {
                return Stage::Off;
            }
        }
        shared.turn(Stage::Reading);
    }
}

/// Reads everything and then listens, until nobody asks any more.
async fn watch(shared: &Shared, sessions: &Sessions, idle: Duration, luck: &mut Luck) -> Result<(), Error> {
    luck.read = false;
    let begun = Instant::now();
    let scope = sessions.hold("inventory").await?;
    let (mut feed, table) = read(scope).await.map_err(explain)?;
    tracing::info!(vms = table.len(), took = ?begun.elapsed(), "the inventory is read and watched");
    shared.read(table);
    luck.read = true;
    loop {
        let news = match feed.news().await.map_err(explain)? {
            Some(news) => {
                let mut updates = Vec::new();
                news.each(|update| updates.push(update)).map_err(explain)?;
                Some(updates)
            }
            None => None,
        };
        luck.broken = 0;
        shared.hear(news);
        if shared.is_unasked(idle) {
            return Ok(());
        }
    }
}

/// The whole inventory, and the feed of what changes from there on.
async fn read(scope: Scope) -> Result<(Feed, Table), CallError> {
    let mut feed = Feed::open(scope).await?;
    let mut table = Table::new(feed.root());
    let mut told = feed.first().await?;
    while let Some(piece) = told {
        let mut reading = tokio::task::spawn_blocking(move || take_in(table, &piece));
        let mut next = None;
        // Whether this is the last piece is seen when it has been read. What is asked for meanwhile is the next piece,
        // or else the first news.
        let read = loop {
            tokio::select! {
                read = &mut reading => break read,
                answer = feed.news(), if next.is_none() => next = Some(answer),
            }
        };
        let truncated;
        (table, truncated) = read.unwrap_or_else(|error| match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends, and this with it.
            Err(_) => Err(CallError::SessionReplaced),
        })?;
        if !truncated {
            next.into_iter().for_each(|answer| feed.put_back(answer));
            break;
        }
        told = match next {
            Some(answer) => answer?,
            None => feed.news().await?,
        };
    }
    table.settle();
    Ok((feed, table))
}

/// A piece of the inventory goes into the table. True if it was not the last.
fn take_in(mut table: Table, piece: &UnreadUpdates) -> Result<(Table, bool), CallError> {
    let truncated = piece.each(|update| drop(table.apply(update)))?;
    Ok((table, truncated))
}

/// The error that listening ended with. What went with a session is there again after a new reading.
fn explain(error: CallError) -> Error {
    let anew = match &error {
        CallError::SessionReplaced => true,
        CallError::Fault(fault) => {
            matches!(
                fault.kind(),
                // Found in an answer that was not read at once; the next call renews the session.
                FaultKind::NotAuthenticated | FaultKind::ManagedObjectNotFound | FaultKind::RequestCanceled
            ) || fault.type_name() == "InvalidCollectorVersion"
        }
        _ => false,
    };
    let error = error.into_error("watch the inventory");
    if anew { error.with_retry(RetryHint::Backoff) } else { error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soap::Fault;

    #[test]
    fn what_went_with_a_session_is_read_anew_wherever_that_was_noticed() {
        for name in
            ["NotAuthenticated", "ManagedObjectNotFound", "InvalidCollectorVersion", "RequestCanceled"]
        {
            let error = explain(CallError::Fault(Box::new(Fault::new(name, "x"))));
            assert!(error.is_retryable(), "{name}");
        }
        assert!(explain(CallError::SessionReplaced).is_retryable());
        assert!(!explain(CallError::Fault(Box::new(Fault::new("NoPermission", "x")))).is_retryable());
    }
}
