//! Who may reach the API, and how: `auth`, `tls`, `server`.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::read::{Reader, Values, path};
use super::{Config, duration, keys};
use crate::auth::{AuthConfig, OidcConfig};
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
        oidc: oidc(reader, &values),
    };
    let any = config.tokens_file.is_some() || config.htpasswd_file.is_some() || config.oidc.is_some();
    if !any && reader.is_set(top, "auth") {
        reader.mistake(
            top,
            "auth",
            "lets nobody in: set tokens_file, htpasswd_file or oidc, or leave auth out",
        );
    }
    any.then_some(config)
}

fn oidc(reader: &mut Reader<'_>, auth: &Values) -> Option<OidcConfig> {
    if !reader.is_set(auth, "oidc") {
        return None;
    }
    let values = reader.below(auth, "oidc", &keys::OIDC);
    for name in ["issuer", "audience", "jwks_url"] {
        if !reader.is_set(&values, name) {
            reader.mistake_at(&values, name, "is missing: the provider's documents say what it is");
        }
    }
    let issuer = reader.text(&values, "issuer").map(|text| text.text);
    let audience = reader.text(&values, "audience").map(|text| text.text);
    let jwks_url = reader.optional(&values, "jwks_url", jwks_url);
    let role_claim = reader.value(&values, "role_claim", |text| Ok(text.to_owned()));
    Some(OidcConfig { issuer: issuer?, audience: audience?, jwks_url: jwks_url?, role_claim })
}

/// Whoever can change the keys on their way can be anybody.
fn jwks_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text)
        .map_err(|error| format!("is not a URL ({error}); write https://id.example.com/keys"))?;
    let is_local = match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_local => Ok(url),
        _ => Err("expected https, so that nobody changes the keys on their way".to_owned()),
    }
}

pub(super) fn tls(reader: &mut Reader<'_>, top: &Values) -> Option<TlsFiles> {
    let values = reader.below(top, "tls", &keys::TLS);
    let cert = reader.optional(&values, "cert", readable);
    let key = reader.optional(&values, "key", readable);
    let client_ca = reader.optional(&values, "client_ca", readable);
    for name in ["cert", "key"] {
        if reader.is_set(top, "tls") && !reader.is_set(&values, name) {
            reader.mistake_at(&values, name, "is missing: give a PEM file");
        }
    }
    Some(TlsFiles { cert: cert?, key: key?, client_ca })
}

pub(super) fn server(reader: &mut Reader<'_>, top: &Values) -> ServerConfig {
    let values = reader.below(top, "server", &keys::SERVER);
    ServerConfig {
        allowed_hosts: reader.texts(&values, "allowed_hosts"),
        max_connections: reader.number(&values, "max_connections"),
        requests_per_minute: reader.optional_number(&values, "requests_per_minute"),
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
        Err(error) => Err(format!("cannot read {text:?}: {error}; name a file that can be read")),
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
