use std::sync::Arc;
use std::time::Duration;

use super::{Backoff, limit, retry, timeout, traced};
use crate::error::{Error, ErrorKind};
use crate::provider::conformance;
use crate::provider::fake::{FakeFile, FakeProvider};
use crate::provider::{ExportOptions, FileKind, PackagedFile, Provider};
use crate::vm::VmSelector;

fn descriptor(name: &str, files: &[PackagedFile]) -> String {
    let names: Vec<_> = files.iter().map(|file| file.name.as_str()).collect();
    format!("<Envelope name=\"{name}\" files=\"{}\"/>", names.join(" "))
}

fn fake() -> (FakeProvider, VmSelector) {
    let provider = FakeProvider::new(descriptor);
    provider.add_vm("/DC0/vm/a", vec![FakeFile::new("a.nvram", FileKind::Nvram, None, vec![7; 20_000])]);
    (provider, "/DC0/vm/a".parse().unwrap())
}

fn quick() -> Backoff {
    Backoff { retries: 2, initial: Duration::from_millis(10), max: Duration::from_secs(1) }
}

#[tokio::test]
async fn the_fake_and_every_layer_over_it_conform() {
    let (provider, vm) = fake();
    let provider: Arc<dyn Provider> = Arc::new(provider);
    conformance::provider(&*provider, &vm).await;
    for layered in [
        retry(Arc::clone(&provider), quick()),
        timeout(Arc::clone(&provider), Duration::from_secs(5)),
        limit(Arc::clone(&provider), 1),
        traced(Arc::clone(&provider), "fake"),
    ] {
        conformance::provider(&*layered, &vm).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_retry_can_help_is_tried_again_and_no_oftener_than_allowed() {
    let (provider, vm) = fake();
    let away = || Error::new(ErrorKind::Unavailable, "find", "connection refused");
    provider.fault_calls([away(), away()]);
    let layered = retry(Arc::new(provider.clone()), quick());
    assert_eq!(layered.find(&vm).await.unwrap().len(), 1);
    provider.fault_calls([away(), away(), away()]);
    assert_eq!(layered.find(&vm).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(layered.find(&vm).await.unwrap().len(), 1, "all three faults were used up");
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_are_never_tried_again() {
    let (provider, vm) = fake();
    provider.fault_calls([Error::new(
        ErrorKind::Unauthenticated,
        "log in",
        "incorrect user name or password",
    )]);
    let layered = retry(Arc::new(provider), quick());
    assert_eq!(layered.find(&vm).await.unwrap_err().kind(), ErrorKind::Unauthenticated);
    assert!(layered.find(&vm).await.is_ok(), "the next call reaches the provider");
}

#[tokio::test(start_paused = true)]
async fn an_export_beyond_the_limit_waits_for_one_to_end() {
    let (provider, vm) = fake();
    let id = provider.find(&vm).await.unwrap().remove(0).id;
    let layered = limit(Arc::new(provider), 1);
    let options = ExportOptions::default();
    let first = layered.open_export(&id, &options).await.unwrap();
    let second = tokio::time::timeout(Duration::from_secs(60), layered.open_export(&id, &options)).await;
    assert!(second.is_err(), "the second waits");
    drop(first);
    layered.open_export(&id, &options).await.unwrap();
}
