//! Where to listen.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A host and a port to listen on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListenAddr {
    host: String,
    port: u16,
}

impl ListenAddr {
    /// The host: an IP address or a name; empty for every interface.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 0 for any free one.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The same host with another port.
    #[must_use]
    pub fn with_port(&self, port: u16) -> Self {
        ListenAddr { host: self.host.clone(), port }
    }

    /// True if only this machine can reach it.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// What to bind.
    pub(crate) fn socket(&self) -> (&str, u16) {
        (if self.host.is_empty() { "::" } else { &self.host }, self.port)
    }
}

impl FromStr for ListenAddr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not HOST:PORT, such as 127.0.0.1:8080");
        let (host, port) = text.trim().rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(inner) => {
                inner.parse::<IpAddr>().map_err(|_| wrong())?;
                inner
            }
            None if host.contains([':', '/', ' ']) => return Err(wrong()),
            None => host,
        };
        Ok(ListenAddr { host: host.to_owned(), port })
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_their_text_and_say_who_reaches_them() {
        for (text, loopback) in [
            ("127.0.0.1:8080", true),
            ("[::1]:8080", true),
            ("localhost:0", true),
            ("0.0.0.0:8080", false),
            (":8080", false),
            ("[::]:80", false),
            ("hypersdk.example.com:8080", false),
        ] {
            let addr: ListenAddr = text.parse().unwrap();
            assert_eq!(addr.to_string(), text);
            assert_eq!(addr.is_loopback(), loopback, "{text}");
        }
        for text in ["", "8080", "127.0.0.1", "::1:80", "http://x:80", "a:99999"] {
            assert!(text.parse::<ListenAddr>().is_err(), "{text}");
        }
    }
}
