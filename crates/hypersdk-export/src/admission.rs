//! Whose turn it is: caps on how many exports bother one host, one datastore or one source at a time.
//!
//! An export enters with everything it needs and holds it until its lease has ended. Those who wait are served in
//! the order they came, except that nobody waits for a busy host in front of somebody whose host is idle. An
//! export that needs several things could be overtaken for ever that way: after [`PATIENCE`] times the one that
//! has waited longest gets the next room in each of them kept free.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use hypersdk_core::{NamedProvider, VmSummary};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

/// How often the longest waiter may be overtaken before room is kept for it.
const PATIENCE: u32 = 16;

/// How many exports may be open at a time. Zero is no cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caps {
    /// On one host.
    pub per_host: usize,
    /// On one datastore.
    pub per_datastore: usize,
    /// At one provider: a vCenter, or a stand-alone host.
    pub per_provider: usize,
}

impl Default for Caps {
    fn default() -> Self {
        Caps { per_host: 4, per_datastore: 4, per_provider: 8 }
    }
}

/// Something that exports share.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Shared {
    Provider(String),
    Host(String, String),
    Datastore(String, String),
}

impl Shared {
    fn cap(&self, caps: &Caps) -> usize {
        let cap = match self {
            Shared::Provider(_) => caps.per_provider,
            Shared::Host(..) => caps.per_host,
            Shared::Datastore(..) => caps.per_datastore,
        };
        if cap == 0 { usize::MAX } else { cap }
    }
}

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shared::Provider(name) => write!(f, "provider {name}"),
            Shared::Host(_, name) => write!(f, "host {name}"),
            Shared::Datastore(_, name) => write!(f, "datastore {name}"),
        }
    }
}

/// Lets exports in. Clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Admission {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    caps: Caps,
    held: HashMap<Shared, usize>,
    waiting: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    needs: Vec<Shared>,
    overtaken: u32,
    /// Sends the ticket; whoever stopped waiting drops it, which gives it back.
    turn: oneshot::Sender<Ticket>,
}

/// The right to export. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Ticket {
    admission: Admission,
    held: Vec<Shared>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let admission = self.admission.clone();
        let mut state = admission.lock();
        for shared in &self.held {
            if let Some(count) = state.held.get_mut(shared) {
                *count -= 1;
                if *count == 0 {
                    state.held.remove(shared);
                }
            }
        }
        let turns = state.serve(&admission);
        drop(state);
        deliver(turns);
    }
}

/// A place in the queue, or the ticket at once.
#[derive(Debug)]
pub(crate) enum Entry {
    Admitted(Ticket),
    /// What it waits for, in words, and where the ticket comes.
    Waiting(String, oneshot::Receiver<Ticket>),
}

impl Admission {
    pub(crate) fn new(caps: Caps) -> Self {
        let admission = Admission::default();
        admission.lock().caps = caps;
        admission
    }

    /// Asks for what exporting this VM takes.
    pub(crate) fn enter(&self, provider: &NamedProvider, vm: &VmSummary) -> Entry {
        let source = provider.name.to_string();
        let mut needs = vec![Shared::Provider(source.clone())];
        needs.extend(vm.host.clone().map(|host| Shared::Host(source.clone(), host)));
        needs.extend(vm.datastores.iter().map(|name| Shared::Datastore(source.clone(), name.clone())));
        self.ask(needs)
    }

    pub(crate) fn caps(&self) -> Caps {
        self.lock().caps
    }

    /// Changes the caps for exports that have not begun.
    pub(crate) fn set_caps(&self, caps: Caps) {
        let mut state = self.lock();
        state.caps = caps;
        let turns = state.serve(self);
        drop(state);
        deliver(turns);
    }

    fn ask(&self, needs: Vec<Shared>) -> Entry {
        let mut state = self.lock();
        let (turn, mut receiver) = oneshot::channel();
        state.waiting.push_back(Waiter { needs: needs.clone(), overtaken: 0, turn });
        let turns = state.serve(self);
        let lacking =
            needs.iter().filter(|shared| !state.has_room(shared, 0)).map(ToString::to_string).next();
        drop(state);
        deliver(turns);
        match receiver.try_recv() {
            Ok(ticket) => Entry::Admitted(ticket),
            Err(_) => Entry::Waiting(lacking.unwrap_or_else(|| "those who came before".to_owned()), receiver),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }
}

/// Hands tickets over, outside the lock: a ticket that nobody takes is dropped, and that locks.
fn deliver(turns: Vec<(oneshot::Sender<Ticket>, Ticket)>) {
    for (turn, ticket) in turns {
        drop(turn.send(ticket));
    }
}

impl State {
    fn has_room(&self, shared: &Shared, kept: usize) -> bool {
        let held = self.held.get(shared).copied().unwrap_or(0);
        held.saturating_add(kept) < shared.cap(&self.caps)
    }

    /// Lets in everybody whose turn it is.
    fn serve(&mut self, admission: &Admission) -> Vec<(oneshot::Sender<Ticket>, Ticket)> {
        let mut turns = Vec::new();
        self.waiting.retain(|waiter| !waiter.turn.is_closed());
        let mut kept: Vec<Shared> = Vec::new();
        let mut passed: Vec<usize> = Vec::new();
        let mut index = 0;
        while index < self.waiting.len() {
            let waiter = &self.waiting[index];
            let fits =
                waiter.needs.iter().all(|shared| self.has_room(shared, usize::from(kept.contains(shared))));
            if fits {
                let Some(waiter) = self.waiting.remove(index) else { break };
                for before in &passed {
                    let before = &mut self.waiting[*before];
                    before.overtaken +=
                        u32::from(before.needs.iter().any(|need| waiter.needs.contains(need)));
                }
                for shared in &waiter.needs {
                    *self.held.entry(shared.clone()).or_default() += 1;
                }
                turns.push((waiter.turn, Ticket { admission: admission.clone(), held: waiter.needs }));
            } else {
                if kept.is_empty() && waiter.overtaken >= PATIENCE {
                    kept.clone_from(&waiter.needs);
                }
                passed.push(index);
                index += 1;
            }
        }
        turns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(host: &str, datastores: &[&str]) -> Vec<Shared> {
        let source = || "vc".to_owned();
        let mut needs = vec![Shared::Provider(source()), Shared::Host(source(), host.to_owned())];
        needs.extend(datastores.iter().map(|name| Shared::Datastore(source(), (*name).to_owned())));
        needs
    }

    fn caps(per_host: usize, per_datastore: usize, per_provider: usize) -> Admission {
        Admission::new(Caps { per_host, per_datastore, per_provider })
    }

    fn admitted(entry: Entry) -> Ticket {
        match entry {
            Entry::Admitted(ticket) => ticket,
            Entry::Waiting(what, _) => panic!("waits for {what}"),
        }
    }

    fn waiting(entry: Entry) -> (String, oneshot::Receiver<Ticket>) {
        match entry {
            Entry::Waiting(what, turn) => (what, turn),
            Entry::Admitted(_) => panic!("was let in"),
        }
    }

    #[test]
    fn nobody_waits_behind_a_busy_host_for_an_idle_one() {
        let admission = caps(1, 0, 0);
        let first = admitted(admission.ask(needs("a", &[])));
        let (what, mut second) = waiting(admission.ask(needs("a", &[])));
        assert_eq!(what, "host a");
        let _other = admitted(admission.ask(needs("b", &[])));
        assert!(second.try_recv().is_err());
        drop(first);
        assert!(second.try_recv().is_ok());
    }

    #[test]
    fn one_that_stopped_waiting_or_was_given_its_turn_too_late_holds_nothing() {
        let admission = caps(1, 0, 0);
        let first = admitted(admission.ask(needs("a", &[])));
        let (_, gone) = waiting(admission.ask(needs("a", &[])));
        let (_, late) = waiting(admission.ask(needs("a", &[])));
        let (_, mut last) = waiting(admission.ask(needs("a", &[])));
        drop(gone);
        drop(first);
        // The turn of `late` has come; it does not take it.
        assert!(last.try_recv().is_err());
        drop(late);
        let last = last.try_recv().expect("the turn goes on");
        drop(last);
        assert!(admission.lock().held.is_empty());
    }

    #[test]
    fn one_that_needs_much_is_not_overtaken_for_ever() {
        let admission = caps(0, 1, 0);
        let mut left = admitted(admission.ask(needs("a", &["left"])));
        let mut right = admitted(admission.ask(needs("a", &["right"])));
        let (_, mut both) = waiting(admission.ask(needs("a", &["left", "right"])));
        for round in 0..2 * PATIENCE {
            let (_, mut next_left) = waiting(admission.ask(needs("a", &["left"])));
            drop(left);
            if let Ok(_ticket) = both.try_recv() {
                panic!("both were never free in round {round}");
            }
            match next_left.try_recv() {
                Ok(ticket) => left = ticket,
                Err(_) => {
                    drop(right);
                    assert!(both.try_recv().is_ok(), "room was kept");
                    return;
                }
            }
            let (_, mut next_right) = waiting(admission.ask(needs("a", &["right"])));
            drop(right);
            match next_right.try_recv() {
                Ok(ticket) => right = ticket,
                Err(_) => {
                    drop(left);
                    assert!(both.try_recv().is_ok(), "room was kept");
                    return;
                }
            }
        }
        panic!("overtaken for ever");
    }

    #[test]
    fn raised_caps_let_those_in_who_wait() {
        let admission = caps(0, 0, 1);
        let _first = admitted(admission.ask(needs("a", &[])));
        let (what, mut second) = waiting(admission.ask(needs("b", &[])));
        assert_eq!(what, "provider vc");
        admission.set_caps(Caps { per_host: 0, per_datastore: 0, per_provider: 2 });
        assert!(second.try_recv().is_ok());
    }
}
