//! Certificate thumbprints as vSphere prints them.

use std::fmt;
use std::str::FromStr;

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// The digest of a DER certificate: SHA-1 (20 bytes) or SHA-256 (32 bytes).
///
/// ```
/// use hypersdk_vsphere::Thumbprint;
///
/// let text = "A9:4A:8F:E5:CC:B1:9B:A6:1C:4C:08:73:D3:91:E9:87:98:2F:BB:D3";
/// let thumbprint: Thumbprint = text.to_lowercase().parse().unwrap();
/// assert_eq!(thumbprint.to_string(), text);
/// assert!("A9:4A".parse::<Thumbprint>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Thumbprint(Vec<u8>);

/// A text that is no thumbprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a thumbprint: give 20 (SHA-1) or 32 (SHA-256) bytes in hexadecimal, with or without colons"
)]
pub struct InvalidThumbprint(String);

impl Thumbprint {
    /// The SHA-256 thumbprint of a DER certificate.
    pub fn sha256(certificate: &[u8]) -> Self {
        Thumbprint(Sha256::digest(certificate).to_vec())
    }

    /// The SHA-1 thumbprint of a DER certificate, which older servers give out.
    pub fn sha1(certificate: &[u8]) -> Self {
        Thumbprint(Sha1::digest(certificate).to_vec())
    }

    /// True if it is this certificate's.
    pub fn matches(&self, certificate: &[u8]) -> bool {
        match self.0.len() {
            20 => *self == Thumbprint::sha1(certificate),
            _ => *self == Thumbprint::sha256(certificate),
        }
    }
}

impl FromStr for Thumbprint {
    type Err = InvalidThumbprint;

    fn from_str(text: &str) -> Result<Self, InvalidThumbprint> {
        let trimmed = text.trim();
        // Some tools print the algorithm in front, e.g. `SHA-256 Fingerprint=AB:CD`.
        let value = trimmed.rsplit('=').next().unwrap_or(trimmed);
        let digits: String = value.chars().filter(|c| !matches!(c, ':' | ' ')).collect();
        match hex::decode(digits) {
            Ok(bytes) if matches!(bytes.len(), 20 | 32) => Ok(Thumbprint(bytes)),
            _ => Err(InvalidThumbprint(text.to_owned())),
        }
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02X}", if i == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_algorithm_in_either_spelling_is_read_and_matched() {
        let certificate = b"not really DER";
        for thumbprint in [Thumbprint::sha1(certificate), Thumbprint::sha256(certificate)] {
            let colons = thumbprint.to_string();
            let spellings = [
                colons.clone(),
                colons.to_lowercase(),
                colons.replace(':', ""),
                format!("  SHA Fingerprint={colons}\n"),
            ];
            for text in spellings {
                let read: Thumbprint = text.parse().unwrap();
                assert_eq!(read, thumbprint, "{text}");
                assert!(read.matches(certificate));
                assert!(!read.matches(b"another"));
            }
        }
    }

    #[test]
    fn what_is_not_a_thumbprint_is_refused() {
        for text in [
            "",
            "zz",
            "AB:CD",
            &"AB:".repeat(33),
            "A9:4A:8F:E5:CC:B1:9B:A6:1C:4C:08:73:D3:91:E9:87:98:2F:BB:D",
        ] {
            assert!(text.parse::<Thumbprint>().is_err(), "{text}");
        }
    }
}
