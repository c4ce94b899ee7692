//! Whoever gives or takes away names in a directory does so alone.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use hypersdk_core::{Error, Result};
use rustix::fs::FlockOperation;
use rustix::io::Errno;

/// Holds the names of a directory until it is dropped, or its process dies.
#[derive(Debug)]
pub(crate) struct NamesLock {
    _directory: File,
}

/// How long somebody may hold the names of a directory: for a few renames and two syncs.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long somebody is waited for who was waited for in vain before.
const SECOND_PATIENCE: Duration = Duration::from_millis(50);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Directories, by device and inode, whose names were not let go of the last time.
static HELD: Mutex<BTreeSet<(u64, u64)>> = Mutex::new(BTreeSet::new());

/// Waits until nobody else holds the names of `directory`: no other thread, and where the file system knows locks on
/// directories, no other process. Blocks, but not for ever: `None` if somebody does not let go, as a process that was
/// put to sleep in the middle.
pub(crate) fn lock(directory: &Path) -> Result<Option<NamesLock>> {
    lock_within(directory, PATIENCE)
}

#[expect(clippy::disallowed_methods, reason = "whoever calls this blocks, and says so")]
fn lock_within(directory: &Path, patience: Duration) -> Result<Option<NamesLock>> {
    let failed = |error| Error::io(format!("lock the names in {}", directory.display()), error);
    let opened = File::open(directory).map_err(failed)?;
    let metadata = opened.metadata().map_err(failed)?;
    let identity = (metadata.dev(), metadata.ino());
    let held = || HELD.lock().expect("no holder of this lock panics");
    let again = held().contains(&identity);
    let patience = if again { patience.min(SECOND_PATIENCE) } else { patience };
    let begun = Instant::now();
    loop {
        match rustix::fs::flock(&opened, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) if begun.elapsed() >= patience => {
                if held().insert(identity) {
                    tracing::warn!(
                        directory = %directory.display(),
                        "another process does not let go of the names here; is one of the daemons stopped?"
                    );
                }
                return Ok(None);
            }
            Err(Errno::WOULDBLOCK | Errno::INTR) => std::thread::sleep(PAUSE),
            Err(error) => {
                // Network file systems may have none: then no two daemons may use the same names in one directory.
                tracing::debug!(%error, directory = %directory.display(), "the file system has no locks on directories");
                break;
            }
            Ok(()) => break,
        }
    }
    if again {
        held().remove(&identity);
    }
    Ok(Some(NamesLock { _directory: opened }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_holds_the_names_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let attempt = || lock_within(directory.path(), Duration::from_millis(30)).unwrap();
        let held = attempt();
        assert!(held.is_some());
        assert!(attempt().is_none(), "it is waited for, but not for ever");
        drop(held);
        assert!(attempt().is_some());
    }
}
