//! HTTP clients: one builder for all of them, and what their errors mean.

use std::error::Error as StdError;
use std::time::Duration;

use hypersdk_core::{Error, ErrorKind, RetryHint};
use secrecy::ExposeSecret;

use crate::config::{Endpoint, VsphereConfig};
use crate::tls::{CertificateRefused, TlsPolicy, Trust};

/// Makes every HTTP client of one connection: same TLS rules, HTTP/1.1, no redirects, no cookies, no proxy
/// but the configured one.
#[derive(Debug)]
pub(crate) struct HttpClients {
    policy: TlsPolicy,
    proxy: Option<reqwest::Proxy>,
    connect_timeout: Duration,
}

impl HttpClients {
    /// # Errors
    /// [`ErrorKind::Invalid`] for a proxy, thumbprint or CA file that cannot be used.
    pub(crate) fn new(config: &VsphereConfig, endpoint: &Endpoint) -> Result<Self, Error> {
        let proxy = match &config.proxy {
            Some(proxy) => Some(reqwest::Proxy::all(proxy.expose_secret()).map_err(|error| {
                Error::new(ErrorKind::Invalid, "configure vsphere", format!("proxy: {error}"))
                    .with_advice("write it as http://host:port")
            })?),
            None => None,
        };
        Ok(HttpClients {
            policy: TlsPolicy::new(config, endpoint)?,
            proxy,
            connect_timeout: config.connect_timeout,
        })
    }

    /// A client for the configured server.
    pub(crate) fn server(&self) -> Result<reqwest::Client, Error> {
        self.build(self.policy.server())
    }

    /// A client for a host that the server named, known by the thumbprint the server gave for it.
    pub(crate) fn host(
        &self,
        host: &str,
        port: u16,
        thumbprint: Option<&str>,
    ) -> Result<reqwest::Client, Error> {
        self.build(self.policy.host(host, port, thumbprint))
    }

    /// A client with another idea of whom to trust.
    pub(crate) fn build(&self, trust: Trust) -> Result<reqwest::Client, Error> {
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(self.policy.client_config(trust)?)
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .connect_timeout(self.connect_timeout)
            .tcp_nodelay(true)
            .tcp_keepalive(Duration::from_secs(30))
            // Servers close idle connections; one that is about to be closed must not take a call along.
            .pool_idle_timeout(Duration::from_secs(15))
            .user_agent(concat!("hypersdk/", env!("CARGO_PKG_VERSION")));
        if let Some(proxy) = &self.proxy {
            builder = builder.proxy(proxy.clone());
        }
        builder.build().map_err(|error| Error::new(ErrorKind::Internal, "build HTTP client", chain(&error)))
    }
}

/// An exchange that brought no HTTP answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransportError {
    /// TLS refused the server's certificate.
    #[error("{0}")]
    Certificate(CertificateRefused),
    /// No connection came about; nothing was sent.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// A time limit passed.
    #[error("no answer within {after:?}")]
    Timeout {
        /// The limit.
        after: Duration,
    },
    /// The connection broke.
    #[error("connection broke: {0}")]
    Broken(String),
}

impl TransportError {
    /// True if the request cannot have reached the server.
    pub(crate) fn never_sent(&self) -> bool {
        matches!(self, TransportError::Certificate(_) | TransportError::Connect(_))
    }

    /// True if trying again can help.
    pub(crate) fn passes(&self) -> bool {
        !matches!(self, TransportError::Certificate(_))
    }

    /// The core error it becomes.
    pub(crate) fn into_error(self, operation: impl Into<std::borrow::Cow<'static, str>>) -> Error {
        let message = self.to_string();
        match self {
            TransportError::Certificate(refused) => {
                let advice = refused.remedy();
                Error::new(ErrorKind::Unavailable, operation, message)
                    .with_retry(RetryHint::Never)
                    .with_advice(advice)
                    .with_source(refused)
            }
            TransportError::Timeout { .. } => Error::new(ErrorKind::Timeout, operation, message),
            TransportError::Connect(_) => Error::new(ErrorKind::Unavailable, operation, message)
                .with_advice("check that the address and port are right and reachable from here"),
            TransportError::Broken(_) => Error::new(ErrorKind::Unavailable, operation, message),
        }
    }
}

/// What an error of the HTTP client means.
pub(crate) fn classify(error: &reqwest::Error) -> TransportError {
    if let Some(refused) = refused_certificate(error) {
        return TransportError::Certificate(refused);
    }
    let text = chain(error);
    if error.is_connect() {
        return TransportError::Connect(text);
    }
    TransportError::Broken(text)
}

/// Finds our own verifier's verdict in an error's causes. An `io::Error` hides the error it wraps from
/// `source()`, so it is asked by `get_ref()`.
fn refused_certificate(error: &reqwest::Error) -> Option<CertificateRefused> {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(current) = cause {
        let inner = current
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
            .map(|inner| inner as &(dyn StdError + 'static));
        for candidate in [Some(current), inner].into_iter().flatten() {
            if let Some(rustls::Error::Other(other)) = candidate.downcast_ref::<rustls::Error>()
                && let Some(refused) = other.0.downcast_ref::<CertificateRefused>()
            {
                return Some(refused.clone());
            }
        }
        cause = inner.or_else(|| current.source());
    }
    None
}

fn chain(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause = error.source();
    while let Some(current) = cause {
        let part = current.to_string();
        if !text.ends_with(&part) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&part);
        }
        cause = current.source();
    }
    if text.is_empty() { error.to_string() } else { text }
}
