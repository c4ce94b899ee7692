//! The directory below which everything lies that the API may name.

use std::path::{Path, PathBuf};

use hypersdk_core::{Error, ErrorKind};

/// The export root, if there is one.
#[derive(Debug, Clone, Default)]
pub(crate) struct ExportRoot(Option<PathBuf>);

impl ExportRoot {
    pub(crate) fn new(root: Option<PathBuf>) -> Self {
        ExportRoot(root)
    }

    /// Where `path` really is, every link followed.
    ///
    /// # Errors
    /// `Invalid` with a remedy if it is not absolute, not there, or outside the root.
    pub(crate) fn locate(&self, operation: &'static str, path: &Path) -> Result<PathBuf, Error> {
        let refuse = |message: String, advice: String| {
            Err(Error::new(ErrorKind::Invalid, operation, message).with_advice(advice))
        };
        let shown = path.display();
        if !path.is_absolute() {
            return refuse(format!("{shown} is not an absolute path"), "begin it with a slash".to_owned());
        }
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return refuse(
                    format!("{shown} does not exist"),
                    "create it and let the daemon's user reach it".to_owned(),
                );
            }
            Err(error) => {
                return refuse(format!("{shown}: {error}"), "let the daemon's user reach it".to_owned());
            }
        };
        if let Some(root) = &self.0 {
            let root = root.canonicalize().map_err(|error| {
                let message = format!("export_root {}: {error}", root.display());
                Error::new(ErrorKind::Unavailable, operation, message)
            })?;
            if !real.starts_with(&root) {
                let advice = format!("choose a path below {}", root.display());
                return refuse(format!("{shown} is outside export_root"), advice);
            }
        }
        Ok(real)
    }

    /// Whether there is a root at all.
    pub(crate) fn is_set(&self) -> bool {
        self.0.is_some()
    }
}
