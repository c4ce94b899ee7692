//! What may not lie about in clear: sealed with a key that is kept elsewhere.
//!
//! AES-256-GCM with a random nonce; the endpoint's id is authenticated with it, so that one endpoint's
//! secrets cannot be put in the place of another's.

use std::fmt;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hypersdk_core::{Error, ErrorKind, Result};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};

/// How a key's text begins.
const PREFIX: &str = "hypersdk-key-1:";
const KEY_BYTES: usize = 32;
/// The form of a sealed text: this byte, four that name the key, the nonce, the sealed bytes.
const FORM: u8 = 1;
const NAME_BYTES: usize = 4;

/// A key that seals and opens.
pub struct Vault {
    key: LessSafeKey,
    name: [u8; NAME_BYTES],
    random: SystemRandom,
}

impl Vault {
    /// Reads the key that [`write_key`] wrote.
    ///
    /// # Errors
    /// The file cannot be read, or holds no key.
    pub fn open(path: &Path) -> Result<Vault> {
        let operation = || format!("read secret key {}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| Error::io(operation(), error))?;
        let vault = Vault::from_text(text.trim()).map_err(|message| {
            Error::new(ErrorKind::Invalid, operation(), message)
                .with_advice("make one with `hypervisord secret-key FILE`")
        })?;
        let mode =
            std::fs::metadata(path).map_err(|error| Error::io(operation(), error))?.permissions().mode();
        if mode & 0o077 != 0 {
            tracing::warn!(path = %path.display(), "others can read the secret key; chmod 600 it");
        }
        Ok(vault)
    }

    fn from_text(text: &str) -> Result<Vault, &'static str> {
        let encoded = text.strip_prefix(PREFIX).ok_or("it does not begin like a key")?;
        let bytes = BASE64.decode(encoded).map_err(|_| "it is not base64")?;
        if bytes.len() != KEY_BYTES {
            return Err("it has not the length of a key");
        }
        let hash = digest::digest(&digest::SHA256, &bytes);
        let mut name = [0; NAME_BYTES];
        name.copy_from_slice(&hash.as_ref()[..NAME_BYTES]);
        let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| "it has not the length of a key")?;
        Ok(Vault { key: LessSafeKey::new(key), name, random: SystemRandom::new() })
    }

    /// Seals `clear` for the endpoint `owner`.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub(crate) fn seal(&self, owner: &str, clear: &[u8]) -> Result<Vec<u8>> {
        let failed = |_| Error::new(ErrorKind::Internal, "seal webhook secrets", "no random numbers");
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).map_err(failed)?;
        let mut bytes = clear.to_vec();
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(owner), &mut bytes)
            .map_err(failed)?;
        Ok([&[FORM][..], &self.name, &nonce, &bytes].concat())
    }

    /// Opens what [`seal`](Self::seal) sealed.
    ///
    /// # Errors
    /// It was sealed with another key, for another endpoint, or was altered.
    pub(crate) fn unseal(&self, owner: &str, sealed: &[u8]) -> Result<Vec<u8>> {
        let wrong = |message: &str| {
            Error::new(ErrorKind::Invalid, "open webhook secrets", message)
                .with_advice("give the secret_key_file they were sealed with, or enter the secret again")
        };
        let Some((head, bytes)) = sealed.split_at_checked(1 + NAME_BYTES + NONCE_LEN) else {
            return Err(wrong("they are cut short"));
        };
        if head[0] != FORM {
            return Err(wrong("they are in a form this version does not know"));
        }
        if head[1..=NAME_BYTES] != self.name {
            return Err(wrong("they were sealed with another key"));
        }
        let nonce =
            Nonce::try_assume_unique_for_key(&head[1 + NAME_BYTES..]).map_err(|_| wrong("cut short"))?;
        let mut bytes = bytes.to_vec();
        let clear = self.key.open_in_place(nonce, Aad::from(owner), &mut bytes);
        Ok(clear.map_err(|_| wrong("they were altered, or belong to another endpoint"))?.to_vec())
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault")
    }
}

/// Writes a new random key into a new file that only its owner can read.
///
/// # Errors
/// The file exists already or cannot be written: a key that is lost makes everything sealed with it
/// unreadable, so none is ever overwritten.
pub fn write_key(path: &Path) -> Result<()> {
    let operation = || format!("write secret key {}", path.display());
    let mut bytes = [0; KEY_BYTES];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Error::new(ErrorKind::Internal, operation(), "no random numbers"))?;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| Error::io(operation(), error))?;
    writeln!(file, "{PREFIX}{}", BASE64.encode(bytes))
        .and_then(|()| file.sync_all())
        .map_err(|error| Error::io(operation(), error))
}

#[cfg(test)]
pub(crate) fn for_tests(fill: u8) -> Vault {
    Vault::from_text(&format!("{PREFIX}{}", BASE64.encode([fill; KEY_BYTES]))).expect("a key")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_for_its_owner_and_key_alone() {
        let (vault, other) = (for_tests(1), for_tests(2));
        let sealed = vault.seal("wh-1", b"whsec_secret").unwrap();
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        assert_ne!(sealed, vault.seal("wh-1", b"whsec_secret").unwrap(), "never twice the same");
        assert_eq!(vault.unseal("wh-1", &sealed).unwrap(), b"whsec_secret");
        assert!(vault.unseal("wh-2", &sealed).unwrap_err().to_string().contains("another endpoint"));
        assert!(other.unseal("wh-1", &sealed).unwrap_err().to_string().contains("another key"));
        for cut in 0..sealed.len() {
            assert!(vault.unseal("wh-1", &sealed[..cut]).is_err(), "{cut}");
        }
        let mut altered = sealed;
        *altered.last_mut().unwrap() ^= 1;
        assert!(vault.unseal("wh-1", &altered).is_err());
    }

    #[test]
    fn a_key_file_is_its_owners_alone_and_never_overwritten() {
        let path = std::env::temp_dir().join(format!("hypersdk-key-{}", uuid::Uuid::now_v7()));
        write_key(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        Vault::open(&path).unwrap();
        assert_eq!(write_key(&path).unwrap_err().kind(), ErrorKind::Conflict);
        std::fs::write(&path, "hunter2").unwrap();
        let error = Vault::open(&path).unwrap_err();
        assert!(!error.chain().contains("hunter2") && error.advice().is_some(), "{error}");
        std::fs::remove_file(&path).unwrap();
    }
}
