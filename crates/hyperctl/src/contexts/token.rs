//! Tokens: one line in a file that only its owner can read.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::file;
use crate::failure::{Failure, mistake};

/// Where the token of a context is unless it says otherwise.
pub(super) fn default_path(context: &str) -> Result<PathBuf, Failure> {
    let plain =
        !context.is_empty() && context.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if !plain || context.starts_with('.') {
        return Err(Failure::usage(format!(
            "{context:?} is no name of a context: use letters, digits, '.', '_' and '-'"
        )));
    }
    let configuration = file::path()?;
    Ok(configuration.parent().unwrap_or(Path::new("")).join("tokens").join(context))
}

/// The token of a context, if one was stored.
pub(super) fn of_context(context: &str) -> Result<Option<SecretString>, Failure> {
    let path = default_path(context)?;
    match path.try_exists() {
        Ok(false) => Ok(None),
        _ => read(&path).map(Some),
    }
}

/// Reads a token.
pub(super) fn read(path: &Path) -> Result<SecretString, Failure> {
    let shown = path.display();
    let metadata = std::fs::metadata(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            Failure::usage(format!("there is no token file {shown}; store one with `hyperctl token set`"))
        }
        _ => mistake(format!("read token file {shown}"), &error),
    })?;
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Failure::usage(format!(
            "token file {shown} has mode {mode:04o}, so others can read the token; run: chmod 600 {shown}"
        )));
    }
    let text =
        std::fs::read_to_string(path).map_err(|error| mistake(format!("read token file {shown}"), &error))?;
    match text.lines().next().map(str::trim) {
        Some(token) if !token.is_empty() => Ok(SecretString::from(token)),
        _ => Err(Failure::usage(format!("token file {shown} is empty; store one with `hyperctl token set`"))),
    }
}

/// Stores a token.
pub(crate) fn write(path: &Path, token: &SecretString) -> Result<(), Failure> {
    file::replace(path, format!("{}\n", token.expose_secret()).as_bytes())
        .map_err(|error| mistake(format!("write token file {}", path.display()), &error))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_that_others_can_read_is_refused_with_the_remedy() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens/lab");
        write(&path, &SecretString::from("hsk_secret")).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(read(&path).unwrap().expose_secret(), "hsk_secret");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let message = read(&path).unwrap_err().to_string();
        assert!(message.contains("0640") && message.contains("chmod 600"), "{message}");
        assert!(!message.contains("hsk_secret"), "{message}");
    }

    #[test]
    fn a_name_that_leaves_the_directory_is_refused() {
        for name in ["../lab", "a/b", "", ".hidden"] {
            assert!(default_path(name).is_err(), "{name}");
        }
    }
}
