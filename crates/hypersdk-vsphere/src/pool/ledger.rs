//! Who has which session.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use deadpool::managed::Object;
use hypersdk_core::ConnectionHolder;
use tokio::time::Instant;

use super::maker::Maker;
use crate::session::Session;

/// The loans there are now. A map in a lock that is never held for long.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: Mutex<BTreeMap<u64, Entry>>,
    next: AtomicU64,
    lent: AtomicU64,
}

#[derive(Debug)]
struct Entry {
    work: Arc<str>,
    since: Instant,
    shareable: bool,
    lent: Weak<Lent>,
}

/// A session that is out of the pool. It goes back when the last loan of it ends.
#[derive(Debug)]
struct Lent {
    session: Arc<Session>,
    ledger: Arc<Ledger>,
    /// Its place in the pool; none if it is logged out after use.
    _place: Option<Object<Maker>>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.session.note_worked();
        self.ledger.lent.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One borrower's hold on a session.
#[derive(Debug)]
pub(super) struct Loan {
    number: u64,
    lent: Arc<Lent>,
}

impl Loan {
    pub(super) fn session(&self) -> &Arc<Session> {
        &self.lent.session
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.lent.ledger.entries().remove(&self.number);
    }
}

impl Ledger {
    /// Notes a session that was taken from the pool, or made for this work alone.
    pub(super) fn lend(
        self: &Arc<Self>,
        work: &Arc<str>,
        shareable: bool,
        session: Arc<Session>,
        place: Option<Object<Maker>>,
    ) -> Loan {
        self.lent.fetch_add(1, Ordering::Relaxed);
        self.enter(work, shareable, Arc::new(Lent { session, ledger: Arc::clone(self), _place: place }))
    }

    /// A share in the session of a long piece of work, the one with the fewest borrowers; none if there is no
    /// such work.
    pub(super) fn share(&self, work: &Arc<str>, shareable: bool) -> Option<Loan> {
        let lent = self
            .entries()
            .values()
            .filter(|entry| entry.shareable)
            .filter_map(|entry| entry.lent.upgrade())
            .filter(|lent| !lent.session.is_over())
            .min_by_key(Arc::strong_count)?;
        Some(self.enter(work, shareable, lent))
    }

    fn enter(&self, work: &Arc<str>, shareable: bool, lent: Arc<Lent>) -> Loan {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let entry =
            Entry { work: Arc::clone(work), since: Instant::now(), shareable, lent: Arc::downgrade(&lent) };
        self.entries().insert(number, entry);
        Loan { number, lent }
    }

    /// Sessions that are out.
    pub(super) fn lent(&self) -> u64 {
        self.lent.load(Ordering::Relaxed)
    }

    /// Who has one, the longest first.
    pub(super) fn holders(&self) -> Vec<ConnectionHolder> {
        let holder = |entry: &Entry| ConnectionHolder::new(&*entry.work, entry.since.elapsed());
        self.entries().values().map(holder).collect()
    }

    /// The sessions that are out; one that several share is named several times.
    pub(super) fn sessions(&self) -> Vec<Weak<Session>> {
        let lent: Vec<Arc<Lent>> = self.entries().values().filter_map(|entry| entry.lent.upgrade()).collect();
        lent.iter().map(|lent| Arc::downgrade(&lent.session)).collect()
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<u64, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
