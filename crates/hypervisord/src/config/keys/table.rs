//! The table itself: every key with its kind, its default and a sentence for people.

use super::{Kind, Section, key};

const LEVELS: &str = "`trace`, `debug`, `info`, `warn`, `error`, or levels by module such as \
                      `info,hypersdk_vsphere=debug`";

/// The keys of a file's top level.
pub(in super::super) static TOP: Section = Section {
    keys: &[
        key(
            "vcenter_url",
            Kind::Text,
            "the vCenter or stand-alone ESXi host of the connection called `default`; scheme and `/sdk` may be left out",
        )
        .begins("The default connection"),
        key("username", Kind::Text, "the account"),
        key(
            "password",
            Kind::Text,
            "its password; in a file, `${NAME}` is replaced by that environment variable and `$${` is a plain `${`",
        ),
        key(
            "password_file",
            Kind::Path,
            "a file whose first line is the password; without both keys the systemd credential `hypersdk.password` is \
             used",
        ),
        key("insecure", Kind::Boolean, "accepts any certificate").or("false"),
        key(
            "thumbprint",
            Kind::Text,
            "accepts exactly the certificate with this SHA-256 or SHA-1 fingerprint",
        ),
        key("ca_file", Kind::Path, "a PEM file of authorities to trust beside the system's"),
        key(
            "known_hosts",
            Kind::Path,
            "the certificates confirmed with `hypervisord trust HOST`, of vCenters and of hosts; one file for all \
             connections",
        )
        .or("./hypersdk.known_hosts"),
        key(
            "proxy",
            Kind::Text,
            "an `http://` or `https://` proxy that everything goes through, also the disks; \
             `http://user:password@host:port` if it wants a login",
        ),
        key("connect_timeout", Kind::Duration, "how long a connection may take to come about").or("10s"),
        key("call_timeout", Kind::Duration, "how long one API call may take").or("60s"),
        key(
            "stream_idle_timeout",
            Kind::Duration,
            "how long a disk may send nothing; there is no limit on a whole disk",
        )
        .or("60s"),
        key(
            "providers",
            Kind::Entries(&PROVIDER),
            "further connections, a list; each has the keys of the default connection (but `known_hosts`) and the two \
             below",
        )
        .begins("Further connections"),
        key("timeout", Kind::Duration, "the longest one attempt of a job may take; `0` for no limit")
            .or("3600s")
            .reloaded()
            .begins("Exports"),
        key("download_workers", Kind::Number(1, 64), "disks of one VM that are downloaded at once, 1 to 64")
            .or("3"),
        key(
            "retry_attempts",
            Kind::Number(0, 100),
            "further attempts after a failure that a retry can help, 0 to 100",
        )
        .or("3")
        .reloaded(),
        key(
            "retry_delay",
            Kind::Duration,
            "the wait before the first of them; it doubles each time, up to five minutes, give or take a quarter",
        )
        .or("5s")
        .reloaded(),
        key("max_concurrent_jobs", Kind::Number(1, 256), "jobs that run at once, 1 to 256").or("2"),
        key(
            "limits",
            Kind::Section(&LIMITS),
            "caps on exports open at once, see [Exporting politely](exporting.md#politeness)",
        )
        .reloaded(),
        key(
            "bandwidth_limit",
            Kind::Rate,
            "the rate of all transfers together: `50M`, or by the time of day `08:00,50M 19:00,off`",
        )
        .or("off")
        .reloaded(),
        key(
            "orphan_sweep_interval",
            Kind::Duration,
            "how often to remove what killed exports left at the sources, see [No \
             leftovers](exporting.md#no-leftovers); `0` for never",
        )
        .or("1h"),
        key(
            "drain_grace",
            Kind::Duration,
            "how long running exports may go on after a stop is asked for; then they are pending again",
        )
        .or("30s")
        .reloaded(),
        key(
            "claim_timeout",
            Kind::Duration,
            "after so long without a sign of life a daemon's jobs and firings are another's, 2s to 10m; the same for \
             all that share a database",
        )
        .or("30s"),
        key(
            "export_root",
            Kind::Path,
            "when set, every `output_dir` must lie below this directory, links followed",
        ),
        key("log_level", Kind::Text, LEVELS).or("info").reloaded().begins("Logs"),
        key(
            "log_format",
            Kind::Words(&["text", "json", "journald"]),
            "`text`, `json`, or `journald`: entries of systemd's journal with a field for each value",
        )
        .or("text"),
        key("log_file", Kind::Path, "a file instead of stderr; a reload opens it anew"),
        key(
            "traces",
            Kind::Section(&TRACES),
            "OpenTelemetry traces, see [Traces](monitoring.md#traces); in a build with the feature `otlp`",
        ),
        key("daemon_addr", Kind::Text, "where to listen").or("127.0.0.1:8080").begins("The daemon"),
        key(
            "allow_unauthenticated",
            Kind::Boolean,
            "permits an address that is not loopback without `auth`: whoever reaches it can export every VM",
        )
        .or("false"),
        key(
            "auth",
            Kind::Section(&AUTH),
            "who may use the API, see [security](security.md); without it, everybody who reaches the address",
        ),
        key("tls", Kind::Section(&TLS), "the API's certificate, plain HTTP without it; a reload reads the files again"),
        key("server", Kind::Section(&SERVER), "what the API's server allows"),
        key("database_path", Kind::Path, "the SQLite file, of this daemon alone")
            .or("./hypersdk.db")
            .begins("The database"),
        key(
            "database_url",
            Kind::Text,
            "instead of the path: `sqlite:/path`, or `postgres://user@host:5432/database` for a database that daemons \
             share; see [PostgreSQL](daemon.md#postgresql)",
        ),
        key("database_password", Kind::Text, "the password of the PostgreSQL account"),
        key(
            "database_password_file",
            Kind::Path,
            "a file whose first line it is; without both keys, and without a password in the URL, the systemd \
             credential `hypersdk.database_password` is used",
        ),
        key("history", Kind::Section(&HISTORY), "which ended jobs are kept, with their logs and events").reloaded(),
        key(
            "node_name",
            Kind::Text,
            "this daemon's name among those that share the database; made from host and port if absent",
        ),
        key(
            "labels",
            Kind::Text,
            "this daemon's labels, separated by commas: a job with `labels` runs only where all of them are",
        ),
        key(
            "connection_pool",
            Kind::Section(&POOL),
            "how each connection keeps its sessions; [vsphere.md](vsphere.md#the-session-pool) explains it",
        )
        .begins("Sessions and inventory"),
        key(
            "inventory_cache",
            Kind::Section(&INVENTORY),
            "how each connection keeps its inventory in memory; [vsphere.md](vsphere.md#the-inventory-in-memory) \
             explains it",
        ),
        key(
            "webhooks",
            Kind::Entries(&WEBHOOK),
            "where events go, a list; [webhooks.md](webhooks.md) explains the keys",
        )
        .reloaded()
        .begins("Webhooks"),
        key(
            "webhook_allow_private",
            Kind::Boolean,
            "receivers inside the network may be called, by every webhook that does not say otherwise",
        )
        .or("false"),
        key(
            "webhook_progress_interval",
            Kind::Duration,
            "how often the progress of a running job is told to webhooks that name `job.progress`; 500ms or more",
        )
        .or("5s"),
        key(
            "secret_key_file",
            Kind::Path,
            "the key that seals secrets given over the API; `hypervisord secret-key FILE` makes one",
        ),
    ],
};

/// The keys of an entry of `providers`.
pub(in super::super) static PROVIDER: Section = Section {
    keys: &[
        key(
            "name",
            Kind::Text,
            "what jobs give as `provider`; its systemd credential is `hypersdk.NAME.password`",
        )
        .required(),
        key("type", Kind::Words(&["vsphere"]), "the kind of source").or("vsphere"),
        key("vcenter_url", Kind::Text, "the vCenter or ESXi host").required(),
        key("username", Kind::Text, "the account"),
        key("password", Kind::Text, "its password"),
        key("password_file", Kind::Path, "a file whose first line is the password"),
        key("insecure", Kind::Boolean, "accepts any certificate").or("false"),
        key("thumbprint", Kind::Text, "accepts exactly the certificate with this fingerprint"),
        key("ca_file", Kind::Path, "a PEM file of authorities to trust beside the system's"),
        key("proxy", Kind::Text, "an `http://` or `https://` proxy"),
        key("connect_timeout", Kind::Duration, "how long a connection may take to come about").or("10s"),
        key("call_timeout", Kind::Duration, "how long one API call may take").or("60s"),
        key("stream_idle_timeout", Kind::Duration, "how long a disk may send nothing").or("60s"),
    ],
};

/// The keys of `auth`.
pub(in super::super) static AUTH: Section = Section {
    keys: &[
        key("tokens_file", Kind::Path, "the API tokens, a file that `hypervisord token create` writes"),
        key(
            "htpasswd_file",
            Kind::Path,
            "users with passwords, `name:hash` or `name:hash:role`, as `htpasswd -B` writes",
        ),
        key(
            "default_role",
            Kind::Words(&["viewer", "operator", "admin"]),
            "the role of users without one: `viewer`, `operator`, `admin`",
        )
        .or("viewer"),
        key("session_lifetime", Kind::Duration, "how long a browser's login lasts, 1m to 720h").or("8h"),
        key("oidc", Kind::Section(&OIDC), "lets in whoever has a token that an OpenID provider signed"),
    ],
};

/// The keys of `auth.oidc`.
pub(in super::super) static OIDC: Section = Section {
    keys: &[
        key("issuer", Kind::Text, "the `iss` of its tokens").required(),
        key("audience", Kind::Text, "what their `aud` must contain").required(),
        key("jwks_url", Kind::Text, "where the provider's keys are, https").required(),
        key("role_claim", Kind::Text, "the claim that holds a role, or a list; the highest known counts")
            .or("roles"),
    ],
};

/// The keys of `tls`.
pub(in super::super) static TLS: Section = Section {
    keys: &[
        key("cert", Kind::Path, "the certificate and its chain, PEM").required(),
        key("key", Kind::Path, "its private key, PEM").required(),
        key("client_ca", Kind::Path, "only clients with a certificate of these authorities may connect"),
    ],
};

/// The keys of `server`.
pub(in super::super) static SERVER: Section = Section {
    keys: &[
        key(
            "allowed_hosts",
            Kind::Texts,
            "names, beside `localhost`, under which a loopback daemon without `auth` answers",
        ),
        key(
            "max_connections",
            Kind::Number(16, 100_000),
            "connections at one time, 16 to 100000; the daemon raises its own limit of open files as far as it may, \
             and says so if that leaves less room. When all are taken, the one silent longest makes room",
        )
        .or("2048"),
        key(
            "requests_per_minute",
            Kind::Number(0, 1_000_000),
            "requests an address may send; 6000 if not set, on loopback no limit; `0` for none",
        ),
        key(
            "header_timeout",
            Kind::Duration,
            "how long a request's head may take, the wait for the next one included",
        )
        .or("10s"),
    ],
};

/// The keys of `traces`.
pub(in super::super) static TRACES: Section = Section {
    keys: &[
        key(
            "endpoint",
            Kind::Text,
            "the collector's OTLP receiver over HTTP; without a path, `/v1/traces` below it",
        ),
        key("sample", Kind::Part, "the part of all traces that is sent, from 0 to 1").or("1"),
    ],
};

/// The keys of `history`.
pub(in super::super) static HISTORY: Section = Section {
    keys: &[
        key("keep", Kind::Number(0, u32::MAX), "at most this many, the newest; `0` for all").shown("0"),
        key(
            "max_age",
            Kind::Duration,
            "only those that ended less than this long ago, and of packages that are gone the same; `0` for all",
        )
        .shown("0"),
    ],
};

/// The keys of `connection_pool`.
pub(in super::super) static POOL: Section = Section {
    keys: &[
        key(
            "enabled",
            Kind::Boolean,
            "sessions are kept for the next piece of work; `false` logs in and out each time",
        )
        .or("true"),
        key("max_connections", Kind::Number(1, 100), "the most sessions of one connection, 1 to 100").or("5"),
        key("idle_timeout", Kind::Duration, "how long a session may wait for work before it is logged out")
            .or("5m"),
        key("health_check_interval", Kind::Duration, "how often an idle session is checked").or("30s"),
        key("borrow_timeout", Kind::Duration, "how long work waits for a session when all are in use")
            .or("30s"),
    ],
};

/// The keys of `inventory_cache`.
pub(in super::super) static INVENTORY: Section = Section {
    keys: &[
        key(
            "enabled",
            Kind::Boolean,
            "`GET /vms` is answered from memory; `false` asks vCenter for each list",
        )
        .or("true"),
        key("idle_timeout", Kind::Duration, "how long after the last list or follower the inventory is kept")
            .or("10m"),
    ],
};

/// The keys of an entry of `webhooks`. Their defaults are the endpoint's own.
pub(in super::super) static WEBHOOK: Section = Section {
    keys: &[
        key("url", Kind::Text, "the receiver").required(),
        key("name", Kind::Text, "its name in the API; made from the URL if not given"),
        key("events", Kind::Texts, "events, or families such as `job.*`").shown("[\"*\"]"),
        key("enabled", Kind::Boolean, "whether it is told anything").shown("true"),
        key("timeout", Kind::Duration, "how long one attempt may take, 100ms to 5m").shown("10s"),
        key("retry", Kind::Number(0, 100), "further attempts after the first, 0 to 100").shown("3"),
        key("retry_delay", Kind::Duration, "the wait before the first of them; it doubles each time")
            .shown("1s"),
        key("headers", Kind::Free, "further headers; values are treated as secrets"),
        key("secret", Kind::Text, "signs each request; at least 24 bytes"),
        key("secret_file", Kind::Path, "a file whose first line is the secret"),
        key("previous_secret", Kind::Text, "signs as well, while receivers move to `secret`"),
        key(
            "profile",
            Kind::Words(&["standard", "slack", "teams", "discord", "cloudevents", "template"]),
            "`standard`, `slack`, `teams`, `discord`, `cloudevents`, `template`",
        )
        .shown("standard"),
        key("template", Kind::Text, "the body, with `profile: template`"),
        key("content_type", Kind::Text, "what a template makes").shown("application/json"),
        key("allow_private", Kind::Boolean, "addresses inside the network may be called").shown("false"),
        key("description", Kind::Text, "for people"),
    ],
};

/// The keys of `limits`.
pub(in super::super) static LIMITS: Section = Section {
    keys: &[
        key("per_host", Kind::Number(0, 10_000), "on one host; `0` for no cap").or("4"),
        key("per_datastore", Kind::Number(0, 10_000), "on one datastore; `0` for no cap").or("4"),
        key("per_vcenter", Kind::Number(0, 10_000), "at one connection; `0` for no cap").or("8"),
    ],
};
