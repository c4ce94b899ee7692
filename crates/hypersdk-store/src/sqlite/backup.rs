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
    if file.exists() {
        return Err(exists(file));
    }
    copy(path, file, |partial| {
        // A link refuses a name that somebody took meanwhile, which a rename would replace.
        std::fs::hard_link(partial, file)
    })
    .await
}

/// Copies the database at `path` to `file`, in the place of an earlier copy.
pub(super) async fn backup_over(path: &Path, file: &Path) -> Result<()> {
    copy(path, file, |partial| std::fs::rename(partial, file)).await
}

/// Copies, and has `name` give the finished copy its name.
async fn copy(path: &Path, file: &Path, name: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<()> {
    let operation = || format!("back up to {}", file.display());
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
        name(&partial.path)?;
        let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    })();
    match finished {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Err(exists(file)),
        finished => finished.map_err(|error| Error::io(operation(), error)),
    }
}

fn exists(file: &Path) -> Error {
    Error::new(ErrorKind::Conflict, format!("back up to {}", file.display()), "the file exists")
        .with_advice("give the name of a file that is not there yet")
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
