//! Where a password comes from.

use std::path::Path;

use secrecy::SecretString;

use super::environment::Environment;
use super::mistake::{Mistake, Origin};
use super::read::{Reader, Text, Values};

/// The keys that a secret may stand in, and the systemd credential it may come from instead.
#[derive(Debug)]
pub(super) struct Names<'a> {
    pub(super) direct: &'static str,
    pub(super) file: &'static str,
    pub(super) credential: &'a str,
}

/// The password of a connection, from `password`, `password_file` or the systemd credential `credential`.
pub(super) fn password(
    reader: &mut Reader<'_>,
    values: &Values,
    environment: &Environment,
    credential: &str,
) -> Option<SecretString> {
    secret(reader, values, environment, &Names { direct: "password", file: "password_file", credential })
}

/// A secret, from the first of: its key (with `${NAME}` replaced by that environment variable where it stands in
/// a file), the file that its other key names, the systemd credential.
pub(super) fn secret(
    reader: &mut Reader<'_>,
    values: &Values,
    environment: &Environment,
    names: &Names<'_>,
) -> Option<SecretString> {
    let direct = reader.text(values, names.direct);
    let file = reader.text(values, names.file);
    match (direct, file) {
        (Some(direct), Some(file)) if reader.rank(&direct.origin) == reader.rank(&file.origin) => {
            let message = format!("give either {} or {}, not both", names.direct, names.file);
            reader.mistake(values, names.file, message);
            None
        }
        (Some(direct), Some(file)) if reader.rank(&file.origin) > reader.rank(&direct.origin) => {
            from_file(reader, file)
        }
        (Some(direct), _) => expand(reader, direct, environment),
        (None, Some(file)) => from_file(reader, file),
        (None, None) => {
            let path = environment.credentials_directory()?.join(names.credential);
            path.exists().then(|| read(&path).ok()).flatten()
        }
    }
}

/// A text in which `${NAME}` is replaced by that environment variable, if it stands in a file.
pub(super) fn expand(reader: &mut Reader<'_>, text: Text, environment: &Environment) -> Option<SecretString> {
    if !matches!(text.origin, Origin::File { .. }) {
        return Some(SecretString::from(text.text));
    }
    match interpolate(&text.text, environment) {
        Ok(secret) => Some(SecretString::from(secret)),
        Err(message) => {
            reader.mistakes.push(Mistake::new(text.path, text.origin, message));
            None
        }
    }
}

/// Replaces `${NAME}`; `$${` stands for a literal `${`.
fn interpolate(text: &str, environment: &Environment) -> Result<String, String> {
    let mut result = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let before = &rest[..start];
        if let Some(literal) = before.strip_suffix('$') {
            result.push_str(literal);
            result.push_str("${");
            rest = &rest[start + 2..];
            continue;
        }
        let name_on = &rest[start + 2..];
        let Some(end) = name_on.find('}') else {
            return Err("has a `${` without its `}`; write `$${` for the characters themselves".to_owned());
        };
        let name = &name_on[..end];
        let value = environment
            .get(name)
            .ok_or_else(|| format!("refers to the environment variable {name:?}, which is not set; set it, or write `$${{` for the characters themselves"))?;
        result.push_str(before);
        result.push_str(value);
        rest = &name_on[end + 1..];
    }
    result.push_str(rest);
    Ok(result)
}

fn from_file(reader: &mut Reader<'_>, text: Text) -> Option<SecretString> {
    match read(Path::new(&text.text)) {
        Ok(secret) => Some(secret),
        Err(error) => {
            let message = format!("cannot read {:?}: {error}; name a file that can be read", text.text);
            reader.mistakes.push(Mistake::new(text.path, text.origin, message));
            None
        }
    }
}

/// The file's first line: editors and `echo` end it with a line feed that is no part of the secret.
fn read(path: &Path) -> std::io::Result<SecretString> {
    let text = std::fs::read_to_string(path)?;
    Ok(SecretString::from(text.lines().next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_put_in_and_an_escape_is_kept() {
        let environment: Environment = [("PW".to_owned(), "s3cret".to_owned())].into_iter().collect();
        assert_eq!(interpolate("${PW}", &environment).unwrap(), "s3cret");
        assert_eq!(interpolate("a${PW}b$c", &environment).unwrap(), "as3cretb$c");
        assert_eq!(interpolate("$${PW}", &environment).unwrap(), "${PW}");
        assert!(interpolate("${NOPE}", &environment).unwrap_err().contains("NOPE"));
        assert!(interpolate("${PW", &environment).is_err());
    }
}
