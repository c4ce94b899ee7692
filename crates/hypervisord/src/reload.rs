//! What SIGHUP does: the log file is opened anew, the certificate and the configuration are read again, and what is
//! safe to change while exports run is taken up at once.
//!
//! Which keys those are is said once, in the table of keys. A configuration with mistakes changes nothing; what waits
//! for a restart is named in the log, at every reload until there is one.

use std::time::Duration;

use hypersdk_core::{JobManager, Retries};
use hypersdk_export::Limits;
use hypersdk_webhook::Deliverer;
use tokio::sync::watch;

use crate::config::{Config, HistoryConfig, Sources, is_reloaded};
use crate::server::Tls;
use crate::telemetry::Telemetry;

/// What is needed to reload.
#[derive(Debug)]
pub struct Reload {
    sources: Sources,
    /// What is in effect, and of what waits for a restart, what was read at the start.
    running: Config,
    telemetry: Option<Telemetry>,
    parts: Option<Parts>,
}

/// What takes up other values.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) tls: Option<Tls>,
    pub(crate) limits: Limits,
    pub(crate) manager: JobManager,
    pub(crate) webhooks: Deliverer,
    pub(crate) history: watch::Sender<HistoryConfig>,
}

impl Reload {
    /// A reload of what was read from `sources` and is `config` now.
    pub fn new(sources: Sources, config: &Config, telemetry: Option<Telemetry>) -> Self {
        Reload { sources, running: config.clone(), telemetry, parts: None }
    }

    /// Tells `parts` too.
    pub(crate) fn and(mut self, parts: Parts) -> Self {
        self.parts = Some(parts);
        self
    }

    /// How long running exports may go on after a stop is asked for.
    pub(crate) fn drain_grace(&self) -> Duration {
        self.running.drain_grace
    }

    /// Reloads what can be reloaded. A configuration with mistakes changes nothing.
    pub(crate) async fn run(&mut self) {
        if let Some(telemetry) = &self.telemetry
            && let Err(error) = telemetry.reopen()
        {
            tracing::error!("reopen the log: {error}");
        }
        if let Some(tls) = self.parts.as_ref().and_then(|parts| parts.tls.as_ref()) {
            match tls.reload() {
                Ok(()) => tracing::info!("the certificate was read again"),
                Err(error) => tracing::error!("the certificate stays the one before: {error:#}"),
            }
        }
        let new = match Config::load(&self.sources) {
            Ok(config) => config,
            Err(error) => {
                tracing::error!("reload: the configuration has mistakes and nothing of it is used: {error}");
                return;
            }
        };
        for warning in &new.warnings {
            tracing::warn!("{warning}");
        }
        let (mut taken_up, mut waiting) = (Vec::new(), Vec::new());
        for key in changed_keys(&self.running, &new) {
            match is_reloaded(&key) {
                false => waiting.push(key),
                true => match self.take_up(&key, &new).await {
                    Ok(()) => taken_up.push(key),
                    Err(error) => tracing::error!("reload: {key} stays as it was: {error:#}"),
                },
            }
        }
        let shown = if taken_up.is_empty() { "nothing".to_owned() } else { taken_up.join(", ") };
        tracing::info!("reloaded; taken up: {shown}");
        if !waiting.is_empty() {
            tracing::warn!("changed, but used only after a restart: {}", waiting.join(", "));
        }
    }

    async fn take_up(&mut self, key: &str, new: &Config) -> anyhow::Result<()> {
        match key {
            "log_level" => {
                if let Some(telemetry) = &self.telemetry {
                    telemetry.set_level(&new.log.level)?;
                }
                self.running.log.level = new.log.level.clone();
            }
            "drain_grace" => self.running.drain_grace = new.drain_grace,
            "limits" => {
                self.tell(|parts| parts.limits.set_caps(new.caps));
                self.running.caps = new.caps;
            }
            "bandwidth_limit" => {
                self.tell(|parts| parts.limits.set_bandwidth(new.bandwidth.clone()));
                self.running.bandwidth = new.bandwidth.clone();
            }
            "timeout" | "retry_attempts" | "retry_delay" => {
                let retries = Retries {
                    attempts: new.retry_attempts,
                    delay: new.retry_delay,
                    job_timeout: new.timeout,
                };
                self.tell(|parts| parts.manager.set_retries(retries));
                match key {
                    "timeout" => self.running.timeout = new.timeout,
                    "retry_attempts" => self.running.retry_attempts = new.retry_attempts,
                    _ => self.running.retry_delay = new.retry_delay,
                }
            }
            "history" => {
                self.tell(|parts| {
                    parts.history.send_replace(new.history.clone());
                });
                self.running.history = new.history.clone();
            }
            "webhooks" => {
                let endpoints = &new.webhooks.endpoints;
                if let Some(parts) = &self.parts {
                    parts.webhooks.configure(endpoints.clone()).await?;
                }
                self.running.webhooks.endpoints = endpoints.clone();
            }
            other => anyhow::bail!("{other} has no way to be taken up"),
        }
        Ok(())
    }

    fn tell(&self, tell: impl FnOnce(&Parts)) {
        if let Some(parts) = &self.parts {
            tell(parts);
        }
    }
}

/// The keys of the top level whose values differ, secrets included.
fn changed_keys(old: &Config, new: &Config) -> Vec<String> {
    let mut keys = changed_sections(&old.to_yaml(), &new.to_yaml());
    keys.extend(old.changed_secrets(new).into_iter().map(str::to_owned));
    keys.sort();
    keys.dedup();
    keys
}

/// The top-level keys whose lines differ.
fn changed_sections(old: &str, new: &str) -> Vec<String> {
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
    old.iter()
        .filter(|section| !new.contains(section))
        .chain(new.iter().filter(|section| !old.contains(section)))
        .map(|(key, _)| key.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::reloaded_keys;

    const OTHER: &str = "timeout: 2h\nretry_attempts: 7\nretry_delay: 7s\nlimits: {per_host: 7}\nbandwidth_limit: 7M\n\
                         drain_grace: 7s\nlog_level: debug\nhistory: {keep: 7}\nwebhooks:\n  - url: https://x.example\n";

    fn write(directory: &std::path::Path, text: &str) -> Sources {
        let file = directory.join("hypersdk.yaml");
        std::fs::write(&file, text).unwrap();
        Sources { file: Some(file), ..Sources::default() }
    }

    #[tokio::test]
    async fn every_key_that_the_table_calls_reloaded_is_taken_up_and_no_longer_counts_as_changed() {
        let directory = tempfile::tempdir().unwrap();
        let sources = write(directory.path(), "");
        let mut reload = Reload::new(sources.clone(), &Config::load(&sources).unwrap(), None);
        let sources = write(directory.path(), OTHER);
        let new = Config::load(&sources).unwrap();
        let mut changed = changed_keys(&reload.running, &new);
        let mut expected: Vec<_> = reloaded_keys().map(str::to_owned).collect();
        expected.sort();
        changed.sort();
        assert_eq!(changed, expected);
        reload.run().await;
        assert_eq!(changed_keys(&reload.running, &new), [""; 0]);
    }

    #[tokio::test]
    async fn what_waits_for_a_restart_is_named_again_and_again() {
        let directory = tempfile::tempdir().unwrap();
        let sources = write(directory.path(), "");
        let mut reload = Reload::new(sources.clone(), &Config::load(&sources).unwrap(), None);
        write(directory.path(), "download_workers: 5\nexport_root: /srv\n");
        for _ in 0..2 {
            reload.run().await;
            let new = Config::load(&sources).unwrap();
            assert_eq!(changed_keys(&reload.running, &new), ["download_workers", "export_root"]);
        }
    }

    #[test]
    fn a_password_that_changed_counts_though_it_is_masked() {
        let directory = tempfile::tempdir().unwrap();
        let load = |password: &str| {
            let text = format!("vcenter_url: vc\nusername: u\npassword: {password}\n");
            Config::load(&write(directory.path(), &text)).unwrap()
        };
        assert_eq!(changed_keys(&load("a"), &load("b")), ["providers"]);
        assert_eq!(changed_keys(&load("a"), &load("a")), [""; 0]);
    }
}
