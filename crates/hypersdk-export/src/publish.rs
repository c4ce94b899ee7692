//! Gives finished work its final names, so that a crash between two of them loses nothing.
//!
//! Receipt first: once it has its name, all the rest is whole and durable under partial names, and whoever finds
//! the receipt of this job can go on ([`resume`](crate::resume)). Then the OVF directory that may stay beside an
//! archive, then the package. A package found without its job's receipt is somebody else's.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use hypersdk_core::{Error, ErrorKind, Result};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::plan::Target;

/// Renames receipt and package into place and makes the names durable. If one of them is refused, all are as
/// they were before.
pub(crate) fn publish(target: &Target, overwrite: bool) -> Result<()> {
    let receipt = Placed::put(target.partial_receipt(), target.receipt(), true)?;
    publish_rest(target, overwrite, receipt)
}

/// The same, once the receipt has its name.
pub(crate) fn publish_beside_receipt(target: &Target, overwrite: bool) -> Result<()> {
    // Whatever receipt was there before is under the partial name now.
    let before = if target.partial_receipt().exists() { Before::Exchanged } else { Before::Nothing };
    publish_rest(target, overwrite, Placed { from: target.partial_receipt(), to: target.receipt(), before })
}

fn publish_rest(target: &Target, overwrite: bool, receipt: Placed) -> Result<()> {
    let mut placed = vec![receipt];
    let mut place = || -> Result<()> {
        // The receipt must not get lost while what follows stays.
        sync_directory(&target.directory)?;
        for (from, to) in target.renames() {
            if from.exists() {
                placed.push(Placed::put(from, to, overwrite)?);
            }
        }
        sync_directory(&target.directory)
    };
    if let Err(error) = place() {
        for undone in placed.into_iter().rev() {
            if let Err(error) = undone.take_back() {
                tracing::warn!(error = %error.chain(), "a name could not be given back");
            }
        }
        return Err(error);
    }
    // What was replaced has partial names now.
    target.remove_partials()
}

/// Refuses to go on where something of one of the package's names is.
pub(crate) fn check_free(target: &Target, overwrite: bool) -> Result<()> {
    match target.renames().into_iter().find(|(_, to)| to.exists()) {
        Some((_, to)) if !overwrite => Err(taken(&to)),
        _ => Ok(()),
    }
}

/// Makes the names in `directory` durable.
pub(crate) fn sync_directory(directory: &Path) -> Result<()> {
    File::open(directory)
        .and_then(|file| file.sync_all())
        .map_err(|error| Error::io(format!("sync {}", directory.display()), error))
}

/// A name that was given.
#[derive(Debug)]
struct Placed {
    from: PathBuf,
    to: PathBuf,
    before: Before,
}

/// What had the name before.
#[derive(Debug)]
enum Before {
    Nothing,
    /// Something that has the partial name now.
    Exchanged,
    /// Something that was moved here, on file systems that cannot exchange names.
    Aside(PathBuf),
}

impl Placed {
    /// Puts `from` in the place of `to`, in one step where the file system can.
    fn put(from: PathBuf, to: PathBuf, overwrite: bool) -> Result<Placed> {
        let flags = |flags| renameat_with(CWD, &from, CWD, &to, flags).map_err(io::Error::from);
        let before = match flags(RenameFlags::NOREPLACE) {
            Ok(()) => Before::Nothing,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && overwrite => {
                flags(RenameFlags::EXCHANGE)
                    .map_err(|error| Error::io(format!("replace {}", to.display()), error))?;
                Before::Exchanged
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(taken(&to)),
            // Some network file systems know no flags; the check just before is then all there is.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                let before = match to.exists() {
                    false => Before::Nothing,
                    true if !overwrite => return Err(taken(&to)),
                    true => {
                        let aside = aside(&from);
                        rename(&to, &aside)?;
                        Before::Aside(aside)
                    }
                };
                rename(&from, &to)?;
                before
            }
            Err(error) => {
                return Err(Error::io(format!("rename {} to {}", from.display(), to.display()), error));
            }
        };
        Ok(Placed { from, to, before })
    }

    /// Makes it as if this had not been done.
    fn take_back(self) -> Result<()> {
        let Placed { from, to, before } = self;
        match before {
            Before::Nothing => rename(&to, &from),
            Before::Exchanged => renameat_with(CWD, &from, CWD, &to, RenameFlags::EXCHANGE)
                .map_err(|error| Error::io(format!("give {} back", to.display()), error.into())),
            Before::Aside(aside) => rename(&to, &from).and_then(|()| rename(&aside, &to)),
        }
    }
}

/// Another partial name of the same job.
fn aside(partial: &Path) -> PathBuf {
    let mut name = partial.as_os_str().to_owned();
    name.push(".replaced");
    name.into()
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to)
        .map_err(|error| Error::io(format!("rename {} to {}", from.display(), to.display()), error))
}

fn taken(path: &Path) -> Error {
    Error::new(ErrorKind::Conflict, "name the package", format!("{} exists", path.display()))
        .with_advice("set package_name to another name, choose another output_dir, or set overwrite to true")
}

#[cfg(test)]
mod tests {
    use hypersdk_core::PackageFormat;

    use super::*;

    struct Room {
        directory: tempfile::TempDir,
        target: Target,
    }

    /// A finished archive with its directory and its receipt, under their partial names.
    fn room() -> Room {
        let directory = tempfile::tempdir().unwrap();
        let (name, job) = ("web".to_owned(), "job-1".parse().unwrap());
        let target = Target::new(directory.path().to_owned(), name, PackageFormat::Ova, job).beside(true);
        std::fs::write(target.partial_receipt(), "new").unwrap();
        std::fs::write(target.partial_package(), "new").unwrap();
        std::fs::create_dir(target.partial_ovf_directory()).unwrap();
        std::fs::write(target.partial_ovf_directory().join("new"), "").unwrap();
        Room { directory, target }
    }

    impl Room {
        fn content(&self, name: &str) -> String {
            std::fs::read_to_string(self.directory.path().join(name)).unwrap_or_default()
        }

        fn names(&self) -> usize {
            std::fs::read_dir(self.directory.path()).unwrap().count()
        }
    }

    #[test]
    fn a_refused_package_leaves_everything_as_it_was() {
        for (name, is_directory) in [("web.ova", false), ("web", true)] {
            for receipt in ["old", ""] {
                let room = room();
                let other = room.directory.path().join(name);
                if is_directory {
                    std::fs::create_dir(&other).unwrap();
                } else {
                    std::fs::write(&other, "old").unwrap();
                }
                if !receipt.is_empty() {
                    std::fs::write(room.target.receipt(), receipt).unwrap();
                }
                let before = room.names();
                let error = publish(&room.target, false).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Conflict);
                assert_eq!(room.names(), before);
                assert_eq!(room.content("web.receipt.json"), receipt);
                assert!(
                    room.target.partial_package().exists() && room.target.partial_ovf_directory().exists()
                );
                assert_eq!(check_free(&room.target, false).unwrap_err().kind(), ErrorKind::Conflict);
                check_free(&room.target, true).unwrap();
            }
        }
    }

    #[test]
    fn what_is_replaced_is_gone_and_what_replaces_it_is_whole() {
        let room = room();
        std::fs::create_dir(room.target.ovf_directory()).unwrap();
        std::fs::write(room.target.ovf_directory().join("old"), "").unwrap();
        std::fs::write(room.target.package(), "old").unwrap();
        std::fs::write(room.target.receipt(), "old").unwrap();
        publish(&room.target, true).unwrap();
        assert_eq!((room.content("web.ova"), room.content("web.receipt.json")), ("new".into(), "new".into()));
        assert!(room.target.ovf_directory().join("new").exists());
        assert_eq!(room.names(), 3);
    }

    #[test]
    fn a_publication_that_was_cut_short_goes_on_from_any_place() {
        for done in 0..=2 {
            let room = room();
            std::fs::rename(room.target.partial_receipt(), room.target.receipt()).unwrap();
            for (from, to) in room.target.renames().into_iter().take(done) {
                std::fs::rename(from, to).unwrap();
            }
            publish_beside_receipt(&room.target, false).unwrap();
            assert_eq!(room.names(), 3, "after {done} names");
            assert_eq!(room.content("web.ova"), "new");
        }
    }
}
