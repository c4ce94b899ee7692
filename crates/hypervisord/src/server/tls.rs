//! TLS for the API, from files that can be replaced while the daemon runs.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};

use anyhow::Context;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Where the certificate is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// The certificate and those that lead to its authority, PEM.
    pub(crate) cert: PathBuf,
    /// Its private key, PEM.
    pub(crate) key: PathBuf,
    /// When given, only clients with a certificate of these authorities are served.
    pub(crate) client_ca: Option<PathBuf>,
}

/// The certificate in use.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    files: TlsFiles,
    current: Arc<RwLock<Arc<ServerConfig>>>,
}

impl Tls {
    /// Reads the files.
    pub(crate) fn open(files: TlsFiles) -> anyhow::Result<Self> {
        let current = Arc::new(RwLock::new(read(&files)?));
        Ok(Tls { files, current })
    }

    /// Reads the files again; what cannot be used changes nothing.
    pub(crate) fn reload(&self) -> anyhow::Result<()> {
        let fresh = read(&self.files)?;
        *self.current.write().expect("no holder of this lock panics") = fresh;
        Ok(())
    }

    /// The handshake.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let config = Arc::clone(&self.current.read().expect("no holder of this lock panics"));
        TlsAcceptor::from(config).accept(stream).await
    }
}

fn read(files: &TlsFiles) -> anyhow::Result<Arc<ServerConfig>> {
    let TlsFiles { cert, key, client_ca } = files;
    let chain = certificates(cert).with_context(|| format!("tls.cert {}", cert.display()))?;
    let key = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| anyhow::anyhow!("{error}"))
        .with_context(|| format!("tls.key {}: expected a private key in PEM", key.display()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = rustls::RootCertStore::empty();
            for authority in
                certificates(path).with_context(|| format!("tls.client_ca {}", path.display()))?
            {
                roots.add(authority)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config =
        builder.with_single_cert(chain, key).context("tls.cert and tls.key do not belong together")?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(path: &std::path::Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    if found.is_empty() {
        anyhow::bail!("holds no certificate");
    }
    Ok(found)
}
