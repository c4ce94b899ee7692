//! The effective configuration as YAML, with secrets masked.

use hypersdk_store::DatabaseLocation;
use serde::Serialize;

use super::{Config, duration};

const MASK: &str = "********";

#[derive(Serialize)]
struct Shown<'a> {
    daemon_addr: String,
    allow_unauthenticated: bool,
    providers: Vec<ShownProvider<'a>>,
    timeout: String,
    download_workers: u32,
    retry_attempts: u32,
    retry_delay: String,
    max_concurrent_jobs: u32,
    drain_grace: String,
    log_level: &'a str,
    log_format: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    database_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    database_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    export_root: Option<String>,
}

#[derive(Serialize)]
struct ShownProvider<'a> {
    name: &'a str,
    r#type: &'a str,
    vcenter_url: &'a str,
    username: &'a str,
    password: &'static str,
    insecure: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    thumbprint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_file: Option<String>,
    connect_timeout: String,
    call_timeout: String,
    stream_idle_timeout: String,
}

pub(super) fn yaml(config: &Config) -> String {
    let (database_path, database_url) = match &config.database {
        DatabaseLocation::Sqlite(path) => (Some(path.display().to_string()), None),
        // Shows its password as a mask.
        DatabaseLocation::Postgres(options) => (None, Some(options.to_string())),
    };
    let shown = Shown {
        daemon_addr: config.daemon_addr.to_string(),
        allow_unauthenticated: config.allow_unauthenticated,
        providers: config
            .providers
            .iter()
            .map(|provider| ShownProvider {
                name: provider.name.as_str(),
                r#type: &provider.provider_type,
                vcenter_url: provider.vcenter_url.as_str(),
                username: &provider.username,
                password: MASK,
                insecure: provider.insecure,
                thumbprint: provider.thumbprint.as_deref(),
                ca_file: provider.ca_file.as_ref().map(|path| path.display().to_string()),
                connect_timeout: duration::display(provider.limits.connect),
                call_timeout: duration::display(provider.limits.call),
                stream_idle_timeout: duration::display(provider.limits.stream_idle),
            })
            .collect(),
        timeout: config.timeout.map_or_else(|| "0".to_owned(), duration::display),
        download_workers: config.download_workers,
        retry_attempts: config.retry_attempts,
        retry_delay: duration::display(config.retry_delay),
        max_concurrent_jobs: config.max_concurrent_jobs,
        drain_grace: duration::display(config.drain_grace),
        log_level: &config.log.level,
        log_format: config.log.format.as_str(),
        log_file: config.log.file.as_ref().map(|path| path.display().to_string()),
        database_path,
        database_url,
        export_root: config.export_root.as_ref().map(|path| path.display().to_string()),
    };
    serde_saphyr::to_string(&shown).expect("texts and numbers are always YAML")
}
