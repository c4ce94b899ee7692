//! That a VM was running before it was switched off for its export, written down beside the package, so that an
//! attempt after a crash still knows.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use hypersdk_core::{Error, Result};

/// Writes the mark, durably.
pub(crate) fn mark(path: &Path) -> Result<()> {
    let write = || {
        let mut file = File::create(path)?;
        file.write_all(b"the VM was running before this job switched it off\n")?;
        file.sync_all()?;
        path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    };
    write().map_err(|error| Error::io(format!("write {}", path.display()), error))
}

/// Removes it. One that stays is removed with the job's other leftovers.
pub(crate) fn unmark(path: &Path) {
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%error, path = %path.display(), "the mark of a restored power state stays");
    }
}
