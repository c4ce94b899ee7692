//! Places at the work: how many attempts may work at one time.
//!
//! An attempt holds a [`Seat`] from its claim to its end. While it only waits its turn somewhere else, it leaves
//! its seat to others and takes one again when its turn has come; those who come back go before new claims.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// The seats of a manager.
#[derive(Debug, Clone)]
pub(super) struct Seats {
    free: Arc<Semaphore>,
    /// Told when a seat is given up.
    left: Arc<Notify>,
}

impl Seats {
    pub(super) fn new(count: usize) -> Self {
        Seats { free: Arc::new(Semaphore::new(count)), left: Arc::default() }
    }

    /// Returns when somebody has left a seat since the last call.
    pub(super) async fn left(&self) {
        self.left.notified().await;
    }

    /// Takes up to `most` seats that are free now.
    pub(super) fn take(&self, most: usize) -> Vec<Seat> {
        std::iter::from_fn(|| Arc::clone(&self.free).try_acquire_owned().ok())
            .take(most)
            .map(|permit| Seat { seats: self.clone(), state: Mutex::new(State::seated(permit)) })
            .collect()
    }
}

/// The place of one attempt. Dropping it leaves it.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Seats,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    permit: Option<OwnedSemaphorePermit>,
    /// Since when it is left.
    aside: Option<Instant>,
    waited: Duration,
}

impl State {
    fn seated(permit: OwnedSemaphorePermit) -> Self {
        State { permit: Some(permit), aside: None, waited: Duration::ZERO }
    }
}

impl Seat {
    /// Does `waiting` while others may have the seat, then takes one again.
    pub(super) async fn aside<T>(&self, waiting: impl Future<Output = T>) -> T {
        {
            let mut state = self.lock();
            state.permit = None;
            state.aside.get_or_insert_with(Instant::now);
        }
        self.seats.left.notify_one();
        let done = waiting.await;
        let permit = Arc::clone(&self.seats.free).acquire_owned().await;
        let mut state = self.lock();
        state.permit = Some(permit.expect("the semaphore is never closed"));
        let since = state.aside.take();
        state.waited += since.map(|since| since.elapsed()).unwrap_or_default();
        done
    }

    /// How long it was left in all, up to now.
    pub(super) fn waited(&self) -> Duration {
        let state = self.lock();
        state.waited + state.aside.map(|since| since.elapsed()).unwrap_or_default()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_seat_that_is_left_can_be_taken_and_its_owner_comes_back_first() {
        let seats = Seats::new(1);
        let first = seats.take(3).pop().unwrap();
        assert!(seats.take(1).is_empty());
        let (go, gone) = tokio::sync::oneshot::channel::<()>();
        let back = tokio_util::task::TaskTracker::new().spawn(async move {
            first.aside(gone).await.unwrap();
            first
        });
        seats.left().await;
        let second = seats.take(1).pop().expect("the seat is free meanwhile");
        tokio::time::sleep(Duration::from_secs(5)).await;
        go.send(()).unwrap();
        tokio::task::yield_now().await;
        drop(second);
        let first = back.await.unwrap();
        assert!(seats.take(1).is_empty(), "who came back sits");
        assert_eq!(first.waited(), Duration::from_secs(5));
    }
}
