//! How the daemon proves who it speaks to, where it is a client itself and no thumbprint is configured.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

/// TLS that trusts the system's authorities.
///
/// # Errors
/// The cryptography has none of the protocol's versions.
pub(crate) fn tls() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(versions.with_root_certificates(roots).with_no_client_auth())
}
