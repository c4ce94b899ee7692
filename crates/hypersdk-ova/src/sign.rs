//! Signed packages: the certificate file (DSP0243, section 5.1).
//!
//! ```text
//! SHA256(web01.mf)= <the signature in hexadecimal digits>
//! -----BEGIN CERTIFICATE-----
//! ```
//!
//! The signature is RSA PKCS #1 v1.5 over the manifest's bytes. Written by [`Signer`], read by
//! [`Certificate`]. Whether the signer is to be trusted is not decided here: no chain is built.

mod certificate;
mod signer;

pub use certificate::{Certificate, CertificateError, MAX_CERTIFICATE_BYTES, SignatureError};
pub use signer::{SignError, Signer};
