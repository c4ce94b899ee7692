use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ring::signature::{
    RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY, UnparsedPublicKey,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::digest::DigestAlgorithm;
use crate::manifest;

/// The largest certificate file that is read, in bytes.
pub const MAX_CERTIFICATE_BYTES: u64 = 256 << 10;
/// `rsaEncryption` of PKCS #1.
const RSA: &str = "1.2.840.113549.1.1.1";

/// Why a certificate file is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// It is longer than [`MAX_CERTIFICATE_BYTES`].
    #[error("certificate file of {0} bytes is too large")]
    TooLarge(u64),
    /// It does not begin with a line that holds a signature.
    #[error("the line of the signature: {0}")]
    Line(String),
    /// It has no usable X.509 certificate.
    #[error("certificate: {0}")]
    Certificate(String),
}

/// What is wrong with a signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// It is of another file.
    #[error("it signs {0:?}, not the manifest")]
    OtherFile(String),
    /// The certificate has a key that is not RSA: nothing can be said of the signature.
    #[error("the key of {0} is not RSA: the signature cannot be checked")]
    NotRsa(String),
    /// The manifest is not what was signed, or another key signed it.
    #[error("the manifest is not what {0} signed")]
    Wrong(String),
}

/// A certificate file: a signature, and the certificate of who made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    file: String,
    algorithm: DigestAlgorithm,
    signature: Vec<u8>,
    subject: String,
    is_rsa: bool,
    public_key: Vec<u8>,
    valid: [SystemTime; 2],
}

impl Certificate {
    /// Reads a certificate file, which may be hostile.
    ///
    /// # Errors
    /// With the reason.
    pub fn parse(raw: &[u8]) -> Result<Self, CertificateError> {
        if raw.len() as u64 > MAX_CERTIFICATE_BYTES {
            return Err(CertificateError::TooLarge(raw.len() as u64));
        }
        let end = raw.iter().position(|&byte| byte == b'\n').unwrap_or(raw.len());
        let (line, rest) = raw.split_at(end);
        let (file, algorithm, signature) =
            parse_line(line).map_err(|reason| CertificateError::Line(reason.into()))?;
        let der = CertificateDer::from_pem_slice(rest)
            .map_err(|error| CertificateError::Certificate(error.to_string()))?;
        let certificate = parse_x509(&der).map_err(CertificateError::Certificate)?;
        let key = certificate.public_key();
        let validity = certificate.validity();
        Ok(Self {
            file,
            algorithm,
            signature,
            subject: subject(&certificate),
            is_rsa: key.algorithm.algorithm.to_id_string() == RSA,
            public_key: key.subject_public_key.data.to_vec(),
            valid: [validity.not_before, validity.not_after].map(|time| system_time(time.timestamp())),
        })
    }

    /// Who signed, as the certificate says.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The digest the signature is made of.
    #[must_use]
    pub fn algorithm(&self) -> DigestAlgorithm {
        self.algorithm
    }

    /// Whether the certificate is valid at this time.
    #[must_use]
    pub fn is_valid_at(&self, time: SystemTime) -> bool {
        (self.valid[0]..=self.valid[1]).contains(&time)
    }

    /// Checks the signature of a manifest. Of the certificate only its key is used: who vouches
    /// for it, and its validity, is for the caller to judge.
    ///
    /// # Errors
    /// If it is not the signature of these bytes by this key.
    pub fn check(&self, manifest_name: &str, manifest: &[u8]) -> Result<(), SignatureError> {
        if self.file != manifest_name {
            return Err(SignatureError::OtherFile(self.file.clone()));
        }
        if !self.is_rsa {
            return Err(SignatureError::NotRsa(self.subject.clone()));
        }
        let scheme = match self.algorithm {
            DigestAlgorithm::Sha1 => &RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
            DigestAlgorithm::Sha256 => &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
            DigestAlgorithm::Sha512 => &RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
        };
        UnparsedPublicKey::new(scheme, &self.public_key)
            .verify(manifest, &self.signature)
            .map_err(|_| SignatureError::Wrong(self.subject.clone()))
    }
}

/// `SHA256(name.mf)= hex`, also as OpenSSL 3 writes it (`RSA-SHA2-256(`).
fn parse_line(line: &[u8]) -> Result<(String, DigestAlgorithm, Vec<u8>), &'static str> {
    let line = std::str::from_utf8(line).map_err(|_| "it is not text")?;
    let (word, rest) = line.trim_start_matches('\u{feff}').split_once('(').ok_or("no opening bracket")?;
    let (name, hex) = rest.rsplit_once(')').ok_or("no closing bracket")?;
    let hex = hex.trim_start().strip_prefix('=').ok_or("no equals sign behind the bracket")?;
    let word = word.trim().to_ascii_uppercase();
    let algorithm = manifest::algorithm(word.strip_prefix("RSA-").unwrap_or(&word));
    let signature = hex::decode(hex.trim()).map_err(|_| "the signature is not hexadecimal")?;
    Ok((name.to_owned(), algorithm.ok_or("the algorithm is not known")?, signature))
}

pub(super) fn parse_x509(der: &[u8]) -> Result<X509Certificate<'_>, String> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err("there is data behind it".into()),
        Err(error) => Err(error.to_string()),
    }
}

/// Without control characters: it is printed.
pub(super) fn subject(certificate: &X509Certificate<'_>) -> String {
    certificate.subject().to_string().replace(char::is_control, "?")
}

/// The certificates of a PEM text as they stand there, without what lies between them.
pub(super) fn sections(pem: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for line in pem.lines().map(str::trim) {
        inside |= line == "-----BEGIN CERTIFICATE-----";
        if inside {
            text.push_str(line);
            text.push('\n');
        }
        inside &= line != "-----END CERTIFICATE-----";
    }
    text
}

fn system_time(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
    time.unwrap_or(UNIX_EPOCH)
}
