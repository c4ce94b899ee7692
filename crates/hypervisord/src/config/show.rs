//! The effective configuration as YAML, with secrets masked.

use std::collections::BTreeMap;

use hypersdk_store::DatabaseLocation;
use hypersdk_webhook::Endpoint;
use secrecy::ExposeSecret;
use serde::Serialize;

use super::{Config, duration};

const MASK: &str = "********";

#[derive(Serialize)]
struct Shown<'a> {
    daemon_addr: String,
    allow_unauthenticated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth: Option<ShownAuth>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<ShownTls>,
    server: ShownServer<'a>,
    providers: Vec<ShownProvider<'a>>,
    known_hosts: String,
    connection_pool: ShownPool,
    inventory_cache: ShownInventory,
    timeout: String,
    download_workers: u32,
    retry_attempts: u32,
    retry_delay: String,
    max_concurrent_jobs: u32,
    limits: ShownLimits,
    bandwidth_limit: String,
    orphan_sweep_interval: String,
    drain_grace: String,
    claim_timeout: String,
    log_level: &'a str,
    log_format: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traces: Option<ShownTraces<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    database_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    database_url: Option<String>,
    history: ShownHistory,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_name: Option<&'a str>,
    #[serde(skip_serializing_if = "String::is_empty")]
    labels: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    export_root: Option<String>,
    webhooks: Vec<ShownWebhook>,
    webhook_allow_private: bool,
    webhook_progress_interval: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_key_file: Option<String>,
}

#[derive(Serialize)]
struct ShownTraces<'a> {
    endpoint: &'a str,
    sample: f64,
}

#[derive(Serialize)]
struct ShownInventory {
    enabled: bool,
    idle_timeout: String,
}

#[derive(Serialize)]
struct ShownWebhook {
    name: String,
    url: String,
    events: Vec<String>,
    enabled: bool,
    timeout: String,
    retry: u32,
    retry_delay: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, &'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'static str>,
    profile: &'static str,
    allow_private: bool,
}

fn webhook(endpoint: &Endpoint) -> ShownWebhook {
    let spec = &endpoint.spec;
    ShownWebhook {
        name: endpoint.id.to_string(),
        url: spec.shown_url(),
        events: spec.events.patterns(),
        enabled: spec.enabled,
        timeout: duration::display(spec.timeout),
        retry: spec.retry,
        retry_delay: duration::display(spec.retry_delay),
        headers: spec.headers.names().map(|name| (name.to_owned(), MASK)).collect(),
        secret: spec.secret.as_ref().map(|_| MASK),
        profile: spec.profile.name(),
        allow_private: spec.allow_private,
    }
}

#[derive(Serialize)]
struct ShownLimits {
    per_host: usize,
    per_datastore: usize,
    per_vcenter: usize,
}

#[derive(Serialize)]
struct ShownAuth {
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    htpasswd_file: Option<String>,
    default_role: &'static str,
    session_lifetime: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    oidc: Option<ShownOidc>,
}

#[derive(Serialize)]
struct ShownOidc {
    issuer: String,
    audience: String,
    jwks_url: String,
    role_claim: String,
}

#[derive(Serialize)]
struct ShownTls {
    cert: String,
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_ca: Option<String>,
}

#[derive(Serialize)]
struct ShownServer<'a> {
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    allowed_hosts: &'a [String],
    max_connections: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    requests_per_minute: Option<u32>,
    header_timeout: String,
}

#[derive(Serialize)]
struct ShownPool {
    enabled: bool,
    max_connections: u32,
    idle_timeout: String,
    health_check_interval: String,
    borrow_timeout: String,
}

#[derive(Serialize)]
struct ShownHistory {
    keep: u64,
    max_age: String,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<String>,
    connect_timeout: String,
    call_timeout: String,
    stream_idle_timeout: String,
}

fn text(path: &std::path::Path) -> String {
    path.display().to_string()
}

/// A URL without the login in it.
fn masked(url: &str) -> String {
    let Ok(mut url) = url::Url::parse(url) else { return MASK.to_owned() };
    if !url.username().is_empty() || url.password().is_some() {
        // Neither fails for a URL that has a host.
        let _ = (url.set_username("masked"), url.set_password(Some(MASK)));
    }
    url.into()
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
        auth: config.auth.as_ref().map(|auth| ShownAuth {
            tokens_file: auth.tokens_file.as_deref().map(text),
            htpasswd_file: auth.htpasswd_file.as_deref().map(text),
            default_role: auth.default_role.as_str(),
            session_lifetime: duration::display(auth.session_lifetime),
            oidc: auth.oidc.as_ref().map(|oidc| ShownOidc {
                issuer: oidc.issuer.clone(),
                audience: oidc.audience.clone(),
                jwks_url: oidc.jwks_url.to_string(),
                role_claim: oidc.role_claim.clone(),
            }),
        }),
        tls: config.tls.as_ref().map(|tls| ShownTls {
            cert: text(&tls.cert),
            key: text(&tls.key),
            client_ca: tls.client_ca.as_deref().map(text),
        }),
        server: ShownServer {
            allowed_hosts: &config.server.allowed_hosts,
            max_connections: config.server.max_connections,
            requests_per_minute: config.server.requests_per_minute,
            header_timeout: duration::display(config.server.header_timeout),
        },
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
                proxy: provider.proxy.as_ref().map(|proxy| masked(proxy.expose_secret())),
                connect_timeout: duration::display(provider.limits.connect),
                call_timeout: duration::display(provider.limits.call),
                stream_idle_timeout: duration::display(provider.limits.stream_idle),
            })
            .collect(),
        known_hosts: config.known_hosts.display().to_string(),
        connection_pool: ShownPool {
            enabled: config.session_pool.enabled,
            max_connections: config.session_pool.max_connections,
            idle_timeout: duration::display(config.session_pool.idle_timeout),
            health_check_interval: duration::display(config.session_pool.health_check_interval),
            borrow_timeout: duration::display(config.session_pool.borrow_timeout),
        },
        inventory_cache: ShownInventory {
            enabled: config.inventory_cache.enabled,
            idle_timeout: duration::display(config.inventory_cache.idle_timeout),
        },
        timeout: config.timeout.map_or_else(|| "0".to_owned(), duration::display),
        download_workers: config.download_workers,
        retry_attempts: config.retry_attempts,
        retry_delay: duration::display(config.retry_delay),
        max_concurrent_jobs: config.max_concurrent_jobs,
        limits: ShownLimits {
            per_host: config.caps.per_host,
            per_datastore: config.caps.per_datastore,
            per_vcenter: config.caps.per_provider,
        },
        bandwidth_limit: config.bandwidth.to_string(),
        orphan_sweep_interval: duration::display(config.orphan_sweep_interval),
        drain_grace: duration::display(config.drain_grace),
        claim_timeout: duration::display(config.claim_timeout),
        log_level: &config.log.level,
        log_format: config.log.format.as_str(),
        log_file: config.log.file.as_ref().map(|path| path.display().to_string()),
        traces: config
            .traces
            .as_ref()
            .map(|traces| ShownTraces { endpoint: traces.endpoint.as_str(), sample: traces.sample }),
        database_path,
        database_url,
        history: ShownHistory {
            keep: config.history.keep.unwrap_or_default(),
            max_age: duration::display(config.history.max_age.unwrap_or_default()),
        },
        node_name: config.node_name.as_deref(),
        labels: config.labels.iter().cloned().collect::<Vec<_>>().join(", "),
        export_root: config.export_root.as_ref().map(|path| path.display().to_string()),
        webhooks: config.webhooks.endpoints.iter().map(webhook).collect(),
        webhook_allow_private: config.webhooks.allow_private,
        webhook_progress_interval: duration::display(config.webhooks.progress_interval),
        secret_key_file: config.webhooks.secret_key_file.as_ref().map(|path| path.display().to_string()),
    };
    serde_saphyr::to_string(&shown).expect("texts and numbers are always YAML")
}
