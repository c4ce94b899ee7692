//! One test a kind of fault: what the daemon makes of it, and that nothing is left behind.

use std::time::{Duration, Instant};

use hypersdk_tests::names;
use hypersdk_vsim::{Event, FaultKind, FaultRule};

use crate::world::{APP, WEB, World};

/// The fault strikes once, and the job completes all the same.
async fn survives(fault: FaultRule) {
    let world = World::new().await;
    world.sim.add_fault(fault.clone());
    let job = world.complete(&world.job(WEB)).await;
    assert!(world.sim.faults().is_empty(), "the fault struck: {fault:?}");
    assert_eq!(job["result"]["files"].as_array().unwrap().len(), 3, "{job:#}");
    assert_eq!(names(&world.out()), ["web.ova", "web.receipt.json"]);
    world.stop_clean().await;
}

fn disk(kind: FaultKind) -> FaultRule {
    FaultRule::stream(kind).vm("web").file("disk-0.vmdk").times(1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_cut_hard_is_begun_again() {
    survives(disk(FaultKind::CutAfter { bytes: 1_000_000 })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_ends_early_and_cleanly_is_begun_again() {
    survives(disk(FaultKind::EndAfter { bytes: 1_000_000 })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_stream_is_begun_again() {
    survives(disk(FaultKind::StallAt { bytes: 1_000_000 })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_is_found_by_the_hosts_digest_and_the_file_begun_again() {
    survives(disk(FaultKind::FlipByte { offset: 1_000_003 })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_answered_with_503_is_asked_for_again() {
    survives(disk(FaultKind::HttpStatus { status: 503 })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_expires_in_mid_transfer_is_replaced_by_another() {
    survives(disk(FaultKind::ExpireLease { bytes: 1_000_000 })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_gone_is_logged_in_again_once() {
    for method in ["ExportVm", "CreateDescriptor", "HttpNfcLeaseComplete"] {
        // A sweep at the start would log in for itself beside the job.
        let world =
            World::over(crate::world::simulator(), |config| config.set("orphan_sweep_interval", "0")).await;
        world.sim.add_fault(FaultRule::method(method, FaultKind::NotAuthenticated).times(1));
        world.complete(&world.job(WEB)).await;
        let logins = world.sim.log().events().iter().filter(|e| matches!(e, Event::LoggedIn { .. })).count();
        assert_eq!(logins, 2, "the first login and one more after {method}");
        world.stop_clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_answered_with_503_are_repeated() {
    survives(FaultRule::method("RetrievePropertiesEx", FaultKind::HttpStatus { status: 503 }).times(2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_calls_only_take_longer() {
    let world = World::new().await;
    world.sim.add_fault(FaultRule::any_method(FaultKind::Delay { ms: 100 }).always());
    world.complete(&world.job(WEB)).await;
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capped_stream_only_takes_longer() {
    let world = World::new().await;
    world.sim.add_fault(FaultRule::stream(FaultKind::RateCap { bytes_per_second: 8 << 20 }).always());
    world.complete(&world.job(WEB)).await;
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_always_cut_fails_the_job_with_its_cause_and_leaves_nothing() {
    let world = World::over(crate::world::simulator(), |config| config.set("retry_attempts", "1")).await;
    world.sim.add_fault(disk(FaultKind::EndAfter { bytes: 1_000_000 }).always());
    let job = world.run(&world.job(WEB)).await;
    assert_eq!(job["status"], "failed", "{job:#}");
    let error = job["error"].as_str().unwrap();
    assert!(error.contains("disk-0.vmdk"), "{error}");
    assert_eq!(names(&world.out()), [""; 0]);
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_password_is_tried_once() {
    let world =
        World::over(crate::world::simulator(), |config| config.set("orphan_sweep_interval", "0")).await;
    world.sim.add_fault(
        FaultRule::method("Login", FaultKind::MethodFault { fault: "InvalidLogin".into() }).always(),
    );
    for _ in 0..3 {
        let (status, problem) = world.client().post("/jobs/submit", &world.job(WEB)).await;
        assert!(status >= 400, "{problem}");
    }
    assert_eq!(world.sim.log().calls("Login"), 1, "an account must not be locked by us");
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_closes_its_socket_and_aborts_its_lease_within_a_second() {
    for vm in [WEB, APP] {
        let world = World::new().await;
        world.sim.add_fault(FaultRule::stream(FaultKind::RateCap { bytes_per_second: 1 << 20 }).always());
        let id = world.client().submit(&world.job(vm)).await;
        world
            .client()
            .wait_for(&id, |job| job["progress"]["bytes_downloaded"].as_u64().is_some_and(|bytes| bytes > 0))
            .await;
        let begun = Instant::now();
        world.client().cancel(&id).await;
        let aborted = world
            .sim
            .log()
            .wait_for_within(Duration::from_secs(5), |event| matches!(event, Event::LeaseAborted { .. }))
            .await;
        assert!(aborted.is_some(), "the lease is aborted");
        assert!(begun.elapsed() < Duration::from_secs(1), "it took {:?}", begun.elapsed());
        let job = world.client().wait_for_end(&id).await;
        assert_eq!(job["status"], "cancelled", "{job:#}");
        assert_eq!(names(&world.out()), [""; 0]);
        world.stop_clean().await;
    }
}
