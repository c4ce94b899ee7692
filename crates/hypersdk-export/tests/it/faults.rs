use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use hypersdk_core::testing::StreamFault;
use hypersdk_core::{ClaimCheck, Error, ErrorKind, PackageFormat, Result, RetryHint};

use crate::lab::Lab;

#[tokio::test(start_paused = true)]
async fn a_stream_that_goes_wrong_is_begun_again() {
    for format in PackageFormat::ALL {
        for fault in [StreamFault::Cut(70_000), StreamFault::EndEarly(70_000), StreamFault::Flip(1)] {
            let lab = Lab::with_disks(&[40, 7]);
            lab.provider.fault_stream("disk-0.vmdk", [fault]);
            lab.export(&lab.spec(format))
                .await
                .unwrap_or_else(|error| panic!("{fault:?}: {}", error.chain()));
            assert_eq!(lab.provider.ledger().exports(), (1, 1, 0), "{fault:?}");
            let files = if format == PackageFormat::Vmdk { 2 } else { 3 };
            assert_eq!(lab.provider.ledger().readings.load(Ordering::SeqCst), files + 1, "one file twice");
        }
    }
}

#[tokio::test]
async fn a_disk_that_is_deflated_or_converted_is_begun_again_too() {
    for (format, compress) in
        [(PackageFormat::Ova, true), (PackageFormat::Qcow2, true), (PackageFormat::Raw, false)]
    {
        let lab = Lab::with_disks(&[40]);
        lab.provider.fault_stream("disk-0.vmdk", [StreamFault::EndEarly(90_000), StreamFault::Cut(90_000)]);
        let mut spec = lab.spec(format);
        spec.compress = compress;
        lab.export(&spec).await.unwrap_or_else(|error| panic!("{format:?}: {}", error.chain()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_vm_is_waited_for_but_not_for_ever() {
    let busy = || {
        Error::new(ErrorKind::Conflict, "open export", "another task is in progress")
            .with_retry(RetryHint::After(Duration::from_secs(10)))
    };
    let mut lab = Lab::with_disks(&[7]);
    lab.provider.fault_openings((0..5).map(|_| busy()));
    lab.export(&lab.spec(PackageFormat::Ova)).await.unwrap();
    lab.config.busy_patience = Duration::from_secs(15);
    lab.provider.fault_openings((0..5).map(|_| busy()));
    let mut spec = lab.spec(PackageFormat::Ova);
    spec.overwrite = true;
    assert_eq!(lab.export_as("job-2", &spec).await.unwrap_err().kind(), ErrorKind::Conflict);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_keeps_going_wrong_fails_the_export_and_leaves_nothing() {
    for format in PackageFormat::ALL {
        let lab = Lab::with_disks(&[40, 7]);
        lab.provider.fault_stream("disk-1.vmdk", [StreamFault::EndEarly(5000); 9]);
        let error = lab.export(&lab.spec(format)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains("disk-1.vmdk"), "{error}");
        assert_eq!(lab.names(), [""; 0]);
        assert_eq!(lab.provider.ledger().exports(), (1, 0, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn partial_files_are_kept_if_that_is_wanted_and_the_next_attempt_replaces_them() {
    let lab = Lab::with_disks(&[40]);
    lab.provider.fault_stream("disk-0.vmdk", [StreamFault::EndEarly(5000); 3]);
    let mut spec = lab.spec(PackageFormat::Ova);
    spec.keep_partial = true;
    lab.export(&spec).await.unwrap_err();
    assert_eq!(lab.names(), ["web_01.ova@job-1@1.partial"]);
    lab.export(&spec).await.unwrap();
    assert_eq!(lab.names(), ["web_01.ova", "web_01.receipt.json"]);
}

#[tokio::test]
async fn a_cancelled_export_stops_at_once_and_leaves_nothing() {
    for format in PackageFormat::ALL {
        let lab = Lab::with_disks(&[40, 7]);
        lab.provider.fault_stream("disk-0.vmdk", [StreamFault::Stall(70_000)]);
        let spec = lab.spec(format);
        let stop = async {
            while lab.provider.ledger().exports().0 == 0 {
                tokio::task::yield_now().await;
            }
            lab.cancel.cancel();
        };
        let export = tokio::time::timeout(Duration::from_secs(1), lab.export(&spec));
        let (outcome, ()) = tokio::join!(export, stop);
        assert_eq!(outcome.expect("within a second").unwrap_err().kind(), ErrorKind::Cancelled);
        assert_eq!(lab.names(), [""; 0]);
        assert_eq!(lab.provider.ledger().exports(), (1, 0, 1));
    }
}

/// Says that the job is another's.
#[derive(Debug)]
struct Lost;

#[async_trait]
impl ClaimCheck for Lost {
    async fn confirm(&self) -> Result<()> {
        Err(Error::new(ErrorKind::Conflict, "confirm the claim", "another process has the job"))
    }
}

#[tokio::test]
async fn an_attempt_that_has_lost_its_job_leaves_nothing_but_what_the_later_one_wrote() {
    for format in PackageFormat::ALL {
        let lab = Lab::with_disks(&[40, 7]);
        let later = format!("web_01.{}@job-1@2.partial", if format.is_archive() { "ova" } else { "ovf" });
        std::fs::write(lab.path(&later), "").unwrap();
        let (context, _log) = lab.context("job-1");
        let error = lab.export_in(&context.with_claim(Arc::new(Lost)), &lab.spec(format)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert_eq!(lab.names(), [later]);
    }
}

#[tokio::test]
async fn a_directory_that_is_missing_is_refused_before_anything_is_opened() {
    let lab = Lab::with_disks(&[7]);
    let mut spec = lab.spec(PackageFormat::Ova);
    spec.output_dir = lab.path("missing");
    let error = lab.export(&spec).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("output_dir") && error.advice().is_some());
    assert_eq!(lab.provider.ledger().exports(), (0, 0, 0));
}

#[tokio::test]
async fn a_provider_that_fails_to_open_leaves_nothing() {
    let lab = Lab::with_disks(&[7]);
    lab.provider.fault_calls([Error::new(ErrorKind::Unavailable, "find VM", "connection refused")]);
    assert!(lab.export(&lab.spec(PackageFormat::Ova)).await.unwrap_err().is_retryable());
    assert_eq!(lab.names(), [""; 0]);
}
