//! The shortest way to a download address: six SOAP calls as text. The bare download shares no code with
//! the exporter it is compared with.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::simulator::{Access, path};

/// A lease on a machine with one disk.
#[derive(Debug)]
pub(super) struct Lease {
    client: Client,
    id: String,
    /// Where the disk is to be had.
    pub(super) url: String,
}

impl Lease {
    pub(super) async fn open(access: &Access, machine: &str) -> Result<Self> {
        let mut client = Client::new(access)?;
        let content = client.call("RetrieveServiceContent", "ServiceInstance", "ServiceInstance", "").await?;
        let login =
            format!("<userName>{}</userName><password>{}</password>", access.username, access.password);
        client.call("Login", "SessionManager", element(&content, "sessionManager")?, &login).await?;
        let arguments = format!("<inventoryPath>{}</inventoryPath>", path(machine));
        let search = element(&content, "searchIndex")?;
        let found = client.call("FindByInventoryPath", "SearchIndex", search, &arguments).await?;
        let vm = element(&found, "returnval")?;
        let answer = client.call("ExportVm", "VirtualMachine", vm, "").await?;
        let id = element(&answer, "returnval")?.to_owned();
        while element(&client.fetch(&id, "state").await?, "returnval")? != "ready" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let info = client.fetch(&id, "info").await?;
        let server = access.url.trim_end_matches("/sdk");
        let url = element(&info, "url")?.replace("https://*", server);
        Ok(Self { client, id, url })
    }

    pub(super) async fn complete(mut self) -> Result<()> {
        self.client.call("HttpNfcLeaseComplete", "HttpNfcLease", &self.id, "").await?;
        Ok(())
    }
}

/// An HTTP client that takes the simulator's certificate, whatever it is.
pub(super) fn http() -> Result<reqwest::Client> {
    let builder = reqwest::Client::builder().no_proxy().tls_danger_accept_invalid_certs(true);
    builder.build().context("build an HTTP client")
}

#[derive(Debug)]
struct Client {
    http: reqwest::Client,
    url: String,
    cookie: String,
}

impl Client {
    fn new(access: &Access) -> Result<Self> {
        Ok(Self { http: http()?, url: access.url.clone(), cookie: String::new() })
    }

    async fn fetch(&mut self, lease: &str, property: &str) -> Result<String> {
        self.call("Fetch", "HttpNfcLease", lease, &format!("<prop>{property}</prop>")).await
    }

    async fn call(&mut self, method: &str, kind: &str, this: &str, arguments: &str) -> Result<String> {
        let body = format!(
            "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body>\
             <{method} xmlns=\"urn:vim25\"><_this type=\"{kind}\">{this}</_this>{arguments}</{method}>\
             </e:Body></e:Envelope>"
        );
        let request = self.http.post(&self.url).header("SOAPAction", "urn:vim25/7.0");
        let answer = request
            .header("Content-Type", "text/xml; charset=utf-8")
            .header("Cookie", &self.cookie)
            .body(body)
            .send()
            .await?;
        if let Some(cookie) = answer.headers().get("Set-Cookie") {
            cookie.to_str()?.split(';').next().unwrap_or_default().clone_into(&mut self.cookie);
        }
        let status = answer.status();
        let text = answer.text().await?;
        if !status.is_success() {
            bail!("{method}: {status}: {text}");
        }
        Ok(text)
    }
}

/// The text of the first element of this name.
fn element<'a>(text: &'a str, name: &str) -> Result<&'a str> {
    let found = text.match_indices(&format!("<{name}")).find_map(|(at, begin)| {
        let rest = &text[at + begin.len()..];
        let inner = rest.starts_with(['>', ' ']).then(|| rest.split_once('>'))??.1;
        inner.split('<').next()
    });
    found.with_context(|| format!("no <{name}> in {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_is_found_with_attributes_and_beside_longer_names() {
        let text = "<urls>no</urls><url xsi:type=\"xsd:string\">yes</url>";
        assert_eq!(element(text, "url").unwrap(), "yes");
        assert!(element(text, "ur").is_err());
    }
}
