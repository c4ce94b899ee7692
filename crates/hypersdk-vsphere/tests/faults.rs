//! Every fault an export meets, raised by the simulator with the fields that the schema gives it, in the call or
//! task in which servers raise it: what kind it is, what is to be done about it, and what a person is told.

use std::time::Duration;

use hypersdk_core::{Error, ErrorKind, ExportOptions, Provider, RetryHint, VmId};
use hypersdk_vsim::{Event, FaultKind as Strike, FaultRule, Vsim};
use hypersdk_vsphere::{Fault, FaultClass, FaultKind, VsphereConfig, VsphereProvider};

/// A fault, where it strikes, and what is to come of it.
struct Row {
    fault: &'static str,
    method: &'static str,
    in_task: bool,
    fields: &'static [(&'static str, &'static str)],
    kind: FaultKind,
    class: FaultClass,
    error: ErrorKind,
    retry: RetryHint,
    advice: &'static str,
}

const STOPPED: &str = "vm-101";
const RUNNING: &str = "vm-103";

const NEVER: RetryHint = RetryHint::Never;
const BACKOFF: RetryHint = RetryHint::Backoff;
const IN_TEN_SECONDS: RetryHint = RetryHint::After(Duration::from_secs(10));
const IN_HALF_A_MINUTE: RetryHint = RetryHint::After(Duration::from_secs(30));

#[rustfmt::skip]
fn rows() -> Vec<Row> {
    use ErrorKind as E;
    use FaultClass::{Bug, Operator, Retry, Wait};
    use FaultKind as K;
    let row = |fault, method, fields, kind, class, error, retry, advice| Row {
        fault, method, in_task: false, fields, kind, class, error, retry, advice,
    };
    let task = |fault, method, fields, kind, class, error, retry, advice| Row {
        fault, method, in_task: true, fields, kind, class, error, retry, advice,
    };
    const VM: (&str, &str) = ("object", "VirtualMachine:vm-101");
    const DISK: (&str, &str) = ("file", "[ds0] web-01/web-01.vmdk");
    vec![
        row("InvalidLogin", "Login", &[], K::InvalidLogin, Operator, E::Unauthenticated, NEVER, "password"),
        row("NoPermission", "ExportVm", &[VM, ("privilegeId", "VApp.Export")], K::NoPermission, Operator, E::PermissionDenied, NEVER, "privilege"),
        row("InvalidPowerState", "ExportVm", &[("requestedState", "poweredOff"), ("existingState", "poweredOn")], K::InvalidPowerState, Operator, E::Conflict, NEVER, "snapshot"),
        row("InvalidState", "ExportVm", &[], K::InvalidState, Retry, E::Conflict, BACKOFF, "recent tasks"),
        row("TaskInProgress", "ExportVm", &[("task", "Task:task-7")], K::TaskInProgress, Wait, E::Conflict, IN_TEN_SECONDS, "backup"),
        row("ConcurrentAccess", "ExportVm", &[], K::TaskInProgress, Wait, E::Conflict, IN_TEN_SECONDS, "backup"),
        task("ResourceInUse", "CreateSnapshot_Task", &[("type", "VirtualMachine"), ("name", "web-01")], K::TaskInProgress, Wait, E::Conflict, IN_TEN_SECONDS, "backup"),
        row("FileLocked", "ExportVm", &[DISK], K::FileLocked, Wait, E::Conflict, BACKOFF, "holds the file"),
        task("FileLocked", "CreateSnapshot_Task", &[DISK], K::FileLocked, Wait, E::Conflict, BACKOFF, "holds the file"),
        row("FileFault", "ExportVm", &[DISK], K::FileFault, Retry, E::Conflict, BACKOFF, "events"),
        row("FileNotFound", "ExportVm", &[DISK], K::FileNotFound, Retry, E::NotFound, BACKOFF, "datastore"),
        row("ManagedObjectNotFound", "ExportVm", &[("obj", "VirtualMachine:vm-101")], K::ManagedObjectNotFound, Retry, E::NotFound, BACKOFF, "looked up anew"),
        row("Timedout", "ExportVm", &[], K::Timedout, Retry, E::Timeout, BACKOFF, "anew"),
        row("HostNotConnected", "ExportVm", &[], K::HostUnavailable, Wait, E::Unavailable, IN_HALF_A_MINUTE, "connected"),
        row("HostNotReachable", "ExportVm", &[], K::HostUnavailable, Wait, E::Unavailable, IN_HALF_A_MINUTE, "connected"),
        row("HostCommunication", "ExportVm", &[], K::HostUnavailable, Wait, E::Unavailable, IN_HALF_A_MINUTE, "connected"),
        row("QuestionPending", "ExportVm", &[("text", "Did you move it or copy it?")], K::QuestionPending, Operator, E::Conflict, NEVER, "vSphere Client"),
        task("NoDiskSpace", "CreateSnapshot_Task", &[DISK, ("datastore", "Datastore:datastore-1")], K::NoDiskSpace, Operator, E::NoSpace, NEVER, "datastore"),
        row("RestrictedVersion", "ExportVm", &[], K::Restricted, Operator, E::Unsupported, NEVER, "free ESXi"),
        row("LicenseRestricted", "ExportVm", &[], K::Restricted, Operator, E::Unsupported, NEVER, "licence"),
        row("NotSupported", "ExportVm", &[], K::NotSupported, Operator, E::Unsupported, NEVER, "cannot do this"),
        task("ApplicationQuiesceFault", "CreateSnapshot_Task", &[], K::Quiesce, Operator, E::Conflict, NEVER, "quiesce to false"),
        task("FilesystemQuiesceFault", "CreateSnapshot_Task", &[], K::Quiesce, Operator, E::Conflict, NEVER, "quiesce to false"),
        row("OvfExport", "ExportVm", &[], K::Export, Operator, E::Unsupported, NEVER, "device"),
        row("OvfExportFailed", "ExportVm", &[], K::Export, Operator, E::Unsupported, NEVER, "device"),
        row("OvfUnableToExportDisk", "ExportVm", &[("diskName", "Hard disk 2")], K::Export, Operator, E::Unsupported, NEVER, "device"),
        row("OvfUnsupportedDeviceExport", "ExportVm", &[("failureReason", "PCI passthrough")], K::Export, Operator, E::Unsupported, NEVER, "device"),
        row("OvfConnectedDeviceIso", "ExportVm", &[("filename", "[ds0] iso/debian.iso")], K::Export, Operator, E::Unsupported, NEVER, "disconnect"),
        row("EncryptionKeyRequired", "ExportVm", &[], K::Encrypted, Operator, E::Unsupported, NEVER, "vTPM"),
        row("VTpmNotExportable", "ExportVm", &[], K::Encrypted, Operator, E::Unsupported, NEVER, "vTPM"),
        row("SSLVerifyFault", "ExportVm", &[("selfSigned", "true"), ("thumbprint", "AA:BB")], K::SslVerify, Operator, E::Unavailable, NEVER, "thumbprint"),
        row("InvalidArgument", "ExportVm", &[("invalidProperty", "vm")], K::InvalidArgument, Bug, E::Invalid, NEVER, "report"),
        row("FlyingSaucer", "ExportVm", &[], K::Other, Bug, E::Internal, NEVER, "report"),
    ]
}

async fn start() -> (Vsim, VsphereProvider) {
    let sim = Vsim::builder().disk_size(1 << 20).start().await.expect("the simulator starts");
    let mut config = VsphereConfig::new(sim.url().as_str(), sim.username(), sim.password());
    config.thumbprint = Some(sim.thumbprint().to_owned());
    let provider = VsphereProvider::new(config).expect("a usable configuration");
    (sim, provider)
}

fn fault_of(error: &Error) -> &Fault {
    let source = std::error::Error::source(error).unwrap_or_else(|| panic!("{error} keeps no fault"));
    source.downcast_ref().unwrap_or_else(|| panic!("{error} keeps another cause"))
}

fn options() -> ExportOptions {
    ExportOptions { job: Some("faulty".parse().expect("a job id")), ..ExportOptions::default() }
}

async fn check(row: &Row) {
    let Row { fault, method, fields, .. } = row;
    let (sim, provider) = start().await;
    let mut strike = Strike::detailed(fault, fields);
    if row.in_task {
        strike = strike.of_task();
    }
    sim.add_fault(FaultRule::method(*method, strike));
    let vm = VmId::new(if *method == "ExportVm" { STOPPED } else { RUNNING });
    let error = provider.open_export(&vm, &options()).await.expect_err(fault);
    let found = fault_of(&error);
    assert_eq!((found.type_name(), found.kind(), found.class()), (*fault, row.kind, row.class), "{fault}");
    assert_eq!((error.kind(), error.retry()), (row.error, row.retry), "{fault}: {error}");
    let advice = error.advice().unwrap_or_else(|| panic!("{fault} has no advice"));
    assert!(advice.contains(row.advice), "{fault}: {advice}");
    let text = error.to_string();
    assert!(text.contains(fault) && text.contains("in the server's place"), "{fault}: {text}");
    // What a person needs in order to act is in the message: the object, the file, the question.
    for (name, value) in fields.iter().filter(|(name, _)| !UNTOLD.contains(name)) {
        let value = match value.split_once(':') {
            Some((_, id)) if REFERENCES.contains(name) => id,
            _ => value,
        };
        assert_eq!(found.detail(name), Some(value), "{fault}");
        assert!(text.contains(value), "{fault} does not tell {name}: {text}");
    }
    // Whatever was held by then is released, also the snapshot.
    provider.close().await;
    let log = sim.log();
    assert_eq!(log.open_leases(), [""; 0], "{fault}");
    assert!(log.snapshots().is_empty(), "{fault}");
    assert_eq!(log.open_sessions(), [""; 0], "{fault}");
    let struck = log.events().iter().filter(|event| matches!(event, Event::FaultInjected { .. })).count();
    assert_eq!(struck, 1, "{fault} is raised once: nothing repeats a call that may not be repeated");
    sim.shutdown().await;
}

/// Fields that are references.
const REFERENCES: [&str; 3] = ["object", "obj", "datastore"];

/// Fields that help nobody.
const UNTOLD: [&str; 4] = ["requestedState", "selfSigned", "task", "type"];

#[tokio::test]
async fn every_fault_has_its_kind_class_retry_advice_and_tells_what_it_is_about() {
    for row in rows() {
        check(&row).await;
    }
}

#[tokio::test]
async fn a_session_that_is_gone_is_renewed_and_the_call_repeated() {
    let (sim, provider) = start().await;
    sim.add_fault(FaultRule::method("ExportVm", Strike::NotAuthenticated));
    let session = provider.open_export(&VmId::new(STOPPED), &options()).await.expect("it goes on");
    session.abort("seen enough", Duration::from_secs(5)).await;
    assert_eq!(sim.log().calls("ExportVm"), 2);
    assert_eq!(provider.connections().total_renewed, 1);
    provider.close().await;
    assert_eq!(sim.log().open_sessions(), [""; 0]);
}

#[tokio::test]
async fn a_snapshot_whose_removal_meets_a_busy_vm_is_removed_all_the_same() {
    let (sim, provider) = start().await;
    for fault in ["TaskInProgress", "FileLocked", "InvalidState", "HostCommunication"] {
        sim.add_fault(FaultRule::method("RemoveSnapshot_Task", Strike::detailed(fault, &[]).of_task()));
    }
    let session = provider.open_export(&VmId::new(RUNNING), &options()).await.expect("it opens");
    session.complete().await.expect("it completes");
    provider.close().await;
    assert!(sim.faults().is_empty(), "all of them struck");
    assert!(sim.log().snapshots().is_empty());
}

#[tokio::test]
async fn a_wait_that_the_end_of_its_session_cancels_is_begun_again() {
    let (sim, provider) = start().await;
    for fault in ["RequestCanceled", "InvalidCollectorVersion", "RequestCanceled"] {
        sim.add_fault(FaultRule::method("WaitForUpdatesEx", Strike::detailed(fault, &[])));
    }
    let session = provider.open_export(&VmId::new(RUNNING), &options()).await.expect("it opens");
    session.complete().await.expect("it completes");
    provider.close().await;
    let log = sim.log();
    assert!(sim.faults().is_empty(), "all of them struck");
    assert_eq!((log.calls("CreateSnapshot_Task"), log.calls("RemoveSnapshot_Task")), (1, 1));
    assert!(log.snapshots().is_empty());
    assert_eq!(log.open_leases(), [""; 0]);
}
