//! Checks a server's certificate, and always the handshake's signature: a pinned certificate proves nothing
//! without its key.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};

use super::known_hosts::KnownHosts;
use super::thumbprint::Thumbprint;

/// A server's certificate that was refused, with the thumbprints it has. Found as the
/// [source](std::error::Error::source) of the error a connection failed with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the certificate of {server} is refused: {reason}; its thumbprint is {sha256}")]
pub struct CertificateRefused {
    /// The server's name or address.
    pub server: String,
    /// Why it was refused.
    pub reason: String,
    /// The SHA-256 thumbprint of the certificate it showed.
    pub sha256: Thumbprint,
    /// The SHA-1 thumbprint of the certificate it showed.
    pub sha1: Thumbprint,
}

impl CertificateRefused {
    /// What a person can do about it.
    pub fn remedy(&self) -> String {
        format!(
            "compare with the thumbprint the server itself shows; if it is the same, record it with `hypervisord trust \
             {}`, or set `thumbprint: \"{}\"`, or name its authority with `ca_file`",
            self.server, self.sha256
        )
    }
}

/// Who is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Whoever a known authority vouches for, whoever has one of these thumbprints, and whom a person confirmed.
    Authorities { or_pinned: Vec<Thumbprint>, or_confirmed: Option<Confirmed> },
    /// Only who has this thumbprint.
    Pinned(Thumbprint),
    /// Anybody.
    Anybody,
    /// Nobody: the certificate is only looked at.
    Nobody,
}

/// What a person may have confirmed about one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Confirmed {
    pub(super) hosts: KnownHosts,
    pub(super) host: String,
    pub(super) port: u16,
}

impl Confirmed {
    /// Whether it is about this certificate; `otherwise` is why the certificate is refused if nothing was said.
    fn verdict(&self, certificate: &[u8], otherwise: String) -> Result<(), String> {
        let file = self.hosts.path().display();
        let known = match self.hosts.thumbprints(&self.host, self.port) {
            Ok(known) => known,
            Err(error) => return Err(format!("{otherwise}, and {file} cannot be read: {error}")),
        };
        match known.first() {
            _ if known.iter().any(|thumbprint| thumbprint.matches(certificate)) => Ok(()),
            Some(other) => Err(format!("it is not the one confirmed earlier: {file} says {other}")),
            None => Err(otherwise),
        }
    }
}

#[derive(Debug)]
pub(super) struct Verifier {
    provider: Arc<CryptoProvider>,
    trust: Trust,
    authorities: Option<Arc<WebPkiServerVerifier>>,
    /// Certificates of `ca_file`: a self-signed server certificate given there is trusted as it stands.
    given: Vec<CertificateDer<'static>>,
}

impl Verifier {
    pub(super) fn new(
        provider: Arc<CryptoProvider>,
        trust: Trust,
        roots: Option<Arc<RootCertStore>>,
        given: Vec<CertificateDer<'static>>,
    ) -> Self {
        let authorities = roots.and_then(|roots| {
            WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build().ok()
        });
        Verifier { provider, trust, authorities, given }
    }

    fn verdict(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<(), String> {
        let (or_pinned, or_confirmed) = match &self.trust {
            Trust::Anybody => return Ok(()),
            Trust::Pinned(thumbprint) if thumbprint.matches(end_entity) => return Ok(()),
            Trust::Pinned(thumbprint) => return Err(format!("`thumbprint` says {thumbprint}")),
            Trust::Nobody => return Err("it is only looked at".to_owned()),
            Trust::Authorities { or_pinned, or_confirmed } => (or_pinned, or_confirmed),
        };
        if self.given.iter().any(|given| given == end_entity) {
            return Ok(());
        }
        let by_authority = match &self.authorities {
            Some(verifier) => verifier
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
                .map_err(|error| match error {
                    rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
                        "no known authority vouches for it".to_owned()
                    }
                    other => other.to_string(),
                }),
            None => Err("no authority is known on this machine".to_owned()),
        };
        match by_authority {
            Ok(_) => Ok(()),
            Err(_) if or_pinned.iter().any(|thumbprint| thumbprint.matches(end_entity)) => Ok(()),
            Err(reason) => match or_confirmed {
                Some(confirmed) => confirmed.verdict(end_entity, reason),
                None => Err(reason),
            },
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.verdict(end_entity, intermediates, server_name, ocsp_response, now) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(reason) => Err(rustls::Error::Other(OtherError(Arc::new(CertificateRefused {
                server: server_name.to_str().into_owned(),
                reason,
                sha256: Thumbprint::sha256(end_entity),
                sha1: Thumbprint::sha1(end_entity),
            })))),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
