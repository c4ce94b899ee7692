//! One VM by its path, its managed object id or its instance UUID; several by a glob.

use futures::stream::TryStreamExt;
use hypersdk_core::{Error, VmFilter, VmSelector, VmSummary};

use super::list::{add_fields, learn_vapps, list, no_search_index, retrieve_all};
use super::paths::{self, Ancestors};
use super::summary;
use crate::api::{FilterSpec, FindByInventoryPath, FindByUuid, ObjectSpec, PropertySpec, Select, Traversal};
use crate::session::Scope;
use crate::soap::{CallError, FaultKind, MoRef};

/// The VMs that `selector` names.
pub(crate) async fn find(scope: &Scope, selector: &VmSelector) -> Result<Vec<VmSummary>, Error> {
    let reference = match selector {
        VmSelector::Glob(_) => {
            let all = list(scope.clone(), VmFilter::default());
            return all.try_filter(|vm| std::future::ready(selector.matches(vm))).try_collect().await;
        }
        VmSelector::Path(path) => by_path(scope, path).await?,
        VmSelector::Id(id) => by_id(scope, id.as_str()).await?,
    };
    match reference {
        Some(vm) => Ok(describe(scope, vm).await?.into_iter().collect()),
        None => Ok(Vec::new()),
    }
}

/// The VM of that managed object id, or of that instance UUID. Whether there is a VM of that id is not asked
/// here.
pub(crate) async fn by_id(scope: &Scope, id: &str) -> Result<Option<MoRef>, Error> {
    if uuid::Uuid::parse_str(id).is_err() {
        return Ok(Some(MoRef::new("VirtualMachine", id)));
    }
    let this = scope.content().search_index.clone().ok_or_else(no_search_index)?;
    let found = scope.call(&FindByUuid { this, uuid: id.to_ascii_lowercase() }).await;
    found.map_err(|error| error.into_error(format!("find VM {id}")))
}

async fn by_path(scope: &Scope, path: &str) -> Result<Option<MoRef>, Error> {
    let this = scope.content().search_index.clone().ok_or_else(no_search_index)?;
    let call = FindByInventoryPath { this, path: path.trim_matches('/').to_owned() };
    let found = scope.call(&call).await.map_err(|error| error.into_error(format!("find VM {path}")))?;
    Ok(found.filter(|object| object.kind == "VirtualMachine"))
}

/// The summary of one VM; none if it does not exist.
async fn describe(scope: &Scope, vm: MoRef) -> Result<Option<VmSummary>, Error> {
    let operation = format!("look up {}", vm.id);
    let objects = match retrieve_all(scope, with_ancestors(scope, vm.clone())).await {
        Err(CallError::Fault(fault)) if fault.kind() == FaultKind::ManagedObjectNotFound => return Ok(None),
        result => result.map_err(|error| error.into_error(operation))?,
    };
    let mut ancestors = Ancestors::default();
    learn_vapps(scope, &mut ancestors, &objects)
        .await
        .map_err(|error| error.into_error(format!("look up the vApp of {}", vm.id)))?;
    objects.iter().filter(|content| content.object != vm).for_each(|content| ancestors.add(content));
    let root = &scope.content().root_folder;
    let found = objects.iter().find(|content| content.object == vm);
    Ok(found.map(|content| summary::read(content, &ancestors, root)))
}

/// One VM with its folders, datacenter and host, in one retrieval.
fn with_ancestors(scope: &Scope, vm: MoRef) -> FilterSpec {
    let mut properties = paths::of_ancestors();
    properties.push(PropertySpec { kind: "VirtualMachine", paths: summary::PATHS });
    let step = |name, kind, path, select| Select::Traverse(Traversal { name, kind, path, select });
    let select = vec![
        step("parent", "ManagedEntity", "parent", vec![Select::Again("parent")]),
        step(
            "host",
            "VirtualMachine",
            "runtime.host",
            vec![step("compute", "HostSystem", "parent", Vec::new())],
        ),
        step("datastores", "VirtualMachine", "datastore", Vec::new()),
    ];
    let mut spec = FilterSpec { properties, objects: vec![ObjectSpec { object: vm, skip: false, select }] };
    add_fields(scope, &mut spec);
    spec
}
