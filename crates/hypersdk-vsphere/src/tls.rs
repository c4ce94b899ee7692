//! Whom to trust: certificate authorities, one pinned certificate, or anybody if told so.

mod thumbprint;
mod verifier;

use std::sync::{Arc, OnceLock};

use hypersdk_core::{Error, ErrorKind};
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

pub use thumbprint::{InvalidThumbprint, Thumbprint};
pub use verifier::CertificateRefused;
pub(crate) use verifier::Trust;
use verifier::Verifier;

use crate::config::{Endpoint, VsphereConfig};

/// The TLS rules of one connection, for its server and for the hosts the server names.
#[derive(Debug)]
pub(crate) struct TlsPolicy {
    insecure: bool,
    pinned: Option<Thumbprint>,
    endpoint: Endpoint,
    own_authorities: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
    roots: OnceLock<Arc<RootCertStore>>,
}

impl TlsPolicy {
    /// # Errors
    /// [`ErrorKind::Invalid`] for a thumbprint or CA file that cannot be read.
    pub(crate) fn new(config: &VsphereConfig, endpoint: &Endpoint) -> Result<Self, Error> {
        let invalid = |message: String| Error::new(ErrorKind::Invalid, "configure vsphere", message);
        let pinned = match &config.thumbprint {
            Some(text) => Some(text.parse().map_err(|error| invalid(format!("thumbprint: {error}")))?),
            None => None,
        };
        let own_authorities = match &config.ca_file {
            Some(path) => CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect)
                .map_err(|error| invalid(format!("ca_file {}: {error}", path.display())))?,
            None => Vec::new(),
        };
        if config.ca_file.is_some() && own_authorities.is_empty() {
            return Err(invalid("ca_file holds no certificate".to_owned()));
        }
        Ok(TlsPolicy {
            insecure: config.insecure,
            pinned,
            endpoint: endpoint.clone(),
            own_authorities,
            provider: Arc::new(rustls::crypto::ring::default_provider()),
            roots: OnceLock::new(),
        })
    }

    /// How the configured server is known: by its thumbprint if one is given, else by an authority.
    pub(crate) fn server(&self) -> Trust {
        match (&self.pinned, self.insecure) {
            (Some(pinned), _) => Trust::Pinned(pinned.clone()),
            (None, true) => Trust::Anybody,
            (None, false) => Trust::Authorities { or_pinned: Vec::new() },
        }
    }

    /// How a host that the server named is known: by an authority, or else by the thumbprint the server gave.
    pub(crate) fn host(&self, host: &str, port: u16, thumbprint: Option<&str>) -> Trust {
        let mut or_pinned: Vec<Thumbprint> =
            thumbprint.and_then(|text| text.parse().ok()).into_iter().collect();
        let is_the_server = self.endpoint.host() == host && self.endpoint.port() == port;
        match &self.pinned {
            Some(pinned) if is_the_server => or_pinned.push(pinned.clone()),
            _ if self.insecure => return Trust::Anybody,
            _ => {}
        }
        Trust::Authorities { or_pinned }
    }

    /// The rustls configuration for one kind of trust.
    pub(crate) fn client_config(&self, trust: Trust) -> Result<rustls::ClientConfig, Error> {
        let internal =
            |error: rustls::Error| Error::new(ErrorKind::Internal, "set up TLS", error.to_string());
        let roots = match trust {
            Trust::Authorities { .. } => Some(Arc::clone(self.roots.get_or_init(|| self.load_roots()))),
            Trust::Pinned(_) | Trust::Anybody => None,
        };
        let verifier = Verifier::new(Arc::clone(&self.provider), trust, roots, self.own_authorities.clone());
        Ok(rustls::ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(internal)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth())
    }

    /// The system's authorities and those of `ca_file`.
    fn load_roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        let native = rustls_native_certs::load_native_certs();
        for error in &native.errors {
            tracing::warn!(%error, "a system certificate cannot be read");
        }
        roots.add_parsable_certificates(native.certs);
        roots.add_parsable_certificates(self.own_authorities.iter().cloned());
        Arc::new(roots)
    }
}
