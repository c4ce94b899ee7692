//! A copy of the database as it is at one instant.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use hypersdk_core::{Error, ErrorKind, Result};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::error::failed;
use super::{BUSY_TIMEOUT, cannot_open};

/// Copies the database at `path` to `file`, which must not exist. Readers and the writer go on meanwhile: the copy is
/// what one read transaction sees.
pub(crate) async fn backup(path: &Path, file: &Path) -> Result<()> {
    let operation = || format!("back up to {}", file.display());
    if !path.exists() {
        return Err(Error::new(ErrorKind::NotFound, operation(), format!("there is no {}", path.display())));
    }
    let exists = || {
        Error::new(ErrorKind::Conflict, operation(), "the file exists")
            .with_advice("give the name of a file that is not there yet")
    };
    if file.exists() {
        return Err(exists());
    }
    let partial = Partial::create(file)?;
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(BUSY_TIMEOUT);
    let mut connection =
        options.disable_statement_logging().connect().await.map_err(|error| cannot_open(path, &error))?;
    sqlx::query("VACUUM INTO $1")
        .bind(partial.path.to_string_lossy().into_owned())
        .execute(&mut connection)
        .await
        .map_err(|error| failed("copy the database", &error).context(operation()))?;
    connection.close().await.map_err(|error| failed("close the database", &error).context(operation()))?;
    let finished = (|| {
        File::open(&partial.path)?.sync_all()?;
        // A link refuses a name that somebody took meanwhile, which a rename would replace.
        std::fs::hard_link(&partial.path, file)?;
        let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    })();
    match finished {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Err(exists()),
        finished => finished.map_err(|error| Error::io(operation(), error)),
    }
}

/// The unfinished copy, its owner's alone; removed in the end, whatever becomes of it.
struct Partial {
    path: PathBuf,
}

impl Partial {
    fn create(file: &Path) -> Result<Partial> {
        let mut path = file.as_os_str().to_owned();
        path.push(format!(".{}.partial", std::process::id()));
        let path = PathBuf::from(path);
        // SQLite takes an empty file for a new database, and keeps its mode.
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| Error::io(format!("create {}", path.display()), error))?;
        Ok(Partial { path })
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
