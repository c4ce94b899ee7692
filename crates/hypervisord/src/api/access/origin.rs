//! Whether a request comes from a page, and from which.

use axum::http::header;
use axum::http::request::Parts;

/// Where a request was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// Nothing says: a program, or a browser's address bar.
    Unsaid,
    /// In a page of ours.
    Same,
    /// In a page of somebody else's.
    Foreign,
}

/// Where the request was made, by what only browsers say: `Sec-Fetch-Site` and `Origin`, neither of which a
/// page can forge.
pub(super) fn of(request: &Parts) -> Origin {
    let text = |name: &str| request.headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    match text("sec-fetch-site") {
        Some("same-origin") => return Origin::Same,
        Some("none") | None => {}
        Some(_) => return Origin::Foreign,
    }
    let Some(origin) = text("origin") else { return Origin::Unsaid };
    // The scheme may differ where something before us ends TLS.
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    match (authority, host(request)) {
        (Some(authority), Some(host)) if authority.eq_ignore_ascii_case(host) => Origin::Same,
        _ => Origin::Foreign,
    }
}

/// Whether the request is for one of `hosts`, or for this machine under a name that only means itself.
pub(super) fn is_for(request: &Parts, hosts: &[String]) -> bool {
    let Some(host) = host(request) else { return true };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(rest, |(name, _)| name),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
        || hosts.iter().any(|known| known.eq_ignore_ascii_case(name))
}

fn host(request: &Parts) -> Option<&str> {
    match request.headers.get(header::HOST) {
        Some(value) => Some(value.to_str().unwrap_or("?")),
        None => request.uri.authority().map(|authority| authority.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)]) -> Parts {
        let mut request = axum::http::Request::post("/jobs/submit");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn only_browsers_say_where_a_request_was_made() {
        for (headers, origin) in [
            (&[("host", "127.0.0.1:8080")][..], Origin::Unsaid),
            (&[("host", "a:1"), ("sec-fetch-site", "same-origin")], Origin::Same),
            (&[("host", "a:1"), ("sec-fetch-site", "same-site")], Origin::Foreign),
            (&[("host", "a:1"), ("sec-fetch-site", "cross-site")], Origin::Foreign),
            (&[("host", "a:1"), ("sec-fetch-site", "none")], Origin::Unsaid),
            (&[("host", "a:1"), ("origin", "http://a:1")], Origin::Same),
            (&[("host", "a:1"), ("origin", "http://a:2")], Origin::Foreign),
            (&[("host", "a:1"), ("origin", "http://evil.example")], Origin::Foreign),
            (&[("host", "a:1"), ("origin", "null")], Origin::Foreign),
        ] {
            assert_eq!(of(&request(headers)), origin, "{headers:?}");
        }
    }

    #[test]
    fn a_loopback_daemon_answers_to_its_own_names() {
        let hosts = ["hyper.example".to_owned()];
        for (host, answers) in [
            ("localhost:8080", true),
            ("127.0.0.1:8080", true),
            ("127.0.0.1", true),
            ("[::1]:8080", true),
            ("hyper.example", true),
            ("HYPER.example:1", true),
            ("evil.example:8080", false),
            ("127.0.0.1.evil.example", false),
            ("192.168.1.1", false),
            ("", false),
        ] {
            assert_eq!(is_for(&request(&[("host", host)]), &hosts), answers, "{host}");
        }
        assert!(is_for(&request(&[]), &hosts), "HTTP/1.0 has no such header");
    }
}
