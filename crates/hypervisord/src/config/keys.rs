//! Which keys there are, with their defaults: the one table that reading, checking and showing go by.

/// Keys that stand together.
#[derive(Debug)]
pub(super) struct Section {
    keys: &'static [Key],
}

#[derive(Debug)]
struct Key {
    name: &'static str,
    default: Option<&'static str>,
    below: Option<&'static Section>,
    free: bool,
}

const fn key(name: &'static str) -> Key {
    Key { name, default: None, below: None, free: false }
}

const fn with_default(name: &'static str, default: &'static str) -> Key {
    Key { name, default: Some(default), below: None, free: false }
}

const fn with_keys(name: &'static str, below: &'static Section) -> Key {
    Key { name, default: None, below: Some(below), free: false }
}

const fn free(name: &'static str) -> Key {
    Key { name, default: None, below: None, free: true }
}

/// The keys of a file's top level.
pub(super) static TOP: Section = Section {
    keys: &[
        key("vcenter_url"),
        key("username"),
        key("password"),
        key("password_file"),
        with_default("insecure", "false"),
        key("thumbprint"),
        key("ca_file"),
        with_default("known_hosts", "./hypersdk.known_hosts"),
        key("proxy"),
        with_default("connect_timeout", "10s"),
        with_default("call_timeout", "60s"),
        with_default("stream_idle_timeout", "60s"),
        with_keys("providers", &PROVIDER),
        with_default("timeout", "3600s"),
        with_default("download_workers", "3"),
        with_default("retry_attempts", "3"),
        with_default("retry_delay", "5s"),
        with_default("max_concurrent_jobs", "2"),
        with_keys("limits", &LIMITS),
        with_default("bandwidth_limit", "off"),
        with_default("orphan_sweep_interval", "1h"),
        with_default("drain_grace", "30s"),
        with_default("claim_timeout", "30s"),
        with_default("log_level", "info"),
        with_default("log_format", "text"),
        key("log_file"),
        with_keys("traces", &TRACES),
        with_default("daemon_addr", "127.0.0.1:8080"),
        with_default("allow_unauthenticated", "false"),
        with_keys("auth", &AUTH),
        with_keys("tls", &TLS),
        with_keys("server", &SERVER),
        with_keys("connection_pool", &POOL),
        with_keys("inventory_cache", &INVENTORY),
        with_keys("webhooks", &WEBHOOK),
        with_default("webhook_allow_private", "false"),
        with_default("webhook_progress_interval", "5s"),
        key("secret_key_file"),
        with_default("database_path", "./hypersdk.db"),
        key("database_url"),
        key("database_password"),
        key("database_password_file"),
        with_keys("history", &HISTORY),
        key("node_name"),
        key("labels"),
        key("export_root"),
    ],
};

/// The keys of an entry of `providers`.
pub(super) static PROVIDER: Section = Section {
    keys: &[
        key("name"),
        with_default("type", "vsphere"),
        key("vcenter_url"),
        key("username"),
        key("password"),
        key("password_file"),
        with_default("insecure", "false"),
        key("thumbprint"),
        key("ca_file"),
        key("proxy"),
        with_default("connect_timeout", "10s"),
        with_default("call_timeout", "60s"),
        with_default("stream_idle_timeout", "60s"),
    ],
};

/// The keys of `auth`.
pub(super) static AUTH: Section = Section {
    keys: &[
        key("tokens_file"),
        key("htpasswd_file"),
        with_default("default_role", "viewer"),
        with_default("session_lifetime", "8h"),
        with_keys("oidc", &OIDC),
    ],
};

/// The keys of `auth.oidc`.
pub(super) static OIDC: Section =
    Section { keys: &[key("issuer"), key("audience"), key("jwks_url"), with_default("role_claim", "roles")] };

/// The keys of `tls`.
pub(super) static TLS: Section = Section { keys: &[key("cert"), key("key"), key("client_ca")] };

/// The keys of `server`.
pub(super) static SERVER: Section = Section {
    keys: &[
        key("allowed_hosts"),
        with_default("max_connections", "2048"),
        key("requests_per_minute"),
        with_default("header_timeout", "10s"),
    ],
};

/// The keys of `traces`.
pub(super) static TRACES: Section = Section { keys: &[key("endpoint"), with_default("sample", "1")] };

/// The keys of `history`.
pub(super) static HISTORY: Section = Section { keys: &[key("keep"), key("max_age")] };

/// The keys of `connection_pool`.
pub(super) static POOL: Section = Section {
    keys: &[
        with_default("enabled", "true"),
        with_default("max_connections", "5"),
        with_default("idle_timeout", "5m"),
        with_default("health_check_interval", "30s"),
        with_default("borrow_timeout", "30s"),
    ],
};

/// The keys of `inventory_cache`.
pub(super) static INVENTORY: Section =
    Section { keys: &[with_default("enabled", "true"), with_default("idle_timeout", "10m")] };

/// The keys of an entry of `webhooks`. Their defaults are the endpoint's own.
pub(super) static WEBHOOK: Section = Section {
    keys: &[
        key("name"),
        key("url"),
        key("events"),
        key("enabled"),
        key("timeout"),
        key("retry"),
        key("retry_delay"),
        free("headers"),
        key("secret"),
        key("secret_file"),
        key("previous_secret"),
        key("profile"),
        key("template"),
        key("content_type"),
        key("allow_private"),
        key("description"),
    ],
};

/// The keys of `limits`.
pub(super) static LIMITS: Section = Section {
    keys: &[
        with_default("per_host", "4"),
        with_default("per_datastore", "4"),
        with_default("per_vcenter", "8"),
    ],
};

/// What a written key is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Resolved {
    /// A key, as it is spelt here.
    Known(&'static str),
    /// A key in a spelling of an earlier version.
    Old(&'static str),
    /// None, with a message that names the nearest.
    Unknown(String),
}

impl Section {
    /// Finds the key that `written` means.
    pub(super) fn resolve(&self, written: &str) -> Resolved {
        if let Some(key) = self.keys.iter().find(|key| key.name == written) {
            return Resolved::Known(key.name);
        }
        let squashed = squash(written);
        if let Some(key) = self.keys.iter().find(|key| squash(key.name) == squashed) {
            return Resolved::Old(key.name);
        }
        Resolved::Unknown(match nearest(written, self.keys.iter().map(|key| key.name)) {
            Some(name) => format!("unknown key; did you mean {name}?"),
            None => {
                let names = self.keys.iter().map(|key| key.name).collect::<Vec<_>>().join(", ");
                format!("unknown key; known here: {names}")
            }
        })
    }

    /// The keys below `name`, if it has any.
    pub(super) fn below(&self, name: &str) -> Option<&'static Section> {
        self.keys.iter().find(|key| key.name == name)?.below
    }

    /// True if `name` has one value rather than keys below it.
    pub(super) fn is_scalar(&self, name: &str) -> bool {
        self.keys.iter().any(|key| key.name == name && key.below.is_none() && !key.free)
    }

    /// True if the keys below `name` are the writer's own.
    pub(super) fn is_free(&self, name: &str) -> bool {
        self.keys.iter().any(|key| key.name == name && key.free)
    }

    /// Every key.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().map(|key| key.name)
    }

    /// The keys that have a default, with it.
    pub(super) fn defaults(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.keys.iter().filter_map(|key| Some((key.name, key.default?)))
    }
}

/// `prefix.name`, or just `name` at the top.
pub(super) fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

/// The spelling without what earlier versions left out: `vcenterurl` and `vcenterUrl` are `vcenter_url`.
fn squash(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-')).map(|c| c.to_ascii_lowercase()).collect()
}

/// The one of `known` that `written` is most likely a slip of, if any is near enough.
pub(crate) fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&squash(written), &squash(name)), name))
        .filter(|(likeness, _)| *likeness >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}
