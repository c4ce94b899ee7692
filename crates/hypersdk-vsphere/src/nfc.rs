//! NFC downloads: one GET a file, from the host the lease names.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::stream::{self, StreamExt};
use hypersdk_core::{ByteStream, Error, ErrorKind};
use reqwest::{Response, StatusCode};
use url::Url;

use crate::http::{self, TransportError};
use crate::lease::Probe;
use crate::session::Connector;

/// Where a file is fetched from.
#[derive(Debug, Clone)]
pub(crate) struct Device {
    pub(crate) url: Url,
    /// How the server says its host is known.
    pub(crate) thumbprint: Option<String>,
}

/// Host, port and thumbprint.
type HostKey = (String, u16, Option<String>);

/// Clients for the hosts of one export, made as needed.
#[derive(Debug)]
pub(crate) struct NfcClients {
    connector: Arc<Connector>,
    made: Mutex<HashMap<HostKey, reqwest::Client>>,
}

impl NfcClients {
    pub(crate) fn new(connector: Arc<Connector>) -> Self {
        NfcClients { connector, made: Mutex::default() }
    }

    fn client(&self, device: &Device) -> Result<reqwest::Client, Error> {
        let host = device.url.host_str().unwrap_or_default();
        let port = device.url.port_or_known_default().unwrap_or(443);
        let key = (host.to_owned(), port, device.thumbprint.clone());
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = made.get(&key) {
            return Ok(client.clone());
        }
        let client = self.connector.http().host(host, port, device.thumbprint.as_deref())?;
        made.insert(key, client.clone());
        Ok(client)
    }

    /// Begins to read a file. The ticket in its address is all the host asks for, so no cookie goes along.
    /// There is no limit on the whole, only on the time without a byte.
    pub(crate) async fn open(&self, name: &str, device: &Device, probe: Probe) -> Result<ByteStream, Error> {
        let operation = format!("read {name}");
        let idle = self.connector.config().stream_idle_timeout;
        let request = self.client(device)?.get(device.url.clone()).send();
        let response = match tokio::time::timeout(idle, request).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(failure(http::classify(&error), probe, operation).await),
            Err(_) => return Err(failure(TransportError::Timeout { after: idle }, probe, operation).await),
        };
        if response.status() != StatusCode::OK {
            return Err(refusal(response, probe, operation).await);
        }
        Ok(body(response, idle, probe, operation))
    }
}

/// The body as it comes, without copies. Dropping it closes the connection.
fn body(response: Response, idle: Duration, probe: Probe, operation: String) -> ByteStream {
    let lost = probe.lost();
    stream::try_unfold(
        (response, lost, probe, operation),
        move |(mut response, mut lost, probe, operation)| async move {
            let chunk = tokio::select! {
                biased;
                chunk = tokio::time::timeout(idle, response.chunk()) => chunk,
                loss = lost.wait_for(Option::is_some) => {
                    return Err(match loss.ok().and_then(|loss| loss.clone()) {
                        Some(loss) => loss.error(operation),
                        None => Error::cancelled(operation),
                    });
                }
            };
            match chunk {
                Ok(Ok(Some(bytes))) => Ok(Some((bytes, (response, lost, probe, operation)))),
                Ok(Ok(None)) => Ok(None),
                Ok(Err(error)) => Err(failure(http::classify(&error), probe, operation).await),
                Err(_) => Err(failure(TransportError::Timeout { after: idle }, probe, operation).await),
            }
        },
    )
    .boxed()
}

/// The error of a broken exchange; a lost lease is named as its cause.
async fn failure(error: TransportError, probe: Probe, operation: String) -> Error {
    if matches!(error, TransportError::Certificate(_)) {
        // The configured thumbprint is the server's, so it would not help with another host.
        return error.into_error(operation).with_advice(
            "the server vouches for another certificate; name the host's authority with `ca_file`, or \
             confirm its certificate with `hypervisord trust HOST`",
        );
    }
    match probe.verdict().await {
        Some(lost) => lost.error(operation),
        None => error.into_error(operation),
    }
}

/// The error for an answer other than 200.
async fn refusal(response: Response, probe: Probe, operation: String) -> Error {
    let status = response.status();
    let host = response.url().host_str().unwrap_or_default().to_owned();
    drop(response);
    if let Some(lost) = probe.verdict().await {
        return lost.error(operation);
    }
    Error::new(ErrorKind::Unavailable, operation, format!("{host} answered HTTP {status}"))
}
