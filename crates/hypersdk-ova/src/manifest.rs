//! The manifest: one digest a member (DSP0243, section 5.1).
//!
//! Written as importers demand it, byte for byte: `SHA256(name)= hex` and a line feed. Read more
//! tolerantly, since other producers spell it otherwise; each deviation is a [`ManifestWarning`].

use std::collections::HashSet;
use std::fmt;

use crate::digest::{Digest, DigestAlgorithm};

/// The largest manifest that is read, in bytes.
pub const MAX_MANIFEST_BYTES: u64 = 4 << 20;

/// One line: a member and its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestEntry {
    /// The member's name.
    pub name: String,
    /// Its digest.
    pub digest: Digest,
}

/// The digests of a package's members. Displays as the text of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    entries: Vec<ManifestEntry>,
}

/// A spelling that some importers refuse.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct ManifestWarning {
    /// The line, from 1.
    pub line: usize,
    /// What is unusual about it.
    pub message: String,
}

/// Why a manifest is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// It is longer than [`MAX_MANIFEST_BYTES`].
    #[error("manifest of {0} bytes is too large")]
    TooLarge(u64),
    /// It is not UTF-8.
    #[error("manifest is not text")]
    NotText,
    /// A line that no producer writes.
    #[error("manifest line {line}: {reason}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}

impl Manifest {
    /// An empty manifest.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a member.
    pub fn push(&mut self, name: impl Into<String>, digest: Digest) {
        self.entries.push(ManifestEntry { name: name.into(), digest });
    }

    /// The lines in order.
    #[must_use]
    pub fn entries(&self) -> &[ManifestEntry] {
        &self.entries
    }

    /// The digest of one member.
    #[must_use]
    pub fn digest(&self, name: &str) -> Option<&Digest> {
        self.entries.iter().find(|entry| entry.name == name).map(|entry| &entry.digest)
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// If it is too large, no text, lists a member twice, or has a line that is none.
    pub fn parse(raw: &[u8]) -> Result<(Self, Vec<ManifestWarning>), ManifestError> {
        if raw.len() as u64 > MAX_MANIFEST_BYTES {
            return Err(ManifestError::TooLarge(raw.len() as u64));
        }
        let text = std::str::from_utf8(raw).map_err(|_| ManifestError::NotText)?;
        let mut manifest = Self::new();
        let mut warnings = Vec::new();
        let mut names = HashSet::new();
        for (index, raw_line) in text.split_inclusive('\n').enumerate() {
            let line = index + 1;
            let content = raw_line.trim_start_matches('\u{feff}').trim();
            if content.is_empty() {
                warnings.push(ManifestWarning { line, message: "the line is empty".into() });
                continue;
            }
            let entry = parse_line(content).map_err(|reason| ManifestError::Line { line, reason })?;
            if !names.insert(entry.name.clone()) {
                return Err(ManifestError::Line { line, reason: format!("{:?} comes twice", entry.name) });
            }
            if format!("{entry}\n") != raw_line {
                let message = format!("spelt {:?}; importers expect {:?}", raw_line, format!("{entry}\n"));
                warnings.push(ManifestWarning { line, message });
            }
            manifest.entries.push(entry);
        }
        Ok((manifest, warnings))
    }
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entries.iter().try_for_each(|entry| writeln!(f, "{entry}"))
    }
}

impl fmt::Display for ManifestEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})= {}", self.digest.algorithm().manifest_name(), self.name, self.digest.hex())
    }
}

/// `SHA256(name)= hex`, also as OpenSSL 3 writes it (`SHA2-256(`), with spaces elsewhere or
/// other letter case.
fn parse_line(line: &str) -> Result<ManifestEntry, String> {
    let (word, rest) = line.split_once('(').ok_or("no opening bracket")?;
    let (name, hex) = rest.rsplit_once(')').ok_or("no closing bracket")?;
    let hex = hex.trim_start().strip_prefix('=').ok_or("no equals sign behind the bracket")?;
    let word = word.trim().to_ascii_uppercase();
    let algorithm = algorithm(&word).ok_or_else(|| format!("algorithm {word:?} is not known"))?;
    if name.is_empty() {
        return Err("no name in the brackets".into());
    }
    let digest = Digest::from_hex(algorithm, hex.trim()).map_err(|error| error.to_string())?;
    Ok(ManifestEntry { name: name.to_owned(), digest })
}

/// The algorithm of a line's first word, in upper case.
pub(crate) fn algorithm(word: &str) -> Option<DigestAlgorithm> {
    match word {
        "SHA1" | "SHA-1" => Some(DigestAlgorithm::Sha1),
        "SHA256" | "SHA-256" | "SHA2-256" => Some(DigestAlgorithm::Sha256),
        "SHA512" | "SHA-512" | "SHA2-512" => Some(DigestAlgorithm::Sha512),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_line_is_spelt_exactly_as_importers_demand() {
        let mut manifest = Manifest::new();
        manifest.push("web01.ovf", Digest::of(DigestAlgorithm::Sha256, b""));
        assert_eq!(manifest.to_string(), format!("SHA256(web01.ovf)= {EMPTY}\n"));
    }

    #[test]
    fn spellings_of_other_producers_are_read_with_a_warning() {
        for line in [
            format!("SHA256(a)={EMPTY}\n"),
            format!("SHA256 (a)= {EMPTY}\n"),
            format!("SHA2-256(a)= {EMPTY}\n"),
            format!("sha256(a) = {}\r\n", EMPTY.to_uppercase()),
            format!("SHA256(a)= {EMPTY}"),
        ] {
            let (manifest, warnings) = Manifest::parse(line.as_bytes()).unwrap();
            assert_eq!(manifest.digest("a").unwrap().hex(), EMPTY, "{line}");
            assert_eq!(warnings.len(), 1, "{line}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_its_line() {
        for (text, reason) in [
            ("hello\n".to_owned(), "line 1: no opening bracket"),
            (format!("SHA256(a)= {EMPTY}\nMD5(b)= 00\n"), "line 2: algorithm \"MD5\""),
            (format!("SHA256(a)= {EMPTY}\nSHA256(a)= {EMPTY}\n"), "line 2: \"a\" comes twice"),
            ("SHA256(a)= 00\n".to_owned(), "line 1: not a digest"),
        ] {
            let error = Manifest::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_without_warning(
            names in prop::collection::hash_set("[A-Za-z0-9 ()._-]{1,40}[a-z]", 0..8),
        ) {
            for algorithm in DigestAlgorithm::ALL {
                let mut manifest = Manifest::new();
                for name in &names {
                    manifest.push(name, Digest::of(algorithm, name.as_bytes()));
                }
                let (read, warnings) = Manifest::parse(manifest.to_string().as_bytes()).unwrap();
                prop_assert_eq!(&read, &manifest);
                prop_assert_eq!(warnings, vec![]);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(raw in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Manifest::parse(&raw);
        }
    }
}
