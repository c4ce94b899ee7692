use std::sync::Arc;

use rcgen::CertifiedKey;
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use sha1::Digest as _;
use tokio_rustls::TlsAcceptor;

/// A self-signed certificate and how to recognise it.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) pem: String,
    pub(crate) sha1: String,
    pub(crate) sha256: String,
    config: Arc<ServerConfig>,
}

impl Identity {
    /// Makes a new key and a certificate for the loopback addresses.
    pub(crate) fn generate() -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(names)?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            pem: cert.pem(),
            sha1: colon_hex(&sha1::Sha1::digest(cert.der())),
            sha256: colon_hex(&sha2::Sha256::digest(cert.der())),
            config: Arc::new(config),
        })
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }
}

/// Bytes as vSphere writes thumbprints: upper-case hex pairs with colons.
fn colon_hex(bytes: &[u8]) -> String {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    pairs.join(":")
}
