//! Sessions of browsers: in memory, so a restart ends them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, header};
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::{Identity, tokens};

/// The name of the cookie.
pub(crate) const COOKIE: &str = "hypersdk_session";
/// Sessions at one time; past it the oldest ends.
const MOST: usize = 1000;

/// A digest of the cookie's secret.
type Key = [u8; 32];

/// Somebody logged in.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) identity: Identity,
    /// What a page sends along to show that it is ours.
    pub(crate) csrf: String,
    pub(crate) expires_at: DateTime<Utc>,
    pub(super) key: Key,
    ends: Instant,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// Everybody who is logged in.
#[derive(Debug)]
pub(super) struct Sessions {
    lifetime: Duration,
    open: Mutex<HashMap<Key, Session>>,
}

impl Sessions {
    pub(super) fn new(lifetime: Duration) -> Self {
        Sessions { lifetime, open: Mutex::default() }
    }

    pub(super) fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Begins a session, and gives the secret for its cookie.
    pub(super) fn begin(&self, identity: Identity) -> (Session, String) {
        let random = || tokens::random(32).expect("a system that runs a TLS server has random numbers");
        let (secret, csrf) = (random(), random());
        let now = Instant::now();
        let key = key(&secret);
        let expires_at = Utc::now() + self.lifetime;
        let session = Session { identity, csrf, expires_at, key, ends: now + self.lifetime };
        let mut open = self.open.lock().expect("no holder of this lock panics");
        open.retain(|_, session| session.ends > now);
        if open.len() >= MOST
            && let Some(oldest) = open.values().min_by_key(|session| session.ends).map(|session| session.key)
        {
            open.remove(&oldest);
        }
        open.insert(key, session.clone());
        (session, secret)
    }

    pub(super) fn find(&self, secret: &str) -> Option<Session> {
        let open = self.open.lock().expect("no holder of this lock panics");
        // Found by a digest: how long that takes says nothing about the secret.
        open.get(&key(secret)).filter(|session| session.ends > Instant::now()).cloned()
    }

    pub(super) fn end(&self, key: &Key) {
        self.open.lock().expect("no holder of this lock panics").remove(key);
    }
}

fn key(secret: &str) -> Key {
    Sha256::digest(secret.as_bytes()).into()
}

/// The secret in the headers' cookie.
pub(super) fn cookie(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_found_by_its_secret_until_it_ends() {
        let sessions = Sessions::new(Duration::from_secs(60));
        let (session, secret) = sessions.begin(Identity::anonymous());
        assert_eq!(sessions.find(&secret).unwrap().csrf, session.csrf);
        assert!(sessions.find("").is_none());
        sessions.end(&session.key);
        assert!(sessions.find(&secret).is_none());
        let past = Sessions::new(Duration::ZERO);
        let (_, secret) = past.begin(Identity::anonymous());
        assert!(past.find(&secret).is_none());
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "a=b; hypersdk_session=xyz; c=d".parse().unwrap());
        assert_eq!(cookie(&headers).as_deref(), Some("xyz"));
        headers.remove(header::COOKIE);
        assert_eq!(cookie(&headers), None);
    }
}
