//! The configuration: defaults, then the file and those of `conf.d`, then the environment, then flags.
//!
//! Every layer is a figment provider of plain texts; [`read`] gives them their types, so that `007` is a
//! password wherever it stands, and so that all mistakes are reported at once, each with its place.

mod access;
mod connection;
mod database;
mod duration;
mod environment;
mod files;
mod inventory;
mod keys;
pub(crate) mod legacy;
mod limits;
mod listen;
mod mistake;
mod pool;
mod read;
pub(crate) mod schema;
mod secret;
mod show;
mod traces;
mod webhook;
mod yaml;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile};
use hypersdk_export::{Caps, Timetable};
use hypersdk_store::DatabaseLocation;
use secrecy::{ExposeSecret, SecretString};

pub use connection::{ProviderConfig, TimeLimits};
pub(crate) use duration::{display as display_duration, parse as parse_duration};
pub use environment::Environment;
pub(crate) use files::all as files_of;
pub use inventory::InventoryCache;
pub(crate) use keys::nearest;
pub use listen::ListenAddr;
pub use mistake::{ConfigError, Mistake, Origin};
pub use pool::SessionPool;

pub use webhook::WebhookConfig;

use crate::auth::AuthConfig;
use crate::server::TlsFiles;
use crate::telemetry::{LogConfig, LogFormat, TraceConfig};
pub(crate) use access::ServerConfig;
use files::Files;
use read::{Layers, Reader, Values, boolean, one_of, path};

const FILE_LAYER: &str = "file";
const ENVIRONMENT_LAYER: &str = "environment";
const FLAG_LAYER: &str = "flags";

/// The keys that a flag sets, in the order of [`Sources`].
const FLAGS: [(&str, &str); 2] = [("daemon_addr", "--addr"), ("log_level", "--log-level")];

/// Where a configuration is read from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file, exactly this one.
    pub file: Option<PathBuf>,
    /// The environment.
    pub environment: Environment,
    /// The flag `--addr`.
    pub addr: Option<String>,
    /// The flag `--log-level`.
    pub log_level: Option<String>,
    /// The flag `--disable-web`.
    pub disable_web: bool,
}

/// What the daemon is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// The connections, the default one first if there is one.
    pub providers: Vec<ProviderConfig>,
    /// The file of certificates that a person has confirmed.
    pub known_hosts: PathBuf,
    /// The proxy of the default connection.
    pub proxy: Option<SecretString>,
    /// How the sessions of each connection are kept.
    pub session_pool: SessionPool,
    /// How the inventory of each connection is kept in memory.
    pub inventory_cache: InventoryCache,
    /// How long one attempt of a job may take; no limit if absent.
    pub timeout: Option<Duration>,
    /// How many disks of one export are downloaded at once.
    pub download_workers: u32,
    /// How often a job is tried again after a failure that a retry can help.
    pub retry_attempts: u32,
    /// How long to wait before the first of them.
    pub retry_delay: Duration,
    /// How many jobs run at once.
    pub max_concurrent_jobs: u32,
    /// How many exports may bother a host, a datastore or a vCenter at once.
    pub caps: Caps,
    /// How fast all transfers together may be.
    pub bandwidth: Timetable,
    /// How often to look for what killed exports left behind; never if zero.
    pub orphan_sweep_interval: Duration,
    /// How long running exports may go on after a stop is asked for.
    pub drain_grace: Duration,
    /// After how long without a sign of life another daemon takes this one's jobs.
    pub claim_timeout: Duration,
    /// Logs.
    pub log: LogConfig,
    /// Where traces go; nowhere if absent.
    pub traces: Option<TraceConfig>,
    /// Where to listen.
    pub daemon_addr: ListenAddr,
    /// Everybody who reaches the address may do everything.
    pub allow_unauthenticated: bool,
    /// How people and programs prove who they are; nobody has to if absent.
    pub(crate) auth: Option<AuthConfig>,
    /// The API's certificate; plain HTTP if absent.
    pub(crate) tls: Option<TlsFiles>,
    /// What the API's server allows.
    pub(crate) server: ServerConfig,
    /// Where the database is.
    pub database: DatabaseLocation,
    /// Which ended jobs are kept.
    pub history: HistoryConfig,
    /// This daemon's name among those that share the database; made from host and port if absent.
    pub node_name: Option<String>,
    /// The labels that jobs run here may want.
    pub labels: BTreeSet<String>,
    /// Whether the dashboard is served.
    pub dashboard: bool,
    /// Every output directory must lie below this one, if it is set.
    pub export_root: Option<PathBuf>,
    /// Where events go.
    pub webhooks: WebhookConfig,
    /// What is worth a look, found while reading.
    pub warnings: Vec<String>,
}

/// Which ended jobs are kept; all of them by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryConfig {
    /// At most this many.
    pub keep: Option<u64>,
    /// Only those that ended less than this long ago.
    pub max_age: Option<Duration>,
}

/// The keys of the top level that a reload takes up.
#[cfg(test)]
pub(crate) fn reloaded_keys() -> impl Iterator<Item = &'static str> {
    keys::TOP.keys.iter().filter(|key| key.reloaded).map(|key| key.name)
}

/// True if a reload takes up the key of the top level.
pub(crate) fn is_reloaded(name: &str) -> bool {
    keys::TOP.find(name).is_some_and(|key| key.reloaded)
}

impl Config {
    /// The keys of the top level under which a secret is another one in `other`.
    pub(crate) fn changed_secrets(&self, other: &Config) -> Vec<&'static str> {
        let secrets = |config: &Config| -> Vec<String> {
            let providers = config.providers.iter();
            providers
                .flat_map(|provider| [Some(&provider.password), provider.proxy.as_ref()])
                .flatten()
                .map(|secret| secret.expose_secret().to_owned())
                .collect()
        };
        let webhooks = |config: &Config| -> Vec<_> {
            config
                .webhooks
                .endpoints
                .iter()
                .map(|endpoint| (endpoint.id.clone(), endpoint.spec.clone()))
                .collect()
        };
        let mut keys = Vec::new();
        if secrets(self) != secrets(other) {
            keys.push("providers");
        }
        if webhooks(self) != webhooks(other) {
            keys.push("webhooks");
        }
        keys
    }

    /// Reads and checks everything.
    ///
    /// # Errors
    /// Every mistake that was found, with its key and place.
    pub fn load(sources: &Sources) -> Result<Config, ConfigError> {
        match Config::inspect(sources) {
            (Some(config), mistakes) if mistakes.is_empty() => Ok(config),
            (_, mistakes) => Err(ConfigError { mistakes }),
        }
    }

    /// As [`load`](Self::load), for looking at: wrong values are replaced by their defaults, connections
    /// with mistakes are left out. There is no configuration if the file cannot be read at all.
    pub fn inspect(sources: &Sources) -> (Option<Config>, Vec<Mistake>) {
        let mut mistakes = Vec::new();
        let mut warnings = Vec::new();
        let files = sources.file.as_ref().map(|path| Files::read(path, &mut mistakes, &mut warnings));
        let files = match files {
            Some(None) => return (None, mistakes),
            Some(files) => files,
            None => None,
        };
        let layers = layers(sources, files, &mut warnings);
        let mut reader = Reader::new(&layers);
        reader.mistakes = mistakes;
        reader.warnings = warnings;
        let top = reader.top();
        let mut config = read_config(&mut reader, &top, &sources.environment);
        config.dashboard = !sources.disable_web;
        let Reader { mut mistakes, warnings, .. } = reader;
        config.warnings = warnings;
        // Files in their order, lines in theirs; then what stands in no file.
        mistakes.sort_by_key(|mistake| {
            (
                layers.files.as_ref().and_then(|files| files.position(&mistake.origin)).unwrap_or(usize::MAX),
                mistake.line(),
            )
        });
        // A key that is read in two places is told once.
        mistakes.dedup();
        (Some(config), mistakes)
    }

    /// The configuration as a file would say it, with secrets masked.
    pub fn to_yaml(&self) -> String {
        show::yaml(self)
    }
}

fn layers(sources: &Sources, files: Option<Files>, warnings: &mut Vec<String>) -> Layers {
    let mut environment = sources.environment.layer(warnings);
    let mut figment = Figment::new().merge(Texts::defaults());
    if let Some(files) = &files {
        figment = files.over(figment);
    }
    figment = figment.merge(&environment);
    let connection = ["vcenter_url", "username", "password", "password_file", "providers"];
    if !connection.iter().any(|key| figment.contains(key)) {
        environment.adopt(sources.environment.govc_layer());
        figment = figment.merge(&environment);
    }
    figment = figment.merge(Texts::flags(sources));
    Layers { figment, files, environment }
}

/// A layer of plain texts.
struct Texts {
    name: &'static str,
    texts: Vec<(&'static str, String)>,
}

impl Texts {
    fn defaults() -> Self {
        let texts = keys::TOP.defaults().map(|(key, default)| (key, default.to_owned())).collect();
        Texts { name: "defaults", texts }
    }

    fn flags(sources: &Sources) -> Self {
        let given = [&sources.addr, &sources.log_level];
        let texts =
            FLAGS.iter().zip(given).filter_map(|((key, _), text)| Some((*key, text.clone()?))).collect();
        Texts { name: FLAG_LAYER, texts }
    }
}

impl figment::Provider for Texts {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let dict: Dict =
            self.texts.iter().map(|(key, text)| ((*key).to_owned(), Value::from(text.as_str()))).collect();
        Ok(Profile::Default.collect(dict))
    }
}

fn read_config(reader: &mut Reader<'_>, top: &Values, environment: &Environment) -> Config {
    let mut config = Config {
        providers: connection::read_all(reader, top, environment),
        known_hosts: reader.value(top, "known_hosts", path),
        proxy: connection::proxy(reader, top),
        session_pool: SessionPool::read(reader, top),
        inventory_cache: InventoryCache::read(reader, top),
        timeout: Some(reader.value(top, "timeout", duration::parse)).filter(|timeout| !timeout.is_zero()),
        download_workers: reader.number(top, "download_workers"),
        retry_attempts: reader.number(top, "retry_attempts"),
        retry_delay: reader.value(top, "retry_delay", duration::parse),
        max_concurrent_jobs: reader.number(top, "max_concurrent_jobs"),
        caps: limits::caps(reader, top),
        bandwidth: reader.value(top, "bandwidth_limit", limits::bandwidth),
        orphan_sweep_interval: reader.value(top, "orphan_sweep_interval", duration::parse),
        drain_grace: reader.value(top, "drain_grace", duration::parse),
        claim_timeout: reader.value(top, "claim_timeout", claim_timeout),
        log: LogConfig {
            level: reader.value(top, "log_level", crate::telemetry::parse_level),
            format: reader.value(top, "log_format", log_format),
            file: reader.optional(top, "log_file", path),
        },
        traces: traces::read(reader, top),
        daemon_addr: reader.value(top, "daemon_addr", str::parse),
        allow_unauthenticated: reader.value(top, "allow_unauthenticated", boolean),
        auth: access::auth(reader, top),
        tls: access::tls(reader, top),
        server: access::server(reader, top),
        database: database::read(reader, top, environment),
        history: history(reader, top),
        node_name: reader.optional(top, "node_name", label),
        labels: reader.optional(top, "labels", labels).unwrap_or_default(),
        dashboard: true,
        export_root: reader.optional(top, "export_root", absolute),
        webhooks: webhook::read(reader, top, environment),
        warnings: Vec::new(),
    };
    for provider in &mut config.providers {
        provider.session_pool = config.session_pool.clone();
        provider.inventory_cache = config.inventory_cache.clone();
        provider.known_hosts = Some(config.known_hosts.clone());
    }
    if config.log.format == LogFormat::Journald && config.log.file.is_some() {
        reader.mistake(top, "log_file", "is of no use with log_format: journald; leave one of them out");
    }
    access::check_exposure(reader, top, &config);
    config
}

fn history(reader: &mut Reader<'_>, top: &Values) -> HistoryConfig {
    let values = reader.below(top, "history", &keys::HISTORY);
    let keep = reader.optional_number(&values, "keep").map(u64::from);
    let max_age = reader.optional(&values, "max_age", duration::parse);
    HistoryConfig {
        keep: keep.filter(|keep| *keep > 0),
        max_age: max_age.filter(|max_age| !max_age.is_zero()),
    }
}

/// Short enough that a dead daemon's work goes on, long enough that a busy database makes nobody look dead.
fn claim_timeout(text: &str) -> Result<Duration, String> {
    let timeout = duration::parse(text)?;
    if (Duration::from_secs(2)..=Duration::from_secs(600)).contains(&timeout) {
        Ok(timeout)
    } else {
        Err(format!("{text:?} is not within 2s and 10m"))
    }
}

fn label(text: &str) -> Result<String, String> {
    if crate::api::is_label(text) { Ok(text.to_owned()) } else { Err(crate::api::LABEL_SHAPE.to_owned()) }
}

fn labels(text: &str) -> Result<BTreeSet<String>, String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(label).collect()
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    let formats = [LogFormat::Text, LogFormat::Json, LogFormat::Journald];
    one_of(text, &formats.map(|format| (format.as_str(), format)))
}

fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = path(text)?;
    if path.is_absolute() { Ok(path) } else { Err(format!("{text:?} is not an absolute path")) }
}
