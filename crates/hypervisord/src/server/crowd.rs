//! The connections there are, and which of them may be closed for a new one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// All connections.
#[derive(Debug, Clone)]
pub(super) struct Crowd {
    most: usize,
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// In the order they came.
    members: Mutex<Members>,
    /// One has gone, or may be made to go.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Members {
    next: u64,
    there: BTreeMap<u64, Arc<Place>>,
}

#[derive(Debug)]
struct Place {
    /// A whole request has come and its answer has not gone out.
    working: AtomicBool,
    /// It has sent a whole request at some time.
    known: AtomicBool,
    left: CancellationToken,
}

impl Members {
    fn make_room(&mut self) {
        let idle = |place: &Place| !place.working.load(Ordering::Acquire);
        let stranger = |place: &Place| idle(place) && !place.known.load(Ordering::Acquire);
        let chosen = self.there.iter().find(|(_, place)| stranger(place)).map(|(id, _)| *id);
        let chosen = chosen.or_else(|| self.there.iter().find(|(_, place)| idle(place)).map(|(id, _)| *id));
        if let Some(place) = chosen.and_then(|id| self.there.remove(&id)) {
            place.left.cancel();
        }
    }
}

impl Crowd {
    pub(super) fn new(most: usize) -> Self {
        Crowd { most: most.max(1), inner: Arc::default() }
    }

    /// Takes a connection in. If there are too many, one that nothing is being answered on is told to leave:
    /// the oldest of those that never sent a whole request, else of the others. If all are being answered,
    /// this waits.
    pub(super) async fn admit(&self) -> Member {
        loop {
            let changed = self.inner.changed.notified();
            {
                let mut members = self.inner.members.lock().expect("no holder of this lock panics");
                if members.there.len() >= self.most {
                    members.make_room();
                }
                if members.there.len() < self.most {
                    let id = members.next;
                    members.next += 1;
                    let place = Arc::new(Place {
                        working: AtomicBool::new(false),
                        known: AtomicBool::new(false),
                        left: CancellationToken::new(),
                    });
                    members.there.insert(id, Arc::clone(&place));
                    return Member { id, place, inner: Arc::clone(&self.inner) };
                }
            }
            changed.await;
        }
    }
}

/// One connection; dropping it makes room.
#[derive(Debug)]
pub(super) struct Member {
    id: u64,
    place: Arc<Place>,
    inner: Arc<Inner>,
}

impl Member {
    /// Fires when it must leave.
    pub(super) fn left(&self) -> &CancellationToken {
        &self.place.left
    }

    /// A request has begun to come.
    pub(super) fn turn(&self) -> Turn {
        Turn(Arc::new(Answering { place: Arc::clone(&self.place), inner: Arc::clone(&self.inner) }))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.inner.members.lock().expect("no holder of this lock panics").there.remove(&self.id);
        self.inner.changed.notify_one();
    }
}

/// A request and its answer; when the last copy is dropped the connection counts as silent again.
#[derive(Debug, Clone)]
pub(super) struct Turn(Arc<Answering>);

#[derive(Debug)]
struct Answering {
    place: Arc<Place>,
    inner: Arc<Inner>,
}

impl Turn {
    /// The request is there in full.
    pub(super) fn whole(&self) {
        self.0.place.working.store(true, Ordering::Release);
        self.0.place.known.store(true, Ordering::Release);
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.place.working.store(false, Ordering::Release);
        self.inner.changed.notify_one();
    }
}
