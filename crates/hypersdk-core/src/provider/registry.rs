//! Which providers there are: factories by type, instances by name.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::{NamedProvider, Provider};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ProviderName;

/// Builds a provider from its own part of a configuration. It parses that part itself, so that a wrong key
/// is reported by the one who knows the right ones.
pub type ProviderFactory = fn(&Value) -> Result<Arc<dyn Provider>>;

/// Factories by type and instances by name. An ordinary value, built where a program is composed.
///
/// ```
/// # use hypersdk_core::{ProviderRegistry, Error, ErrorKind};
/// let mut registry = ProviderRegistry::new();
/// registry.register("vsphere", |_config| Err(Error::new(ErrorKind::Unsupported, "build", "no network")));
/// let error = registry.open("x".parse().unwrap(), "kubevirt", &serde_json::json!({})).unwrap_err();
/// assert!(error.to_string().contains("vsphere"), "the known types are named: {error}");
/// ```
#[derive(Default, Clone)]
pub struct ProviderRegistry {
    factories: BTreeMap<&'static str, ProviderFactory>,
    instances: BTreeMap<ProviderName, Arc<dyn Provider>>,
}

impl ProviderRegistry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a type of provider known.
    pub fn register(&mut self, provider_type: &'static str, factory: ProviderFactory) {
        self.factories.insert(provider_type, factory);
    }

    /// The known types.
    pub fn types(&self) -> impl Iterator<Item = &'static str> {
        self.factories.keys().copied()
    }

    /// Builds a provider of a known type and keeps it under `name`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an unknown type, a taken name, or a configuration its factory refuses.
    pub fn open(
        &mut self,
        name: ProviderName,
        provider_type: &str,
        config: &Value,
    ) -> Result<Arc<dyn Provider>> {
        if self.instances.contains_key(&name) {
            return Err(Error::new(ErrorKind::Invalid, "open provider", format!("the name {name} is taken")));
        }
        let provider =
            self.build(provider_type, config).map_err(|error| error.context(format!("provider {name}")))?;
        self.instances.insert(name, Arc::clone(&provider));
        Ok(provider)
    }

    /// Builds a provider of a known type without keeping it.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn build(&self, provider_type: &str, config: &Value) -> Result<Arc<dyn Provider>> {
        let Some(factory) = self.factories.get(provider_type) else {
            let known = self.factories.keys().copied().collect::<Vec<_>>().join(", ");
            return Err(Error::new(
                ErrorKind::Invalid,
                "open provider",
                format!("there is no provider type {provider_type:?}; known types: {known}"),
            ));
        };
        factory(config)
    }

    /// Keeps a provider that was built elsewhere (a layered one, one's own) under `name`, replacing any.
    pub fn insert(&mut self, name: ProviderName, provider: Arc<dyn Provider>) {
        self.instances.insert(name, provider);
    }

    /// The instance called `name`, or, with no name given, the one called `default`, or the only one.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] with the known names.
    pub fn get(&self, name: Option<&ProviderName>) -> Result<NamedProvider> {
        let found = match name {
            Some(name) => self.instances.get_key_value(name),
            None => self
                .instances
                .get_key_value("default")
                .or_else(|| (self.instances.len() == 1).then(|| self.instances.first_key_value()).flatten()),
        };
        match found {
            Some((name, provider)) => {
                Ok(NamedProvider { name: name.clone(), provider: Arc::clone(provider) })
            }
            None => {
                let known = self.instances.keys().map(ProviderName::as_str).collect::<Vec<_>>().join(", ");
                let asked = name.map_or("default", ProviderName::as_str);
                Err(Error::new(
                    ErrorKind::NotFound,
                    "choose provider",
                    format!(
                        "there is no provider {asked:?}; configured: {}",
                        if known.is_empty() { "none" } else { &known }
                    ),
                )
                .with_advice("name one of the configured providers"))
            }
        }
    }

    /// Every instance, by name.
    pub fn instances(&self) -> impl Iterator<Item = NamedProvider> + '_ {
        self.instances
            .iter()
            .map(|(name, provider)| NamedProvider { name: name.clone(), provider: Arc::clone(provider) })
    }
}

impl fmt::Debug for ProviderRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderRegistry")
            .field("types", &self.factories.keys())
            .field("instances", &self.instances.keys())
            .finish()
    }
}
