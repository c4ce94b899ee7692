//! `hypervisord trust HOST`: trust on first use, with a person's word for it.

use std::io::BufRead;

use anyhow::{Context, bail};
use hypersdk_vsphere::{KnownHosts, ShownCertificate, VsphereConfig, look_at_certificate};

use crate::config::Config;

/// The certificate that `host` shows, looked at as the daemon would connect.
///
/// # Errors
/// The host is no address, cannot be reached, or speaks no TLS.
pub(crate) async fn look(config: &Config, host: &str) -> anyhow::Result<ShownCertificate> {
    // Nobody logs in, so there is no account.
    let mut connection = VsphereConfig::new(host, "", "");
    connection.known_hosts = Some(config.known_hosts.clone());
    connection.proxy = config.proxy.clone();
    if let Some(default) = config.providers.first() {
        connection.connect_timeout = default.limits.connect;
        connection.ca_file = default.ca_file.clone();
    }
    look_at_certificate(&connection).await.map_err(|error| {
        let advice = error.advice().map(|advice| format!("; {advice}")).unwrap_or_default();
        anyhow::anyhow!("{}{advice}", error.chain())
    })
}

/// What a person is shown before the decision.
pub(crate) fn describe(shown: &ShownCertificate) -> String {
    let ShownCertificate { host, port, sha256, sha1, .. } = shown;
    format!(
        "{host}:{port} shows a certificate with these fingerprints:\n  SHA-256 {sha256}\n  SHA-1   {sha1}"
    )
}

/// Asks on `input` whether the fingerprint is right.
///
/// # Errors
/// The answer is not yes.
pub(crate) fn confirm(mut input: impl BufRead) -> anyhow::Result<()> {
    let mut answer = String::new();
    input.read_line(&mut answer).context("read the answer")?;
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "yes" | "y") {
        return Ok(());
    }
    bail!(
        "nothing was recorded: compare the fingerprint with what the server itself shows, then answer yes or give --yes"
    )
}

/// Records the certificate.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn record(config: &Config, shown: &ShownCertificate) -> anyhow::Result<String> {
    let hosts = KnownHosts::new(&config.known_hosts);
    hosts
        .record(&shown.host, shown.port, &shown.sha256)
        .with_context(|| format!("write {}", hosts.path().display()))?;
    let path = std::path::absolute(hosts.path()).unwrap_or_else(|_| hosts.path().to_owned());
    Ok(format!("recorded in {}; it is trusted from now on", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        for yes in ["yes\n", "Y", " YES \n"] {
            assert!(confirm(yes.as_bytes()).is_ok(), "{yes:?}");
        }
        for no in ["", "\n", "no\n", "yes please\n"] {
            assert!(confirm(no.as_bytes()).is_err(), "{no:?}");
        }
    }
}
