//! Whether the host that will serve the files can be reached from here, and is who the server says.

use std::time::Duration;

use hypersdk_core::Finding;

use crate::http::{self, TransportError};
use crate::session::Scope;
use crate::soap::MoRef;
use crate::wait::{self, Watched};

const PATIENCE: Duration = Duration::from_secs(5);
/// Where hosts serve files, unless the server knows better.
const PORT: u16 = 443;
const PATHS: &[&str] = &["name", "summary.config.port", "summary.config.sslThumbprint"];

/// Connects to the VM's host, as downloads through a vCenter will. A stand-alone host is the server itself.
pub(super) async fn reach(scope: &Scope, vm: &MoRef) -> Option<Finding> {
    if scope.content().is_host {
        return None;
    }
    let watched = Watched { object: vm.clone(), kind: "VirtualMachine", paths: &["runtime.host"] };
    let host = wait::properties(scope, &watched).await.ok()?.get("runtime.host")?.moref().ok()?;
    let watched = Watched { object: host, kind: "HostSystem", paths: PATHS };
    let known = wait::properties(scope, &watched).await.ok()?;
    let name = known.get("name")?.text.clone();
    let thumbprint = known.get("summary.config.sslThumbprint").map(|text| text.text.clone());
    let port = known.get("summary.config.port").and_then(|port| port.text.parse().ok()).unwrap_or(PORT);
    let url = format!("https://{name}:{port}/");
    let advice =
        format!("let this machine connect to {name}:{port}; files come from the host, not the vCenter");
    let client = match scope.connector().http().host(&name, port, thumbprint.as_deref()) {
        Ok(client) => client,
        Err(error) => {
            return Some(Finding::warning("host_unreachable", format!("host {name}: {}", error.chain())));
        }
    };
    let failed = match tokio::time::timeout(PATIENCE, client.get(url).send()).await {
        Ok(Ok(_whatever_it_answers)) => {
            return Some(Finding::info(
                "host_reachable",
                format!("host {name} can be reached on port {port}"),
            ));
        }
        Ok(Err(error)) => http::classify(&error),
        Err(_) => TransportError::Timeout { after: PATIENCE },
    };
    let text = format!("host {name}, which will serve the files: {failed}");
    Some(match failed {
        TransportError::Certificate(refused) => {
            Finding::warning("host_thumbprint", text).with_advice(refused.remedy())
        }
        _ => Finding::warning("host_unreachable", text).with_advice(advice),
    })
}
