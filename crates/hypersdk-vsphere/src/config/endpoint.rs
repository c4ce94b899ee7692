//! Where the API is.

use hypersdk_core::{Error, ErrorKind};
use url::Url;

/// The address of a server's SOAP API, complete with scheme and path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    url: Url,
}

impl Endpoint {
    /// Completes what a person wrote.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for what is no address, or carries credentials.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let invalid = |message: String| {
            Error::new(ErrorKind::Invalid, "configure vsphere", format!("url: {message}"))
                .with_advice("write it as vcenter.example.org or https://vcenter.example.org/sdk")
        };
        let text = text.trim();
        let complete = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
        let mut url = Url::parse(&complete).map_err(|error| invalid(format!("{error}")))?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(invalid(format!("{} is not https", url.scheme())));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("credentials belong into username and password".to_owned()));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(invalid("there is no host in it".to_owned()));
        }
        if matches!(url.path(), "" | "/") {
            url.set_path("/sdk");
        }
        url.set_query(None);
        url.set_fragment(None);
        Ok(Endpoint { url })
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    pub(crate) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    pub(crate) fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or(443)
    }

    /// Fills in the host and port of an address whose host is `*`, which stands for "where you connected to".
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] if it is no address.
    pub(crate) fn resolve(&self, address: &str) -> Result<Url, Error> {
        let unusable = |detail: String| {
            Error::new(ErrorKind::Internal, "read device address", format!("{address:?} {detail}"))
        };
        let mut url = Url::parse(address).map_err(|error| unusable(format!("is no address: {error}")))?;
        if url.host_str() == Some("*") {
            url.set_host(Some(self.host())).map_err(|error| unusable(error.to_string()))?;
            url.set_port(self.url.port()).map_err(|()| unusable("takes no port".to_owned()))?;
        }
        Ok(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(text: &str) -> String {
        Endpoint::parse(text).unwrap().url().to_string()
    }

    #[test]
    fn scheme_and_path_are_completed() {
        assert_eq!(complete("vc.example.org"), "https://vc.example.org/sdk");
        assert_eq!(complete("https://vc.example.org/"), "https://vc.example.org/sdk");
        assert_eq!(complete("10.0.0.1:8443"), "https://10.0.0.1:8443/sdk");
        assert_eq!(complete("[::1]:8989"), "https://[::1]:8989/sdk");
        assert_eq!(complete("https://vc/proxied/sdk"), "https://vc/proxied/sdk");
    }

    #[test]
    fn what_cannot_be_a_server_is_refused() {
        for text in ["", "ftp://vc", "https://user:pw@vc/sdk", "https://", "two words"] {
            let error = Endpoint::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
            assert!(!error.to_string().contains("pw"), "{error}");
        }
    }

    #[test]
    fn a_star_stands_for_host_and_port_connected_to() {
        let endpoint = Endpoint::parse("vc:8443").unwrap();
        let resolve = |address| endpoint.resolve(address).unwrap().to_string();
        assert_eq!(resolve("https://*/nfc/t/disk-0.vmdk"), "https://vc:8443/nfc/t/disk-0.vmdk");
        assert_eq!(resolve("https://*:443/nfc/t/disk-0.vmdk"), "https://vc:8443/nfc/t/disk-0.vmdk");
        assert_eq!(resolve("https://esx1/nfc/t/disk-0.vmdk"), "https://esx1/nfc/t/disk-0.vmdk");
        let v6 = Endpoint::parse("[::1]").unwrap();
        assert_eq!(v6.resolve("https://*/nfc/x").unwrap().as_str(), "https://[::1]/nfc/x");
    }
}
