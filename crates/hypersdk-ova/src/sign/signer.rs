use std::fmt;

use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RsaKeyPair};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::certificate;
use crate::digest::DigestAlgorithm;

/// Why a package cannot be signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The private key is no RSA key of 2048 to 4096 bits in PEM, PKCS #8 or PKCS #1.
    #[error("private key: {0}")]
    Key(String),
    /// The certificate is no X.509 certificate in PEM.
    #[error("certificate: {0}")]
    Certificate(String),
    /// The certificate is of another key.
    #[error("the certificate of {0} belongs to another private key")]
    Mismatch(String),
    /// The signature could not be computed.
    #[error("the signature could not be computed")]
    Failed,
}

/// A private RSA key with its certificate, to sign packages with. Never shows the key.
pub struct Signer {
    key: RsaKeyPair,
    subject: String,
    /// In PEM: the leaf, then what else the caller gave to prove it.
    certificates: String,
}

impl Signer {
    /// Reads an RSA key (PKCS #8 or PKCS #1) and its X.509 certificate, both in PEM. Certificates
    /// behind the first are put into the certificate file behind it.
    ///
    /// # Errors
    /// `Key`, `Certificate`; `Mismatch` if the two do not belong together.
    pub fn from_pem(key_pem: &[u8], certificate_pem: &[u8]) -> Result<Self, SignError> {
        let key =
            PrivateKeyDer::from_pem_slice(key_pem).map_err(|error| SignError::Key(error.to_string()))?;
        let key = match &key {
            PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
            _ => return Err(SignError::Key("it is no RSA key".into())),
        };
        let key = key.map_err(|error| SignError::Key(error.to_string()))?;
        let text = std::str::from_utf8(certificate_pem)
            .map_err(|_| SignError::Certificate("it is not text".into()))?;
        let certificates = certificate::sections(text);
        let leaf = CertificateDer::from_pem_slice(certificates.as_bytes())
            .map_err(|error| SignError::Certificate(error.to_string()))?;
        let leaf = certificate::parse_x509(&leaf).map_err(SignError::Certificate)?;
        let subject = certificate::subject(&leaf);
        if leaf.public_key().subject_public_key.data.as_ref() != key.public().as_ref() {
            return Err(SignError::Mismatch(subject));
        }
        Ok(Self { key, subject, certificates })
    }

    /// The certificate's subject, such as `CN=Build, O=Example`.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The certificate file of a manifest: signed by SHA-512 if that is the manifest's algorithm,
    /// else by SHA-256.
    ///
    /// # Errors
    /// `Failed` if the system gives no randomness.
    pub fn sign(
        &self,
        manifest_name: &str,
        manifest: &[u8],
        algorithm: DigestAlgorithm,
    ) -> Result<String, SignError> {
        let (algorithm, encoding) = match algorithm {
            DigestAlgorithm::Sha512 => (algorithm, &RSA_PKCS1_SHA512),
            _ => (DigestAlgorithm::Sha256, &RSA_PKCS1_SHA256),
        };
        let mut signature = vec![0; self.key.public().modulus_len()];
        let signed = self.key.sign(encoding, &SystemRandom::new(), manifest, &mut signature);
        signed.map_err(|_| SignError::Failed)?;
        let (word, signature) = (algorithm.manifest_name(), hex::encode(signature));
        Ok(format!("{word}({manifest_name})= {signature}\n{}", self.certificates))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("subject", &self.subject).finish_non_exhaustive()
    }
}
