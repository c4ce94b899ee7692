//! Each connection: whether the server can be reached, is trusted, takes the account, and shows a VM.

use std::time::Duration;

use futures::TryStreamExt;
use hypersdk_core::{Error, ErrorKind, ProviderRegistry, VmFilter};

use super::Finding;
use crate::config::{Config, ProviderConfig};

/// How long the whole may take for one server.
const PATIENCE: Duration = Duration::from_secs(45);

pub(super) async fn check(config: &Config) -> Vec<Finding> {
    if config.providers.is_empty() {
        return vec![Finding::warn(
            "connections",
            "none is configured: there is nothing to export from",
            "set vcenter_url, username and a password",
        )];
    }
    let checks = config.providers.iter().map(connection);
    futures::future::join_all(checks).await
}

async fn connection(provider: &ProviderConfig) -> Finding {
    let check = format!("connection {}", provider.name);
    let server = provider.vcenter_url.host_str().unwrap_or_default();
    match tokio::time::timeout(PATIENCE, first_vm(provider)).await {
        Ok(Ok(true)) if provider.insecure => Finding::warn(
            check,
            format!("{server} takes the account, and its certificate is not checked"),
            "set thumbprint or ca_file instead of insecure",
        ),
        Ok(Ok(true)) => Finding::ok(check, format!("{server} takes the account and shows VMs")),
        Ok(Ok(false)) => Finding::warn(
            check,
            format!("{server} takes the account and shows no VM"),
            "give the account System.View on the VMs that are to be exported",
        ),
        Ok(Err(error)) => Finding::fail(check, error.chain(), remedy(&error)),
        Err(_) => Finding::fail(
            check,
            format!("{server} gave no answer within {} s", PATIENCE.as_secs()),
            "check the network and port 443 between here and there",
        ),
    }
}

/// Logs in, looks for a VM, and logs out.
async fn first_vm(provider: &ProviderConfig) -> Result<bool, Error> {
    let mut registry = ProviderRegistry::new();
    registry.register("vsphere", hypersdk_vsphere::factory);
    registry.open(provider.name.clone(), &provider.provider_type, &provider.to_value())?;
    let opened = registry.get(Some(&provider.name))?;
    let first = opened.provider.list(VmFilter::default()).try_next().await;
    opened.provider.close().await;
    Ok(first?.is_some())
}

fn remedy(error: &Error) -> String {
    if let Some(advice) = error.advice() {
        return advice.to_owned();
    }
    match error.kind() {
        ErrorKind::Unauthenticated => "correct username or password; it is not tried again by itself",
        ErrorKind::PermissionDenied => "give the account the privilege that is named",
        ErrorKind::Unavailable | ErrorKind::Timeout => "check the name, the network and port 443 from here",
        _ => "see docs/daemon.md, Troubleshooting",
    }
    .to_owned()
}
