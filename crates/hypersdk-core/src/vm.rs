//! The neutral inventory: what every provider can say about a VM.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use globset::{GlobBuilder, GlobMatcher};
use serde::{Deserialize, Serialize};

use crate::id::VmId;

/// Whether a VM runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerState {
    /// Running.
    On,
    /// Powered off.
    Off,
    /// Suspended to disk.
    Suspended,
}

impl FromStr for PowerState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "on" | "poweredon" => Ok(PowerState::On),
            "off" | "poweredoff" => Ok(PowerState::Off),
            "suspended" => Ok(PowerState::Suspended),
            _ => Err(format!("{text:?} is not a power state: use on, off or suspended")),
        }
    }
}

/// One VM of an inventory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmSummary {
    /// The provider's identifier.
    pub id: VmId,
    /// The VM's name, unescaped.
    pub name: String,
    /// The inventory path, e.g. `/DC0/vm/prod/web01`; a slash inside a name is written `%2f`.
    pub path: String,
    /// Whether it runs.
    pub power: PowerState,
    /// The instance UUID, stable across moves.
    pub instance_uuid: Option<String>,
    /// The configured guest operating system.
    pub guest_os: Option<String>,
    /// The name of the host it is on.
    pub host: Option<String>,
    /// The name of the cluster that host belongs to.
    #[serde(default)]
    pub cluster: Option<String>,
    /// The names of the datastores its files are on, sorted.
    #[serde(default)]
    pub datastores: Vec<String>,
    /// Values that people gave it, by the attribute's name.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// Number of virtual CPUs.
    pub cpus: Option<u32>,
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Number of virtual disks.
    pub disks: Option<u32>,
    /// Bytes its files occupy on datastores.
    pub storage_used_bytes: Option<u64>,
    /// When the configuration last changed.
    pub changed_at: Option<DateTime<Utc>>,
}

/// What a user wrote to name one VM or several.
///
/// ```
/// use hypersdk_core::VmSelector;
///
/// assert!(matches!("/DC0/vm/web01".parse(), Ok(VmSelector::Path(_))));
/// assert!(matches!("vm-42".parse(), Ok(VmSelector::Id(_))));
/// let glob: VmSelector = "/DC0/vm/*".parse().unwrap();
/// assert!(glob.is_glob());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum VmSelector {
    /// An inventory path, matched exactly.
    Path(String),
    /// The provider's own identifier.
    Id(VmId),
    /// A glob over inventory paths: `*` and `?` stay within one path element, `**` crosses them.
    Glob(PathGlob),
}

impl VmSelector {
    /// True if it can name more than one VM.
    pub fn is_glob(&self) -> bool {
        matches!(self, VmSelector::Glob(_))
    }

    /// True if `vm` is named by it.
    pub fn matches(&self, vm: &VmSummary) -> bool {
        match self {
            VmSelector::Path(path) => vm.path == *path,
            VmSelector::Id(id) => vm.id == *id,
            VmSelector::Glob(glob) => glob.matches(&vm.path),
        }
    }
}

impl FromStr for VmSelector {
    type Err = InvalidSelector;

    fn from_str(text: &str) -> Result<Self, InvalidSelector> {
        let text = text.trim();
        if text.is_empty() || text.len() > 4096 || text.chars().any(char::is_control) {
            return Err(InvalidSelector::NotText);
        }
        if text.contains(['*', '?', '[']) {
            return Ok(VmSelector::Glob(text.parse()?));
        }
        if text.contains('/') {
            let path = text.trim_matches('/');
            if path.is_empty() {
                return Err(InvalidSelector::NotText);
            }
            return Ok(VmSelector::Path(format!("/{path}")));
        }
        Ok(VmSelector::Id(VmId::new(text)))
    }
}

impl TryFrom<String> for VmSelector {
    type Error = InvalidSelector;

    fn try_from(text: String) -> Result<Self, InvalidSelector> {
        text.parse()
    }
}

impl From<VmSelector> for String {
    fn from(selector: VmSelector) -> String {
        selector.to_string()
    }
}

impl fmt::Display for VmSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VmSelector::Path(path) => f.write_str(path),
            VmSelector::Id(id) => id.fmt(f),
            VmSelector::Glob(glob) => f.write_str(glob.as_str()),
        }
    }
}

/// A compiled glob over inventory paths.
#[derive(Debug, Clone)]
pub struct PathGlob {
    text: String,
    matcher: GlobMatcher,
}

impl PathGlob {
    /// The pattern, beginning with a slash.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// True if `path` matches.
    pub fn matches(&self, path: &str) -> bool {
        self.matcher.is_match(path)
    }
}

impl PartialEq for PathGlob {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for PathGlob {}

impl FromStr for PathGlob {
    type Err = InvalidSelector;

    fn from_str(text: &str) -> Result<Self, InvalidSelector> {
        let text = format!("/{}", text.trim_start_matches('/'));
        let glob = GlobBuilder::new(&text)
            .literal_separator(true)
            .build()
            .map_err(|error| InvalidSelector::BadGlob(error.kind().to_string()))?;
        Ok(PathGlob { text, matcher: glob.compile_matcher() })
    }
}

/// Why a text names no VM.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSelector {
    /// Empty, too long, or with control characters.
    #[error("give an inventory path such as /DC0/vm/web01, a managed object id such as vm-42, or a glob")]
    NotText,
    /// The glob does not compile.
    #[error("bad glob: {0}")]
    BadGlob(String),
}

/// Which VMs to list. An empty filter lists all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VmFilter {
    /// A glob over names, without regard to case.
    pub name: Option<String>,
    /// Only VMs whose inventory path lies below this folder.
    pub folder: Option<String>,
    /// Only VMs in this power state.
    pub power: Option<PowerState>,
    /// Only VMs of this cluster.
    pub cluster: Option<String>,
    /// Only VMs that have this attribute.
    pub attribute: Option<AttributeFilter>,
}

/// An attribute a VM must have: written `name`, or `name=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeFilter {
    /// The attribute's name.
    pub name: String,
    /// The value it must have; any but the empty one if absent.
    pub value: Option<String>,
}

impl AttributeFilter {
    fn matches(&self, vm: &VmSummary) -> bool {
        let value = vm.attributes.get(&self.name).filter(|value| !value.is_empty());
        match &self.value {
            Some(wanted) => value == Some(wanted),
            None => value.is_some(),
        }
    }
}

impl FromStr for AttributeFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        if name.trim().is_empty() {
            return Err(format!("{text:?} names no attribute: write name or name=value"));
        }
        Ok(AttributeFilter {
            name: name.trim().to_owned(),
            value: value.map(|value| value.trim().to_owned()),
        })
    }
}

impl VmFilter {
    /// True if `vm` passes. A name pattern that does not compile matches nothing. For many VMs make a
    /// [`matcher`](Self::matcher) once.
    pub fn matches(&self, vm: &VmSummary) -> bool {
        self.matcher().matches(vm)
    }

    /// The filter, made ready for many VMs.
    pub fn matcher(&self) -> VmMatcher {
        let glob = |pattern: &str| {
            GlobBuilder::new(pattern).case_insensitive(true).build().ok().map(|glob| glob.compile_matcher())
        };
        VmMatcher { name: self.name.as_deref().map(glob), filter: self.clone() }
    }
}

/// A [`VmFilter`] made ready for many VMs.
#[derive(Debug, Clone)]
pub struct VmMatcher {
    filter: VmFilter,
    /// The inner one is missing if the pattern does not compile.
    name: Option<Option<GlobMatcher>>,
}

impl VmMatcher {
    /// As [`VmFilter::matches`].
    pub fn matches(&self, vm: &VmSummary) -> bool {
        let VmFilter { name: _, folder, power, cluster, attribute } = &self.filter;
        let name_fits =
            self.name.as_ref().is_none_or(|glob| glob.as_ref().is_some_and(|glob| glob.is_match(&vm.name)));
        let folder_fits = folder.as_deref().is_none_or(|folder| {
            let folder = folder.trim_matches('/');
            folder.is_empty()
                || vm
                    .path
                    .trim_start_matches('/')
                    .strip_prefix(folder)
                    .is_some_and(|rest| rest.starts_with('/'))
        });
        name_fits
            && folder_fits
            && power.is_none_or(|power| vm.power == power)
            && cluster.as_ref().is_none_or(|cluster| vm.cluster.as_ref() == Some(cluster))
            && attribute.as_ref().is_none_or(|attribute| attribute.matches(vm))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vm(path: &str) -> VmSummary {
        VmSummary {
            id: VmId::new("vm-1"),
            name: path.rsplit('/').next().unwrap().to_owned(),
            path: path.to_owned(),
            power: PowerState::On,
            instance_uuid: None,
            guest_os: None,
            host: None,
            cluster: Some("blue".into()),
            datastores: Vec::new(),
            attributes: [("owner".to_owned(), "ops".to_owned())].into(),
            cpus: None,
            memory_bytes: None,
            disks: None,
            storage_used_bytes: None,
            changed_at: None,
        }
    }

    #[test]
    fn a_star_stays_within_one_path_element() {
        let glob: VmSelector = "/prod/vm/*".parse().unwrap();
        assert!(glob.matches(&vm("/prod/vm/web01")));
        assert!(!glob.matches(&vm("/prod/vm/team/web01")));
        let deep: VmSelector = "prod/**/web*".parse().unwrap();
        assert!(deep.matches(&vm("/prod/vm/team/web01")));
    }

    #[test]
    fn selectors_survive_their_text() {
        for text in ["/DC0/vm/a", "vm-42", "/prod/vm/*"] {
            let selector: VmSelector = text.parse().unwrap();
            assert_eq!(selector.to_string().parse::<VmSelector>().unwrap(), selector);
        }
    }

    #[test]
    fn filters_combine() {
        let filter = VmFilter {
            name: Some("WEB*".into()),
            folder: Some("/prod/vm".into()),
            power: Some(PowerState::On),
            ..VmFilter::default()
        };
        assert!(filter.matches(&vm("/prod/vm/team/web01")));
        assert!(!filter.matches(&vm("/prod/vm2/web01")));
        assert!(!filter.matches(&vm("/prod/vm/db01")));
        let in_cluster = |name: &str| VmFilter { cluster: Some(name.into()), ..VmFilter::default() };
        assert!(in_cluster("blue").matches(&vm("/a/b")) && !in_cluster("red").matches(&vm("/a/b")));
        for (text, fits) in [("owner", true), ("owner=ops", true), ("owner=dev", false), ("tier", false)] {
            let filter = VmFilter { attribute: Some(text.parse().unwrap()), ..VmFilter::default() };
            assert_eq!(filter.matches(&vm("/a/b")), fits, "{text}");
        }
    }
}
