//! How many files and connections this process may have open.
//!
//! Services and shells begin with a low limit that they may raise themselves up to another one: 1024 and half a
//! million under systemd. It is low for the sake of programs that wait with select(2), which this one does not.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the rest of the daemon opens: the database, connections to sources, packages.
const OTHERS: u64 = 256;

/// Raises the limit as far as it goes, and gives how many of `wanted` connections there is then room for.
pub(crate) fn make_room(wanted: usize) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let limit = match raised {
        Ok(()) => maximum,
        Err(error) => {
            tracing::warn!("the limit of open files stays {current:?}: {error}");
            current
        }
    };
    let room = room_for(wanted, limit);
    if room < wanted {
        let needed = wanted as u64 + OTHERS;
        tracing::warn!(
            "server.max_connections is {wanted}, and there is room for {room}: allow {needed} open files \
             (LimitNOFILE= of the unit, or ulimit -Hn)"
        );
    }
    room
}

/// No limit is plenty of room. However low it is, somebody is let in.
fn room_for(wanted: usize, limit: Option<u64>) -> usize {
    let Some(limit) = limit else { return wanted };
    let room = usize::try_from(limit.saturating_sub(OTHERS)).unwrap_or(usize::MAX);
    wanted.min(room.max(16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_the_rest() {
        assert_eq!(room_for(2048, None), 2048);
        assert_eq!(room_for(2048, Some(524_288)), 2048);
        assert_eq!(room_for(2048, Some(1024)), 768);
        assert_eq!(room_for(2048, Some(64)), 16);
    }
}
