//! What SIGHUP does: the log file is opened anew, and the certificate and the log level are read again.

use crate::config::{Config, Sources};
use crate::server::Tls;
use crate::telemetry::Telemetry;

/// What is needed to reload.
#[derive(Debug)]
pub struct Reload {
    sources: Sources,
    running: String,
    telemetry: Option<Telemetry>,
    tls: Option<Tls>,
}

impl Reload {
    /// A reload of what was read from `sources` and is `config` now.
    pub fn new(sources: Sources, config: &Config, telemetry: Option<Telemetry>) -> Self {
        Reload { sources, running: config.to_yaml(), telemetry, tls: None }
    }

    /// Reads the certificate again too.
    pub(crate) fn and_tls(mut self, tls: Option<Tls>) -> Self {
        self.tls = tls;
        self
    }

    /// Reloads what can be reloaded. A configuration with mistakes changes nothing.
    pub(crate) fn run(&self) {
        if let Some(telemetry) = &self.telemetry
            && let Err(error) = telemetry.reopen()
        {
            tracing::error!("reopen the log: {error}");
        }
        if let Some(tls) = &self.tls {
            match tls.reload() {
                Ok(()) => tracing::info!("the certificate was read again"),
                Err(error) => tracing::error!("the certificate stays the one before: {error:#}"),
            }
        }
        let config = match Config::load(&self.sources) {
            Ok(config) => config,
            Err(error) => {
                tracing::error!("reload: the configuration has mistakes and nothing of it is used: {error}");
                return;
            }
        };
        if let Some(telemetry) = &self.telemetry
            && let Err(error) = telemetry.set_level(&config.log.level)
        {
            tracing::error!("set the log level: {error}");
        }
        tracing::info!(log_level = %config.log.level, "reloaded");
        let waiting = changed_keys(&self.running, &config.to_yaml());
        if !waiting.is_empty() {
            tracing::warn!("changed, but used only after a restart: {}", waiting.join(", "));
        }
    }
}

/// The top-level keys whose lines differ, but for those that a reload applies.
fn changed_keys(old: &str, new: &str) -> Vec<String> {
    let sections = |text: &str| {
        let mut sections: Vec<(String, String)> = Vec::new();
        for line in text.lines() {
            match line.split_once(':') {
                Some((key, _)) if !line.starts_with([' ', '-']) => {
                    sections.push((key.to_owned(), line.to_owned()));
                }
                _ => {
                    if let Some((_, section)) = sections.last_mut() {
                        section.push_str(line);
                    }
                }
            }
        }
        sections
    };
    let (old, new) = (sections(old), sections(new));
    let mut keys: Vec<String> = old
        .iter()
        .filter(|section| !new.contains(section))
        .chain(new.iter().filter(|section| !old.contains(section)))
        .map(|(key, _)| key.clone())
        .filter(|key| key != "log_level")
        .collect();
    keys.sort();
    keys.dedup();
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_a_restart_is_named() {
        let old = "timeout: 1h\nlog_level: info\nproviders:\n  - name: a\n";
        let new = "timeout: 2h\nlog_level: debug\nproviders:\n  - name: b\nexport_root: /srv\n";
        assert_eq!(changed_keys(old, new), ["export_root", "providers", "timeout"]);
        assert!(changed_keys(old, &old.replace("info", "warn")).is_empty());
    }
}
