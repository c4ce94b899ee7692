//! Digests of package members.

mod file;

use std::fmt;
use std::str::FromStr;

use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};

pub use file::hash_file;

/// The algorithms a manifest may use (DSP0243, section 5.1).
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum DigestAlgorithm {
    /// For importers older than vSphere 6.5; newer ones may refuse it.
    Sha1,
    /// What every current importer takes.
    #[default]
    Sha256,
    /// OVF 2.x; some importers refuse it.
    Sha512,
}

impl DigestAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 3] = [Self::Sha1, Self::Sha256, Self::Sha512];

    /// The word a manifest line begins with.
    #[must_use]
    pub fn manifest_name(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
        }
    }

    /// The length of a digest in bytes.
    #[must_use]
    pub fn digest_bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

impl fmt::Display for DigestAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.manifest_name().to_ascii_lowercase())
    }
}

impl FromStr for DigestAlgorithm {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.manifest_name().eq_ignore_ascii_case(text))
            .ok_or_else(|| InvalidDigest(format!("{text:?} is none of sha1, sha256, sha512")))
    }
}

/// A text that is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a digest: {0}")]
pub struct InvalidDigest(String);

/// A finished digest. Displays, and serialises, as `sha256:` and lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Digest {
    algorithm: DigestAlgorithm,
    bytes: Vec<u8>,
}

impl Digest {
    /// The digest of `data`.
    #[must_use]
    pub fn of(algorithm: DigestAlgorithm, data: &[u8]) -> Self {
        let mut digester = Digester::new(algorithm);
        digester.update(data);
        digester.finish()
    }

    /// A digest from its hexadecimal digits, of either case.
    ///
    /// # Errors
    /// If these are no such digits, or not as many as the algorithm has.
    pub fn from_hex(algorithm: DigestAlgorithm, hex: &str) -> Result<Self, InvalidDigest> {
        let bytes = hex::decode(hex).map_err(|error| InvalidDigest(error.to_string()))?;
        if bytes.len() != algorithm.digest_bytes() {
            let wanted = algorithm.digest_bytes();
            return Err(InvalidDigest(format!("{algorithm} has {wanted} bytes, not {}", bytes.len())));
        }
        Ok(Self { algorithm, bytes })
    }

    /// The algorithm that made it.
    #[must_use]
    pub fn algorithm(&self) -> DigestAlgorithm {
        self.algorithm
    }

    /// Lower-case hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> String {
        hex::encode(&self.bytes)
    }

    /// The raw bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, self.hex())
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let (algorithm, hex) = text.split_once(':').ok_or_else(|| InvalidDigest("no colon".into()))?;
        Self::from_hex(algorithm.parse()?, hex)
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Computes a digest as bytes pass.
#[derive(Debug, Clone)]
pub struct Digester(State);

#[derive(Debug, Clone)]
enum State {
    Sha1(Sha1),
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Digester {
    /// A digest of nothing yet.
    #[must_use]
    pub fn new(algorithm: DigestAlgorithm) -> Self {
        Self(match algorithm {
            DigestAlgorithm::Sha1 => State::Sha1(Sha1::new()),
            DigestAlgorithm::Sha256 => State::Sha256(Sha256::new()),
            DigestAlgorithm::Sha512 => State::Sha512(Sha512::new()),
        })
    }

    /// Which algorithm it computes.
    #[must_use]
    pub fn algorithm(&self) -> DigestAlgorithm {
        match self.0 {
            State::Sha1(_) => DigestAlgorithm::Sha1,
            State::Sha256(_) => DigestAlgorithm::Sha256,
            State::Sha512(_) => DigestAlgorithm::Sha512,
        }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, data: &[u8]) {
        match &mut self.0 {
            State::Sha1(state) => state.update(data),
            State::Sha256(state) => state.update(data),
            State::Sha512(state) => state.update(data),
        }
    }

    /// The digest of all bytes taken.
    #[must_use]
    pub fn finish(self) -> Digest {
        let algorithm = self.algorithm();
        let bytes = match self.0 {
            State::Sha1(state) => state.finalize().to_vec(),
            State::Sha256(state) => state.finalize().to_vec(),
            State::Sha512(state) => state.finalize().to_vec(),
        };
        Digest { algorithm, bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of FIPS 180-2 for "abc".
    #[test]
    fn digests_are_those_of_the_standard() {
        for (algorithm, start) in [
            (DigestAlgorithm::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (DigestAlgorithm::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (DigestAlgorithm::Sha512, "ddaf35a193617abacc417349ae204131"),
        ] {
            let mut digester = Digester::new(algorithm);
            digester.update(b"a");
            digester.update(b"bc");
            assert!(digester.finish().hex().starts_with(start));
        }
    }

    #[test]
    fn a_digest_survives_its_text_and_json() {
        for algorithm in DigestAlgorithm::ALL {
            let digest = Digest::of(algorithm, b"x");
            assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
            let json = serde_json::to_string(&digest).unwrap();
            assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
        }
    }

    #[test]
    fn a_digest_of_the_wrong_length_is_refused() {
        assert!(Digest::from_hex(DigestAlgorithm::Sha256, "00").is_err());
        assert!("md5:00".parse::<Digest>().is_err());
    }
}
