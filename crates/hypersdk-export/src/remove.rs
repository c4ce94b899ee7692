//! Removes a package that a job made, and nothing else.
//!
//! The receipt beside the package says whose it is: unless it names the job, nothing is touched. First package and
//! receipt lose their names, the receipt last; under the names that they get then nobody else looks for anything.
//! Then the files go, each by a name that the receipt knows, and the receipt last again. Cut short at any point,
//! doing it again finds the receipt and goes on. What somebody else has put into the package's directory stays
//! there.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use hypersdk_core::{Error, ErrorKind, JobId, Outcome, Result};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::receipt::Receipt;

/// The endings of an archive's name, the longest first.
const ARCHIVE_ENDINGS: [&str; 3] = [".ova.gz", ".ova.zst", ".ova"];

/// What came of a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// It was there and is gone now.
    Removed,
    /// There was nothing of it any more.
    WasGone,
}

/// A package by its names in the directory it is in.
#[derive(Debug, Clone)]
struct Names {
    job: JobId,
    /// The archive, or the directory.
    main: String,
    /// Without any ending.
    base: String,
    /// The file that leads the package, in its directory if it has one.
    leader: String,
    /// An OVF directory of the bare name is the package's as well.
    beside: bool,
}

/// Removes the package that `job` made in `directory`, which is the directory of its outcome with every link
/// followed; with `beside` also the OVF directory that the job left beside an archive. Blocks.
///
/// # Errors
/// `Conflict` if what is there is another's: nothing was touched then. `Invalid` if the outcome names no package of
/// that directory. Anything else may be tried again.
pub fn remove_package(job: &JobId, outcome: &Outcome, beside: bool, directory: &Path) -> Result<Removal> {
    let mut names = Names::of(job, outcome)?;
    names.beside = beside && names.is_archive();
    let operation = || format!("remove package {}", directory.join(&names.main).display());
    let failed = |error: Errno| Error::io(operation(), error.into());
    let room = open_directory(rustix::fs::CWD, directory).map_err(failed)?;
    let Some(receipt) = names.take_away(&room, directory)? else { return Ok(Removal::WasGone) };
    let owned = names.owned(&receipt.outcome);
    for (name, _) in names.moves() {
        remove_files(&room, &names.doomed(&name), &name, &owned).map_err(failed)?;
    }
    rustix::fs::fsync(&room).map_err(failed)?;
    unlink(&room, &names.doomed_receipt(), AtFlags::empty()).map_err(failed)?;
    rustix::fs::fsync(&room).map_err(failed)?;
    Ok(Removal::Removed)
}

/// Whether `directory` holds the receipt of the package that `job` made, so that it can be removed here. Blocks.
///
/// # Errors
/// A receipt cannot be read.
pub fn has_receipt(job: &JobId, outcome: &Outcome, directory: &Path) -> Result<bool> {
    let names = Names::of(job, outcome)?;
    for name in [names.receipt(), names.doomed_receipt()] {
        match Receipt::read(&directory.join(name)) {
            Ok(receipt) if receipt.job == *job => return Ok(true),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Corrupt) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// Whether the package that `job` made is in `directory` as far as names, sizes and its receipt tell. Blocks.
///
/// # Errors
/// The directory cannot be read.
pub fn package_stands(job: &JobId, outcome: &Outcome, directory: &Path) -> Result<bool> {
    let names = Names::of(job, outcome)?;
    match Receipt::read(&directory.join(names.receipt())) {
        Ok(receipt) if receipt.job == *job => {}
        Ok(_) => return Ok(false),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Corrupt) => return Ok(false),
        Err(error) => return Err(error),
    }
    let main = directory.join(&names.main);
    let size = |path: &Path| match path.symlink_metadata() {
        Ok(metadata) if metadata.is_file() => Some(metadata.len()),
        _ => None,
    };
    if names.is_archive() {
        return Ok(size(&main) == Some(outcome.total_size));
    }
    let files = outcome.files.iter().flat_map(|file| match file.chunks.as_slice() {
        [] => vec![(&file.name, file.size)],
        chunks => chunks.iter().map(|chunk| (&chunk.name, chunk.size)).collect(),
    });
    let mut files = files.map(|(name, bytes)| size(&main.join(name)) == Some(bytes));
    Ok(files.all(|stands| stands) && size(&main.join(&names.leader)).is_some())
}

impl Names {
    fn of(job: &JobId, outcome: &Outcome) -> Result<Names> {
        let inside = Path::new(&outcome.ovf_path).strip_prefix(&outcome.output_dir).ok();
        let parts: Option<Vec<&str>> = inside
            .map(|inside| inside.components())
            .into_iter()
            .flatten()
            .map(|part| match part {
                Component::Normal(name) => name.to_str(),
                _ => None,
            })
            .collect();
        let names = match parts.as_deref() {
            Some([main]) => {
                let base = ARCHIVE_ENDINGS.iter().find_map(|ending| main.strip_suffix(ending));
                base.filter(|base| !base.is_empty()).map(|base| (*main, base, *main))
            }
            Some([main, leader]) => Some((*main, *main, *leader)),
            _ => None,
        };
        let Some((main, base, leader)) = names else {
            let message = format!("{} is no package of {}", outcome.ovf_path, outcome.output_dir);
            return Err(Error::new(ErrorKind::Invalid, "find package", message));
        };
        let (job, main) = (job.clone(), main.to_owned());
        Ok(Names { job, main, base: base.to_owned(), leader: leader.to_owned(), beside: false })
    }

    fn is_archive(&self) -> bool {
        self.main != self.base
    }

    /// What has to go, and what it must be.
    fn moves(&self) -> Vec<(String, FileType)> {
        let main = if self.is_archive() { FileType::RegularFile } else { FileType::Directory };
        let beside = self.beside.then(|| (self.base.clone(), FileType::Directory));
        [(self.main.clone(), main)].into_iter().chain(beside).collect()
    }

    fn receipt(&self) -> String {
        format!("{}.receipt.json", self.base)
    }

    /// The name under which something waits for its end.
    fn doomed(&self, name: &str) -> String {
        format!("{name}.removed.{}.partial", self.job)
    }

    fn doomed_receipt(&self) -> String {
        self.doomed(&self.receipt())
    }

    /// Every file that a directory of this package may hold.
    fn owned(&self, outcome: &Outcome) -> BTreeSet<String> {
        let mut owned = BTreeSet::from([self.leader.clone()]);
        for file in &outcome.files {
            owned.insert(file.name.clone());
            owned.extend(file.chunks.iter().map(|chunk| chunk.name.clone()));
        }
        owned.extend(["ovf", "mf", "cert"].map(|ending| format!("{}.{ending}", self.base)));
        owned.retain(|name| !name.contains('/'));
        owned
    }

    /// Takes all names away, and returns the receipt, which knows the files. `None` if there is none, and nothing
    /// that it could belong to.
    fn take_away(&self, room: &OwnedFd, directory: &Path) -> Result<Option<Receipt>> {
        let operation = || format!("remove package {}", directory.join(&self.main).display());
        let failed = |error: Errno| Error::io(operation(), error.into());
        let refused = |message: String| Err(Error::new(ErrorKind::Conflict, operation(), message));
        // Nobody gives names in this directory meanwhile.
        let Some(_lock) = crate::names::lock(directory)? else {
            let message = "another process is giving names in this directory and does not end";
            return Err(Error::new(ErrorKind::Unavailable, operation(), message).with_advice(
                "it will be tried again; see whether a daemon that writes there is stopped or hangs",
            ));
        };
        match Receipt::read(&directory.join(self.receipt())) {
            Ok(receipt) if receipt.job == self.job => {
                for (name, wanted) in self.moves() {
                    if kind_of(room, &name).map_err(failed)?.is_some_and(|kind| kind != wanted) {
                        return refused(format!("{name} is not what its job made"));
                    }
                }
                let names = self.moves().into_iter().map(|(name, _)| name);
                for name in names.chain([self.receipt()]) {
                    match rename(room, &name, &self.doomed(&name)) {
                        Err(Errno::EXIST) => return refused(format!("{name} is there a second time")),
                        renamed => renamed.map_err(failed)?,
                    }
                }
                rustix::fs::fsync(room).map_err(failed)?;
                Ok(Some(receipt))
            }
            found => {
                // An earlier removal may have come as far as this.
                match Receipt::read(&directory.join(self.doomed_receipt())) {
                    Ok(receipt) if receipt.job == self.job => return Ok(Some(receipt)),
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
                match found {
                    Ok(receipt) => refused(format!("its receipt names job {}", receipt.job)),
                    Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
                    Err(_) if kind_of(room, &self.main).map_err(failed)?.is_some() => {
                        refused("it has no receipt, so it may be anybody's".to_owned())
                    }
                    Err(_) => Ok(None),
                }
            }
        }
    }
}

/// Removes a file, or of a directory what is owned; gives its name back to a directory in which something else is.
fn remove_files(room: &OwnedFd, doomed: &str, was: &str, owned: &BTreeSet<String>) -> Result<(), Errno> {
    match kind_of(room, doomed)? {
        None => return Ok(()),
        Some(FileType::Directory) => {}
        Some(_) => return unlink(room, doomed, AtFlags::empty()),
    }
    let directory = open_directory(room, doomed)?;
    for name in owned {
        match kind_of(&directory, name)? {
            None | Some(FileType::Directory) => {}
            Some(_) => unlink(&directory, name, AtFlags::empty())?,
        }
    }
    rustix::fs::fsync(&directory)?;
    match unlink(room, doomed, AtFlags::REMOVEDIR) {
        Err(Errno::NOTEMPTY | Errno::EXIST) => {
            tracing::warn!("{was} held files that are no package's; they are left there");
            match rename(room, doomed, was) {
                // Somebody has taken it meanwhile.
                Err(Errno::EXIST) => Ok(()),
                renamed => renamed,
            }
        }
        result => result,
    }
}

/// What has a name, links not followed.
fn kind_of(directory: &OwnedFd, name: &str) -> Result<Option<FileType>, Errno> {
    match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

fn open_directory(at: impl std::os::fd::AsFd, path: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, path, flags, Mode::empty())
}

/// Removes a name, if it is there.
fn unlink(directory: &OwnedFd, name: &str, flags: AtFlags) -> Result<(), Errno> {
    match rustix::fs::unlinkat(directory, name, flags) {
        Err(Errno::NOENT) => Ok(()),
        result => result,
    }
}

/// Gives another name, if that is free and the old one is there.
fn rename(directory: &OwnedFd, from: &str, to: &str) -> Result<(), Errno> {
    match rustix::fs::renameat_with(directory, from, directory, to, RenameFlags::NOREPLACE) {
        Err(Errno::NOENT) => Ok(()),
        // Some network file systems know no flags; nobody else uses the name.
        Err(Errno::INVAL) if kind_of(directory, to)?.is_none() => {
            rustix::fs::renameat(directory, from, directory, to)
        }
        result => result,
    }
}

/// How many bytes are free for everybody where `directory` is, and which file system that is. Blocks.
///
/// # Errors
/// It cannot be asked.
pub fn free_space(directory: &Path) -> Result<(u64, u64)> {
    let operation = || format!("read free space of {}", directory.display());
    let stat = rustix::fs::stat(directory).map_err(|error| Error::io(operation(), error.into()))?;
    let space = rustix::fs::statvfs(directory).map_err(|error| Error::io(operation(), error.into()))?;
    Ok((space.f_bavail.saturating_mul(space.f_frsize), stat.st_dev))
}

#[cfg(test)]
mod tests;
