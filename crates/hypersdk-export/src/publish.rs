//! Gives finished work its final name: receipt first, then the package, so that a package found without its
//! job's receipt is somebody else's.

use std::fs::File;
use std::io;
use std::path::Path;

use hypersdk_core::{Error, ErrorKind, Result};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::plan::Target;

/// Renames receipt and package into place and makes the names durable.
pub(crate) fn publish(target: &Target, overwrite: bool) -> Result<()> {
    rename(&target.partial_receipt(), &target.receipt())?;
    let beside = target.partial_ovf_directory();
    if target.format.is_archive() && beside.exists() {
        install(&beside, &target.ovf_directory(), overwrite)?;
    }
    install(&target.partial_result(), &target.package(), overwrite)?;
    sync_directory(&target.directory)
}

/// Refuses to go on where a package of this name is.
pub(crate) fn check_free(target: &Target, overwrite: bool) -> Result<()> {
    let package = target.package();
    if !overwrite && package.exists() {
        return Err(taken(&package));
    }
    Ok(())
}

/// Makes the names in `directory` durable.
pub(crate) fn sync_directory(directory: &Path) -> Result<()> {
    File::open(directory)
        .and_then(|file| file.sync_all())
        .map_err(|error| Error::io(format!("sync {}", directory.display()), error))
}

/// Puts `from` in the place of `to` in one step. What was there, if it may be replaced, is removed after.
fn install(from: &Path, to: &Path, overwrite: bool) -> Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE).map_err(io::Error::from) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && overwrite => {
            renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE)
                .map_err(|error| Error::io(format!("replace {}", to.display()), error.into()))?;
            remove(from)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(taken(to)),
        // Some network file systems know no flags; the check just before is then all there is.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            if to.exists() {
                if !overwrite {
                    return Err(taken(to));
                }
                remove(to)?;
            }
            rename(from, to)
        }
        Err(error) => Err(Error::io(format!("rename {} to {}", from.display(), to.display()), error)),
    }
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to)
        .map_err(|error| Error::io(format!("rename {} to {}", from.display(), to.display()), error))
}

fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    removed.map_err(|error| Error::io(format!("remove {}", path.display()), error))
}

fn taken(path: &Path) -> Error {
    Error::new(ErrorKind::Conflict, "name the package", format!("{} exists", path.display()))
        .with_advice("set package_name to another name, choose another output_dir, or set overwrite to true")
}
