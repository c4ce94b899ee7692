//! Which addresses may be called: whoever may name a URL must not reach our neighbours through us.
//!
//! A name is looked up when a connection is made; every address it has must be allowed, and the connection
//! goes to exactly the addresses that were looked at, so that an answer that changes between the look and
//! the call changes nothing. No proxy is used and no redirect is followed, as either would choose another
//! target.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// What to do if an address is refused.
const REMEDY: &str = "set allow_private: true for endpoints inside your network";

/// Why `address` is no place for a webhook; `None` if it is one.
///
/// Refused is whatever the special-purpose registries of IANA (RFC 6890 and its updates) do not call
/// globally reachable, also when it hides in an IPv6 address that stands for an IPv4 one.
pub fn refused(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => refused_v4(address),
        IpAddr::V6(address) => refused_v6(address),
    }
}

fn refused_v4(address: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = address.octets();
    Some(match (a, b, c) {
        (0, ..) => "it means this host",
        (127, ..) => "it is a loopback address",
        (10, ..) | (172, 16..=31, _) | (192, 168, _) => "it is a private address",
        (169, 254, _) => "it is a link-local address, where clouds keep their metadata",
        (100, 64..=127, _) => "it is a shared address of a carrier (some clouds' metadata are there)",
        (192, 0, 0) => "it is reserved for protocols",
        (192, 0, 2) | (198, 51, 100) | (203, 0, 113) => "it is for documentation only",
        (192, 88, 99) => "it is a relay",
        (198, 18..=19, _) => "it is for benchmarks only",
        (224..=239, ..) => "it is a multicast address",
        (240..=255, ..) => "it is reserved",
        _ => return None,
    })
}

fn refused_v6(address: Ipv6Addr) -> Option<&'static str> {
    let segments = address.segments();
    if address.is_unspecified() {
        return Some("it means this host");
    }
    if address.is_loopback() {
        return Some("it is a loopback address");
    }
    if let Some(inner) = inner_v4(segments) {
        return refused_v4(inner);
    }
    Some(match segments {
        [0xfe80..=0xfebf, ..] => "it is a link-local address",
        [0xfec0..=0xfeff, ..] => "it is a site-local address",
        [0xfc00..=0xfdff, ..] => "it is a private address",
        [0xff00..=0xffff, ..] => "it is a multicast address",
        [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => "it is for documentation only",
        [0x2001, 0..=0x01ff, ..] => "it is reserved for protocols",
        [0x0100, 0, 0, 0, ..] => "it is discarded",
        [0x5f00, ..] => "it is for segment routing only",
        [0x2000..=0x3fff, ..] => return None,
        _ => "it is not globally reachable",
    })
}

/// The IPv4 address that an IPv6 one stands for: mapped, compatible, NAT64 (both prefixes), 6to4.
fn inner_v4(segments: [u16; 8]) -> Option<Ipv4Addr> {
    let (high, low) = match segments {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => (high, low),
        [0, 0, 0, 0, 0xffff, 0, high, low] => (high, low),
        [0x0064, 0xff9b, 0, 0, 0, 0, high, low] => (high, low),
        [0x0064, 0xff9b, 1, _, _, _, high, low] => (high, low),
        [0x2002, high, low, ..] => (high, low),
        _ => return None,
    };
    let [a, b] = high.to_be_bytes();
    let [c, d] = low.to_be_bytes();
    Some(Ipv4Addr::new(a, b, c, d))
}

/// Whether the URL itself names a refused address. A name that only DNS knows is looked at when it is called.
///
/// # Errors
/// Why it is refused, and what to do.
pub fn check_url(url: &Url) -> Result<(), String> {
    let reason = match url.host() {
        Some(Host::Ipv4(address)) => refused_v4(address),
        Some(Host::Ipv6(address)) => refused_v6(address),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            (name == "localhost" || name.ends_with(".localhost")).then_some("it is this host")
        }
        None => Some("there is none"),
    };
    match reason {
        Some(reason) => {
            Err(format!("may not be called: {}: {reason}; {REMEDY}", url.host_str().unwrap_or("")))
        }
        None => Ok(()),
    }
}

/// A name server that keeps refused addresses from whoever asks it.
#[derive(Debug, Clone, Default)]
pub(crate) struct GuardedResolver;

/// Why a name is not called.
#[derive(Debug)]
pub(crate) struct TargetRefused(String);

impl std::fmt::Display for TargetRefused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TargetRefused {}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_owned();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(vetted(&name, found)?.into_iter()) as Addrs)
        })
    }
}

/// The addresses, if every one of them may be called.
fn vetted(name: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, TargetRefused> {
    for address in &found {
        if let Some(reason) = refused(address.ip()) {
            return Err(TargetRefused(format!("{name} is {}: {reason}; {REMEDY}", address.ip())));
        }
    }
    Ok(found)
}

/// The resolver for clients of endpoints that are not trusted.
pub(crate) fn guarded() -> Arc<GuardedResolver> {
    Arc::new(GuardedResolver)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_the_public_internet_may_be_called() {
        for text in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.100.100.200",
            "192.0.0.192",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "::",
            "::1",
            "fe80::1",
            "fec0::1",
            "fd00:ec2::254",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "::ffff:0:10.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::a00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
            "100::1",
            "4000::1",
        ] {
            assert!(refused(text.parse().unwrap()).is_some(), "{text}");
        }
        for text in [
            "1.1.1.1",
            "172.15.0.1",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "::ffff:1.1.1.1",
            "2002:101:101::",
        ] {
            assert_eq!(refused(text.parse().unwrap()), None, "{text}");
        }
    }

    #[test]
    fn every_way_to_write_a_loopback_address_is_seen_through() {
        for text in [
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://[::1]/",
            "http://[::ffff:7f00:1]/",
            "http://localhost/",
            "http://LOCALHOST./",
            "http://a.localhost/",
            "http://①②⑦.0.0.1/",
            "http://169.254.169.254/latest/meta-data",
        ] {
            let error = check_url(&Url::parse(text).unwrap()).expect_err(text);
            assert!(error.contains("allow_private: true"), "{error}");
        }
        check_url(&Url::parse("https://hooks.example.com/x").unwrap()).unwrap();
    }

    #[test]
    fn one_refused_address_among_several_is_enough() {
        let found = ["1.1.1.1:0", "10.0.0.1:0"].map(|text| text.parse().unwrap()).to_vec();
        let error = vetted("hooks.example.com", found).unwrap_err().to_string();
        assert!(error.contains("hooks.example.com is 10.0.0.1"), "{error}");
        let found: Vec<SocketAddr> = vec!["1.1.1.1:0".parse().unwrap()];
        assert_eq!(vetted("x", found.clone()).unwrap(), found);
    }
}
