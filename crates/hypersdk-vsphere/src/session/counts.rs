//! How many logins there were, and what became of them.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of one connection's sessions since it was configured.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    created: AtomicU64,
    closed: AtomicU64,
    renewed: AtomicU64,
}

impl Counts {
    pub(super) fn note_created(&self) {
        self.created.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn note_closed(&self) {
        self.closed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn note_renewed(&self) {
        self.renewed.fetch_add(1, Ordering::Relaxed);
    }

    /// Sessions made.
    pub(crate) fn created(&self) -> u64 {
        self.created.load(Ordering::Relaxed)
    }

    /// Sessions logged out, or found to have ended and given up.
    pub(crate) fn closed(&self) -> u64 {
        self.closed.load(Ordering::Relaxed)
    }

    /// Logins that replaced one which had ended, within the same session.
    pub(crate) fn renewed(&self) -> u64 {
        self.renewed.load(Ordering::Relaxed)
    }

    /// Sessions there are.
    pub(crate) fn open(&self) -> u64 {
        // Closed is read first: of a session made in between, both or neither are seen.
        let closed = self.closed();
        self.created().saturating_sub(closed)
    }
}
