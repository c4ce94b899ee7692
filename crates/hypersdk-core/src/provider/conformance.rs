//! What every provider does, as a suite that any implementation can run.

use std::time::Duration;

use futures::StreamExt;

use super::{ExportOptions, PackagedFile, Provider, ProviderExt};
use crate::error::ErrorKind;
use crate::id::VmId;
use crate::vm::{VmFilter, VmSelector};

/// Runs the whole suite. The provider must have at least one VM that can be exported; `vm` names it.
///
/// # Panics
/// On the first thing the provider does not do.
pub async fn provider(provider: &dyn Provider, vm: &VmSelector) {
    a_listing_contains_what_find_finds(provider, vm).await;
    a_kept_copy_is_what_a_listing_says(provider).await;
    an_unknown_vm_is_none_to_find_and_not_found_to_export(provider).await;
    an_export_delivers_its_files_and_descriptor(provider, vm).await;
    a_file_can_be_read_again_from_its_start(provider, vm).await;
    an_ended_export_can_be_followed_by_another(provider, vm).await;
}

async fn a_listing_contains_what_find_finds(provider: &dyn Provider, vm: &VmSelector) {
    let found = provider.get(vm).await.expect("the VM is found");
    let all = provider.list_all(VmFilter::default()).await.expect("the inventory lists");
    assert!(
        all.iter().any(|listed| listed.id == found.id && listed.path == found.path),
        "{found:?} in {all:?}"
    );
    let by_id = provider.get(&VmSelector::Id(found.id.clone())).await.expect("the VM is found by id");
    assert_eq!((by_id.id, by_id.path), (found.id, found.path));
}

async fn a_kept_copy_is_what_a_listing_says(provider: &dyn Provider) {
    let Some(inventory) = provider.inventory() else { return };
    let copy = inventory.copy().await.expect("the inventory is read");
    let all = provider.list_all(VmFilter::default()).await.expect("the inventory lists");
    assert_eq!(&copy.vms[..], all);
    assert_eq!(inventory.stats().vms, all.len() as u64);
}

async fn an_unknown_vm_is_none_to_find_and_not_found_to_export(provider: &dyn Provider) {
    let nowhere: VmSelector = "/no-such-datacenter/vm/no-such-vm".parse().expect("a selector");
    assert_eq!(provider.find(&nowhere).await.expect("find answers"), []);
    let error = provider
        .open_export(&VmId::new("no-such-id"), &ExportOptions::default())
        .await
        .expect_err("an unknown VM cannot be exported");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

async fn an_export_delivers_its_files_and_descriptor(provider: &dyn Provider, vm: &VmSelector) {
    let vm = provider.get(vm).await.expect("the VM is found");
    let session = provider.open_export(&vm.id, &ExportOptions::default()).await.expect("the export opens");
    assert_eq!(session.source().vm, vm.id);
    assert!(!session.files().is_empty(), "an export has files");
    let mut packaged = Vec::new();
    for file in session.files() {
        let mut stream = session.open(file).await.expect("the file opens");
        let mut size_bytes = 0;
        while let Some(chunk) = stream.next().await {
            size_bytes += chunk.expect("the file reads").len() as u64;
        }
        assert!(size_bytes > 0, "{} has content", file.name);
        if let Some(announced) = file.size_bytes {
            assert_eq!(size_bytes, announced, "{}", file.name);
        }
        packaged.push(PackagedFile {
            key: file.key.clone(),
            name: file.name.clone(),
            size_bytes,
            capacity_bytes: file.capacity_bytes,
            populated_bytes: None,
        });
    }
    for digest in session.host_digests().await.expect("digests, or none") {
        let file = packaged.iter().find(|file| file.key == digest.key).expect("a digest is of a file");
        assert_eq!(digest.size_bytes, file.size_bytes, "{}", file.name);
    }
    let descriptor = session.descriptor("conformance", &packaged).await.expect("a descriptor");
    for file in &packaged {
        assert!(descriptor.ovf.contains(&file.name), "the descriptor references {}", file.name);
    }
    session.complete().await.expect("the export completes");
}

async fn a_file_can_be_read_again_from_its_start(provider: &dyn Provider, vm: &VmSelector) {
    let vm = provider.get(vm).await.expect("the VM is found");
    let session = provider.open_export(&vm.id, &ExportOptions::default()).await.expect("the export opens");
    let file = session.files()[0].clone();
    let mut heads = Vec::new();
    for _ in 0..2 {
        let mut stream = session.open(&file).await.expect("the file opens");
        heads.push(stream.next().await.expect("a chunk").expect("no error")[..4].to_vec());
    }
    assert_eq!(heads[0], heads[1]);
    session.abort("the conformance suite has seen enough", Duration::from_secs(5)).await;
}

async fn an_ended_export_can_be_followed_by_another(provider: &dyn Provider, vm: &VmSelector) {
    let vm = provider.get(vm).await.expect("the VM is found");
    for _ in 0..2 {
        let session =
            provider.open_export(&vm.id, &ExportOptions::default()).await.expect("the export opens");
        session.abort("the conformance suite tries again", Duration::from_secs(5)).await;
    }
}
