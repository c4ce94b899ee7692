//! A VM in core's words.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDateTime, Utc};
use hypersdk_core::{PowerState, VmId, VmSummary};

use super::paths::{Ancestors, reference, unescape};
use crate::api::ObjectContent;
use crate::power;
use crate::soap::MoRef;

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

pub(super) fn read(content: &ObjectContent, ancestors: &Ancestors, root: &MoRef) -> VmSummary {
    let text = |path: &str| {
        content.properties.get(path).map(|value| value.text.trim()).filter(|text| !text.is_empty())
    };
    let datastores: BTreeSet<String> = content
        .properties
        .get("datastore")
        .into_iter()
        .flat_map(|list| &list.children)
        .filter_map(|item| ancestors.datastore(&item.moref().ok()?.id).map(str::to_owned))
        .collect();
    let attributes = content
        .properties
        .get("customValue")
        .into_iter()
        .flat_map(|list| &list.children)
        .filter_map(|item| {
            let name = ancestors.attribute(item.number("key")?)?;
            Some((name.to_owned(), item.text_at("value")?.to_owned()))
        })
        .collect();
    let host = reference(&content.properties, "runtime.host");
    VmSummary {
        id: VmId::new(&content.object.id),
        name: unescape(text("name").unwrap_or_default()).into_owned(),
        path: ancestors.path_of(&content.properties, root),
        power: text("runtime.powerState").map_or(PowerState::Off, power::read),
        instance_uuid: text("summary.config.instanceUuid").map(str::to_owned),
        guest_os: text("summary.config.guestFullName").map(str::to_owned),
        host: host.as_ref().and_then(|host| ancestors.host(&host.id).map(str::to_owned)),
        cluster: host.as_ref().and_then(|host| ancestors.cluster(&host.id).map(str::to_owned)),
        datastores: datastores.into_iter().collect(),
        attributes,
        cpus: text("summary.config.numCpu").and_then(|text| text.parse().ok()),
        memory_bytes: text("summary.config.memorySizeMB")
            .and_then(|text| text.parse::<u64>().ok())
            .and_then(|mib| mib.checked_mul(1 << 20)),
        disks: text("summary.config.numVirtualDisks").and_then(|text| text.parse().ok()),
        storage_used_bytes: text("summary.storage.committed").and_then(|text| text.parse().ok()),
        changed_at: text("config.modified").and_then(time),
    }
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
