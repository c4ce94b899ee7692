//! The layers that come from environment variables.

use std::collections::BTreeMap;
use std::path::PathBuf;

use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile};

use super::keys;

const PREFIX: &str = "HYPERSDK_";

/// A program's environment, as a value: nothing here reads the process's own.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    /// The environment of this process. Variables that are not UTF-8 are left out.
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// A variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The directory in which systemd put this service's credentials.
    pub(super) fn credentials_directory(&self) -> Option<PathBuf> {
        self.get("CREDENTIALS_DIRECTORY").map(PathBuf::from)
    }

    /// The variables `HYPERSDK_<KEY>` that are not empty. Values stay text. What is no key is only warned of, as others set
    /// such names too (Kubernetes gives a service called `hypersdk` a variable `HYPERSDK_PORT`).
    pub(super) fn layer(&self, warnings: &mut Vec<String>) -> EnvironmentLayer {
        let mut layer = EnvironmentLayer::default();
        for (variable, value) in &self.variables {
            let Some(written) = variable.strip_prefix(PREFIX) else { continue };
            if value.is_empty() {
                continue;
            }
            // Read by the command line itself.
            if written == "CONFIG" {
                continue;
            }
            let written = written.to_ascii_lowercase();
            match keys::TOP.resolve(&written) {
                keys::Resolved::Known(key) | keys::Resolved::Old(key) if keys::TOP.is_scalar(key) => {
                    layer.set(key, variable, value);
                }
                keys::Resolved::Known(key) | keys::Resolved::Old(key) => {
                    warnings
                        .push(format!("environment {variable}: ignored: {key} can be set in a file only"));
                }
                keys::Resolved::Unknown(message) => {
                    warnings.push(format!("environment {variable}: ignored: {message}"));
                }
            }
        }
        layer
    }

    /// The names that `govc` reads, for whoever has them set already. A login inside the URL counts too.
    pub(super) fn govc_layer(&self) -> EnvironmentLayer {
        let mut layer = EnvironmentLayer::default();
        if self.get("GOVC_URL").is_none() {
            return layer;
        }
        for (key, variable) in
            [("vcenter_url", "GOVC_URL"), ("username", "GOVC_USERNAME"), ("password", "GOVC_PASSWORD")]
        {
            if let Some(value) = self.get(variable) {
                layer.set(key, variable, value);
            }
        }
        if let Some(value) = self.get("GOVC_INSECURE") {
            let on = matches!(value.to_ascii_lowercase().as_str(), "1" | "t" | "true");
            layer.set("insecure", "GOVC_INSECURE", if on { "true" } else { "false" });
        }
        layer
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(variables: T) -> Self {
        Environment { variables: variables.into_iter().collect() }
    }
}

/// A layer made of environment variables.
#[derive(Debug, Default)]
pub(super) struct EnvironmentLayer {
    values: BTreeMap<&'static str, (String, String)>,
}

impl EnvironmentLayer {
    fn set(&mut self, key: &'static str, variable: &str, value: &str) {
        self.values.insert(key, (variable.to_owned(), value.to_owned()));
    }

    /// Adds what `other` sets.
    pub(super) fn adopt(&mut self, other: EnvironmentLayer) {
        self.values.extend(other.values);
    }

    /// The variable that set `key`.
    pub(super) fn variable(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(|(variable, _)| variable.as_str())
    }
}

impl figment::Provider for &EnvironmentLayer {
    fn metadata(&self) -> Metadata {
        Metadata::named(super::ENVIRONMENT_LAYER)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let dict: Dict = self
            .values
            .iter()
            .map(|(key, (_, value))| ((*key).to_owned(), Value::from(value.as_str())))
            .collect();
        Ok(Profile::Default.collect(dict))
    }
}
