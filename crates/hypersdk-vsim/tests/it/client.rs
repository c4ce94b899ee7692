//! As little of a SOAP client as the tests need: text in, text out.

use std::time::Duration;

use hypersdk_vsim::Vsim;
use reqwest::StatusCode;

const HEAD: &str = "<?xml version=\"1.0\"?><e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\" \
    xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><e:Body>";

/// The text of each element of this name, attributes cut off.
pub(crate) fn all<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let end = format!("</{name}>");
    let starts = [format!("<{name}>"), format!("<{name} ")];
    text.split(&end)
        .filter_map(|part| {
            let at = starts.iter().filter_map(|start| part.rfind(start.as_str())).max()?;
            part[at..].split_once('>').map(|(_, inner)| inner)
        })
        .filter(|_| text.contains(&end))
        .collect()
}

pub(crate) fn first<'a>(text: &'a str, name: &str) -> &'a str {
    all(text, name).first().copied().unwrap_or_else(|| panic!("no <{name}> in {text}"))
}

/// A client of one server: a cookie and the ids of the service objects.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    pub(crate) cookie: String,
    pub(crate) content: String,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: String,
    pub(crate) cookie: Option<String>,
}

impl Answer {
    /// The name of the fault in it.
    pub(crate) fn fault(&self) -> &str {
        let detail = first(&self.body, "detail");
        detail.trim_start_matches('<').split("Fault ").next().unwrap_or_default()
    }
}

pub(crate) fn http() -> reqwest::Client {
    // Another test of this process may have installed it already.
    _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .tls_danger_accept_invalid_certs(true)
        .timeout(Duration::from_secs(60))
        .build()
        .unwrap()
}

impl Client {
    pub(crate) async fn connect(sim: &Vsim) -> Self {
        let mut client =
            Self { http: http(), url: sim.url().into(), cookie: String::new(), content: String::new() };
        client.content =
            client.ok("RetrieveServiceContent", ("ServiceInstance", "ServiceInstance"), "").await;
        client
    }

    pub(crate) async fn log_in(sim: &Vsim) -> Self {
        let mut client = Self::connect(sim).await;
        let answer = client.login(sim.username(), sim.password()).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        client.cookie = answer.cookie.unwrap();
        client
    }

    pub(crate) async fn login(&self, user: &str, password: &str) -> Answer {
        let arguments = format!("<userName>{user}</userName><password>{password}</password>");
        self.call("Login", self.manager("sessionManager"), &arguments).await
    }

    /// The id of a service object, by its field of ServiceContent.
    pub(crate) fn manager(&self, field: &str) -> (&'static str, &str) {
        let ty = match field {
            "sessionManager" => "SessionManager",
            "propertyCollector" => "PropertyCollector",
            "viewManager" => "ViewManager",
            "searchIndex" => "SearchIndex",
            "ovfManager" => "OvfManager",
            "authorizationManager" => "AuthorizationManager",
            "rootFolder" => "Folder",
            _ => panic!("no type known of {field}"),
        };
        (ty, first(&self.content, field))
    }

    pub(crate) async fn call(&self, method: &str, this: (&str, &str), arguments: &str) -> Answer {
        let (ty, id) = this;
        let body = format!(
            "{HEAD}<{method} xmlns=\"urn:vim25\"><_this type=\"{ty}\">{id}</_this>{arguments}</{method}>\
             </e:Body></e:Envelope>"
        );
        self.post(body).await
    }

    pub(crate) async fn post(&self, body: String) -> Answer {
        let request = self
            .http
            .post(&self.url)
            .header("SOAPAction", "urn:vim25/8.0.3.0")
            .header("Content-Type", "text/xml; charset=\"utf-8\"")
            .header("Cookie", format!("vmware_soap_session=\"{}\"", self.cookie));
        let reply = request.body(body).send().await.unwrap();
        let cookie = reply.headers().get("Set-Cookie").map(|cookie| {
            let cookie = cookie.to_str().unwrap();
            let value = cookie.strip_prefix("vmware_soap_session=\"").unwrap();
            value.split('"').next().unwrap().to_owned()
        });
        Answer { status: reply.status(), cookie, body: reply.text().await.unwrap() }
    }

    /// Calls a method that must succeed; the body of its reply.
    pub(crate) async fn ok(&self, method: &str, this: (&str, &str), arguments: &str) -> String {
        let answer = self.call(method, this, arguments).await;
        assert_eq!(answer.status, StatusCode::OK, "{method}: {}", answer.body);
        answer.body
    }

    /// Calls a method that must fail; the name of the fault.
    pub(crate) async fn fails(&self, method: &str, this: (&str, &str), arguments: &str) -> String {
        let answer = self.call(method, this, arguments).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{method}: {}", answer.body);
        answer.fault().to_owned()
    }

    /// One property, or an empty string where it is unset.
    pub(crate) async fn property(&self, object: (&str, &str), path: &str) -> String {
        let body = self.ok("Fetch", object, &format!("<prop>{path}</prop>")).await;
        all(&body, "returnval").first().copied().unwrap_or_default().to_owned()
    }

    pub(crate) async fn find(&self, path: &str) -> String {
        let arguments = format!("<inventoryPath>{path}</inventoryPath>");
        let body = self.ok("FindByInventoryPath", self.manager("searchIndex"), &arguments).await;
        first(&body, "returnval").to_owned()
    }

    /// Polls a task to its end; `Err` is the name of its fault.
    pub(crate) async fn task(
        &self,
        method: &str,
        this: (&str, &str),
        arguments: &str,
    ) -> Result<String, String> {
        let body = self.ok(method, this, arguments).await;
        let task = first(&body, "returnval").to_owned();
        let spec = filter_spec(&format!("<obj type=\"Task\">{task}</obj>"), "Task", "info");
        self.ok("CreateFilter", self.manager("propertyCollector"), &spec).await;
        let mut version = String::new();
        loop {
            let arguments = format!("<version>{version}</version>");
            let body = self.ok("WaitForUpdatesEx", self.manager("propertyCollector"), &arguments).await;
            version = first(&body, "version").to_owned();
            match all(&body, "state").last() {
                Some(&"success") => {
                    return Ok(all(&body, "result").first().copied().unwrap_or_default().to_owned());
                }
                Some(&"error") => {
                    let error = first(&body, "error");
                    return Err(error
                        .split("xsi:type=\"")
                        .nth(1)
                        .unwrap()
                        .split('"')
                        .next()
                        .unwrap()
                        .to_owned());
                }
                _ => {}
            }
        }
    }

    /// Runs ExportVm and waits until the lease is ready.
    pub(crate) async fn export(&self, vm: &str) -> Lease {
        let body = self.ok("ExportVm", ("VirtualMachine", vm), "").await;
        self.ready(first(&body, "returnval")).await
    }

    /// Waits until a lease is ready and reads its device URLs.
    pub(crate) async fn ready(&self, id: &str) -> Lease {
        let collector = self.ok("CreatePropertyCollector", self.manager("propertyCollector"), "").await;
        let collector = ("PropertyCollector", first(&collector, "returnval"));
        let spec = filter_spec(&format!("<obj type=\"HttpNfcLease\">{id}</obj>"), "HttpNfcLease", "state");
        self.ok("CreateFilter", collector, &spec).await;
        let mut version = String::new();
        loop {
            let arguments = format!("<version>{version}</version>");
            let body = self.ok("WaitForUpdatesEx", collector, &arguments).await;
            if first(&body, "val") == "ready" {
                break;
            }
            version = first(&body, "version").to_owned();
        }
        self.ok("DestroyPropertyCollector", collector, "").await;
        let info = self.property(("HttpNfcLease", id), "info").await;
        let base = self.url.trim_end_matches("/sdk");
        let files = all(&info, "deviceUrl").into_iter().map(|device| LeaseFile {
            key: first(device, "key").to_owned(),
            url: first(device, "url").replace("https://*", base),
            target: first(device, "targetId").to_owned(),
        });
        Lease { id: id.to_owned(), files: files.collect(), info: info.clone() }
    }

    pub(crate) async fn get(&self, url: &str) -> reqwest::Response {
        self.http.get(url).send().await.unwrap()
    }
}

pub(crate) fn filter_spec(object: &str, ty: &str, path: &str) -> String {
    format!(
        "<spec><propSet><type>{ty}</type><pathSet>{path}</pathSet></propSet>\
         <objectSet>{object}</objectSet></spec><partialUpdates>true</partialUpdates>"
    )
}

#[derive(Clone, Debug)]
pub(crate) struct Lease {
    pub(crate) id: String,
    pub(crate) files: Vec<LeaseFile>,
    pub(crate) info: String,
}

#[derive(Clone, Debug)]
pub(crate) struct LeaseFile {
    pub(crate) key: String,
    pub(crate) url: String,
    pub(crate) target: String,
}

impl Lease {
    pub(crate) fn object(&self) -> (&'static str, &str) {
        ("HttpNfcLease", &self.id)
    }
}

/// What came of a body, and whether it ended properly.
pub(crate) async fn drain(mut reply: reqwest::Response) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        match reply.chunk().await {
            Ok(Some(piece)) => body.extend_from_slice(&piece),
            Ok(None) => return (body, true),
            Err(_) => return (body, false),
        }
    }
}
