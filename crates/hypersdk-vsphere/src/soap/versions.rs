//! Which version of the API to ask for.

use std::time::Duration;

use reqwest::StatusCode;
use url::Url;

use super::element::{Element, parse};
use super::transport::CallError;
use crate::http::{self, TransportError};

/// The newest version this client knows; a newer server is asked for this one.
const NEWEST_KNOWN: &str = "8.0.3.0";

/// Asks the server which versions it offers (`vimServiceVersions.xml`, no login needed) and picks the newest
/// that is known here. A server without the file is asked for the newest known.
pub(crate) async fn negotiate(
    http: &reqwest::Client,
    endpoint: &Url,
    limit: Duration,
) -> Result<String, CallError> {
    let mut url = endpoint.clone();
    url.set_path(&format!("{}/vimServiceVersions.xml", endpoint.path().trim_end_matches('/')));
    let exchange = async {
        let response = http.get(url).send().await.map_err(|error| http::classify(&error))?;
        match response.status() {
            StatusCode::OK => Ok(response.text().await.map_err(|error| http::classify(&error))?),
            status if status.is_server_error() => Err(CallError::Status { status, retry_after: None }),
            _ => Ok(String::new()),
        }
    };
    let text = tokio::time::timeout(limit, exchange)
        .await
        .map_err(|_| CallError::Transport(TransportError::Timeout { after: limit }))??;
    Ok(choose(&text).unwrap_or_else(|| NEWEST_KNOWN.to_owned()))
}

/// The newest known version a `vimServiceVersions.xml` offers for `urn:vim25`.
fn choose(text: &str) -> Option<String> {
    let document = parse(text).ok()?;
    let namespace = document.all("namespace").find(|entry| entry.text_at("name") == Some("urn:vim25"))?;
    let prior = namespace.child("priorVersions").into_iter().flat_map(|versions| versions.all("version"));
    let offered =
        namespace.child("version").into_iter().chain(prior).map(|version: &Element| version.text.trim());
    offered
        .filter(|version| !version.is_empty() && rank(version) <= rank(NEWEST_KNOWN))
        .max_by_key(|version| rank(version))
        .map(str::to_owned)
}

/// Numbers compare, so that 10 is newer than 9 and `6.5` equals `6.5.0`.
fn rank(version: &str) -> [u32; 4] {
    let mut numbers = version.split('.').map(|part| part.parse().unwrap_or(0));
    std::array::from_fn(|_| numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(newest: &str, prior: &[&str]) -> String {
        let prior: String = prior.iter().map(|version| format!("<version>{version}</version>")).collect();
        format!(
            "<?xml version=\"1.0\"?><namespaces version=\"1.0\"><namespace><name>urn:vim2</name>\
             <version>9.9</version></namespace><namespace><name>urn:vim25</name><version>{newest}</version>\
             <priorVersions>{prior}</priorVersions></namespace></namespaces>"
        )
    }

    #[test]
    fn an_older_server_is_asked_for_its_own_version() {
        assert_eq!(choose(&offer("6.7.3", &["6.5", "6.0"])).as_deref(), Some("6.7.3"));
    }

    #[test]
    fn a_newer_server_is_asked_for_the_newest_known_of_its_prior_versions() {
        assert_eq!(choose(&offer("9.1.0.0", &["9.0.0.0", "8.0.3.0", "8.0.2.0"])).as_deref(), Some("8.0.3.0"));
        assert_eq!(choose(&offer("10.0", &["8.0.1.0", "7.0"])).as_deref(), Some("8.0.1.0"));
    }

    #[test]
    fn without_a_usable_offer_there_is_no_choice() {
        assert_eq!(choose(""), None);
        assert_eq!(choose("<html>not found</html>"), None);
        assert_eq!(choose(&offer("9.1.0.0", &[])), None);
    }
}
