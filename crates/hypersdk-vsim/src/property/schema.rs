//! Property names by managed object type (vSphere Web Services API reference),
//! and which type derives from which. A name of this list that is not simulated
//! reads as unset, any other is an InvalidProperty fault, as on a real server.

/// Properties every ManagedEntity has.
const ENTITY: &[&str] = &[
    "value",
    "availableField",
    "parent",
    "customValue",
    "overallStatus",
    "configStatus",
    "configIssue",
    "effectiveRole",
    "permission",
    "name",
    "disabledMethod",
    "recentTask",
    "declaredAlarmState",
    "triggeredAlarmState",
    "alarmActionsEnabled",
    "tag",
];

const TYPES: &[(&str, bool, &[&str])] = &[
    ("Folder", true, &["childType", "childEntity", "namespace", "externallyManagedFolderInfo"]),
    (
        "Datacenter",
        true,
        &[
            "vmFolder",
            "hostFolder",
            "datastoreFolder",
            "networkFolder",
            "datastore",
            "network",
            "configuration",
        ],
    ),
    (
        "ComputeResource",
        true,
        &[
            "resourcePool",
            "host",
            "datastore",
            "network",
            "summary",
            "environmentBrowser",
            "configurationEx",
            "lifecycleManaged",
            "configManagerEnabled",
            "networkBootMode",
        ],
    ),
    (
        "ClusterComputeResource",
        true,
        &[
            "resourcePool",
            "host",
            "datastore",
            "network",
            "summary",
            "environmentBrowser",
            "configurationEx",
            "lifecycleManaged",
            "configManagerEnabled",
            "networkBootMode",
            "configuration",
            "recommendation",
            "drsRecommendation",
            "summaryEx",
            "hciConfig",
            "migrationHistory",
            "actionHistory",
            "drsFault",
        ],
    ),
    (
        "HostSystem",
        true,
        &[
            "runtime",
            "summary",
            "hardware",
            "capability",
            "licensableResource",
            "remediationState",
            "precheckRemediationResult",
            "remediationResult",
            "complianceCheckState",
            "complianceCheckResult",
            "configManager",
            "config",
            "vm",
            "datastore",
            "network",
            "datastoreBrowser",
            "systemResources",
            "answerFileValidationState",
            "answerFileValidationResult",
        ],
    ),
    ("Datastore", true, &["info", "summary", "host", "vm", "browser", "capability", "iormConfiguration"]),
    ("Network", true, &["summary", "host", "vm"]),
    (
        "ResourcePool",
        true,
        &["summary", "runtime", "owner", "resourcePool", "vm", "config", "namespace", "childConfiguration"],
    ),
    ("VirtualApp", true, &["parentFolder", "datastore", "network", "vAppConfig", "parentVApp", "childLink"]),
    (
        "VirtualMachine",
        true,
        &[
            "capability",
            "config",
            "layout",
            "layoutEx",
            "storage",
            "environmentBrowser",
            "resourcePool",
            "parentVApp",
            "resourceConfig",
            "runtime",
            "guest",
            "summary",
            "datastore",
            "network",
            "snapshot",
            "rootSnapshot",
            "guestHeartbeatStatus",
        ],
    ),
    ("VirtualMachineSnapshot", false, &["value", "availableField", "config", "childSnapshot", "vm"]),
    ("Task", false, &["value", "availableField", "info"]),
    (
        "HttpNfcLease",
        false,
        &["initializeProgress", "transferProgress", "mode", "capabilities", "info", "state", "error"],
    ),
    (
        "SessionManager",
        false,
        &[
            "sessionList",
            "currentSession",
            "message",
            "messageLocaleList",
            "supportedLocaleList",
            "defaultLocale",
        ],
    ),
    ("ServiceInstance", false, &["serverClock", "capability", "content"]),
    ("ContainerView", false, &["view", "container", "type", "recursive"]),
    ("OvfManager", false, &["ovfImportOption", "ovfExportOption"]),
    ("PropertyCollector", false, &["filter"]),
    ("PropertyFilter", false, &["spec", "partialUpdates"]),
    ("ViewManager", false, &["viewList"]),
    ("AuthorizationManager", false, &["privilegeList", "roleList", "description"]),
    ("TaskManager", false, &["recentTask", "description", "maxCollector"]),
    ("SearchIndex", false, &[]),
];

const PARENTS: &[(&str, &str)] = &[
    ("ClusterComputeResource", "ComputeResource"),
    ("ComputeResource", "ManagedEntity"),
    ("Folder", "ManagedEntity"),
    ("Datacenter", "ManagedEntity"),
    ("HostSystem", "ManagedEntity"),
    ("Datastore", "ManagedEntity"),
    ("Network", "ManagedEntity"),
    ("ResourcePool", "ManagedEntity"),
    ("VirtualApp", "ResourcePool"),
    ("VirtualMachine", "ManagedEntity"),
    ("ManagedEntity", "ExtensibleManagedObject"),
    ("VirtualMachineSnapshot", "ExtensibleManagedObject"),
    ("Task", "ExtensibleManagedObject"),
    ("ExtensibleManagedObject", "ManagedObject"),
    ("ContainerView", "ManagedObjectView"),
    ("ManagedObjectView", "View"),
    ("View", "ManagedObject"),
];

/// Whether `ty` is `wanted` or derives from it.
pub(super) fn is_a(ty: &str, wanted: &str) -> bool {
    if ty == wanted || wanted == "ManagedObject" {
        return true;
    }
    // Most types are nobody's parent.
    PARENTS.iter().any(|(_, parent)| *parent == wanted) && descends(ty, wanted)
}

fn descends(ty: &str, wanted: &str) -> bool {
    ty == wanted
        || PARENTS.iter().find(|(child, _)| *child == ty).is_some_and(|(_, parent)| descends(parent, wanted))
}

/// The property names of a type; `None` for a type that is not simulated.
pub(super) fn properties(ty: &str) -> Option<impl Iterator<Item = &'static str>> {
    let (_, entity, own) = TYPES.iter().find(|(name, ..)| *name == ty)?;
    let inherited: &[&str] = if *entity { ENTITY } else { &[] };
    Some(inherited.iter().chain(*own).copied())
}

/// Whether the type, or for an abstract one any type below it, has the property.
pub(super) fn has_property(ty: &str, name: &str) -> bool {
    if let Some(mut names) = properties(ty)
        && names.any(|known| known == name)
    {
        return true;
    }
    TYPES.iter().any(|(concrete, ..)| {
        is_a(concrete, ty) && properties(concrete).is_some_and(|mut names| names.any(|known| known == name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_derive_as_in_the_reference() {
        assert!(is_a("ClusterComputeResource", "ComputeResource"));
        assert!(is_a("VirtualMachine", "ManagedEntity"));
        assert!(is_a("ContainerView", "View"));
        assert!(!is_a("Folder", "VirtualMachine"));
    }

    #[test]
    fn own_and_inherited_names_are_known_and_others_are_not() {
        assert!(has_property("VirtualMachine", "config"));
        assert!(has_property("VirtualMachine", "name"));
        assert!(has_property("ManagedEntity", "name"));
        assert!(!has_property("VirtualMachine", "childEntity"));
    }
}
