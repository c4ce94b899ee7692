//! Which daemon is meant: contexts in `~/.config/hyperctl/config.yaml`, tokens in files beside it.
//!
//! Flags go before the environment, the environment before the current context, and without any of them it
//! is the daemon on this machine. Tokens never stand in the configuration: each is a file of its owner's
//! alone, and one that others can read is refused.

mod file;
mod token;

use std::path::{Path, PathBuf};

use secrecy::SecretString;
use url::{Host, Url};

pub(crate) use file::{Context, Contexts};

use crate::failure::Failure;

/// Where a daemon listens that was configured by nobody.
const DEFAULT_URL: &str = "http://127.0.0.1:8080";

/// What the command line and the environment say about the daemon.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Target {
    /// The daemon's address, such as https://backup.example.com:8080.
    #[arg(long, value_name = "URL", env = "HYPERCTL_URL", global = true, help_heading = "Daemon")]
    pub url: Option<String>,
    /// The context to use instead of the current one.
    #[arg(long, value_name = "NAME", env = "HYPERCTL_CONTEXT", global = true, help_heading = "Daemon")]
    pub context: Option<String>,
    /// A file with the token, which only its owner may read.
    #[arg(long, value_name = "FILE", env = "HYPERCTL_TOKEN_FILE", global = true, help_heading = "Daemon")]
    pub token_file: Option<PathBuf>,
    /// A PEM file of authorities to trust beside the system's.
    #[arg(long, value_name = "FILE", env = "HYPERCTL_CA_FILE", global = true, help_heading = "Daemon")]
    pub ca_file: Option<PathBuf>,
}

/// A daemon, and what proves to it who asks.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) url: Url,
    pub(crate) token: Option<SecretString>,
    pub(crate) ca_file: Option<PathBuf>,
}

impl Connection {
    /// The connection that `target`, the environment and the configuration add up to.
    pub(crate) fn resolve(target: &Target) -> Result<Self, Failure> {
        let contexts = Contexts::load()?;
        // An address on the command line stands for itself: the current context's token is not for it.
        let context = match (&target.context, &target.url) {
            (Some(name), _) => Some((name.clone(), contexts.get(name)?.clone())),
            (None, Some(_)) => None,
            (None, None) => match &contexts.current {
                Some(name) => Some((name.clone(), contexts.get(name)?.clone())),
                None => None,
            },
        };
        let (name, context) = context.unzip();
        let context = context.unwrap_or_default();
        let url = target.url.clone().or(context.url).unwrap_or_else(|| DEFAULT_URL.to_owned());
        let url = parse_url(&url)?;
        let token = match (environment("HYPERCTL_TOKEN"), &target.token_file, context.token_file, name) {
            (Some(token), ..) => Some(SecretString::from(token)),
            (None, Some(file), ..) => Some(token::read(file)?),
            (None, None, Some(file), _) => Some(token::read(&file)?),
            (None, None, None, Some(name)) => token::of_context(&name)?,
            (None, None, None, None) => None,
        };
        if token.is_some() && url.scheme() == "http" && !is_loopback(&url) {
            return Err(Failure::usage(format!(
                "the token would travel readable by anyone on the way to {url}; use an https address, or a tunnel \
                 to a loopback one"
            )));
        }
        Ok(Connection { url, token, ca_file: target.ca_file.clone().or(context.ca_file) })
    }
}

/// Where the token of the context that `target` names is kept.
pub(crate) fn token_path(target: &Target) -> Result<PathBuf, Failure> {
    if let Some(file) = &target.token_file {
        return Ok(file.clone());
    }
    let contexts = Contexts::load()?;
    let name = target.context.clone().or_else(|| contexts.current.clone()).ok_or_else(|| {
        Failure::usage(
            "no context is in use; make one with `hyperctl context set NAME URL`, or give --token-file",
        )
    })?;
    match &contexts.get(&name)?.token_file {
        Some(file) => Ok(file.clone()),
        None => token::default_path(&name),
    }
}

pub(crate) use token::write as write_token;

/// Refuses what is no name of a context.
pub(crate) fn check_name(name: &str) -> Result<(), Failure> {
    token::default_path(name).map(drop)
}

/// An address with a scheme, a host, and nothing that a daemon's address does not have.
pub(crate) fn parse_url(text: &str) -> Result<Url, Failure> {
    let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let wrong = |why: &str| {
        Failure::usage(format!("{text:?} is no address of a daemon: {why}; write http://127.0.0.1:8080"))
    };
    let mut url = Url::parse(&full).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("its scheme is neither http nor https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("it holds credentials; store a token with `hyperctl token set`"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it holds a query or a fragment"));
    }
    // Paths are joined to it, so a prefix must end in a slash to be kept.
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

/// True if the address is this machine's own.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// `$XDG_CONFIG_HOME/hyperctl`, or `~/.config/hyperctl`.
fn directory() -> Result<PathBuf, Failure> {
    let base = environment("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = base.or_else(|| environment("HOME").map(|home| Path::new(&home).join(".config")));
    base.map(|base| base.join("hyperctl")).ok_or_else(|| {
        Failure::usage(
            "neither HOME nor XDG_CONFIG_HOME says where hyperctl's configuration is; set HYPERCTL_CONFIG",
        )
    })
}

/// An environment variable that says something.
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_leave_out_the_scheme_and_keeps_a_prefix() {
        assert_eq!(parse_url("127.0.0.1:9000").unwrap().as_str(), "http://127.0.0.1:9000/");
        assert_eq!(parse_url("https://proxy/hypersdk").unwrap().as_str(), "https://proxy/hypersdk/");
    }

    #[test]
    fn an_address_that_is_none_says_what_one_looks_like() {
        for text in ["ftp://host", "http://user:secret@host", "http://host/?a=b", "http://"] {
            let message = parse_url(text).unwrap_err().to_string();
            assert!(message.contains("write http://127.0.0.1:8080"), "{message}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (text, loopback) in [
            ("http://127.0.0.2", true),
            ("http://[::1]:1", true),
            ("localhost:1", true),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(is_loopback(&parse_url(text).unwrap()), loopback, "{text}");
        }
    }
}
