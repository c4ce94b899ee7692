//! What exports left behind: snapshots that bear an export's name.

use chrono::{DateTime, Utc};
use hypersdk_core::{Error, Orphan, VmId};

use crate::api::{
    CreateContainerView, DestroyView, FilterSpec, ObjectContent, ObjectSpec, PropertySpec, Select, Traversal,
};
use crate::inventory::{retrieve_all, unescape};
use crate::session::{Discard, Scope};
use crate::snapshot;
use crate::soap::{CallError, Element, Fault, MoRef};

/// What the names of our snapshots begin with; the work's own name follows.
const PREFIX: &str = "hypersdk-";
/// What their descriptions begin with, so that a person's snapshot of such a name is not taken for ours.
const DESCRIPTION: &str = "Temporary, for the export ";

/// The name of the snapshot that some work makes.
pub(crate) fn name_for(work: &str) -> String {
    format!("{PREFIX}{work}")
}

/// Its description.
pub(crate) fn description_for(work: &str) -> String {
    format!("{DESCRIPTION}{work}; removed when the export ends.")
}

/// Every snapshot of that form.
pub(crate) async fn list(scope: &Scope) -> Result<Vec<Orphan>, Error> {
    let vms = vms_with_snapshots(scope).await.map_err(|error| error.into_error("list snapshots"))?;
    let mut found = Vec::new();
    for vm in &vms {
        if let Some(info) = vm.properties.get("snapshot") {
            let name = vm.properties.get("name").map(|name| unescape(&name.text).into_owned());
            collect(info.all("rootSnapshotList"), &vm.object, &name.unwrap_or_default(), &mut found);
        }
    }
    Ok(found)
}

/// Removes one.
pub(crate) async fn remove(scope: &Scope, orphan: &Orphan) -> Result<(), Error> {
    snapshot::remove(scope, &MoRef::new("VirtualMachineSnapshot", &orphan.id)).await
}

async fn vms_with_snapshots(scope: &Scope) -> Result<Vec<ObjectContent>, CallError> {
    let this = scope.content().view_manager.clone().ok_or_else(|| {
        CallError::Fault(Box::new(Fault::new("NotSupported", "the server has no view manager")))
    })?;
    let container = scope.content().root_folder.clone();
    let view = scope.call(&CreateContainerView { this, container, types: &["VirtualMachine"] }).await?;
    let _discarded = Discard::new(scope, DestroyView { this: view.clone() });
    let traversal = Traversal { name: "view", kind: "ContainerView", path: "view", select: Vec::new() };
    let select = vec![Select::Traverse(traversal)];
    let properties = vec![PropertySpec { kind: "VirtualMachine", paths: &["name", "snapshot"] }];
    retrieve_all(
        scope,
        FilterSpec { properties, objects: vec![ObjectSpec { object: view, skip: true, select }] },
    )
    .await
}

/// Walks a tree of `VirtualMachineSnapshotTree`.
fn collect<'a>(trees: impl Iterator<Item = &'a Element>, vm: &MoRef, vm_name: &str, found: &mut Vec<Orphan>) {
    for tree in trees {
        let name = tree.text_at("name").unwrap_or_default();
        let ours = tree.text_at("description").is_some_and(|text| text.starts_with(DESCRIPTION));
        if let (Some(work), Some(snapshot), true) =
            (name.strip_prefix(PREFIX), tree.moref_at("snapshot"), ours)
        {
            let time = tree.text_at("createTime").and_then(|text| DateTime::parse_from_rfc3339(text).ok());
            found.push(Orphan {
                id: snapshot.id,
                kind: "snapshot".to_owned(),
                name: name.to_owned(),
                work: work.to_owned(),
                vm: VmId::new(&vm.id),
                vm_name: vm_name.to_owned(),
                created_at: time.map(|time| time.with_timezone(&Utc)),
            });
        }
        collect(tree.all("childSnapshotList"), vm, vm_name, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soap::parse_tree;

    #[test]
    fn our_snapshots_are_found_at_any_depth_and_those_of_people_are_not() {
        let info = parse_tree(
            r#"<snapshot><rootSnapshotList><snapshot type="VirtualMachineSnapshot">s-1</snapshot>
            <name>before update</name><description>mine</description><childSnapshotList>
            <snapshot type="VirtualMachineSnapshot">s-2</snapshot><name>hypersdk-job-7</name>
            <description>Temporary, for the export job-7; removed when the export ends.</description>
            <createTime>2026-11-24T10:00:00Z</createTime></childSnapshotList></rootSnapshotList>
            <rootSnapshotList><snapshot type="VirtualMachineSnapshot">s-3</snapshot>
            <name>hypersdk-keep</name><description>a person's</description></rootSnapshotList></snapshot>"#,
        );
        let mut found = Vec::new();
        collect(info.all("rootSnapshotList"), &MoRef::new("VirtualMachine", "vm-1"), "web", &mut found);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].id.as_str(), found[0].work.as_str()), ("s-2", "job-7"));
        assert!(found[0].created_at.is_some());
    }
}
