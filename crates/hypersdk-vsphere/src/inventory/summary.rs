//! A VM: as the server tells of it, and in core's words.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::{DateTime, NaiveDateTime, Utc};
use hypersdk_core::{PowerState, VmId, VmSummary};

use super::paths::{Ancestors, unescape};
use crate::api::ObjectContent;
use crate::power;
use crate::soap::{Element, MoRef};

/// The properties a summary is made of, and no more.
pub(super) const PATHS: &[&str] = &[
    "name",
    "parent",
    "parentVApp",
    "runtime.powerState",
    "runtime.host",
    "datastore",
    "customValue",
    "config.modified",
    "summary.config.instanceUuid",
    "summary.config.guestFullName",
    "summary.config.numCpu",
    "summary.config.memorySizeMB",
    "summary.config.numVirtualDisks",
    "summary.storage.committed",
];

/// Texts that many VMs share, each kept once.
#[derive(Debug, Default)]
pub(super) struct Texts(HashSet<Arc<str>>);

impl Texts {
    fn keep(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = text.into();
        self.0.insert(Arc::clone(&new));
        new
    }
}

/// What the server told of a VM. Other objects are ids, so that a renamed host or folder renames what is there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    name: Box<str>,
    parent: Option<Arc<str>>,
    vapp: Option<Arc<str>>,
    power: Option<PowerState>,
    host: Option<Arc<str>>,
    datastores: Box<[Arc<str>]>,
    attributes: Box<[(i32, Box<str>)]>,
    uuid: Option<Box<str>>,
    guest_os: Option<Arc<str>>,
    cpus: Option<u32>,
    memory_mib: Option<u64>,
    disks: Option<u32>,
    storage_used: Option<u64>,
    changed_at: Option<DateTime<Utc>>,
}

impl Entry {
    /// Takes in the value of one of [`PATHS`]; without one it was unset.
    pub(super) fn set(&mut self, path: &str, value: Option<&Element>, texts: &mut Texts) {
        let text = value.map(|value| value.text.trim()).filter(|text| !text.is_empty());
        let items = value.map(|list| list.children.as_slice()).unwrap_or_default();
        let number = || text.and_then(|text| text.parse().ok());
        let count = || text.and_then(|text| text.parse().ok());
        let mut reference = || value.and_then(Element::object_id).map(|id| texts.keep(id));
        match path {
            "name" => self.name = text.unwrap_or_default().into(),
            "parent" => self.parent = reference(),
            "parentVApp" => self.vapp = reference(),
            "runtime.powerState" => self.power = text.map(power::read),
            "runtime.host" => self.host = reference(),
            "datastore" => {
                self.datastores =
                    items.iter().filter_map(Element::object_id).map(|id| texts.keep(id)).collect();
            }
            "customValue" => {
                let pair = |item: &Element| Some((item.number("key")?, item.text_at("value")?.into()));
                self.attributes = items.iter().filter_map(pair).collect();
            }
            "config.modified" => self.changed_at = text.and_then(time),
            "summary.config.instanceUuid" => self.uuid = text.map(Into::into),
            "summary.config.guestFullName" => self.guest_os = text.map(|text| texts.keep(text)),
            "summary.config.numCpu" => self.cpus = count(),
            "summary.config.memorySizeMB" => self.memory_mib = number(),
            "summary.config.numVirtualDisks" => self.disks = count(),
            "summary.storage.committed" => self.storage_used = number(),
            _ => {}
        }
    }

    /// The VM of this id in core's words.
    pub(super) fn summary(&self, id: &str, ancestors: &Ancestors, root: &MoRef) -> VmSummary {
        let host = self.host.as_deref();
        let mut datastores: Vec<String> =
            self.datastores.iter().filter_map(|id| ancestors.datastore(id)).map(str::to_owned).collect();
        datastores.sort_unstable();
        datastores.dedup();
        let attribute = |(key, value): &(i32, Box<str>)| {
            Some((ancestors.attribute(*key)?.to_owned(), value.as_ref().to_owned()))
        };
        VmSummary {
            id: VmId::new(id),
            name: unescape(&self.name).into_owned(),
            path: ancestors.path(&self.name, self.vapp.as_deref().or(self.parent.as_deref()), root),
            power: self.power.unwrap_or(PowerState::Off),
            instance_uuid: self.uuid.as_deref().map(str::to_owned),
            guest_os: self.guest_os.as_deref().map(str::to_owned),
            host: host.and_then(|host| ancestors.host(host)).map(str::to_owned),
            cluster: host.and_then(|host| ancestors.cluster(host)).map(str::to_owned),
            datastores,
            attributes: self.attributes.iter().filter_map(attribute).collect(),
            cpus: self.cpus,
            memory_bytes: self.memory_mib.and_then(|mib| mib.checked_mul(1 << 20)),
            disks: self.disks,
            storage_used_bytes: self.storage_used,
            changed_at: self.changed_at,
        }
    }
}

/// A VM of a retrieval in core's words.
pub(super) fn read(content: &ObjectContent, ancestors: &Ancestors, root: &MoRef) -> VmSummary {
    let (mut entry, mut texts) = (Entry::default(), Texts::default());
    for (path, value) in &content.properties {
        entry.set(path, Some(value), &mut texts);
    }
    entry.summary(&content.object.id, ancestors, root)
}

/// An `xsd:dateTime`; one without a zone is UTC. A VM that was never changed says 1970.
fn time(text: &str) -> Option<DateTime<Utc>> {
    let with_zone = DateTime::parse_from_rfc3339(text).map(|time| time.with_timezone(&Utc));
    let time = with_zone.or_else(|_| text.parse::<NaiveDateTime>().map(|time| time.and_utc())).ok()?;
    (time.timestamp() > 0).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_and_without_a_zone() {
        let expected = "2026-11-23T10:00:00Z".parse::<DateTime<Utc>>().unwrap();
        for text in ["2026-11-23T10:00:00Z", "2026-11-23T12:00:00+02:00", "2026-11-23T10:00:00"] {
            assert_eq!(time(text), Some(expected), "{text}");
        }
        assert_eq!(time("1970-01-01T00:00:00Z"), None);
        assert_eq!(time("0001-01-01T00:00:00Z"), None);
        assert_eq!(time("yesterday"), None);
    }
}
