//! Against the project's own simulator: exports end to end, and everything that can go wrong with them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use hypersdk_core::testing::provider_conformance;
use hypersdk_core::{
    ByteStream, ErrorKind, ExportOptions, ExportSession, FileKind, PackagedFile, PowerPolicy, Provider,
    ProviderExt, RetryHint, VmFilter, VmId, VmSelector,
};
use hypersdk_vsim::{
    DiskSpec, Event, FaultKind as Strike, FaultRule, Kind, ManifestSupport, PowerState, StreamOutcome,
    VmSpec, Vsim, VsimBuilder,
};
use hypersdk_vsphere::{CertificateRefused, Fault, FaultKind, VsphereConfig, VsphereProvider};
use sha2::{Digest, Sha256};

const SOON: Duration = Duration::from_secs(10);

fn config(sim: &Vsim) -> VsphereConfig {
    let mut config = VsphereConfig::new(sim.url().as_str(), sim.username(), sim.password());
    config.thumbprint = Some(sim.thumbprint().to_owned());
    config
}

fn connect(sim: &Vsim) -> VsphereProvider {
    VsphereProvider::new(config(sim)).expect("a usable configuration")
}

/// Disks large enough to be cut in the middle, small enough to be quick.
fn builder() -> VsimBuilder {
    Vsim::builder().disk_size(4 << 20)
}

async fn start() -> Vsim {
    builder().start().await.expect("the simulator starts")
}

fn selector(text: &str) -> VmSelector {
    text.parse().expect("a selector")
}

fn running() -> VmId {
    VmId::new("vm-103")
}

fn stopped() -> VmId {
    VmId::new("vm-101")
}

fn job(id: &str) -> ExportOptions {
    ExportOptions { job: Some(id.parse().expect("a job id")), ..ExportOptions::default() }
}

fn fault_of(error: &hypersdk_core::Error) -> Option<FaultKind> {
    std::error::Error::source(error)?.downcast_ref::<Fault>().map(Fault::kind)
}

async fn read(stream: ByteStream) -> hypersdk_core::Result<Vec<u8>> {
    stream
        .try_fold(Vec::new(), |mut all, chunk: Bytes| async move {
            all.extend_from_slice(&chunk);
            Ok(all)
        })
        .await
}

/// Downloads every file and asks for digests and descriptor; the export can be completed then.
async fn fetch_all(session: &dyn ExportSession) -> hypersdk_core::Result<Vec<PackagedFile>> {
    let mut packaged = Vec::new();
    for file in session.files() {
        let bytes = read(session.open(file).await?).await?;
        let digests = session.host_digests().await?;
        if let Some(digest) = digests.iter().find(|digest| digest.key == file.key) {
            assert_eq!(digest.size_bytes, bytes.len() as u64, "{}", file.name);
            assert_eq!(digest.sha256.as_deref(), Some(hex::encode(Sha256::digest(&bytes)).as_str()));
        }
        packaged.push(PackagedFile {
            key: file.key.clone(),
            name: file.name.clone(),
            size_bytes: bytes.len() as u64,
            capacity_bytes: file.capacity_bytes,
            populated_bytes: None,
        });
    }
    session.descriptor("web", &packaged).await?;
    Ok(packaged)
}

fn assert_nothing_left(sim: &Vsim) {
    assert!(sim.log().open_leases().is_empty(), "{:?}", sim.log().open_leases());
    assert!(sim.log().snapshots().is_empty(), "{:?}", sim.log().snapshots());
    assert!(sim.log().open_sessions().is_empty(), "{:?}", sim.log().open_sessions());
}

fn count(sim: &Vsim, wanted: impl Fn(&Event) -> bool) -> usize {
    sim.log().events().iter().filter(|event| wanted(event)).count()
}

fn logins(sim: &Vsim) -> usize {
    count(sim, |event| matches!(event, Event::LoggedIn { .. }))
}

async fn wait_for(sim: &Vsim, what: &str, wanted: impl Fn(&Event) -> bool) {
    let found = sim.log().wait_for_within(SOON, wanted).await;
    assert!(found.is_some(), "{what} within {SOON:?}: {:#?}", sim.log().events());
}

#[tokio::test]
async fn it_does_what_every_provider_does() {
    for kind in [Kind::VirtualCenter, Kind::Esxi] {
        let sim = builder().kind(kind).start().await.unwrap();
        let provider = connect(&sim);
        for path in sim.vm_paths() {
            provider_conformance(&provider, &selector(&path)).await;
        }
        provider.close().await;
        assert_nothing_left(&sim);
        // The kept inventory has one of the sessions.
        assert_eq!(logins(&sim), 2);
    }
}

#[tokio::test]
async fn a_stopped_vm_is_exported_whole_with_digests_nvram_and_descriptor() {
    let sim = start().await;
    let provider = connect(&sim);
    let vm = provider.get(&selector("/DC0/vm/prod/db-01")).await.unwrap();
    let session = provider.open_export(&vm.id, &job("job-1")).await.unwrap();
    let source = session.source().clone();
    assert_eq!((source.vm_name.as_str(), source.snapshot), ("db-01", None));
    assert_eq!(source.instance_uuid, vm.instance_uuid);
    assert!(source.host.is_some());
    let shown: Vec<_> =
        session.files().iter().map(|file| (file.name.as_str(), file.kind, file.capacity_bytes)).collect();
    assert_eq!(
        shown,
        [
            ("disk-0.vmdk", FileKind::Disk, Some(4 << 20)),
            ("disk-1.vmdk", FileKind::Disk, Some(4 << 20)),
            ("db-01.nvram", FileKind::Nvram, None),
        ]
    );
    let estimates: Vec<u64> = session.files().iter().filter_map(|file| file.estimate_bytes).collect();
    let packaged = fetch_all(&*session).await.unwrap();
    for (file, estimate) in packaged.iter().zip(&estimates) {
        assert!(file.size_bytes <= *estimate, "{} of {estimate}", file.size_bytes);
    }
    assert_eq!(session.host_digests().await.unwrap().len(), 3);
    let descriptor = session.descriptor("db", &packaged).await.unwrap();
    for file in &packaged {
        assert!(descriptor.ovf.contains(&format!("ovf:size=\"{}\"", file.size_bytes)), "{}", descriptor.ovf);
    }
    session.complete().await.unwrap();
    provider.close().await;
    assert_nothing_left(&sim);
    assert_eq!(count(&sim, |event| matches!(event, Event::LeaseCompleted { .. })), 1);
    assert_eq!(sim.log().calls("CreatePropertyCollector"), sim.log().calls("DestroyPropertyCollector"));
}

#[tokio::test]
async fn a_running_vm_is_exported_from_a_snapshot_that_is_removed() {
    let sim = start().await;
    let provider = connect(&sim);
    let session = provider.open_export(&running(), &job("job-2")).await.unwrap();
    assert!(session.source().snapshot.is_some());
    assert_eq!(sim.log().snapshots()[0].name, "hypersdk-job-2");
    fetch_all(&*session).await.unwrap();
    session.complete().await.unwrap();
    assert!(sim.log().snapshots().is_empty(), "it is gone when complete returns");
    provider.close().await;
    assert_nothing_left(&sim);
}

#[tokio::test]
async fn a_running_vm_that_must_be_kept_as_it_is_says_what_to_do() {
    let sim = start().await;
    let provider = connect(&sim);
    let options = ExportOptions { power: PowerPolicy::Keep, ..job("job-3") };
    let error = provider.open_export(&running(), &options).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Conflict, RetryHint::Never));
    assert_eq!(fault_of(&error), Some(FaultKind::InvalidPowerState));
    assert!(error.advice().unwrap().contains("snapshot"), "{:?}", error.advice());
    provider.close().await;
    assert_nothing_left(&sim);
}

#[tokio::test]
async fn a_missing_privilege_is_named() {
    let sim = builder().deny_privilege("VApp.Export").start().await.unwrap();
    let provider = connect(&sim);
    let error = provider.open_export(&running(), &job("job-4")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.to_string().contains("VApp.Export"), "{error}");
    assert!(sim.log().snapshots().is_empty(), "the snapshot is gone before the error is told");
    provider.close().await;
    assert_nothing_left(&sim);
}

#[tokio::test]
async fn a_lease_outlives_its_timeout_many_times_over() {
    let sim = builder().lease_timeout(Duration::from_secs(1)).start().await.unwrap();
    let provider = connect(&sim);
    let session = provider.open_export(&stopped(), &job("job-5")).await.unwrap();
    session.report_progress(42);
    let renewals = AtomicUsize::new(0);
    wait_for(&sim, "fifteen renewals", |event| {
        matches!(event, Event::LeaseProgress { .. }) && renewals.fetch_add(1, Ordering::Relaxed) == 15
    })
    .await;
    assert!(count(&sim, |event| matches!(event, Event::LeaseProgress { percent: 42, .. })) > 10);
    fetch_all(&*session).await.unwrap();
    session.complete().await.unwrap();
    provider.close().await;
    assert_nothing_left(&sim);
    assert_eq!(count(&sim, |event| matches!(event, Event::LeaseExpired { .. })), 0);
}

#[tokio::test]
async fn renewals_that_fail_for_a_while_do_not_lose_the_lease() {
    let sim = builder().lease_timeout(Duration::from_secs(2)).start().await.unwrap();
    let provider = connect(&sim);
    let session = provider.open_export(&stopped(), &job("job-6")).await.unwrap();
    sim.add_fault(FaultRule::method("HttpNfcLeaseProgress", Strike::HttpStatus { status: 503 }).times(4));
    sim.add_fault(
        FaultRule::method("HttpNfcLeaseProgress", Strike::MethodFault { fault: "HostCommunication".into() })
            .times(2),
    );
    let renewals = AtomicUsize::new(0);
    wait_for(&sim, "renewals after the faults", |event| {
        matches!(event, Event::LeaseProgress { .. }) && renewals.fetch_add(1, Ordering::Relaxed) == 3
    })
    .await;
    assert!(sim.faults().is_empty());
    fetch_all(&*session).await.unwrap();
    session.complete().await.unwrap();
    provider.close().await;
    assert_nothing_left(&sim);
}

#[tokio::test]
async fn a_lease_that_expires_in_the_middle_fails_the_stream_with_its_cause() {
    let sim = builder().start().await.unwrap();
    let provider = connect(&sim);
    let session = provider.open_export(&running(), &job("job-7")).await.unwrap();
    sim.add_fault(FaultRule::stream(Strike::ExpireLease { bytes: 100_000 }));
    let file = session.files()[0].clone();
    let error = read(session.open(&file).await.unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(error.to_string().contains("lease is lost"), "{error}");
    assert!(error.is_retryable());
    let error = session.open(&file).await.err().expect("a lost lease serves nothing");
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    let error = session.complete().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    provider.close().await;
    assert_nothing_left(&sim);
}

#[tokio::test]
async fn a_session_that_ends_in_the_middle_is_renewed_once_and_the_export_completes() {
    let sim = builder().lease_timeout(Duration::from_secs(1)).start().await.unwrap();
    let mut one = config(&sim);
    one.connection_pool.max_connections = 1;
    let provider = VsphereProvider::new(one).unwrap();
    let session = provider.open_export(&running(), &job("job-8")).await.unwrap();
    let file = session.files()[0].clone();
    let mut stream = session.open(&file).await.unwrap();
    stream.next().await.unwrap().unwrap();
    assert_eq!(sim.terminate_sessions(), 1);
    // Renewals, other borrowers and the end of the export all meet the dead session.
    let vm = VmSelector::Id(running());
    let finds = futures::future::join_all((0..8).map(|_| provider.get(&vm)));
    let (found, rest) = tokio::join!(finds, read(stream));
    assert!(found.into_iter().all(|vm| vm.is_ok()));
    rest.unwrap();
    fetch_all(&*session).await.unwrap();
    session.complete().await.unwrap();
    provider.close().await;
    assert_eq!(logins(&sim), 2);
    assert_nothing_left(&sim);
}

#[tokio::test]
async fn a_session_that_ends_just_before_the_end_does_not_cost_the_export() {
    let sim = start().await;
    let provider = connect(&sim);
    let session = provider.open_export(&stopped(), &job("job-9")).await.unwrap();
    fetch_all(&*session).await.unwrap();
    sim.add_fault(FaultRule::method("HttpNfcLeaseComplete", Strike::NotAuthenticated));
    session.complete().await.unwrap();
    provider.close().await;
    assert_eq!(logins(&sim), 2);
    assert_nothing_left(&sim);
}

#[tokio::test]
async fn a_lost_answer_to_complete_is_asked_for_again() {
    let sim = start().await;
    let provider = connect(&sim);
    let session = provider.open_export(&running(), &job("job-10")).await.unwrap();
    fetch_all(&*session).await.unwrap();
    sim.add_fault(FaultRule::method("HttpNfcLeaseComplete", Strike::HttpStatus { status: 502 }).times(2));
    session.complete().await.unwrap();
    provider.close().await;
    assert_nothing_left(&sim);
    assert_eq!(count(&sim, |event| matches!(event, Event::LeaseCompleted { .. })), 1);
}

#[tokio::test]
async fn a_dropped_export_releases_everything_within_a_second() {
    let sim = builder().stream_rate(50_000).start().await.unwrap();
    let provider = connect(&sim);
    let session = provider.open_export(&running(), &job("job-11")).await.unwrap();
    let mut stream = session.open(&session.files()[0].clone()).await.unwrap();
    stream.next().await.unwrap().unwrap();
    let dropped = Instant::now();
    drop(stream);
    drop(session);
    wait_for(&sim, "the socket closed", |event| {
        matches!(
            event,
            Event::StreamEnded { outcome: StreamOutcome::ClientGone | StreamOutcome::LeaseEnded, .. }
        )
    })
    .await;
    wait_for(&sim, "the lease aborted", |event| matches!(event, Event::LeaseAborted { .. })).await;
    wait_for(&sim, "the snapshot removed", |event| matches!(event, Event::SnapshotRemoved { .. })).await;
    assert!(dropped.elapsed() < Duration::from_secs(1), "{:?}", dropped.elapsed());
    provider.close().await;
    assert_nothing_left(&sim);
}

#[tokio::test]
async fn an_aborted_export_has_released_everything_when_abort_returns() {
    let sim = builder().stream_rate(50_000).start().await.unwrap();
    let provider = connect(&sim);
    let session = provider.open_export(&running(), &job("job-12")).await.unwrap();
    let mut stream = session.open(&session.files()[0].clone()).await.unwrap();
    stream.next().await.unwrap().unwrap();
    let aborted = Instant::now();
    session.abort("cancelled by a <test>", SOON).await;
    assert!(aborted.elapsed() < Duration::from_secs(1), "{:?}", aborted.elapsed());
    assert!(sim.log().open_leases().is_empty() && sim.log().snapshots().is_empty());
    provider.close().await;
    assert_nothing_left(&sim);
}

#[tokio::test]
async fn an_opening_given_up_at_any_step_leaves_nothing() {
    for at in ["the snapshot", "the lease"] {
        let sim = builder()
            .task_delay(Duration::from_millis(200))
            .lease_delay(Duration::from_secs(60))
            .start()
            .await
            .unwrap();
        let provider = connect(&sim);
        let options = job("job-13");
        let id = running();
        let reached = async {
            if at == "the snapshot" {
                wait_for(&sim, at, |event| matches!(event, Event::LoggedIn { .. })).await;
                while sim.log().calls("CreateSnapshot_Task") == 0 {
                    tokio::task::yield_now().await;
                }
            } else {
                wait_for(&sim, at, |event| matches!(event, Event::LeaseOpened { .. })).await;
            }
        };
        tokio::select! {
            opened = provider.open_export(&id, &options) => panic!("{at}: {opened:?}"),
            () = reached => {}
        }
        wait_for(&sim, "the snapshot removed", |event| matches!(event, Event::SnapshotRemoved { .. })).await;
        provider.close().await;
        assert_nothing_left(&sim);
    }
}

#[tokio::test]
async fn the_snapshot_of_a_killed_attempt_is_removed_by_the_next() {
    let sim = start().await;
    let provider = connect(&sim);
    provider.create_snapshot(&running(), "hypersdk-job-14", false).await.unwrap();
    provider.create_snapshot(&running(), "somebody-else", false).await.unwrap();
    let session = provider.open_export(&running(), &job("job-14")).await.unwrap();
    session.complete().await.unwrap();
    let left: Vec<_> = sim.log().snapshots().into_iter().map(|snapshot| snapshot.name).collect();
    assert_eq!(left, ["somebody-else"]);
    provider.close().await;
}

#[tokio::test]
async fn a_cut_stream_is_an_error_that_may_be_retried_from_the_start() {
    let sim = start().await;
    let provider = connect(&sim);
    let session = provider.open_export(&stopped(), &job("job-15")).await.unwrap();
    sim.add_fault(FaultRule::stream(Strike::CutAfter { bytes: 100_000 }));
    let error = read(session.open(&session.files()[0]).await.unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.is_retryable());
    sim.add_fault(FaultRule::stream(Strike::HttpStatus { status: 503 }));
    let error = session.open(&session.files()[0]).await.err().expect("503 is no stream");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.is_retryable() && error.to_string().contains("503"), "{error}");
    fetch_all(&*session).await.unwrap();
    session.complete().await.unwrap();
    provider.close().await;
    assert_nothing_left(&sim);
}

#[tokio::test]
async fn a_stream_that_stalls_is_a_timeout() {
    let sim = start().await;
    let mut config = config(&sim);
    config.stream_idle_timeout = Duration::from_millis(200);
    let provider = VsphereProvider::new(config).unwrap();
    let session = provider.open_export(&stopped(), &job("job-16")).await.unwrap();
    sim.add_fault(FaultRule::stream(Strike::StallAt { bytes: 50_000 }));
    let error = read(session.open(&session.files()[0]).await.unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(error.is_retryable());
    session.abort("stalled", SOON).await;
    provider.close().await;
    assert_nothing_left(&sim);
}

#[tokio::test]
async fn another_host_is_known_by_the_thumbprint_the_lease_gives() {
    let sim = builder().separate_nfc_host().start().await.unwrap();
    assert_ne!(sim.thumbprint(), sim.nfc_thumbprint());
    let provider = connect(&sim);
    let session = provider.open_export(&stopped(), &job("job-17")).await.unwrap();
    fetch_all(&*session).await.unwrap();
    session.complete().await.unwrap();
    provider.close().await;

    // The server's authority vouches for the server, not for the host; the thumbprint still does.
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    std::fs::write(&ca_file, sim.certificate_pem()).unwrap();
    let mut by_authority = config(&sim);
    by_authority.thumbprint = None;
    by_authority.ca_file = Some(ca_file);
    let provider = VsphereProvider::new(by_authority).unwrap();
    let session = provider.open_export(&stopped(), &job("job-18")).await.unwrap();
    fetch_all(&*session).await.unwrap();
    session.complete().await.unwrap();
    provider.close().await;
    assert_nothing_left(&sim);
}

#[tokio::test]
async fn a_server_with_an_unknown_certificate_gets_no_password() {
    let sim = start().await;
    let mut unknown = config(&sim);
    unknown.thumbprint = None;
    let error = VsphereProvider::new(unknown).unwrap().find(&selector("vm-1")).await.unwrap_err();
    let refused: &CertificateRefused = std::error::Error::source(&error).unwrap().downcast_ref().unwrap();
    assert_eq!(refused.sha256.to_string(), sim.thumbprint_sha256());
    assert!(error.advice().unwrap().contains(sim.thumbprint_sha256()));
    assert!(sim.log().events().is_empty());
}

#[tokio::test]
async fn a_host_that_attests_nothing_is_no_obstacle() {
    let sim = builder().manifest(ManifestSupport::Unsupported).start().await.unwrap();
    let provider = connect(&sim);
    let session = provider.open_export(&stopped(), &job("job-19")).await.unwrap();
    fetch_all(&*session).await.unwrap();
    assert_eq!(session.host_digests().await.unwrap(), []);
    session.complete().await.unwrap();
    provider.close().await;
    assert_nothing_left(&sim);
}

#[tokio::test]
async fn a_listing_is_paged_to_its_end_and_survives_the_end_of_its_session() {
    let sim = builder().vms(30).page_size(4).start().await.unwrap();
    let provider = connect(&sim);
    let all = provider.list_all(VmFilter::default()).await.unwrap();
    let paths: Vec<_> = all.iter().map(|vm| vm.path.clone()).collect();
    assert_eq!(paths, sim.vm_paths());
    assert!(sim.log().calls("ContinueRetrievePropertiesEx") >= 7);

    let mut listing = provider.list(VmFilter::default());
    let first = listing.next().await.unwrap().unwrap();
    sim.terminate_sessions();
    let rest: Vec<_> = listing.try_collect().await.unwrap();
    let mut again: Vec<_> = rest.into_iter().chain([first]).collect();
    again.sort_by(|a, b| a.path.cmp(&b.path));
    assert_eq!(again, all);
    assert_eq!(logins(&sim), 2);
    provider.close().await;
    assert_nothing_left(&sim);
}

#[tokio::test]
async fn a_busy_server_is_asked_again_but_not_to_do_things_twice() {
    let sim = start().await;
    let provider = connect(&sim);
    sim.add_fault(FaultRule::method("FindByInventoryPath", Strike::HttpStatus { status: 503 }).times(2));
    provider.get(&selector("/DC0/vm/prod/web-01")).await.unwrap();
    assert_eq!(sim.log().calls("FindByInventoryPath"), 3);
    sim.add_fault(FaultRule::method("ExportVm", Strike::HttpStatus { status: 503 }));
    let error = provider.open_export(&stopped(), &job("job-20")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.is_retryable());
    assert_eq!(sim.log().calls("ExportVm"), 1);
    provider.close().await;
    assert_nothing_left(&sim);
}

#[tokio::test]
async fn a_snapshot_whose_answer_is_lost_is_looked_for_and_removed() {
    let sim = start().await;
    let mut impatient = config(&sim);
    impatient.call_timeout = Duration::from_secs(1);
    let provider = VsphereProvider::new(impatient).unwrap();
    sim.add_fault(FaultRule::method("CreateSnapshot_Task", Strike::Delay { ms: 1500 }));
    let error = provider.open_export(&running(), &job("job-21")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    provider.close().await;
    // Whether the server made it before or after it was looked for, the next attempt clears it away.
    let session = provider.open_export(&running(), &job("job-21")).await.unwrap();
    session.complete().await.unwrap();
    provider.close().await;
    assert_nothing_left(&sim);
}

#[tokio::test]
async fn refused_credentials_are_tried_once_even_by_many_at_a_time() {
    let sim = start().await;
    let mut wrong = config(&sim);
    wrong.password = "wrong".into();
    let provider = VsphereProvider::new(wrong).unwrap();
    let vm = selector("vm-101");
    let results = futures::future::join_all((0..8).map(|_| provider.find(&vm))).await;
    for error in results.into_iter().map(Result::unwrap_err) {
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Unauthenticated, RetryHint::Never), "{error}");
    }
    assert_eq!(count(&sim, |event| matches!(event, Event::LoginRefused { .. })), 1);
}

#[tokio::test]
async fn an_idle_session_is_kept_alive() {
    let sim = builder().session_idle(Duration::from_millis(800)).start().await.unwrap();
    let mut watchful = config(&sim);
    watchful.keepalive_interval = Duration::from_millis(150);
    let provider = VsphereProvider::new(watchful).unwrap();
    provider.find(&selector("vm-101")).await.unwrap();
    tokio::time::timeout(SOON, async {
        while sim.log().calls("RetrievePropertiesEx") < 11 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("keepalives go out");
    provider.find(&selector("vm-101")).await.unwrap();
    assert_eq!(logins(&sim), 1);
    provider.close().await;
    assert_nothing_left(&sim);
}

#[tokio::test]
async fn names_with_markup_spaces_and_umlauts_are_found_by_their_path() {
    let vm = |name: &str| VmSpec::new(name).power(PowerState::Off).disk(DiskSpec::synth(1, 1 << 20));
    let sim = builder().vm(vm("a&b <c>")).vm(vm("grün ü")).start().await.unwrap();
    let provider = connect(&sim);
    for vm in provider.list_all(VmFilter::default()).await.unwrap() {
        assert_eq!(provider.get(&VmSelector::Path(vm.path.clone())).await.unwrap(), vm);
    }
    provider.close().await;
}

#[tokio::test]
async fn a_vm_is_described_without_an_export() {
    let sim = start().await;
    let provider = connect(&sim);
    let described = provider.describe(&running()).await.unwrap();
    assert_eq!(described.power, hypersdk_core::PowerState::On);
    assert!(described.descriptor.ovf.contains("app-01"), "{}", described.descriptor.ovf);
    assert_eq!(sim.log().calls("ExportVm") + sim.log().calls("CreateSnapshot_Task"), 0);
    let error = provider.describe(&VmId::new("vm-999")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    provider.close().await;
    assert_nothing_left(&sim);
}
