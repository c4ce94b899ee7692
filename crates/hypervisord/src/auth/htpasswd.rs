//! Users with passwords, in a file that `htpasswd -B` writes: `name:hash`, or `name:hash:role`.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use argon2::Argon2;
use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::watched::Watched;
use super::{Role, tokens};

/// Passwords that are checked at once: each check keeps a core busy for a while.
const CHECKS: usize = 1;
/// How long a password that was right counts as such without another check.
const REMEMBERED: Duration = Duration::from_secs(60);
/// What is checked against if there is no user at all.
const NOBODY: &str = "$2b$10$abcdefghijklmnopqrstuuAVkHkGtkCM0lQ3Gd8xf4QVHr6LpZQ3K";

#[derive(Debug, Clone, PartialEq, Eq)]
struct User {
    hash: String,
    role: Option<Role>,
}

impl User {
    fn entry(&self) -> [u8; 32] {
        Sha256::digest(format!("{}:{:?}", self.hash, self.role)).into()
    }
}

#[derive(Debug, Default)]
struct Users(HashMap<String, User>);

/// The file, and the passwords that were right lately.
#[derive(Debug)]
pub(crate) struct UserFile {
    file: Watched<Users>,
    default_role: Role,
    checks: Semaphore,
    salt: String,
    right: Mutex<HashMap<[u8; 32], Instant>>,
}

impl UserFile {
    pub(crate) fn open(path: &Path, default_role: Role) -> anyhow::Result<Self> {
        if !path.exists() {
            anyhow::bail!("there is no such file; make it with `htpasswd -B -c`, then chmod 600");
        }
        Ok(UserFile {
            file: Watched::open(path, parse)?,
            default_role,
            checks: Semaphore::new(CHECKS),
            salt: tokens::random(16)?,
            right: Mutex::default(),
        })
    }

    /// The role of the user if the password is right, and a digest of the entry in the file.
    pub(super) async fn verify(&self, name: &str, password: &str) -> Option<(Role, [u8; 32])> {
        let users = self.file.get();
        let user = users.0.get(name);
        // For a name that does not exist somebody's hash is computed all the same, so that it takes as long.
        let hash = user.or(users.0.values().next()).map_or(NOBODY, |user| &user.hash).to_owned();
        let remembered: [u8; 32] =
            Sha256::digest(format!("{}\0{name}\0{hash}\0{password}", self.salt)).into();
        if !self.is_remembered(&remembered) {
            let _turn = self.checks.acquire().await.ok()?;
            let password = password.to_owned();
            let right = tokio::task::spawn_blocking(move || matches(&password, &hash)).await.ok()?;
            if !right {
                return None;
            }
            self.remember(remembered);
        }
        let user = user?;
        Some((user.role.unwrap_or(self.default_role), user.entry()))
    }

    /// Whether the user's entry is still this one.
    pub(super) fn has(&self, name: &str, entry: &[u8; 32]) -> bool {
        self.file.get().0.get(name).is_some_and(|user| user.entry() == *entry)
    }

    fn is_remembered(&self, digest: &[u8; 32]) -> bool {
        let right = self.right.lock().expect("no holder of this lock panics");
        right.get(digest).is_some_and(|since| since.elapsed() < REMEMBERED)
    }

    fn remember(&self, digest: [u8; 32]) {
        let mut right = self.right.lock().expect("no holder of this lock panics");
        right.retain(|_, since| since.elapsed() < REMEMBERED);
        right.insert(digest, Instant::now());
    }
}

fn matches(password: &str, hash: &str) -> bool {
    if hash.starts_with("$argon2") {
        return PasswordHash::new(hash)
            .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok());
    }
    // It looks at 72 bytes at most: what does not fit is no password here.
    password.len() <= 72 && bcrypt::verify(password, hash).unwrap_or(false)
}

fn parse(text: &str) -> anyhow::Result<Users> {
    let mut users = HashMap::new();
    for (index, line) in text.lines().enumerate() {
        let (line, number) = (line.trim(), index + 1);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut fields = line.splitn(3, ':');
        let (Some(name), Some(hash)) = (fields.next(), fields.next()) else {
            anyhow::bail!("line {number}: expected name:hash or name:hash:role");
        };
        let known = ["$2y$", "$2b$", "$2a$", "$argon2id$", "$argon2i$", "$argon2d$"];
        let well_formed = match hash.starts_with("$argon2") {
            true => PasswordHash::new(hash).is_ok(),
            false => hash.len() == 60,
        };
        if name.is_empty() || !well_formed || !known.iter().any(|kind| hash.starts_with(kind)) {
            anyhow::bail!("line {number}: the hash is neither bcrypt nor argon2; make it with `htpasswd -B`");
        }
        let role = match fields.next().map(str::trim).filter(|role| !role.is_empty()) {
            Some(role) => Some(role.parse().map_err(|error| anyhow::anyhow!("line {number}: role {error}"))?),
            None => None,
        };
        if users.insert(name.to_owned(), User { hash: hash.to_owned(), role }).is_some() {
            anyhow::bail!("line {number}: {name} stands there twice");
        }
    }
    Ok(Users(users))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// `argon2 12345678 -id -t 1 -k 64 -p 1` of Debian's argon2 package, with the password `sesame`.
    fn argon2_hash() -> String {
        use argon2::password_hash::PasswordHasher;
        let cheap = argon2::Params::new(64, 1, 1, None).unwrap();
        let argon2 = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, cheap);
        argon2.hash_password_with_salt(b"sesame", b"12345678").unwrap().to_string()
    }

    #[tokio::test]
    async fn passwords_of_both_kinds_open_and_wrong_ones_do_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users");
        let bcrypt = bcrypt::hash("hunter2", 4).unwrap();
        std::fs::write(&path, format!("# people\nada:{bcrypt}:admin\nbob:{}\n", argon2_hash())).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let users = UserFile::open(&path, Role::Viewer).unwrap();
        // The second time it is remembered.
        for _ in 0..2 {
            let (role, entry) = users.verify("ada", "hunter2").await.unwrap();
            assert_eq!(role, Role::Admin);
            assert!(users.has("ada", &entry));
            assert!(!users.has("bob", &entry));
        }
        assert_eq!(users.verify("bob", "sesame").await.unwrap().0, Role::Viewer);
        for (name, password) in [("ada", "hunter3"), ("bob", "hunter2"), ("eve", "hunter2"), ("", "")] {
            assert!(users.verify(name, password).await.is_none(), "{name}");
        }
    }

    #[test]
    fn what_is_no_user_is_named_by_its_line() {
        for (text, said) in [
            ("ada", "line 1"),
            ("# x\nada:{SHA}abc", "htpasswd -B"),
            ("ada:$apr1$x$y", "neither bcrypt nor argon2"),
            ("ada:$2y$05$short", "line 1"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
        let hash = "$2y$05$".to_owned() + &"a".repeat(53);
        assert!(parse(&format!("ada:{hash}:root")).unwrap_err().to_string().contains("viewer"));
        assert!(parse(&format!("ada:{hash}\nada:{hash}")).unwrap_err().to_string().contains("twice"));
    }
}
