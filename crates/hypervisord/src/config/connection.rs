//! Connections to vSphere: the default one at the top level, named ones under `providers`.

use std::path::PathBuf;
use std::time::Duration;

use hypersdk_core::ProviderName;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use url::Url;

use super::environment::Environment;
use super::inventory::InventoryCache;
use super::pool::SessionPool;
use super::read::{Reader, Values, boolean, one_of, path};
use super::secret;
use super::{duration, keys};

/// The name of the connection that the top-level keys describe.
const DEFAULT_NAME: &str = "default";

/// One connection.
#[derive(Debug, Clone)]
pub struct ProviderConfig {
    /// Its name.
    pub name: ProviderName,
    /// Its type, e.g. `vsphere`.
    pub provider_type: String,
    /// The address, without a login.
    pub vcenter_url: Url,
    /// The account.
    pub username: String,
    /// Its password.
    pub password: SecretString,
    /// Any certificate is accepted.
    pub insecure: bool,
    /// Exactly the certificate with this fingerprint is accepted.
    pub thumbprint: Option<String>,
    /// Authorities that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
    /// The HTTP proxy that everything goes through; may hold a password.
    pub proxy: Option<SecretString>,
    /// The certificates that a person has confirmed, of all connections.
    pub known_hosts: Option<PathBuf>,
    /// How its sessions are kept, as those of all connections.
    pub session_pool: SessionPool,
    /// How its inventory is kept in memory, as those of all connections.
    pub inventory_cache: InventoryCache,
    /// How long to wait for it.
    pub limits: TimeLimits,
}

/// How long to wait for a source before a call counts as failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeLimits {
    /// For a connection to come about.
    pub connect: Duration,
    /// For one API call.
    pub call: Duration,
    /// For the next byte of a disk.
    pub stream_idle: Duration,
}

impl Default for TimeLimits {
    fn default() -> Self {
        TimeLimits {
            connect: Duration::from_secs(10),
            call: Duration::from_secs(60),
            stream_idle: Duration::from_secs(60),
        }
    }
}

impl TimeLimits {
    fn read(reader: &mut Reader<'_>, values: &Values) -> Self {
        TimeLimits {
            connect: reader.value(values, "connect_timeout", limit),
            call: reader.value(values, "call_timeout", limit),
            stream_idle: reader.value(values, "stream_idle_timeout", limit),
        }
    }
}

fn limit(text: &str) -> Result<Duration, String> {
    let limit = duration::parse(text)?;
    if limit.is_zero() {
        Err("0 would fail every call; write a time such as 60s".to_owned())
    } else {
        Ok(limit)
    }
}

impl ProviderConfig {
    /// What the provider's factory is given. Contains the password.
    pub(crate) fn to_value(&self) -> Value {
        let mut value = Map::new();
        value.insert("url".into(), self.vcenter_url.as_str().into());
        value.insert("username".into(), self.username.as_str().into());
        value.insert("password".into(), self.password.expose_secret().into());
        value.insert("insecure".into(), self.insecure.into());
        if let Some(thumbprint) = &self.thumbprint {
            value.insert("thumbprint".into(), thumbprint.as_str().into());
        }
        if let Some(file) = &self.ca_file {
            value.insert("ca_file".into(), file.display().to_string().into());
        }
        if let Some(file) = &self.known_hosts {
            value.insert("known_hosts".into(), file.display().to_string().into());
        }
        if let Some(proxy) = &self.proxy {
            value.insert("proxy".into(), proxy.expose_secret().into());
        }
        value.insert("connection_pool".into(), self.session_pool.to_value());
        value.insert("inventory_cache".into(), self.inventory_cache.to_value());
        let TimeLimits { connect, call, stream_idle } = self.limits;
        for (key, limit) in
            [("connect_timeout", connect), ("call_timeout", call), ("stream_idle_timeout", stream_idle)]
        {
            value.insert(key.into(), duration::display(limit).into());
        }
        Value::Object(value)
    }
}

/// Reads every connection.
pub(super) fn read_all(
    reader: &mut Reader<'_>,
    top: &Values,
    environment: &Environment,
) -> Vec<ProviderConfig> {
    let mut connections = Vec::new();
    let mut taken: Vec<ProviderName> = Vec::new();
    if reader.is_set(top, "vcenter_url") {
        let name = DEFAULT_NAME.parse().expect("a legal name");
        taken.push(DEFAULT_NAME.parse().expect("a legal name"));
        connections.extend(read_one(reader, top, name, "vsphere", environment, "hypersdk.password"));
    } else {
        let without_effect = ["username", "password", "password_file", "thumbprint", "ca_file"];
        if let Some(key) = without_effect.into_iter().find(|key| reader.is_set(top, key)) {
            reader.mistake(top, key, "has no effect without vcenter_url; set that too");
        }
        // Read for their mistakes alone.
        reader.value(top, "insecure", boolean);
        TimeLimits::read(reader, top);
    }
    for entry in reader.entries(top, "providers", &keys::PROVIDER) {
        let before = reader.mistakes.len();
        let name = reader
            .optional(&entry, "name", |text| text.parse::<ProviderName>().map_err(|error| error.to_string()));
        if !reader.is_set(&entry, "name") {
            reader.mistake_at(&entry, "name", "is missing: give this connection a name");
        }
        if let Some(name) = &name {
            if taken.contains(name) {
                let message = format!("{name} is the name of another connection already; choose another one");
                reader.mistake(&entry, "name", message);
            }
            taken.push(name.clone());
        }
        let provider_type = reader.optional(&entry, "type", |text| one_of(text, &[("vsphere", "vsphere")]));
        if !reader.is_set(&entry, "vcenter_url") {
            reader.mistake_at(
                &entry,
                "vcenter_url",
                "is missing: give an address such as vcenter.example.com",
            );
        }
        let credential = format!("hypersdk.{}.password", name.as_ref().map_or("NAME", ProviderName::as_str));
        // What is wrong below is named whether or not the entry can be used.
        let named = name.unwrap_or_else(|| DEFAULT_NAME.parse().expect("a legal name"));
        let one =
            read_one(reader, &entry, named, provider_type.unwrap_or_default(), environment, &credential);
        if reader.mistakes.len() == before {
            connections.extend(one);
        }
    }
    connections
}

fn read_one(
    reader: &mut Reader<'_>,
    values: &Values,
    name: ProviderName,
    provider_type: &str,
    environment: &Environment,
    credential: &str,
) -> Option<ProviderConfig> {
    let before = reader.mistakes.len();
    let url = reader.optional(values, "vcenter_url", address);
    let username = reader.optional(values, "username", account);
    let password = secret::password(reader, values, environment, credential);
    let insecure = reader.value(values, "insecure", boolean);
    let thumbprint = reader.optional(values, "thumbprint", |text| {
        text.parse::<hypersdk_vsphere::Thumbprint>()
            .map(|_| text.to_owned())
            .map_err(|error| error.to_string())
    });
    let ca_file = reader.optional(values, "ca_file", |text| {
        let path = path(text)?;
        match std::fs::File::open(&path) {
            Ok(_) => Ok(path),
            Err(error) => Err(format!("cannot read {text:?}: {error}; name a file that can be read")),
        }
    });
    let proxy = proxy(reader, values);
    let limits = TimeLimits::read(reader, values);
    // An address that cannot be read may have a login in it.
    let unknown = url.is_none() && reader.is_set(values, "vcenter_url");
    let (url, login) = url.map(|Address { url, login }| (url, login)).unzip();
    let (url_username, url_password) = login.flatten().unzip();
    let username = username.or(url_username);
    if username.is_none() && !reader.is_set(values, "username") && !unknown {
        reader.mistake_at(values, "username", "is missing: give the account, such as backup@vsphere.local");
    }
    let password = password.or(url_password.flatten());
    let is_set = ["password", "password_file"].into_iter().any(|key| reader.is_set(values, key));
    if password.is_none() && !is_set && !unknown {
        reader.mistake_at(
            values,
            "password",
            format!("is missing: set password, password_file, or the systemd credential {credential}"),
        );
    }
    if reader.mistakes.len() > before {
        return None;
    }
    let (url, username, password) = (url?, username?, password?);
    let provider_type = provider_type.to_owned();
    Some(ProviderConfig {
        name,
        provider_type,
        vcenter_url: url,
        username,
        password,
        insecure,
        thumbprint,
        ca_file,
        proxy,
        known_hosts: None,
        session_pool: SessionPool::default(),
        inventory_cache: InventoryCache::default(),
        limits,
    })
}

/// The proxy, if one is set.
pub(super) fn proxy(reader: &mut Reader<'_>, values: &Values) -> Option<SecretString> {
    reader.optional(values, "proxy", |text| {
        // The text itself is not shown: it may hold a password.
        const HINT: &str = "write http://proxy.example.com:3128";
        let url = Url::parse(text.trim()).map_err(|error| format!("is not a URL ({error}); {HINT}"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return Err(format!("is not an http or https URL; {HINT}"));
        }
        Ok(SecretString::from(url.as_str()))
    })
}

/// An account, as `DOMAIN\user` or `user@domain`.
fn account(text: &str) -> Result<String, String> {
    if text.chars().any(char::is_control) {
        return Err(
            "has a control character in it: within double quotes YAML reads \\b, \\t, \\n as such; write \
                    the account without quotes or within single quotes"
                .to_owned(),
        );
    }
    Ok(text.to_owned())
}

struct Address {
    url: Url,
    login: Option<(String, Option<SecretString>)>,
}

/// A vCenter's address: the scheme may be left out, `/sdk` is added, a login inside is taken apart.
fn address(text: &str) -> Result<Address, String> {
    const HINT: &str = "write https://vcenter.example.com/sdk";
    let text = text.trim();
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    // The text itself is not shown: it may hold a password.
    let mut url = Url::parse(&with_scheme).map_err(|error| format!("is not a URL ({error}); {HINT}"))?;
    if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none_or(str::is_empty) {
        return Err(format!("is not an https URL; {HINT}"));
    }
    if url.path().is_empty() || url.path() == "/" {
        url.set_path("/sdk");
    }
    let login = (!url.username().is_empty())
        .then(|| (decode(url.username()), url.password().map(|text| SecretString::from(decode(text)))));
    // Neither fails for a URL that has a host.
    let _ = (url.set_username(""), url.set_password(None));
    Ok(Address { url, login })
}

fn decode(text: &str) -> String {
    let form = format!("x={}", text.replace('+', "%2B"));
    url::form_urlencoded::parse(form.as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}
