//! The configuration file, and those of `conf.d` beside it, in the order in which each overrides the ones before.
//!
//! A value replaces an earlier one and lists add up, so that a file of `conf.d` can bring a connection or a webhook
//! of its own. A mistake is told at the place where it stands, whichever file that is.

use std::io;
use std::path::{Path, PathBuf};

use figment::Figment;

use super::mistake::{Mistake, Origin};
use super::yaml::YamlFile;

/// What the directory of further files is called.
const DIRECTORY: &str = "conf.d";

/// The files of one configuration.
#[derive(Debug, Default)]
pub(super) struct Files {
    files: Vec<YamlFile>,
}

impl Files {
    /// Reads `path` and the files of `conf.d`. `None` if one of them is no YAML or cannot be read: what the others
    /// say is not judged then, beyond their keys.
    pub(super) fn read(
        path: &Path,
        mistakes: &mut Vec<Mistake>,
        warnings: &mut Vec<String>,
    ) -> Option<Files> {
        let mut files = Files::default();
        let mut whole = true;
        let further = further(path, warnings).unwrap_or_else(|error| {
            whole = false;
            mistakes.push(unreadable(&directory(path), &error));
            Vec::new()
        });
        for path in std::iter::once(path.to_owned()).chain(further) {
            let file = match std::fs::read_to_string(&path) {
                Ok(text) => YamlFile::parse(path, &text, mistakes, warnings),
                Err(error) => {
                    mistakes.push(unreadable(&path, &error));
                    None
                }
            };
            whole &= file.is_some();
            files.files.extend(file);
        }
        whole.then_some(files)
    }

    /// Lays the files over `figment`.
    pub(super) fn over(&self, figment: Figment) -> Figment {
        self.files.iter().fold(figment, |figment, file| figment.admerge(file))
    }

    /// Where the key at `path` stands that counts: in the last file that has it, or, below an entry of a list, in the
    /// file that the entry is from.
    pub(super) fn origin_of(&self, path: &str) -> Origin {
        let entry = path.split_once('[').and_then(|(list, rest)| {
            let (index, below) = rest.split_once(']')?;
            Some((list, index.parse::<usize>().ok()?, below))
        });
        let Some((list, mut index, below)) = entry else {
            let origins = self.files.iter().rev().map(|file| file.origin_of(path));
            return origins.into_iter().find(|origin| *origin != Origin::Unknown).unwrap_or(Origin::Unknown);
        };
        for file in &self.files {
            let entries = file.entries(list);
            if index < entries {
                return file.origin_of(&format!("{list}[{index}]{below}"));
            }
            index -= entries;
        }
        Origin::Unknown
    }

    /// Which of the files `origin` is in.
    pub(super) fn position(&self, origin: &Origin) -> Option<usize> {
        let Origin::File { path, .. } = origin else { return None };
        self.files.iter().position(|file| file.path() == path)
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Mistake {
    let origin = Origin::File { path: path.to_owned(), line: 0, column: 0 };
    Mistake::new("", origin, format!("cannot be read: {error}"))
}

fn directory(main: &Path) -> PathBuf {
    main.with_file_name(DIRECTORY)
}

/// The files of `conf.d` beside `main`, by name. Hidden files are an editor's.
fn further(main: &Path, warnings: &mut Vec<String>) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(directory(main)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        if name.ends_with(".yaml") {
            files.push(path);
        } else {
            warnings.push(format!("{}: ignored: only names that end in .yaml are read", path.display()));
        }
    }
    files.sort();
    Ok(files)
}

/// The files that a configuration at `main` consists of, as far as they can be listed.
pub(crate) fn all(main: &Path) -> Vec<PathBuf> {
    let further = further(main, &mut Vec::new()).unwrap_or_default();
    std::iter::once(main.to_owned()).chain(further).collect()
}
