//! A file that is read again when it changes.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context;

/// How often to look whether the file has changed.
const LOOK: Duration = Duration::from_millis(500);

/// What tells one state of a file from another.
type Stamp = (u64, i64, i64, u64);

/// A parsed file. While its newest state does not parse, the one before stays in use.
#[derive(Debug)]
pub(super) struct Watched<T> {
    path: PathBuf,
    parse: fn(&str) -> anyhow::Result<T>,
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    value: Arc<T>,
    stamp: Option<Stamp>,
    looked: Instant,
}

impl<T: Default> Watched<T> {
    /// Reads the file; one that is not there is empty.
    pub(super) fn open(path: &Path, parse: fn(&str) -> anyhow::Result<T>) -> anyhow::Result<Self> {
        let stamp = stamp(path)?;
        let value = read(path, parse)?;
        let state = State { value: Arc::new(value), stamp, looked: Instant::now() };
        Ok(Watched { path: path.to_owned(), parse, state: Mutex::new(state) })
    }

    /// What it says now, or did half a second ago.
    pub(super) fn get(&self) -> Arc<T> {
        let mut state = self.state.lock().expect("no holder of this lock panics");
        if state.looked.elapsed() >= LOOK {
            state.looked = Instant::now();
            match stamp(&self.path) {
                Ok(found) if found == state.stamp => {}
                Ok(found) => {
                    state.stamp = found;
                    match read(&self.path, self.parse) {
                        Ok(value) => {
                            state.value = Arc::new(value);
                            tracing::info!(path = %self.path.display(), "read again");
                        }
                        Err(error) => tracing::error!(
                            path = %self.path.display(),
                            "the file has changed and cannot be used; what it said before stays in force: {error:#}"
                        ),
                    }
                }
                Err(error) => tracing::error!(path = %self.path.display(), "look at file: {error}"),
            }
        }
        Arc::clone(&state.value)
    }
}

fn stamp(path: &Path) -> io::Result<Option<Stamp>> {
    match std::fs::metadata(path) {
        Ok(found) => Ok(Some((found.ino(), found.mtime(), found.mtime_nsec(), found.len()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn read<T: Default>(path: &Path, parse: fn(&str) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let mode = match std::fs::metadata(path) {
        Ok(found) => found.mode(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(T::default()),
        Err(error) => return Err(error).context("cannot be read"),
    };
    if mode & 0o077 != 0 {
        anyhow::bail!("others than its owner may read or write it; chmod 600 {}", path.display());
    }
    parse(&std::fs::read_to_string(path).context("cannot be read")?)
}
