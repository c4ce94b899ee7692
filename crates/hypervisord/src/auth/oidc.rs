//! Bearer tokens that somebody else's OpenID provider has signed (RFC 7519, RFC 7517).
//!
//! Only what is needed is understood: RS256 and ES256, keys from one configured address. A token whose key is
//! not known makes the keys be fetched again, at most once a minute.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::signature;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use super::Role;

/// How long the provider may take to give its keys.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the keys may be fetched.
const PAUSE: Duration = Duration::from_secs(60);
/// How long keys are used without another look.
const FRESH: Duration = Duration::from_secs(3600);
/// The largest set of keys.
const LARGEST: usize = 256 << 10;
/// By how much clocks may differ, in seconds.
const LEEWAY: i64 = 60;

/// Whose tokens are good.
#[derive(Debug, Clone)]
pub(crate) struct OidcConfig {
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) jwks_url: Url,
    /// The claim that holds a role, or a list of which one is.
    pub(crate) role_claim: String,
}

/// Whose token it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) name: String,
    pub(super) role: Role,
    /// When the token ends, in seconds since 1970.
    pub(super) ends: i64,
}

#[derive(Debug)]
pub(super) struct Oidc {
    config: OidcConfig,
    default_role: Role,
    http: reqwest::Client,
    keys: Mutex<Keys>,
}

#[derive(Debug, Default)]
struct Keys {
    known: Vec<Key>,
    asked: Option<Instant>,
}

#[derive(Debug, Clone, Deserialize)]
struct Key {
    kty: String,
    kid: Option<String>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
}

impl Oidc {
    pub(super) fn new(config: OidcConfig, default_role: Role) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(crate::outbound::tls()?)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build()?;
        Ok(Oidc { config, default_role, http, keys: Mutex::default() })
    }

    /// Whose token it is, if it is good.
    pub(super) async fn verify(&self, token: &str) -> Option<Holder> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header: Header = serde_json::from_slice(&decode(header)?).ok()?;
        let signature = decode(signature)?;
        if !self.is_signed(&header, signed.as_bytes(), &signature).await {
            return None;
        }
        self.identity(&serde_json::from_slice(&decode(claims)?).ok()?, chrono::Utc::now().timestamp())
    }

    /// What the claims of a genuine token say.
    fn identity(&self, claims: &Value, now: i64) -> Option<Holder> {
        let is_for_us = match &claims["aud"] {
            Value::String(audience) => *audience == self.config.audience,
            Value::Array(audiences) => {
                audiences.iter().any(|audience| *audience == self.config.audience.as_str())
            }
            _ => false,
        };
        let ends = claims["exp"].as_i64()?;
        let begins = claims["nbf"].as_i64().unwrap_or(0);
        if claims["iss"] != self.config.issuer.as_str()
            || !is_for_us
            || ends + LEEWAY < now
            || begins - LEEWAY > now
        {
            return None;
        }
        let name = ["preferred_username", "email", "sub"].iter().find_map(|claim| claims[*claim].as_str())?;
        let words: Vec<&str> = match &claims[&self.config.role_claim] {
            Value::String(word) => vec![word],
            Value::Array(words) => words.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let role = words.iter().filter_map(|word| word.parse().ok()).max().unwrap_or(self.default_role);
        Some(Holder { name: name.to_owned(), role, ends })
    }

    async fn is_signed(&self, header: &Header, signed: &[u8], signature: &[u8]) -> bool {
        let mut keys = self.keys.lock().await;
        let age = keys.asked.map(|asked| asked.elapsed());
        let good = |keys: &Keys| {
            let mut fitting = keys.known.iter().filter(|key| header.kid.is_none() || key.kid == header.kid);
            fitting.any(|key| key.verifies(&header.alg, signed, signature))
        };
        if age.is_some_and(|age| age < FRESH) && good(&keys) {
            return true;
        }
        if age.is_some_and(|age| age < PAUSE) {
            return false;
        }
        keys.asked = Some(Instant::now());
        match self.fetch().await {
            Ok(known) => keys.known = known,
            Err(error) => tracing::warn!(url = %self.config.jwks_url, "fetch the provider's keys: {error:#}"),
        }
        good(&keys)
    }

    async fn fetch(&self) -> anyhow::Result<Vec<Key>> {
        let mut response = self.http.get(self.config.jwks_url.clone()).send().await?.error_for_status()?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            body.extend_from_slice(&chunk);
            anyhow::ensure!(body.len() <= LARGEST, "the answer is larger than {LARGEST} bytes");
        }
        let set: KeySet = serde_json::from_slice(&body)?;
        // Keys of kinds that we do not know are no reason to leave out those we do.
        Ok(set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect())
    }
}

impl Key {
    /// Whether the signature is this key's. The algorithm must be the one for its kind: a token does not choose.
    fn verifies(&self, algorithm: &str, signed: &[u8], signature: &[u8]) -> bool {
        let part = |text: &Option<String>| text.as_deref().and_then(decode);
        match (algorithm, self.kty.as_str(), self.crv.as_deref()) {
            ("RS256", "RSA", _) => match (part(&self.n), part(&self.e)) {
                (Some(n), Some(e)) => signature::RsaPublicKeyComponents { n, e }
                    .verify(&signature::RSA_PKCS1_2048_8192_SHA256, signed, signature)
                    .is_ok(),
                _ => false,
            },
            ("ES256", "EC", Some("P-256")) => match (part(&self.x), part(&self.y)) {
                (Some(x), Some(y)) => {
                    let point = [&[4], x.as_slice(), y.as_slice()].concat();
                    signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point)
                        .verify(signed, signature)
                        .is_ok()
                }
                _ => false,
            },
            _ => false,
        }
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests;
