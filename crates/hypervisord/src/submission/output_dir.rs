//! Whether a package can go where it is wanted.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use hypersdk_core::{Error, ErrorKind};
use tokio::task::spawn_blocking;

use super::{Candidate, Check, Fault};
use crate::export_root::ExportRoot;

/// The output directory is absolute, exists, can be written to, and lies below the export root.
#[derive(Debug, Clone)]
pub(crate) struct OutputDir {
    root: ExportRoot,
}

impl OutputDir {
    /// Directories below `root`, or any if there is none.
    pub(crate) fn new(root: ExportRoot) -> Self {
        OutputDir { root }
    }

    fn checked(&self, dir: &Path) -> Result<PathBuf, Error> {
        let refuse = |message: String, advice: &str| {
            Err(Error::new(ErrorKind::Invalid, "check output directory", message).with_advice(advice))
        };
        let shown = dir.display();
        let real = self.root.locate("check output directory", dir)?;
        // With a root the job keeps the real path, so that a link changed later leads nowhere else.
        let result = if self.root.is_set() { real.clone() } else { dir.to_owned() };
        if !real.is_dir() {
            return refuse(format!("{shown} is not a directory"), "give a directory");
        }
        // A file without a name proves more than permission bits do, and leaves no trace.
        if let Err(error) = tempfile::tempfile_in(&real) {
            return refuse(
                format!("{shown} cannot be written to: {error}"),
                "let the daemon's user write to it (under systemd, add it to ReadWritePaths)",
            );
        }
        Ok(result)
    }
}

#[async_trait]
impl Check for OutputDir {
    async fn check(&self, candidate: &mut Candidate) -> Result<(), Fault> {
        let (this, dir) = (self.clone(), candidate.spec.output_dir.clone());
        let checked = spawn_blocking(move || this.checked(&dir)).await.unwrap_or_else(|panic| {
            Err(Error::new(ErrorKind::Internal, "check output directory", panic.to_string()))
        });
        candidate.spec.output_dir = checked.map_err(|error| Fault::new("output_dir", error))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_out_of_the_root_is_seen_through() {
        let dir = tempfile::tempdir().unwrap();
        let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
        std::fs::create_dir_all(root.join("in")).unwrap();
        std::fs::create_dir(&outside).unwrap();
        std::os::unix::fs::symlink(&outside, root.join("link")).unwrap();
        let check = OutputDir::new(ExportRoot::new(Some(root.clone())));
        assert!(check.checked(&root.join("in")).is_ok());
        assert!(check.checked(&root).is_ok());
        for wrong in [root.join("link"), root.join("in/../../outside"), outside.clone()] {
            let error = check.checked(&wrong).unwrap_err();
            assert!(error.message().contains("outside export_root"), "{error}");
        }
        assert!(OutputDir::new(ExportRoot::default()).checked(&root.join("link")).is_ok());
    }

    #[test]
    fn a_neighbour_with_the_roots_name_in_front_is_outside() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("root")).unwrap();
        std::fs::create_dir(dir.path().join("root2")).unwrap();
        let check = OutputDir::new(ExportRoot::new(Some(dir.path().join("root"))));
        assert!(check.checked(&dir.path().join("root2")).is_err());
    }

    #[test]
    fn what_is_no_writable_directory_is_refused_with_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let check = OutputDir::new(ExportRoot::default());
        for (path, message) in [
            (Path::new("relative"), "absolute"),
            (&dir.path().join("missing"), "does not exist"),
            (&file, "not a directory"),
            (Path::new("/proc"), "cannot be written to"),
        ] {
            let error = check.checked(path).unwrap_err();
            assert!(error.message().contains(message), "{error}");
            assert!(error.advice().is_some());
        }
    }
}
