//! The configuration file: contexts by name, and which is the current one.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{directory, environment};
use crate::failure::{Failure, mistake};

/// One daemon.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Context {
    /// Its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    /// The file its token is in; `tokens/NAME` beside the configuration if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token_file: Option<PathBuf>,
    /// Authorities to trust beside the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
}

/// The file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contexts {
    /// The context that is used unless another is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    #[serde(default)]
    pub(crate) contexts: BTreeMap<String, Context>,
}

impl Contexts {
    /// Reads the file; one that is not there is empty.
    pub(crate) fn load() -> Result<Self, Failure> {
        let path = path()?;
        match std::fs::read_to_string(&path) {
            Ok(text) if text.trim().is_empty() => Ok(Contexts::default()),
            Ok(text) => serde_saphyr::from_str(&text).map_err(|error| mistake(path.display(), &error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Contexts::default()),
            Err(error) => Err(mistake(format!("read {}", path.display()), &error)),
        }
    }

    /// Writes the file in one rename.
    pub(crate) fn save(&self) -> Result<(), Failure> {
        let path = path()?;
        let text =
            serde_saphyr::to_string(self).map_err(|error| mistake("write the configuration", &error))?;
        replace(&path, text.as_bytes()).map_err(|error| mistake(format!("write {}", path.display()), &error))
    }

    pub(crate) fn get(&self, name: &str) -> Result<&Context, Failure> {
        self.contexts.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.contexts.keys().map(String::as_str).collect();
            Failure::usage(match known.is_empty() {
                true => {
                    format!("there is no context {name:?}; make it with `hyperctl context set {name} URL`")
                }
                false => format!("there is no context {name:?}; there are {}", known.join(", ")),
            })
        })
    }
}

/// Where the file is: HYPERCTL_CONFIG, or in the configuration directory.
pub(crate) fn path() -> Result<PathBuf, Failure> {
    match environment("HYPERCTL_CONFIG") {
        Some(path) => Ok(path.into()),
        None => Ok(directory()?.join("config.yaml")),
    }
}

/// Puts a file of its owner's alone in the place of `path`.
pub(super) fn replace(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory)?;
    // Made with mode 0600, in the same directory, so that the rename is one.
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_back_as_it_was_written() {
        let mut contexts = Contexts { current: Some("lab".to_owned()), ..Contexts::default() };
        let lab = Context { url: Some("http://127.0.0.1:9000".to_owned()), ..Context::default() };
        contexts.contexts.insert("lab".to_owned(), lab);
        let text = serde_saphyr::to_string(&contexts).unwrap();
        assert_eq!(serde_saphyr::from_str::<Contexts>(&text).unwrap(), contexts, "{text}");
    }

    #[test]
    fn a_mistyped_key_is_refused_by_name() {
        let error = serde_saphyr::from_str::<Contexts>("curent: lab\n").unwrap_err();
        assert!(error.to_string().contains("curent"), "{error}");
    }
}
