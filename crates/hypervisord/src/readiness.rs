//! Whether the daemon takes work: one value, set by start and stop, read by the health routes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Where the daemon is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Starting,
    Ready,
    Stopping,
}

/// The stage, shared.
#[derive(Debug, Clone)]
pub(crate) struct Readiness(Arc<AtomicU8>);

impl Readiness {
    pub(crate) fn starting() -> Self {
        Readiness(Arc::new(AtomicU8::new(Stage::Starting as u8)))
    }

    pub(crate) fn set(&self, stage: Stage) {
        self.0.store(stage as u8, Ordering::SeqCst);
    }

    pub(crate) fn stage(&self) -> Stage {
        match self.0.load(Ordering::SeqCst) {
            0 => Stage::Starting,
            1 => Stage::Ready,
            _ => Stage::Stopping,
        }
    }
}
