use std::time::Duration;

use hypersdk_vsim::{Event, ManifestSupport, Vsim};

use crate::client::{Client, all, drain, first};

const VM: (&str, &str) = ("VirtualMachine", "vm-101");

fn is_expired(event: &Event) -> bool {
    matches!(event, Event::LeaseExpired { .. })
}

#[tokio::test]
async fn a_lease_becomes_ready_and_complete_and_its_urls_die() {
    let sim = Vsim::builder().lease_delay(Duration::from_millis(100)).start().await.unwrap();
    let client = Client::log_in(&sim).await;
    let body = client.ok("ExportVm", VM, "").await;
    let id = first(&body, "returnval");
    let object = ("HttpNfcLease", id);
    assert_eq!(client.property(object, "state").await, "initializing");
    assert_eq!(client.property(object, "info").await, "");
    assert_eq!(client.fails("HttpNfcLeaseComplete", object, "").await, "InvalidState");
    let lease = client.ready(id).await;
    assert_eq!(first(&lease.info, "leaseTimeout"), "300");
    assert_eq!(client.fails("ExportVm", VM, "").await, "TaskInProgress");
    assert_eq!(client.task("PowerOnVM_Task", VM, "").await, Err("TaskInProgress".to_owned()));
    client.ok("HttpNfcLeaseProgress", object, "<percent>10</percent>").await;
    assert_eq!(
        client.fails("HttpNfcLeaseProgress", object, "<percent>101</percent>").await,
        "InvalidArgument"
    );
    client.ok("HttpNfcLeaseComplete", object, "").await;
    assert_eq!(client.property(object, "state").await, "done");
    assert_eq!(client.get(&lease.files[0].url).await.status(), 404);
    assert_eq!(client.fails("HttpNfcLeaseComplete", object, "").await, "InvalidState");
    assert!(sim.log().open_leases().is_empty());
    client.task("PowerOnVM_Task", VM, "").await.unwrap();
}

#[tokio::test]
async fn a_lease_without_progress_expires_and_cuts_its_stream() {
    let sim =
        Vsim::builder().lease_timeout(Duration::from_millis(300)).stream_rate(1 << 20).start().await.unwrap();
    let client = Client::log_in(&sim).await;
    let lease = client.export("vm-101").await;
    assert_eq!(first(&lease.info, "leaseTimeout"), "1");
    let (body, whole) = drain(client.get(&lease.files[0].url).await).await;
    assert!(!whole && !body.is_empty());
    sim.log().wait_for(is_expired).await;
    let ended = sim.log().wait_for(|event| matches!(event, Event::StreamEnded { .. })).await;
    let Event::StreamEnded { outcome, .. } = ended.event else { unreachable!() };
    assert_eq!(outcome, hypersdk_vsim::StreamOutcome::LeaseEnded);
    assert_eq!(
        client.fails("HttpNfcLeaseProgress", lease.object(), "<percent>1</percent>").await,
        "Timedout"
    );
    assert_eq!(client.fails("HttpNfcLeaseComplete", lease.object(), "").await, "Timedout");
    assert_eq!(client.property(lease.object(), "state").await, "error");
    assert!(client.property(lease.object(), "error").await.contains("Timedout"));
    assert_eq!(client.get(&lease.files[0].url).await.status(), 404);
    client.task("PowerOnVM_Task", VM, "").await.unwrap();
}

#[tokio::test]
async fn progress_keeps_a_lease_past_its_timeout() {
    let sim = Vsim::builder().lease_timeout(Duration::from_millis(500)).start().await.unwrap();
    let client = Client::log_in(&sim).await;
    let lease = client.export("vm-101").await;
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    for _ in 0..15 {
        tick.tick().await;
        client.ok("HttpNfcLeaseProgress", lease.object(), "<percent>1</percent>").await;
    }
    client.ok("HttpNfcLeaseComplete", lease.object(), "").await;
    assert!(!sim.log().events().iter().any(is_expired));
}

#[tokio::test]
async fn aborting_frees_the_machine_and_keeps_the_reason() {
    let sim = Vsim::builder().start().await.unwrap();
    let client = Client::log_in(&sim).await;
    let lease = client.export("vm-101").await;
    let reason = "<fault><localizedMessage>enough</localizedMessage></fault>";
    client.ok("HttpNfcLeaseAbort", lease.object(), reason).await;
    assert!(client.property(lease.object(), "error").await.contains("enough"));
    assert_eq!(client.fails("HttpNfcLeaseAbort", lease.object(), "").await, "InvalidState");
    assert!(sim.log().open_leases().is_empty());
    let lease = client.export("vm-101").await;
    client.ok("HttpNfcLeaseAbort", lease.object(), "").await;
}

#[tokio::test]
async fn a_running_machine_exports_by_snapshot_only() {
    let sim = Vsim::builder().start().await.unwrap();
    let client = Client::log_in(&sim).await;
    let vm = ("VirtualMachine", "vm-103");
    let answer = client.call("ExportVm", vm, "").await;
    assert_eq!((answer.fault(), first(&answer.body, "existingState")), ("InvalidPowerState", "poweredOn"));
    let arguments = "<name>export</name><memory>false</memory>";
    let id = client.task("CreateSnapshotEx_Task", vm, arguments).await.unwrap();
    let snapshot = ("VirtualMachineSnapshot", id.as_str());
    let body = client.ok("ExportSnapshot", snapshot, "").await;
    let lease = client.ready(first(&body, "returnval")).await;
    let remove = "<removeChildren>true</removeChildren>";
    assert_eq!(client.task("RemoveSnapshot_Task", snapshot, remove).await, Err("TaskInProgress".to_owned()));
    assert_eq!(drain(client.get(&lease.files[0].url).await).await.0[..4], *b"KDMV");
    let obj = "<obj type=\"VirtualMachine\">vm-103</obj>";
    let ovf = client.manager("ovfManager");
    assert_eq!(client.fails("CreateDescriptor", ovf, &format!("{obj}<cdp></cdp>")).await, "InvalidState");
    let cdp = format!("<cdp><snapshot type=\"VirtualMachineSnapshot\">{id}</snapshot></cdp>");
    client.ok("CreateDescriptor", ovf, &format!("{obj}{cdp}")).await;
    client.ok("HttpNfcLeaseComplete", lease.object(), "").await;
    client.task("RemoveSnapshot_Task", snapshot, remove).await.unwrap();
    assert!(sim.log().snapshots().is_empty());
}

#[tokio::test]
async fn an_old_host_attests_nothing() {
    let sim = Vsim::builder().manifest(ManifestSupport::Unsupported).start().await.unwrap();
    let client = Client::log_in(&sim).await;
    let lease = client.export("vm-101").await;
    assert_eq!(client.fails("HttpNfcLeaseSetManifestChecksumType", lease.object(), "").await, "NotSupported");
    assert_eq!(client.fails("HttpNfcLeaseGetManifest", lease.object(), "").await, "NotSupported");
}

#[tokio::test]
async fn checksum_types_and_keys_must_be_known() {
    let sim = Vsim::builder().start().await.unwrap();
    let client = Client::log_in(&sim).await;
    let lease = client.export("vm-101").await;
    for (key, kind) in [(lease.files[0].key.as_str(), "md5"), ("/vm-1/nothing", "sha256")] {
        let pair = format!(
            "<deviceUrlsToChecksumTypes><key>{key}</key><value>{kind}</value></deviceUrlsToChecksumTypes>"
        );
        let fault = client.fails("HttpNfcLeaseSetManifestChecksumType", lease.object(), &pair).await;
        assert_eq!(fault, "InvalidArgument");
    }
    let none = client.ok("HttpNfcLeaseGetManifest", lease.object(), "").await;
    assert!(all(&none, "returnval").is_empty());
}
