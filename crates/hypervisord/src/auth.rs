//! Who asks: tokens, passwords and sessions, each leading to a name and a role.
//!
//! Nothing here knows routes; [`crate::api`] says which role each needs. A secret is compared as a digest and
//! in constant time, and every way in is looked up again while it lasts: a token that was revoked or a user
//! who was taken out of the file is refused within a second, sessions included.

mod htpasswd;
mod oidc;
mod role;
mod session;
mod throttle;
pub(crate) mod tokens;
mod watched;

use std::net::IpAddr;
use std::time::Duration;

use anyhow::Context;
use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

pub(crate) use htpasswd::UserFile;
pub(crate) use oidc::OidcConfig;
pub use role::Role;
pub(crate) use session::{COOKIE, Session};
pub(crate) use throttle::Throttle;
pub(crate) use tokens::TokenFile;

use oidc::Oidc;
use session::Sessions;

/// How people and programs prove who they are.
#[derive(Debug, Clone)]
pub(crate) struct AuthConfig {
    pub(crate) tokens_file: Option<std::path::PathBuf>,
    pub(crate) htpasswd_file: Option<std::path::PathBuf>,
    /// The role of users for whom no other is given.
    pub(crate) default_role: Role,
    pub(crate) session_lifetime: Duration,
    pub(crate) oidc: Option<OidcConfig>,
}

/// Somebody who has proved who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// `token:ci`, `user:ada`, `oidc:ada@example.com`, `anonymous`.
    pub(crate) name: String,
    pub(crate) role: Role,
    proof: Proof,
}

/// What an identity rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Proof {
    /// Nothing is asked for here.
    Open,
    Token(String),
    /// Signed by somebody else, until then (seconds since 1970).
    Signed(i64),
    /// A user, and a digest of the entry in the file.
    User(String, [u8; 32]),
}

impl Identity {
    /// Somebody who has proved nothing.
    pub(crate) fn nobody() -> Self {
        Identity { name: "nobody".to_owned(), role: Role::Viewer, proof: Proof::Open }
    }

    /// Whether nothing was proved where something could have been.
    pub(crate) fn is_nobody(&self) -> bool {
        *self == Identity::nobody()
    }

    /// Who asks where no proof is asked for.
    pub(crate) fn anonymous() -> Self {
        Identity { name: "anonymous".to_owned(), role: Role::Admin, proof: Proof::Open }
    }
}

/// How a request proved itself.
#[derive(Clone)]
pub(crate) enum Entry {
    /// With every request.
    Credentials(Identity),
    /// By a cookie, which browsers send unasked.
    Cookie(Session),
}

/// Why somebody does not get in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No proof was offered.
    Missing,
    /// The proof is not good.
    Wrong,
    /// Too many wrong ones came from there.
    TooMany {
        /// When to try again.
        seconds: u64,
    },
}

/// Everything that can let somebody in.
#[derive(Debug)]
pub(crate) struct Auth {
    tokens: Option<TokenFile>,
    users: Option<UserFile>,
    oidc: Option<Oidc>,
    sessions: Sessions,
    /// Wrong passwords and tokens, by address.
    failures: Throttle,
}

impl Auth {
    /// Reads the files.
    pub(crate) fn open(config: &AuthConfig) -> anyhow::Result<Auth> {
        let tokens = config
            .tokens_file
            .as_ref()
            .map(|path| TokenFile::open(path).with_context(|| format!("auth.tokens_file {}", path.display())))
            .transpose()?;
        let users = config
            .htpasswd_file
            .as_ref()
            .map(|path| {
                UserFile::open(path, config.default_role)
                    .with_context(|| format!("auth.htpasswd_file {}", path.display()))
            })
            .transpose()?;
        let oidc = config.oidc.clone().map(|oidc| Oidc::new(oidc, config.default_role)).transpose()?;
        if users.is_none() && oidc.is_none() && tokens.as_ref().is_some_and(TokenFile::is_empty) {
            tracing::warn!(
                "nobody can get in yet: make a token with `hypervisord token create --role admin`"
            );
        }
        Ok(Auth {
            tokens,
            users,
            oidc,
            sessions: Sessions::new(config.session_lifetime),
            failures: Throttle::new(10, Duration::from_secs(6)),
        })
    }

    /// What can be proved with: `token`, `password`, `oidc`.
    pub(crate) fn ways(&self) -> Vec<&'static str> {
        let ways = [
            ("token", self.tokens.is_some()),
            ("password", self.users.is_some()),
            ("oidc", self.oidc.is_some()),
        ];
        ways.into_iter().filter(|(_, there)| *there).map(|(way, _)| way).collect()
    }

    /// Whether there are users with passwords.
    pub(crate) fn has_users(&self) -> bool {
        self.users.is_some()
    }

    /// Who sent these headers.
    pub(crate) async fn authenticate(&self, headers: &HeaderMap, client: IpAddr) -> Result<Entry, Refusal> {
        let Some(value) = headers.get(header::AUTHORIZATION) else {
            let session = session::cookie(headers).ok_or(Refusal::Missing)?;
            let session = self.sessions.find(&session).ok_or(Refusal::Missing)?;
            return if self.stands(&session.identity) {
                Ok(Entry::Cookie(session))
            } else {
                self.sessions.end(&session.key);
                Err(Refusal::Missing)
            };
        };
        let (scheme, rest) =
            value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(Refusal::Wrong)?;
        let rest = rest.trim();
        let found = if scheme.eq_ignore_ascii_case("bearer") {
            self.token(rest, client).await
        } else if scheme.eq_ignore_ascii_case("basic") {
            let (user, password) = basic(rest).ok_or(Refusal::Wrong)?;
            self.password(&user, &password, client).await
        } else {
            Err(Refusal::Wrong)
        };
        found.map(Entry::Credentials)
    }

    /// Who has this token: one of ours, or one that the configured issuer signed.
    pub(crate) async fn token(&self, text: &str, client: IpAddr) -> Result<Identity, Refusal> {
        // A good one is let in whatever else comes from its address: there is no guessing 256 bits.
        if let Some(token) = self.tokens.as_ref().and_then(|tokens| tokens.find(text)) {
            let name = format!("token:{}", token.name);
            return Ok(Identity { name, role: token.role, proof: Proof::Token(token.id) });
        }
        self.patience(client)?;
        if let Some(oidc) = &self.oidc
            && let Some(oidc::Holder { name, role, ends }) = oidc.verify(text).await
        {
            return Ok(Identity { name: format!("oidc:{name}"), role, proof: Proof::Signed(ends) });
        }
        self.failed(client)
    }

    /// Who has this name and password.
    pub(crate) async fn password(
        &self,
        user: &str,
        password: &str,
        client: IpAddr,
    ) -> Result<Identity, Refusal> {
        self.patience(client)?;
        let found = match &self.users {
            Some(users) => users.verify(user, password).await,
            None => None,
        };
        match found {
            Some((role, entry)) => Ok(Identity {
                name: format!("user:{user}"),
                role,
                proof: Proof::User(user.to_owned(), entry),
            }),
            None => self.failed(client),
        }
    }

    /// Begins a session, and gives the secret for its cookie.
    pub(crate) fn begin(&self, identity: Identity) -> (Session, String) {
        self.sessions.begin(identity)
    }

    /// Ends a session.
    pub(crate) fn end(&self, session: &Session) {
        self.sessions.end(&session.key);
    }

    /// How long sessions last.
    pub(crate) fn session_lifetime(&self) -> Duration {
        self.sessions.lifetime()
    }

    fn stands(&self, identity: &Identity) -> bool {
        match &identity.proof {
            Proof::Open => true,
            Proof::Signed(ends) => *ends > chrono::Utc::now().timestamp(),
            Proof::Token(id) => self.tokens.as_ref().is_some_and(|tokens| tokens.has(id)),
            Proof::User(name, entry) => self.users.as_ref().is_some_and(|users| users.has(name, entry)),
        }
    }

    fn patience(&self, client: IpAddr) -> Result<(), Refusal> {
        match self.failures.wait(client) {
            None => Ok(()),
            Some(wait) => Err(Refusal::TooMany { seconds: wait.as_secs().max(1) }),
        }
    }

    fn failed(&self, client: IpAddr) -> Result<Identity, Refusal> {
        // Whether it still has patience is asked before the next attempt.
        let _ = self.failures.take(client);
        Err(Refusal::Wrong)
    }
}

/// The name and password of a `Basic` credential, RFC 7617.
fn basic(text: &str) -> Option<(String, String)> {
    let bytes = BASE64_STANDARD.decode(text).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}
