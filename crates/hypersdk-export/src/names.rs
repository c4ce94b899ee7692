//! Whoever gives or takes away names in a directory does so alone.

use std::fs::File;
use std::path::Path;

use hypersdk_core::{Error, Result};
use rustix::fs::FlockOperation;

/// Holds the names of a directory until it is dropped, or its process dies.
#[derive(Debug)]
pub(crate) struct NamesLock {
    _directory: File,
}

/// Waits until nobody else holds the names of `directory`: no other thread, and where the file system knows locks on
/// directories, no other process. Blocks; whoever holds them does so for a few renames.
pub(crate) fn lock(directory: &Path) -> Result<NamesLock> {
    let opened = File::open(directory)
        .map_err(|error| Error::io(format!("lock the names in {}", directory.display()), error))?;
    if let Err(error) = rustix::fs::flock(&opened, FlockOperation::LockExclusive) {
        // Network file systems may have none: then no two daemons may use the same names in one directory.
        tracing::debug!(%error, directory = %directory.display(), "the file system has no locks on directories");
    }
    Ok(NamesLock { _directory: opened })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_holds_the_names_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let held = lock(directory.path()).unwrap();
        let file = File::open(directory.path()).unwrap();
        let attempt = || rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
        assert!(attempt().is_err());
        drop(held);
        attempt().unwrap();
    }
}
