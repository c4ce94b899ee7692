//! The database's file: whose it is, who may read it, and whether it is one at all.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{ErrorKind as Io, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hypersdk_core::{Error, ErrorKind, Result};

/// How long a predecessor may take to let go of the database.
const HANDOVER: Duration = Duration::from_secs(1);

/// How often to look whether it has.
const LOOK: Duration = Duration::from_millis(20);

const OWNER_ONLY: u32 = 0o600;

/// The first bytes of every SQLite database, <https://www.sqlite.org/fileformat.html#the_database_header>.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// The right to the database, as long as this lives.
///
/// It is a lock on a file beside the database: closing any handle on the database itself would drop
/// SQLite's own locks, which are POSIX record locks.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "held for its lock")] File);

/// Takes the lock. Waits a moment for a predecessor that is just going.
pub(super) async fn lock(database: &Path) -> Result<Lock> {
    let operation = || format!("open database {}", database.display());
    let path = beside(database, ".lock");
    // Not truncated: another process's number may be in it.
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(OWNER_ONLY)
        .open(&path)
        .map_err(|error| unusable(database, error))?;
    let deadline = tokio::time::Instant::now() + HANDOVER;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(LOOK).await;
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let holder = match file.read_to_string(&mut holder) {
                    Ok(_) if !holder.trim().is_empty() => format!(" (pid {})", holder.trim()),
                    _ => String::new(),
                };
                let message = format!("another process{holder} has it open");
                return Err(Error::new(ErrorKind::Conflict, operation(), message)
                    .with_advice("stop that process, or give this one a database of its own"));
            }
            Err(TryLockError::Error(error)) => return Err(Error::io(operation(), error)),
        }
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(|error| Error::io(operation(), error))?;
    Ok(Lock(file))
}

/// Makes the file, or makes sure that it is a database and its owner's alone. Called under the lock, before
/// SQLite opens it; SQLite gives its other files the same mode.
pub(super) fn prepare(database: &Path) -> Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(database) {
        Ok(_) => {
            let directory = database.parent().filter(|parent| !parent.as_os_str().is_empty());
            File::open(directory.unwrap_or(Path::new(".")))
                .and_then(|directory| directory.sync_all())
                .map_err(|error| unusable(database, error))
        }
        Err(error) if error.kind() == Io::AlreadyExists => {
            let mut head = Vec::new();
            File::open(database)
                .and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut head))
                .map_err(|error| unusable(database, error))?;
            if !head.is_empty() && head != MAGIC {
                let operation = format!("open database {}", database.display());
                return Err(Error::new(ErrorKind::Corrupt, operation, "the file is not a SQLite database")
                    .with_retry(hypersdk_core::RetryHint::Never)
                    .with_advice("give the path of a SQLite database, or of no file"));
            }
            let mode = std::fs::metadata(database).map_err(|error| unusable(database, error))?.permissions();
            if mode.mode() & 0o077 != 0 {
                std::fs::set_permissions(database, Permissions::from_mode(OWNER_ONLY))
                    .map_err(|error| unusable(database, error))?;
            }
            Ok(())
        }
        Err(error) => Err(unusable(database, error)),
    }
}

fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

fn unusable(database: &Path, error: std::io::Error) -> Error {
    let advice = match error.kind() {
        Io::NotFound => "create the directory, or give another path",
        _ => "give a path in a directory that this process may write to",
    };
    Error::io(format!("open database {}", database.display()), error).with_advice(advice)
}
