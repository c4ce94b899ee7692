//! Gives finished work its final names, so that a crash between two of them loses nothing.
//!
//! Receipt first: once it has its name, all the rest is whole and durable under partial names, and whoever finds
//! the receipt of this job can go on ([`resume`](crate::resume)). Then the OVF directory that may stay beside an
//! archive, then the package. A package found without its job's receipt is somebody else's.
//!
//! A process may sleep between two names, for as long as it takes another to get the job, and to do it. That one has
//! begun by removing what earlier attempts left, or by going on with this very publication; either way what is to get
//! its name is gone, and this process touches nothing more. So no name is given that a later attempt has given.
//!
//! Jobs that give the same names do so one after the other, under a [lock](names). One whose holder sleeps is waited
//! for only so long: the next goes on without it, and the sleeper finds another's receipt.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use hypersdk_core::{Error, ErrorKind, Result};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::names;
use crate::plan::Target;
use crate::receipt::Receipt;

/// Why a package did not get its names.
#[derive(Debug)]
pub(crate) enum Refused {
    /// One of them is taken, or the file system failed; all are as they were before.
    AsBefore(Error),
    /// A later attempt of the job has gone on from the receipt, or another job has the names; nothing under them is
    /// this attempt's to change.
    Lost(Error),
}

impl Refused {
    /// What was to be published is removed, if it is still this attempt's.
    pub(crate) fn given_up(self, target: &Target) -> Error {
        match self {
            Refused::AsBefore(error) => {
                let _ = target.remove_partials();
                error
            }
            Refused::Lost(error) => error,
        }
    }
}

/// The error of an attempt whose job is another's by now.
pub(crate) fn lost(target: &Target) -> Error {
    let message =
        format!("a later attempt of job {} has gone on from attempt {}", target.job, target.attempt);
    Error::new(ErrorKind::Conflict, "name the package", message)
}

/// Renames receipt and package into place and makes the names durable.
pub(crate) fn publish(target: &Target, overwrite: bool) -> Result<(), Refused> {
    let _lock = names::lock(&target.directory).map_err(Refused::AsBefore)?;
    if !target.partial_result().exists() {
        return Err(Refused::AsBefore(lost(target)));
    }
    let receipt = Placed::put(target.partial_receipt(), target.receipt(), true).map_err(|error| {
        Refused::AsBefore(if error.kind() == ErrorKind::NotFound { lost(target) } else { error })
    })?;
    let displaced = receipt.displaced().and_then(|path| Receipt::read(path).ok());
    if displaced.is_some_and(|other| other.job == target.job && other.attempt > target.attempt) {
        take_back(vec![receipt]);
        return Err(Refused::AsBefore(lost(target)));
    }
    name_the_rest(target, overwrite, receipt, true)
}

/// Goes on with a publication once the receipt has its name; other names may have been given, too. If one of them is
/// refused, all are as they were before.
pub(crate) fn publish_beside_receipt(target: &Target, overwrite: bool) -> Result<()> {
    let _lock = names::lock(&target.directory)?;
    // Whatever receipt was there before is under the partial name now.
    let before = if target.partial_receipt().exists() { Before::Exchanged } else { Before::Nothing };
    let receipt = Placed { from: target.partial_receipt(), to: target.receipt(), before };
    name_the_rest(target, overwrite, receipt, false).map_err(|refused| match refused {
        Refused::AsBefore(error) | Refused::Lost(error) => error,
    })
}

/// Gives the names after the receipt's: `all` of them, or those that were not given before.
fn name_the_rest(target: &Target, overwrite: bool, receipt: Placed, all: bool) -> Result<(), Refused> {
    let mut placed = vec![receipt];
    let mut place = || -> Result<(), Refused> {
        // The receipt must not get lost while what follows stays.
        sync_directory(&target.directory).map_err(Refused::AsBefore)?;
        for (from, to) in target.renames() {
            still_ours(target).map_err(Refused::Lost)?;
            match Placed::put(from, to, overwrite) {
                Ok(named) => placed.push(named),
                Err(error) if error.kind() == ErrorKind::NotFound && all => {
                    return Err(Refused::Lost(lost(target)));
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(Refused::AsBefore(error)),
            }
        }
        sync_directory(&target.directory).map_err(Refused::AsBefore)
    };
    match place() {
        // What was replaced has partial names now.
        Ok(()) => target.remove_partials().map_err(Refused::AsBefore),
        Err(Refused::AsBefore(error)) => {
            take_back(placed);
            Err(Refused::AsBefore(error))
        }
        Err(lost) => Err(lost),
    }
}

/// Refuses to go on under another job's receipt, or that of a later attempt.
fn still_ours(target: &Target) -> Result<()> {
    match Receipt::read(&target.receipt()) {
        Ok(other) if other.job != target.job => {
            // What waits under partial names has no later attempt that could go on from it.
            target.remove_partials()?;
            let message = format!("job {} has given the same names meanwhile", other.job);
            Err(Error::new(ErrorKind::Conflict, "name the package", message)
                .with_advice("set package_name to another name, or choose another output_dir"))
        }
        Ok(other) if other.attempt > target.attempt => Err(lost(target)),
        _ => Ok(()),
    }
}

fn take_back(placed: Vec<Placed>) {
    for undone in placed.into_iter().rev() {
        if let Err(error) = undone.take_back() {
            tracing::warn!(error = %error.chain(), "a name could not be given back");
        }
    }
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

    /// Where that is by now which had the name before.
    fn displaced(&self) -> Option<&Path> {
        match &self.before {
            Before::Nothing => None,
            Before::Exchanged => Some(&self.from),
            Before::Aside(aside) => Some(aside),
        }
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
        let (name, job) = ("web".to_owned(), ("job-1".parse().unwrap(), 2));
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

        /// As a process does that slept since it had named the receipt.
        fn go_on_after_the_receipt(&self) -> Result<(), Refused> {
            let (from, to) = (self.target.partial_receipt(), self.target.receipt());
            name_the_rest(&self.target, true, Placed { from, to, before: Before::Nothing }, true)
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
                let Err(Refused::AsBefore(error)) = publish(&room.target, false) else { panic!("{name}") };
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

    /// A receipt of the same job.
    fn receipt(attempt: u32) -> String {
        let receipt = serde_json::json!({
            "version": 1, "tool": "test", "job": "job-1", "attempt": attempt,
            "source": {"provider": "sim", "vm": "vm-1", "vm_name": "web", "host": null},
            "started_at": "2026-11-24T00:00:00Z", "finished_at": "2026-11-24T00:00:00Z",
            "outcome": {"vm_name": "web", "output_dir": "/", "ovf_path": "/", "files": [], "total_size": 1,
                        "duration_seconds": 1.0, "checksum": "00"},
        });
        let text = receipt.to_string();
        serde_json::from_str::<Receipt>(&text).expect("it is a receipt");
        text
    }

    #[test]
    fn an_attempt_that_slept_gives_no_name_that_a_later_one_has_given() {
        // Asleep before the first name: the later attempt has removed what was to get it.
        let room = room();
        std::fs::remove_file(room.target.partial_package()).unwrap();
        std::fs::write(room.target.receipt(), receipt(3)).unwrap();
        std::fs::write(room.target.package(), "later").unwrap();
        let Err(Refused::AsBefore(error)) = publish(&room.target, true) else { panic!("it slept") };
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert_eq!((room.content("web.ova"), room.content("web.receipt.json")), ("later".into(), receipt(3)));

        // The same, asleep after the look at what is to get the names.
        std::fs::write(room.target.partial_package(), "new").unwrap();
        let Err(Refused::AsBefore(error)) = publish(&room.target, true) else { panic!("it slept") };
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert_eq!((room.content("web.ova"), room.content("web.receipt.json")), ("later".into(), receipt(3)));

        // Asleep between two names: the later attempt has gone on from the receipt.
        let given = receipt(2);
        std::fs::write(room.target.receipt(), &given).unwrap();
        std::fs::remove_file(room.target.partial_package()).unwrap();
        let Err(Refused::Lost(_)) = room.go_on_after_the_receipt() else { panic!("it slept") };
        assert_eq!((room.content("web.ova"), room.content("web.receipt.json")), ("later".into(), given));
    }

    #[test]
    fn a_job_that_slept_gives_no_name_that_another_has_given() {
        let room = room();
        let others = receipt(1).replace("job-1", "job-2");
        std::fs::write(room.target.receipt(), &others).unwrap();
        std::fs::write(room.target.package(), "another's").unwrap();
        let Err(Refused::Lost(error)) = room.go_on_after_the_receipt() else { panic!("it slept") };
        assert_eq!(error.to_string(), "name the package: job job-2 has given the same names meanwhile");
        assert_eq!((room.content("web.ova"), room.content("web.receipt.json")), ("another's".into(), others));
        assert_eq!(room.names(), 2, "nothing of its own is left");
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
