//! API tokens: 256 random bits, shown once and kept as their SHA-256 in a file of its owner's alone.
//!
//! The command writes the file under a lock and in one rename; a running daemon notices within a second.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::Path;

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Role;
use super::watched::Watched;

/// What every token begins with, so that scanners for leaked secrets can find them.
const PREFIX: &str = "hsk_";

/// A token without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Token {
    /// Names it for `revoke`.
    pub(crate) id: String,
    /// For people and the audit log.
    pub(crate) name: String,
    pub(crate) role: Role,
    /// Of the whole token, in hexadecimal.
    sha256: String,
    pub(crate) created_at: DateTime<Utc>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tokens {
    tokens: Vec<Token>,
}

/// The file, as the daemon looks at it.
#[derive(Debug)]
pub(crate) struct TokenFile(Watched<Tokens>);

impl TokenFile {
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        Watched::open(path, parse).map(TokenFile)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.get().tokens.is_empty()
    }

    /// The token with this secret. Takes the same time for each wrong one.
    pub(super) fn find(&self, secret: &str) -> Option<Token> {
        let digest = digest(secret);
        let mut found = None;
        for token in &self.0.get().tokens {
            if bool::from(token.sha256.as_bytes().ct_eq(digest.as_bytes())) {
                found = Some(token.clone());
            }
        }
        found
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.0.get().tokens.iter().any(|token| token.id == id)
    }
}

/// Makes a token and gives its secret, which is kept nowhere.
pub(crate) fn create(path: &Path, role: Role, name: Option<&str>) -> anyhow::Result<(Token, String)> {
    let id = random(4)?;
    let name = name.map_or_else(|| id.clone(), str::to_owned);
    if name.is_empty() || name.len() > 64 || !name.chars().all(|c| c.is_alphanumeric() || "-_.@ ".contains(c))
    {
        anyhow::bail!("a name has 1 to 64 letters, digits, `-`, `_`, `.`, `@` or spaces");
    }
    let secret = format!("{PREFIX}{}", random(32)?);
    let token = Token { id, name, role, sha256: digest(&secret), created_at: Utc::now() };
    change(path, |tokens| {
        if tokens.tokens.iter().any(|known| known.name == token.name) {
            anyhow::bail!("there is a token {:?} already; revoke it or choose another name", token.name);
        }
        tokens.tokens.push(token.clone());
        Ok(())
    })?;
    Ok((token, secret))
}

/// Takes a token away, by its id or name.
pub(crate) fn revoke(path: &Path, which: &str) -> anyhow::Result<Token> {
    change(path, |tokens| {
        let place =
            tokens.tokens.iter().position(|token| token.id == which || token.name == which).with_context(
                || format!("there is no token {which:?}; `hypervisord token list` shows them"),
            )?;
        Ok(tokens.tokens.remove(place))
    })
}

/// The tokens of the file.
pub(crate) fn list(path: &Path) -> anyhow::Result<Vec<Token>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(parse(&text)?.tokens),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
    }
}

fn parse(text: &str) -> anyhow::Result<Tokens> {
    serde_json::from_str(text).context("is not a file that `hypervisord token` wrote")
}

fn change<T>(path: &Path, edit: impl FnOnce(&mut Tokens) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = File::open(directory).with_context(|| format!("open {}", directory.display()))?;
    // Two commands at once take turns.
    folder.lock().with_context(|| format!("lock {}", directory.display()))?;
    let mut tokens = Tokens { tokens: list(path)? };
    let result = edit(&mut tokens)?;
    // Such a file is its owner's alone from the first.
    let mut file = tempfile::NamedTempFile::new_in(directory)
        .with_context(|| format!("write in {}", directory.display()))?;
    serde_json::to_writer_pretty(&mut file, &tokens)?;
    file.write_all(b"\n")?;
    if let Ok(before) = std::fs::metadata(path) {
        // Root may change a file of the daemon's user; it must stay that user's.
        let _ = fchown(&file, Some(before.uid()), Some(before.gid()));
    }
    file.as_file().sync_all()?;
    file.persist(path).with_context(|| format!("write {}", path.display()))?;
    folder.sync_all()?;
    Ok(result)
}

fn digest(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

/// So many random bytes, in hexadecimal.
pub(super) fn random(bytes: usize) -> anyhow::Result<String> {
    let mut buffer = vec![0; bytes];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut buffer)
        .map_err(|_| anyhow::anyhow!("the system gives no random numbers"))?;
    Ok(hex::encode(buffer))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_found_until_it_is_revoked_and_its_secret_is_in_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens.json");
        let file = TokenFile::open(&path).unwrap();
        assert!(file.is_empty());
        let (token, secret) = create(&path, Role::Operator, Some("ci")).unwrap();
        assert!(secret.len() > 60, "{secret}");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&secret[4..]), "{text}");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let file = TokenFile::open(&path).unwrap();
        assert_eq!(file.find(&secret).unwrap(), token);
        assert_eq!(file.find(&secret[..secret.len() - 1]), None);
        assert_eq!(file.find(""), None);
        assert!(create(&path, Role::Viewer, Some("ci")).unwrap_err().to_string().contains("already"));
        assert_eq!(revoke(&path, "ci").unwrap().id, token.id);
        assert!(revoke(&path, "ci").is_err());
        assert!(TokenFile::open(&path).unwrap().find(&secret).is_none());
    }

    #[test]
    fn a_file_that_others_may_read_is_refused_with_the_remedy() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens.json");
        create(&path, Role::Admin, None).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(TokenFile::open(&path).unwrap_err().to_string().contains("chmod 600"));
    }

    #[test]
    fn commands_at_the_same_time_lose_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens.json");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| create(&path, Role::Viewer, None).unwrap());
            }
        });
        assert_eq!(list(&path).unwrap().len(), 8);
    }
}
