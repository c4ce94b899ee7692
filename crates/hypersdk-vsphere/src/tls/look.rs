//! Looking at a server's certificate before anything is sent to it.

use hypersdk_core::{Error, ErrorKind};

use super::{Thumbprint, Trust};
use crate::config::{Endpoint, VsphereConfig};
use crate::http::{self, HttpClients, TransportError};

/// The certificate that a server shows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShownCertificate {
    /// The server's host; an IPv6 address stands in brackets.
    pub host: String,
    /// The server's port.
    pub port: u16,
    /// The SHA-256 thumbprint.
    pub sha256: Thumbprint,
    /// The SHA-1 thumbprint, which older tools show.
    pub sha1: Thumbprint,
    /// True if a connection with this configuration accepts it as it is.
    pub trusted: bool,
}

/// Looks at the certificate of the server that `config` names. The handshake is broken off before anything is
/// sent; account and password are not used.
///
/// # Errors
/// [`ErrorKind::Invalid`] for an address that is not https; else what connecting failed with.
pub async fn look_at_certificate(config: &VsphereConfig) -> Result<ShownCertificate, Error> {
    let endpoint = Endpoint::parse(&config.url)?;
    let operation = || format!("look at the certificate of {}", endpoint.host());
    if endpoint.url().scheme() != "https" {
        return Err(Error::new(ErrorKind::Invalid, operation(), "an http server has no certificate"));
    }
    let clients = HttpClients::new(config, &endpoint)?;
    let refused = match shake_hands(&clients.build(Trust::Nobody)?, &endpoint, config).await {
        Some(TransportError::Certificate(refused)) => refused,
        Some(other) => return Err(other.into_error(operation())),
        None => return Err(Error::new(ErrorKind::Internal, operation(), "the server showed no certificate")),
    };
    let verdict = shake_hands(&clients.server()?, &endpoint, config).await;
    Ok(ShownCertificate {
        host: endpoint.host().to_owned(),
        port: endpoint.port(),
        sha256: refused.sha256,
        sha1: refused.sha1,
        trusted: !matches!(verdict, Some(TransportError::Certificate(_))),
    })
}

async fn shake_hands(
    client: &reqwest::Client,
    endpoint: &Endpoint,
    config: &VsphereConfig,
) -> Option<TransportError> {
    let mut url = endpoint.url().clone();
    url.set_path("/");
    match tokio::time::timeout(config.call_timeout, client.head(url).send()).await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(http::classify(&error)),
        Err(_) => Some(TransportError::Timeout { after: config.call_timeout }),
    }
}
