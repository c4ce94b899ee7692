use std::time::{Duration, Instant};

use hypersdk_vsim::{Event, FaultKind, FaultRule, StreamOutcome, Vsim};
use sha1::Digest as _;

use crate::client::{Client, Lease, all, drain, first};

const BYTES: u64 = 700_001;

/// A server, a client and a lease on a machine with two disks.
async fn leased() -> (Vsim, Client, Lease) {
    let sim = Vsim::builder().disk_size(8 << 20).start().await.unwrap();
    let client = Client::log_in(&sim).await;
    let lease = client.export("vm-102").await;
    (sim, client, lease)
}

async fn outcome(sim: &Vsim) -> (u64, StreamOutcome) {
    let ended = sim.log().wait_for(|event| matches!(event, Event::StreamEnded { .. })).await;
    let Event::StreamEnded { bytes, outcome, .. } = ended.event else { unreachable!() };
    (bytes, outcome)
}

#[tokio::test]
async fn a_cut_stream_breaks_at_its_byte_and_the_next_is_whole() {
    let (sim, client, lease) = leased().await;
    sim.add_fault(FaultRule::stream(FaultKind::CutAfter { bytes: BYTES }).vm("db-01").file("disk-1.vmdk"));
    assert!(drain(client.get(&lease.files[0].url).await).await.1);
    let (body, whole) = drain(client.get(&lease.files[1].url).await).await;
    assert!(!whole);
    assert_eq!(body.len() as u64, BYTES);
    let cut =
        |event: &Event| matches!(event, Event::StreamEnded { outcome: StreamOutcome::Cut, bytes: BYTES, .. });
    sim.log().wait_for(cut).await;
    let (again, whole) = drain(client.get(&lease.files[1].url).await).await;
    assert!(whole && again.starts_with(&body));
    assert!(sim.faults().is_empty());
}

#[tokio::test]
async fn an_early_end_looks_whole_but_the_manifest_tells() {
    let (sim, client, lease) = leased().await;
    sim.add_fault(FaultRule::stream(FaultKind::EndAfter { bytes: BYTES }));
    let (body, whole) = drain(client.get(&lease.files[0].url).await).await;
    assert!(whole);
    assert_eq!(body.len() as u64, BYTES);
    assert_eq!(outcome(&sim).await, (BYTES, StreamOutcome::EndedEarly));
    let manifest = client.ok("HttpNfcLeaseGetManifest", lease.object(), "").await;
    let (full, _) = drain(client.get(&lease.files[0].url).await).await;
    assert_eq!(first(&manifest, "size"), full.len().to_string());
}

#[tokio::test]
async fn a_stalled_stream_sends_nothing_more_until_the_client_goes() {
    let (sim, client, lease) = leased().await;
    sim.add_fault(FaultRule::stream(FaultKind::StallAt { bytes: BYTES }));
    let mut reply = client.get(&lease.files[0].url).await;
    let mut got = 0;
    while got < BYTES {
        got += reply.chunk().await.unwrap().unwrap().len() as u64;
    }
    assert_eq!(got, BYTES);
    assert!(tokio::time::timeout(Duration::from_millis(300), reply.chunk()).await.is_err());
    drop(reply);
    drop(client);
    assert_eq!(outcome(&sim).await, (BYTES, StreamOutcome::ClientGone));
}

#[tokio::test]
async fn a_stalled_stream_ends_with_its_lease() {
    let (sim, client, lease) = leased().await;
    sim.add_fault(FaultRule::stream(FaultKind::StallAt { bytes: 0 }));
    let reply = client.get(&lease.files[0].url).await;
    client.ok("HttpNfcLeaseAbort", lease.object(), "").await;
    assert!(!drain(reply).await.1);
    assert_eq!(outcome(&sim).await, (0, StreamOutcome::LeaseEnded));
}

#[tokio::test]
async fn a_flipped_byte_is_the_only_difference_and_the_manifest_tells() {
    let (sim, client, lease) = leased().await;
    sim.add_fault(FaultRule::stream(FaultKind::FlipByte { offset: BYTES }));
    let (damaged, _) = drain(client.get(&lease.files[0].url).await).await;
    let manifest = client.ok("HttpNfcLeaseGetManifest", lease.object(), "").await;
    let (sound, _) = drain(client.get(&lease.files[0].url).await).await;
    let differ: Vec<usize> = (0..sound.len()).filter(|at| sound[*at] != damaged[*at]).collect();
    assert_eq!(differ, [BYTES as usize]);
    assert_eq!(damaged[BYTES as usize], !sound[BYTES as usize]);
    assert_eq!(first(&manifest, "sha1"), hex::encode(sha1::Sha1::digest(&sound)));
}

#[tokio::test]
async fn a_capped_stream_takes_its_time() {
    let (sim, client, lease) = leased().await;
    let (body, _) = drain(client.get(&lease.files[0].url).await).await;
    let rate = body.len() as u64 * 2;
    sim.add_fault(FaultRule::stream(FaultKind::RateCap { bytes_per_second: rate }));
    let started = Instant::now();
    let (again, whole) = drain(client.get(&lease.files[0].url).await).await;
    assert!(whole && again == body);
    assert!(started.elapsed() >= Duration::from_millis(450), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_lease_expires_at_a_byte_or_before_a_call() {
    let (sim, client, lease) = leased().await;
    sim.add_fault(FaultRule::stream(FaultKind::ExpireLease { bytes: BYTES }));
    let (body, whole) = drain(client.get(&lease.files[0].url).await).await;
    assert!(!whole && body.len() as u64 <= BYTES);
    assert_eq!(outcome(&sim).await.1, StreamOutcome::LeaseEnded);
    let lease = client.export("vm-102").await;
    sim.add_fault(FaultRule::method("HttpNfcLeaseProgress", FaultKind::ExpireLease { bytes: 0 }).skip(1));
    client.ok("HttpNfcLeaseProgress", lease.object(), "<percent>1</percent>").await;
    assert_eq!(
        client.fails("HttpNfcLeaseProgress", lease.object(), "<percent>2</percent>").await,
        "Timedout"
    );
    assert!(sim.log().open_leases().is_empty());
}

#[tokio::test]
async fn not_authenticated_ends_the_session_each_time() {
    let (sim, mut client, lease) = leased().await;
    sim.add_fault(FaultRule::any_method(FaultKind::NotAuthenticated).times(2));
    for _ in 0..2 {
        let fault = client.fails("HttpNfcLeaseProgress", lease.object(), "<percent>1</percent>").await;
        assert_eq!(fault, "NotAuthenticated");
        assert!(sim.log().open_sessions().is_empty());
        client.cookie = client.login(sim.username(), sim.password()).await.cookie.unwrap();
    }
    // The lease outlives the session that opened it.
    client.ok("HttpNfcLeaseProgress", lease.object(), "<percent>1</percent>").await;
}

#[tokio::test]
async fn a_status_answers_in_place_of_soap_and_of_a_stream() {
    let (sim, client, lease) = leased().await;
    sim.add_fault(FaultRule::method("CurrentTime", FaultKind::HttpStatus { status: 503 }).times(2));
    sim.add_fault(FaultRule::stream(FaultKind::HttpStatus { status: 503 }));
    let service = ("ServiceInstance", "ServiceInstance");
    for wanted in [503, 503, 200] {
        assert_eq!(client.call("CurrentTime", service, "").await.status.as_u16(), wanted);
    }
    for wanted in [503, 200] {
        assert_eq!(client.get(&lease.files[0].url).await.status().as_u16(), wanted);
    }
}

#[tokio::test]
async fn calls_are_delayed_and_failed_by_name() {
    let (sim, client, _lease) = leased().await;
    let service = ("ServiceInstance", "ServiceInstance");
    sim.add_fault(FaultRule::method("CurrentTime", FaultKind::Delay { ms: 300 }));
    let started = Instant::now();
    client.ok("CurrentTime", service, "").await;
    assert!(started.elapsed() >= Duration::from_millis(300));
    sim.add_fault(
        FaultRule::method("ExportVm", FaultKind::MethodFault { fault: "FileFault".into() }).vm("web-01"),
    );
    assert_eq!(client.fails("ExportVm", ("VirtualMachine", "vm-101"), "").await, "FileFault");
    let struck = |event: &Event| matches!(event, Event::FaultInjected { .. });
    assert_eq!(sim.log().events().iter().filter(|event| struck(event)).count(), 2);
    sim.add_fault(FaultRule::any_method(FaultKind::NotAuthenticated).always());
    sim.clear_faults();
    client.ok("CurrentTime", service, "").await;
    assert!(all(&client.property(("VirtualMachine", "vm-101"), "snapshot").await, "snapshot").is_empty());
}
