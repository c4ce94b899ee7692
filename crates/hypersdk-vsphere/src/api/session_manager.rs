//! `SessionManager`: login and logout.

use secrecy::{ExposeSecret, SecretString};

use super::method;
use crate::soap::MoRef;

/// `Login`: the session comes as a cookie. Never repeated by itself, as a refused password counts each time.
#[derive(Debug)]
pub(crate) struct Login {
    pub(crate) this: MoRef,
    pub(crate) username: String,
    pub(crate) password: SecretString,
}

method!(Login, "Login", idempotent: false, reply: (), write: |call, out| {
    out.text("userName", &call.username);
    out.text("password", call.password.expose_secret());
}, read: |reply| { reply.value()?; });

/// `Logout`.
#[derive(Debug)]
pub(crate) struct Logout {
    pub(crate) this: MoRef,
}

method!(Logout, "Logout", idempotent: true, session_bound: true, reply: (),
    write: |_call, _out| {}, read: |_reply| ());
