//! Which files of an OVF directory are finished, so that an attempt after a crash need not fetch them again.
//!
//! A file is noted once it is whole, compared with what the host attests, and durable. The note names the snapshot that
//! it was read from: only an export that reads from that very snapshot continues it, since nothing else says that the
//! bytes are still the same. What is kept is read and hashed once more.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use hypersdk_core::{Error, ErrorKind, ExportSource, JobContext, LogLevel, Result, VmId};
use hypersdk_ova::digest::hash_file;
use hypersdk_ova::package::PackagedFile;
use serde::{Deserialize, Serialize};

use crate::blocking::blocking;
use crate::plan::{PlannedFile, Target};
use crate::publish::sync_directory;
use crate::transfer::Delivered;

/// The program that wrote it: another version may cut or compress otherwise.
const TOOL: &str = concat!("hypersdk ", env!("CARGO_PKG_VERSION"));

/// The notes of an export into a directory. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    path: PathBuf,
    notes: Arc<Mutex<Notes>>,
    /// The keys of what an earlier attempt had finished.
    kept: Arc<BTreeSet<String>>,
}

/// What is on storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Notes {
    tool: String,
    vm: VmId,
    snapshot: String,
    /// Finished files by the source's key.
    files: BTreeMap<String, Delivered>,
}

/// What an earlier attempt noted, and which.
#[derive(Debug)]
pub(crate) struct Left {
    notes: Notes,
    attempt: u32,
}

impl Left {
    /// The snapshot that the finished files were read from.
    pub(crate) fn snapshot(&self) -> &str {
        &self.notes.snapshot
    }
}

impl Journal {
    /// What the last attempt of the same job noted that noted anything, if it is worth something. Blocks.
    pub(crate) fn left(target: &Target) -> Result<Option<Left>> {
        if target.format.is_archive() {
            return Ok(None);
        }
        for attempt in (1..target.attempt).rev() {
            let path = target.of_attempt(attempt).journal();
            match std::fs::read(&path) {
                Ok(text) => {
                    let notes: Option<Notes> = serde_json::from_slice(&text).ok();
                    let notes = notes.filter(|notes| notes.tool == TOOL && !notes.files.is_empty());
                    return Ok(notes.map(|notes| Left { notes, attempt }));
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io(format!("read {}", path.display()), error)),
            }
        }
        Ok(None)
    }

    /// The journal of an export that has begun: what is `left` goes on if it was read from the same snapshot, and
    /// everything else that earlier attempts left is removed. `None` where nothing can be kept: an archive, which is
    /// written in one piece, or a VM that is not read from a snapshot.
    pub(crate) async fn of(
        target: &Target,
        source: &ExportSource,
        left: Option<Left>,
        context: &JobContext,
    ) -> Result<Option<Journal>> {
        let own = target.clone();
        let Some(snapshot) = source.snapshot.clone().filter(|_| !target.format.is_archive()) else {
            return blocking("clean up", move || own.remove_partials()).await.map(|()| None);
        };
        let fresh = Notes { tool: TOOL.to_owned(), vm: source.vm.clone(), snapshot, files: BTreeMap::new() };
        let same = |left: &Left| left.notes.vm == fresh.vm && left.notes.snapshot == fresh.snapshot;
        let was_left = left.is_some();
        let notes = match left.filter(same) {
            Some(left) => {
                let (notes, lost) = blocking("take over", move || take_over(&own, left)).await?;
                for name in lost {
                    let line =
                        format!("{name}: what an earlier attempt wrote is damaged; it is fetched again");
                    context.log(LogLevel::Warning, line);
                }
                notes
            }
            None => {
                if was_left {
                    let line = "the snapshot of the earlier attempt is gone; every file is fetched again";
                    context.log(LogLevel::Info, line);
                }
                blocking("clean up", move || own.remove_partials()).await?;
                fresh
            }
        };
        let kept = Arc::new(notes.files.keys().cloned().collect());
        Ok(Some(Journal { path: target.journal(), notes: Arc::new(Mutex::new(notes)), kept }))
    }

    /// Whether an earlier attempt had finished the file with this key.
    pub(crate) fn has_kept(&self, key: &str) -> bool {
        self.kept.contains(key)
    }

    /// What an earlier attempt made of a file, if it is to be the same.
    pub(crate) fn kept(&self, file: &PlannedFile) -> Option<Delivered> {
        if !self.has_kept(&file.source.key) {
            return None;
        }
        let notes = self.notes.lock().expect("no holder of this lock panics");
        notes.files.get(&file.source.key).filter(|delivered| fits(delivered, file)).cloned()
    }

    /// Notes a file that is whole and durable.
    pub(crate) async fn note(&self, file: &PlannedFile, delivered: &Delivered) -> Result<()> {
        let (own, key, delivered) = (self.clone(), file.source.key.clone(), delivered.clone());
        blocking("write journal", move || {
            // Held over the write: two files that end together are written one after the other.
            let mut notes = own.notes.lock().expect("no holder of this lock panics");
            notes.files.insert(key, delivered);
            write(&own.path, &notes)
        })
        .await
    }
}

/// Whether what was made of a file is what is planned now: of one snapshot it always is.
fn fits(delivered: &Delivered, file: &PlannedFile) -> bool {
    let (_, capacity) = delivered.came();
    let same = capacity.zip(file.source.capacity_bytes).is_none_or(|(was, is)| was == is);
    delivered.name == file.name && same
}

/// Puts the notes in the place of the earlier ones, durably.
fn write(path: &Path, notes: &Notes) -> Result<()> {
    let operation = || format!("write {}", path.display());
    let text = serde_json::to_vec(notes)
        .map_err(|error| Error::new(ErrorKind::Internal, operation(), error.to_string()))?;
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let put = || -> std::io::Result<()> {
        let mut file = File::create(&new)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&new, path)
    };
    put().map_err(|error| Error::io(operation(), error))?;
    path.parent().map_or(Ok(()), sync_directory)
}

/// Makes an earlier attempt's directory this one's, as far as it holds what was noted, and removes the rest of what
/// earlier attempts left. A process of theirs that only slept finds nothing any more that it could write into. Returns
/// the names of files that were noted and are damaged. Blocks.
fn take_over(target: &Target, left: Left) -> Result<(Notes, Vec<String>)> {
    let (theirs, ours) =
        (target.of_attempt(left.attempt).partial_ovf_directory(), target.partial_ovf_directory());
    match std::fs::rename(&theirs, &ours) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::io(format!("rename {} to {}", theirs.display(), ours.display()), error));
        }
        _ => {}
    }
    let (notes, lost) = check(&ours, left.notes)?;
    write(&target.journal(), &notes)?;
    target.of_attempt(target.attempt - 1).remove_partials()?;
    Ok((notes, lost))
}

/// Keeps those files whose bytes are what was noted, and removes everything else from the directory. Returns the names
/// of those that were noted and are not. Blocks.
fn check(directory: &Path, mut notes: Notes) -> Result<(Notes, Vec<String>)> {
    let mut lost = Vec::new();
    notes.files.retain(|_, delivered| {
        let whole = delivered.packaged().iter().all(|file| stands(directory, file));
        if !whole {
            lost.push(delivered.name.clone());
        }
        whole
    });
    let kept: BTreeSet<String> =
        notes.files.values().flat_map(Delivered::packaged).map(|file| file.name).collect();
    let read = |error| Error::io(format!("read directory {}", directory.display()), error);
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((notes, lost)),
        Err(error) => return Err(read(error)),
    };
    for entry in entries {
        let entry = entry.map_err(read)?;
        if !entry.file_name().to_str().is_some_and(|name| kept.contains(name)) {
            crate::plan::remove(&entry.path())?;
        }
    }
    Ok((notes, lost))
}

fn stands(directory: &Path, file: &PackagedFile) -> bool {
    let path = directory.join(&file.name);
    let is_plain = path.symlink_metadata().is_ok_and(|found| found.is_file() && found.len() == file.size);
    is_plain && hash_file(&path, file.digest.algorithm()).is_ok_and(|digest| digest == file.digest)
}
