//! What happened: the log that tests assert on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::sync::watch;

use crate::spec::PowerState;

/// How an NFC stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamOutcome {
    /// Every byte was handed to the connection.
    Whole,
    /// A fault rule reset the connection.
    Cut,
    /// A fault rule ended the body early, as if it were whole.
    EndedEarly,
    /// The lease ended while the stream ran.
    LeaseEnded,
    /// The client went away.
    ClientGone,
}

/// One thing that happened. Ids are those of the managed objects, `vm` is a
/// machine's name, `session` is the key of the session, never its cookie.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields are named after what they hold, see the enum's own words")]
pub enum Event {
    /// A login succeeded.
    LoggedIn { session: String, user: String },
    /// A login was refused.
    LoginRefused { user: String },
    /// A client logged out.
    LoggedOut { session: String },
    /// A session ended for lack of calls.
    SessionExpired { session: String },
    /// A session was ended on demand.
    SessionTerminated { session: String },
    /// ExportVm or ExportSnapshot made a lease.
    LeaseOpened { lease: String, vm: String, snapshot: Option<String> },
    /// The lease's device URLs are valid.
    LeaseReady { lease: String, vm: String },
    /// The client renewed the lease.
    LeaseProgress { lease: String, vm: String, percent: i64 },
    /// The client completed the lease.
    LeaseCompleted { lease: String, vm: String },
    /// The client aborted the lease.
    LeaseAborted { lease: String, vm: String },
    /// The lease was not renewed in time, or expired on demand.
    LeaseExpired { lease: String, vm: String },
    /// OvfManager.CreateDescriptor ran; `files` counts the files named.
    DescriptorCreated { vm: String, files: usize, errors: usize, warnings: usize },
    /// A snapshot was made.
    SnapshotCreated { vm: String, snapshot: String, name: String, quiesced: bool },
    /// A snapshot was removed.
    SnapshotRemoved { vm: String, snapshot: String, name: String },
    /// A machine was switched on or off.
    PowerChanged { vm: String, power: PowerState },
    /// A download began.
    StreamStarted { stream: u64, lease: String, vm: String, file: String },
    /// A download ended after `bytes` of body.
    StreamEnded { stream: u64, lease: String, vm: String, file: String, bytes: u64, outcome: StreamOutcome },
    /// A fault rule struck; `target` is a method or a file.
    FaultInjected { target: String, fault: String },
}

/// An [`Event`] with its number (from 1, without gaps) and time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LogEntry {
    /// Number of the entry.
    pub seq: u64,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// A snapshot the simulator's clients made and have not removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpenSnapshot {
    /// Name of the machine.
    pub vm: String,
    /// Managed object id of the snapshot.
    pub snapshot: String,
    /// Name of the snapshot.
    pub name: String,
}

#[derive(Debug, Default)]
struct Inner {
    entries: Vec<LogEntry>,
    calls: BTreeMap<String, u64>,
}

/// The log of a running simulator; cheap to clone, all clones are one log.
#[derive(Clone, Debug)]
pub struct Log {
    inner: Arc<Mutex<Inner>>,
    length: watch::Sender<u64>,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self { inner: Arc::default(), length: watch::Sender::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, event: Event) {
        let seq = {
            let mut inner = self.lock();
            let seq = inner.entries.len() as u64 + 1;
            tracing::debug!(seq, ?event, "vsim");
            inner.entries.push(LogEntry { seq, at: Utc::now(), event });
            seq
        };
        self.length.send_replace(seq);
    }

    pub(crate) fn count_call(&self, method: &str) {
        *self.lock().calls.entry(method.to_owned()).or_default() += 1;
    }

    /// All entries so far, oldest first.
    pub fn entries(&self) -> Vec<LogEntry> {
        self.lock().entries.clone()
    }

    /// The events so far, oldest first.
    pub fn events(&self) -> Vec<Event> {
        self.lock().entries.iter().map(|entry| entry.event.clone()).collect()
    }

    /// Number of calls of a SOAP method so far, failed ones included.
    pub fn calls(&self, method: &str) -> u64 {
        self.lock().calls.get(method).copied().unwrap_or(0)
    }

    /// Number of calls of every SOAP method called so far.
    pub fn all_calls(&self) -> BTreeMap<String, u64> {
        self.lock().calls.clone()
    }

    /// Ids of the leases neither completed nor aborted nor expired.
    pub fn open_leases(&self) -> Vec<String> {
        let mut open = BTreeSet::new();
        for entry in &self.lock().entries {
            match &entry.event {
                Event::LeaseOpened { lease, .. } => {
                    open.insert(lease.clone());
                }
                Event::LeaseCompleted { lease, .. }
                | Event::LeaseAborted { lease, .. }
                | Event::LeaseExpired { lease, .. } => {
                    open.remove(lease);
                }
                _ => {}
            }
        }
        open.into_iter().collect()
    }

    /// Keys of the sessions neither logged out nor ended by the server.
    pub fn open_sessions(&self) -> Vec<String> {
        let mut open = BTreeSet::new();
        for entry in &self.lock().entries {
            match &entry.event {
                Event::LoggedIn { session, .. } => {
                    open.insert(session.clone());
                }
                Event::LoggedOut { session }
                | Event::SessionExpired { session }
                | Event::SessionTerminated { session } => {
                    open.remove(session);
                }
                _ => {}
            }
        }
        open.into_iter().collect()
    }

    /// Snapshots made and not removed.
    pub fn snapshots(&self) -> Vec<OpenSnapshot> {
        let mut open = Vec::new();
        for entry in &self.lock().entries {
            match &entry.event {
                Event::SnapshotCreated { vm, snapshot, name, .. } => {
                    open.push(OpenSnapshot { vm: vm.clone(), snapshot: snapshot.clone(), name: name.clone() })
                }
                Event::SnapshotRemoved { snapshot, .. } => open.retain(|left| left.snapshot != *snapshot),
                _ => {}
            }
        }
        open
    }

    /// Waits until an event that satisfies `wanted` is in the log, past ones
    /// included, and returns the first.
    pub async fn wait_for(&self, wanted: impl Fn(&Event) -> bool) -> LogEntry {
        let mut length = self.length.subscribe();
        let mut seen = 0;
        loop {
            let found = {
                let inner = self.lock();
                let new = &inner.entries[seen..];
                seen = inner.entries.len();
                new.iter().find(|entry| wanted(&entry.event)).cloned()
            };
            if let Some(entry) = found {
                return entry;
            }
            length.changed().await.expect("the log itself holds a sender");
        }
    }

    /// As [`wait_for`](Self::wait_for), with `None` when `timeout` passes first.
    pub async fn wait_for_within(
        &self,
        timeout: Duration,
        wanted: impl Fn(&Event) -> bool,
    ) -> Option<LogEntry> {
        tokio::time::timeout(timeout, self.wait_for(wanted)).await.ok()
    }
}
