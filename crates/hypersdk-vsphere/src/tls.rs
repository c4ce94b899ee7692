//! Whom to trust: certificate authorities, one pinned certificate, or anybody if told so.

mod known_hosts;
mod look;
mod thumbprint;
mod verifier;

use std::sync::{Arc, OnceLock};

use hypersdk_core::{Error, ErrorKind};
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

pub use known_hosts::KnownHosts;
pub use look::{ShownCertificate, look_at_certificate};
pub use thumbprint::{InvalidThumbprint, Thumbprint};
pub use verifier::CertificateRefused;
pub(crate) use verifier::Trust;
use verifier::{Confirmed, Verifier};

use crate::config::{Endpoint, VsphereConfig};

/// The TLS rules of one connection, for its server and for the hosts the server names.
#[derive(Debug)]
pub(crate) struct TlsPolicy {
    insecure: bool,
    pinned: Option<Thumbprint>,
    endpoint: Endpoint,
    known_hosts: Option<KnownHosts>,
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
            known_hosts: config.known_hosts.as_ref().map(KnownHosts::new),
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
            (None, false) => Trust::Authorities {
                or_pinned: Vec::new(),
                or_confirmed: self.confirmed(self.endpoint.host(), self.endpoint.port()),
            },
        }
    }

    /// How a host that the server named is known: by an authority, or else by the thumbprint the server gave, or
    /// else by what a person has confirmed.
    pub(crate) fn host(&self, host: &str, port: u16, thumbprint: Option<&str>) -> Trust {
        let mut or_pinned: Vec<Thumbprint> =
            thumbprint.and_then(|text| text.parse().ok()).into_iter().collect();
        let is_the_server = self.endpoint.host() == host && self.endpoint.port() == port;
        match &self.pinned {
            Some(pinned) if is_the_server => or_pinned.push(pinned.clone()),
            _ if self.insecure => return Trust::Anybody,
            _ => {}
        }
        Trust::Authorities { or_pinned, or_confirmed: self.confirmed(host, port) }
    }

    fn confirmed(&self, host: &str, port: u16) -> Option<Confirmed> {
        let hosts = self.known_hosts.clone()?;
        Some(Confirmed { hosts, host: host.to_owned(), port })
    }

    /// The rustls configuration for one kind of trust.
    pub(crate) fn client_config(&self, trust: Trust) -> Result<rustls::ClientConfig, Error> {
        let internal =
            |error: rustls::Error| Error::new(ErrorKind::Internal, "set up TLS", error.to_string());
        let roots = match trust {
            Trust::Authorities { .. } => Some(Arc::clone(self.roots.get_or_init(|| self.load_roots()))),
            Trust::Pinned(_) | Trust::Anybody | Trust::Nobody => None,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_for_which_the_server_gives_no_thumbprint_may_be_confirmed_by_a_person() {
        let mut config = VsphereConfig::new("vc", "user", "password");
        config.known_hosts = Some("known".into());
        let policy = TlsPolicy::new(&config, &Endpoint::parse("vc").unwrap()).unwrap();
        let confirmed = |host: &str| {
            Some(Confirmed { hosts: KnownHosts::new("known"), host: host.to_owned(), port: 443 })
        };
        let authorities = |host| Trust::Authorities { or_pinned: Vec::new(), or_confirmed: confirmed(host) };
        assert_eq!(policy.host("esx1", 443, None), authorities("esx1"));
        assert_eq!(policy.server(), authorities("vc"));
        config.thumbprint = Some("AB:".repeat(19) + "AB");
        let policy = TlsPolicy::new(&config, &Endpoint::parse("vc").unwrap()).unwrap();
        assert!(
            matches!(policy.server(), Trust::Pinned(_)),
            "what the configuration pins is not asked of the file"
        );
    }
}
