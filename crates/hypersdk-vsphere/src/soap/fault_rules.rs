//! The one table that says what each fault means, whether a retry helps, and what a person can do.
//!
//! Type names are those of the vSphere Web Services API reference. A subtype is listed under the meaning it
//! has for an export, not where it stands in the class hierarchy.

use hypersdk_core::ErrorKind;

use super::fault::{FaultClass, FaultKind};

/// Whether trying again helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    Never,
    Backoff,
    /// No sooner than after this many seconds.
    After(u64),
}

/// One row: the faults it is about (a trailing `*` stands for any ending) and what follows.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) kind: FaultKind,
    pub(super) types: &'static [&'static str],
    pub(super) class: FaultClass,
    pub(super) error: ErrorKind,
    pub(super) retry: Retry,
    pub(super) advice: &'static str,
}

const fn rule(
    kind: FaultKind,
    class: FaultClass,
    types: &'static [&'static str],
    error: ErrorKind,
    retry: Retry,
    advice: &'static str,
) -> Rule {
    Rule { kind, class, types, error, retry, advice }
}

use FaultClass::{Bug, Operator, Retry as Again, Wait};

#[rustfmt::skip]
static RULES: &[Rule] = &[
    rule(FaultKind::NotAuthenticated, Again, &["NotAuthenticated"], ErrorKind::Unavailable, Retry::Backoff,
        "the session ended; it is renewed by itself"),
    rule(FaultKind::InvalidLogin, Operator, &["InvalidLogin", "NoClientCertificate", "PasswordExpired"],
        ErrorKind::Unauthenticated, Retry::Never,
        "check username and password; they are not tried again by themselves, as that locks accounts"),
    rule(FaultKind::NoPermission, Operator, &["NoPermission", "SecurityError"], ErrorKind::PermissionDenied, Retry::Never,
        "give the account the privilege named, on the object named or above it"),
    rule(FaultKind::InvalidPowerState, Operator, &["InvalidPowerState"], ErrorKind::Conflict, Retry::Never,
        "use the power policy `snapshot` to export a running VM, or power it off"),
    rule(FaultKind::TaskInProgress, Wait, &["TaskInProgress", "ConcurrentAccess", "ResourceInUse"],
        ErrorKind::Conflict, Retry::After(10),
        "another task holds the VM, perhaps a backup; the job waits for it"),
    rule(FaultKind::FileLocked, Wait, &["FileLocked"], ErrorKind::Conflict, Retry::Backoff,
        "another program or host holds the file; a backup may be running"),
    rule(FaultKind::FileNotFound, Again, &["FileNotFound"], ErrorKind::NotFound, Retry::Backoff,
        "a file of the VM is gone or its datastore away; it is tried again a few times, then look at the datastore"),
    rule(FaultKind::NoDiskSpace, Operator, &["NoDiskSpace", "InsufficientStorageSpace"],
        ErrorKind::NoSpace, Retry::Never,
        "free space on the VM's datastore: a snapshot cannot grow"),
    rule(FaultKind::FileFault, Again, &["FileFault", "CannotAccessFile", "FileAlreadyExists", "FileNotWritable",
        "FileTooLarge", "IncorrectFileType", "NetworkCopyFault", "CannotAccessVmDisk", "CannotAccessVmComponent",
        "CannotAccessVmConfig", "VmConfigFault", "FileBackedPortNotSupported"], ErrorKind::Conflict, Retry::Backoff,
        "the server cannot use a file of the VM; look at the VM's events"),
    rule(FaultKind::ManagedObjectNotFound, Again, &["ManagedObjectNotFound"], ErrorKind::NotFound, Retry::Backoff,
        "the object moved or was deleted; the VM is looked up anew, and if it is gone, list what there is with GET /vms"),
    rule(FaultKind::Timedout, Again, &["Timedout"], ErrorKind::Timeout, Retry::Backoff,
        "the lease ran out; the export starts anew"),
    rule(FaultKind::HostUnavailable, Wait, &["HostNotConnected", "HostNotReachable", "HostCommunication",
        "HostConnectFault", "HostConfigFault", "NoHost", "NoActiveHostInCluster", "CannotAccessNetwork",
        "HostInMaintenanceMode", "InvalidHostState", "InvalidHostConnectionState"], ErrorKind::Unavailable,
        Retry::After(30), "the host is away; see that it is connected and not in maintenance mode"),
    rule(FaultKind::QuestionPending, Operator, &["QuestionPending"], ErrorKind::Conflict, Retry::Never,
        "the VM waits for an answer; give it in the vSphere Client"),
    rule(FaultKind::Restricted, Operator, &["RestrictedVersion", "RestrictedByAdministrator", "LicenseRestricted",
        "LicenseExpired", "LicenseEntityNotFound", "InsufficientLicense*", "NotEnoughLicenses", "InvalidLicense",
        "ExpiredFeatureLicense", "ExpiredEditionLicense"], ErrorKind::Unsupported, Retry::Never,
        "the server's licence does not include this; a free ESXi cannot export through its API"),
    rule(FaultKind::Export, Operator, &["OvfExport*", "OvfUnableToExportDisk", "OvfUnsupportedDeviceExport",
        "OvfConnectedDevice*", "OvfUnsupportedSection", "OvfToXmlUnsupportedElement", "OvfInvalidPackage*",
        "OvfFault", "DisallowedDiskModeChange", "OvfUnsupported*"], ErrorKind::Unsupported, Retry::Never,
        "a device of the VM cannot be exported; disconnect or remove it"),
    rule(FaultKind::Encrypted, Operator, &["EncryptionKeyRequired", "VmEncrypt*", "CryptoManager*", "VTpm*", "Vtpm*",
        "KeyProvider*", "OvfEncrypt*"], ErrorKind::Unsupported, Retry::Never,
        "an encrypted VM or one with a vTPM cannot leave as OVF; decrypt it or remove the vTPM"),
    rule(FaultKind::Quiesce, Operator, &["ApplicationQuiesceFault", "FilesystemQuiesceFault", "ToolsUnavailable",
        "SnapshotQuiesce*"], ErrorKind::Conflict, Retry::Never,
        "the guest could not be quiesced; set quiesce to false for a crash-consistent export, or mend the guest's tools"),
    rule(FaultKind::SslVerify, Operator, &["SSLVerifyFault", "SSLDisabledFault"], ErrorKind::Unavailable, Retry::Never,
        "the certificate is not the expected one; set `thumbprint` if it is right"),
    rule(FaultKind::NotSupported, Operator, &["NotSupported", "NotImplemented", "MethodNotFound", "MethodDisabled",
        "UnsupportedVersionURI", "NotSupportedHost*", "NotSupportedDevice*", "DeviceNotSupported",
        "VirtualDiskModeNotSupported", "SnapshotNoChange", "MultipleSnapshotsNotSupported",
        "SnapshotIncompatibleDeviceInVm", "RDMNotSupported*", "RawDiskNotSupported", "SharedBusControllerNotSupported"],
        ErrorKind::Unsupported, Retry::Never, "the server cannot do this"),
    rule(FaultKind::InvalidState, Again, &["InvalidState", "AlreadyBeingManaged", "VmPowerOnDisabled", "SnapshotFault",
        "SnapshotLocked", "SnapshotDisabled", "TooManySnapshotLevels", "MemorySnapshotOnIndependentDisk",
        "InvalidSnapshotFormat", "GenericVmConfigFault", "VmToolsUpgradeFault"], ErrorKind::Conflict, Retry::Backoff,
        "the object is in a state that forbids this; look at its recent tasks"),
    rule(FaultKind::RequestCanceled, Operator, &["RequestCanceled"], ErrorKind::Conflict, Retry::Never,
        "somebody cancelled the task at the server"),
    rule(FaultKind::InvalidArgument, Bug, &["InvalidArgument", "InvalidName", "InvalidProperty", "InvalidType",
        "InvalidRequest", "InvalidDatastore*", "InvalidController"], ErrorKind::Invalid, Retry::Never,
        "the server does not understand the request: report it with the log at level debug"),
];

/// For a fault that is not in the table.
static OTHER: Rule = rule(
    FaultKind::Other,
    Bug,
    &[],
    ErrorKind::Internal,
    Retry::Never,
    "a fault this program does not know: look it up in the vSphere API reference, and report it with the log",
);

/// The row about a fault type.
pub(super) fn rule_for(type_name: &str) -> &'static Rule {
    let names = |pattern: &&str| match pattern.strip_suffix('*') {
        Some(start) => type_name.starts_with(start),
        None => *pattern == type_name,
    };
    RULES.iter().find(|rule| rule.types.iter().any(names)).unwrap_or(&OTHER)
}

#[cfg(test)]
mod tests {
    use hypersdk_core::RetryHint;

    use super::*;
    use crate::soap::fault::Fault;

    #[test]
    fn every_fault_an_export_meets_has_its_meaning_retry_and_advice() {
        use ErrorKind as E;
        use FaultKind as K;
        let table: &[(&str, K, E, bool)] = &[
            ("NotAuthenticated", K::NotAuthenticated, E::Unavailable, true),
            ("InvalidLogin", K::InvalidLogin, E::Unauthenticated, false),
            ("NoPermission", K::NoPermission, E::PermissionDenied, false),
            ("InvalidPowerState", K::InvalidPowerState, E::Conflict, false),
            ("InvalidState", K::InvalidState, E::Conflict, true),
            ("TaskInProgress", K::TaskInProgress, E::Conflict, true),
            ("ConcurrentAccess", K::TaskInProgress, E::Conflict, true),
            ("ResourceInUse", K::TaskInProgress, E::Conflict, true),
            ("FileLocked", K::FileLocked, E::Conflict, true),
            ("FileFault", K::FileFault, E::Conflict, true),
            ("FileNotFound", K::FileNotFound, E::NotFound, true),
            ("ManagedObjectNotFound", K::ManagedObjectNotFound, E::NotFound, true),
            ("Timedout", K::Timedout, E::Timeout, true),
            ("HostNotConnected", K::HostUnavailable, E::Unavailable, true),
            ("HostNotReachable", K::HostUnavailable, E::Unavailable, true),
            ("HostCommunication", K::HostUnavailable, E::Unavailable, true),
            ("QuestionPending", K::QuestionPending, E::Conflict, false),
            ("NoDiskSpace", K::NoDiskSpace, E::NoSpace, false),
            ("RestrictedVersion", K::Restricted, E::Unsupported, false),
            ("LicenseRestricted", K::Restricted, E::Unsupported, false),
            ("NotSupported", K::NotSupported, E::Unsupported, false),
            ("MethodNotFound", K::NotSupported, E::Unsupported, false),
            ("ApplicationQuiesceFault", K::Quiesce, E::Conflict, false),
            ("FilesystemQuiesceFault", K::Quiesce, E::Conflict, false),
            ("OvfExport", K::Export, E::Unsupported, false),
            ("OvfExportFailed", K::Export, E::Unsupported, false),
            ("OvfUnableToExportDisk", K::Export, E::Unsupported, false),
            ("OvfUnsupportedDeviceExport", K::Export, E::Unsupported, false),
            ("OvfConnectedDeviceIso", K::Export, E::Unsupported, false),
            ("EncryptionKeyRequired", K::Encrypted, E::Unsupported, false),
            ("SSLVerifyFault", K::SslVerify, E::Unavailable, false),
        ];
        for (name, kind, error_kind, retryable) in table {
            let fault = Fault::new(*name, "the server's words");
            assert_eq!(fault.kind(), *kind, "{name}");
            let error = fault.clone().into_error("do something");
            assert_eq!(error.kind(), *error_kind, "{name}");
            assert_eq!(error.is_retryable(), *retryable, "{name}");
            assert!(error.advice().is_some_and(|advice| advice.len() > 10), "{name} has advice");
            assert!(error.message().contains(name) && error.message().contains("server's words"), "{error}");
            let source = std::error::Error::source(&error).expect("the fault is kept");
            assert_eq!(source.downcast_ref::<Fault>(), Some(&fault), "{name}");
        }
    }

    #[test]
    fn a_busy_vm_is_tried_again_no_sooner_than_the_table_says() {
        let error = Fault::new("TaskInProgress", "").into_error("export");
        assert_eq!(error.retry(), RetryHint::After(std::time::Duration::from_secs(10)));
    }

    #[test]
    fn an_unknown_fault_keeps_its_name() {
        let fault = Fault::new("FlyingSaucer", "zoom");
        assert_eq!(fault.kind(), FaultKind::Other);
        assert_eq!(fault.into_error("look up").to_string(), "look up: FlyingSaucer: zoom");
    }

    #[test]
    fn no_fault_stands_in_two_rows() {
        let mut seen = std::collections::BTreeSet::new();
        for name in RULES.iter().flat_map(|rule| rule.types) {
            assert!(seen.insert(name), "{name} stands twice");
            let plain = name.trim_end_matches('*');
            assert!(rule_for(plain).types.contains(name), "{name} is hidden by an earlier row");
        }
    }
}
