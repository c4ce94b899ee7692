//! Who may reach the API, and how: `auth`, `tls`, `server`.

use std::path::PathBuf;
use std::time::Duration;

use super::read::{Reader, Values, number, path};
use super::{Config, duration, keys};
use crate::auth::AuthConfig;
use crate::server::TlsFiles;

/// What the API's server allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerConfig {
    /// Names, beside those of the loopback, under which a daemon without authentication is asked.
    pub(crate) allowed_hosts: Vec<String>,
    /// Connections at one time.
    pub(crate) max_connections: u32,
    /// Requests an address may send in a minute; 0 for no limit.
    pub(crate) requests_per_minute: Option<u32>,
    /// How long a request's head may take.
    pub(crate) header_timeout: Duration,
}

pub(super) fn auth(reader: &mut Reader<'_>, top: &Values) -> Option<AuthConfig> {
    let values = reader.below(top, "auth", &keys::AUTH);
    let config = AuthConfig {
        tokens_file: reader.optional(&values, "tokens_file", path),
        htpasswd_file: reader.optional(&values, "htpasswd_file", readable),
        default_role: reader.value(&values, "default_role", str::parse),
        session_lifetime: reader.value(&values, "session_lifetime", at_least_a_minute),
    };
    let any = config.tokens_file.is_some() || config.htpasswd_file.is_some();
    if !any && reader.is_set(top, "auth") {
        reader.mistake(top, "auth", "lets nobody in: set tokens_file or htpasswd_file, or leave auth out");
    }
    any.then_some(config)
}

pub(super) fn tls(reader: &mut Reader<'_>, top: &Values) -> Option<TlsFiles> {
    let values = reader.below(top, "tls", &keys::TLS);
    let cert = reader.optional(&values, "cert", readable);
    let key = reader.optional(&values, "key", readable);
    let client_ca = reader.optional(&values, "client_ca", readable);
    for name in ["cert", "key"] {
        if reader.is_set(top, "tls") && !reader.is_set(&values, name) {
            reader.mistake(top, "tls", format!("{name} is missing: give a PEM file"));
        }
    }
    Some(TlsFiles { cert: cert?, key: key?, client_ca })
}

pub(super) fn server(reader: &mut Reader<'_>, top: &Values) -> ServerConfig {
    let values = reader.below(top, "server", &keys::SERVER);
    ServerConfig {
        allowed_hosts: reader.texts(&values, "allowed_hosts"),
        max_connections: reader.value(&values, "max_connections", number(16, 100_000)),
        requests_per_minute: reader.optional(&values, "requests_per_minute", number(0, 1_000_000)),
        header_timeout: reader.value(&values, "header_timeout", not_zero),
    }
}

/// An address that others can reach needs authentication, and should have TLS.
pub(super) fn check_exposure(reader: &mut Reader<'_>, top: &Values, config: &Config) {
    if config.daemon_addr.is_loopback() {
        return;
    }
    let addr = &config.daemon_addr;
    match (&config.auth, config.allow_unauthenticated) {
        (Some(_), _) if config.tls.is_none() => reader.warnings.push(format!(
            "{addr} is not a loopback address and there is no tls: tokens and passwords cross the network in clear"
        )),
        (Some(_), _) => {}
        (None, true) => reader.warnings.push(format!(
            "{addr} is not a loopback address and allow_unauthenticated is on: whoever reaches it can export every VM"
        )),
        (None, false) => reader.mistake(
            top,
            "daemon_addr",
            "is not a loopback address, and auth is not configured; set auth.tokens_file and make a token with \
             `hypervisord token create --role admin`, or listen on 127.0.0.1:8080, or set \
             allow_unauthenticated: true",
        ),
    }
}

fn readable(text: &str) -> Result<PathBuf, String> {
    let path = path(text)?;
    match std::fs::File::open(&path) {
        Ok(_) => Ok(path),
        Err(error) => Err(format!("cannot read {text:?}: {error}")),
    }
}

fn at_least_a_minute(text: &str) -> Result<Duration, String> {
    let lifetime = duration::parse(text)?;
    if lifetime < Duration::from_secs(60) {
        return Err("expected at least 1m".to_owned());
    }
    if lifetime > Duration::from_secs(30 * 24 * 3600) {
        return Err("expected at most 720h".to_owned());
    }
    Ok(lifetime)
}

fn not_zero(text: &str) -> Result<Duration, String> {
    let limit = duration::parse(text)?;
    if limit.is_zero() { Err("expected more than 0".to_owned()) } else { Ok(limit) }
}
