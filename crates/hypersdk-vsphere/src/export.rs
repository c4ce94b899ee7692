//! One export: a lease on a VM's files, and everything asked of it until it ends.

mod files;
mod hardware;
mod source;

pub(crate) use files::estimate;
pub(crate) use source::{Facts, inspect};

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use backon::{ExponentialBuilder, Retryable};
use hypersdk_core::{
    ByteStream, Descriptor, Error, ErrorKind, ExportOptions, ExportSession, ExportSource, FileKind,
    HostDigest, PackagedFile, PowerPolicy, PowerState, Result, SourceFile, VmId,
};

use crate::api::{CreateDescriptor, HttpNfcLeaseGetManifest, HttpNfcLeaseSetManifestChecksumType, OvfFile};
use crate::lease::{self, Lease, LeftSnapshot, Plan, PowerPlan, SnapshotPlan};
use crate::nfc::{Device, NfcClients};
use crate::orphans;
use crate::session::Scope;
use crate::soap::{CallError, Fault, FaultKind, MoRef};

/// An export that is open.
#[derive(Debug)]
pub(crate) struct VsphereExport {
    scope: Scope,
    vm: MoRef,
    lease: Lease,
    lease_object: MoRef,
    snapshot: Option<MoRef>,
    source: ExportSource,
    files: Vec<SourceFile>,
    devices: HashMap<String, Device>,
    clients: NfcClients,
}

/// Opens the export of a VM on behalf of `work`, whose name a snapshot bears.
///
/// # Cancel safety
/// Dropping the future releases at the server whatever was held by then.
pub(crate) async fn open(
    scope: Scope,
    vm: MoRef,
    options: &ExportOptions,
    work: &str,
) -> Result<VsphereExport> {
    let facts = inspect(&scope, &vm).await?;
    let from_snapshot = options.power == PowerPolicy::Snapshot && facts.power == PowerState::On;
    let snapshot = from_snapshot.then(|| SnapshotPlan {
        name: orphans::name_for(work),
        description: orphans::description_for(work),
        quiesce: options.quiesce,
    });
    let name = orphans::name_for(work);
    let reuse = options.reuse_snapshot.clone().map(|id| LeftSnapshot { name, id });
    let power = PowerPlan {
        stop: (facts.power == PowerState::On && options.power.stops()).then_some(options.power),
        restore: options.restore_power,
        was_running: options.was_running,
    };
    let opened = lease::open(&scope, Plan { vm: vm.clone(), snapshot, reuse, power }).await?;
    let exported = files::plan(&opened.info, &facts, options, scope.connector().endpoint());
    let (files, devices) = match exported {
        Ok(exported) => exported,
        Err(error) => {
            opened.lease.abort(error.message(), Duration::from_secs(10)).await;
            return Err(error);
        }
    };
    let source = ExportSource {
        vm: VmId::new(&vm.id),
        vm_name: facts.name,
        instance_uuid: facts.instance_uuid,
        host: facts.host,
        snapshot: opened.snapshot.as_ref().map(|snapshot| snapshot.id.clone()),
    };
    let export = VsphereExport {
        clients: NfcClients::new(std::sync::Arc::clone(scope.connector())),
        vm,
        lease: opened.lease,
        lease_object: opened.object,
        snapshot: opened.snapshot,
        source,
        files,
        devices,
        scope,
    };
    export.ask_for_digests().await;
    Ok(export)
}

impl VsphereExport {
    /// Asks the hosts to digest what they send with SHA-256. Hosts before 6.7 cannot; they attest nothing or
    /// SHA-1.
    async fn ask_for_digests(&self) {
        let keys = self.files.iter().map(|file| file.key.clone()).collect();
        let call = HttpNfcLeaseSetManifestChecksumType { this: self.lease_object.clone(), keys };
        if let Err(error) = self.scope.call(&call).await {
            tracing::info!(%error, "the host does not attest SHA-256 digests");
        }
    }

    /// True if the image of a drive is among the files of a package.
    fn has_images(&self, files: &[PackagedFile]) -> bool {
        let mut images = self.files.iter().filter(|file| file.kind == FileKind::Other);
        images.any(|image| files.iter().any(|file| file.key == image.key))
    }

    async fn create_descriptor(&self, call: &CreateDescriptor) -> Result<Descriptor, CallError> {
        let attempt = || self.scope.call(call);
        let backoff = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(200))
            .with_max_delay(Duration::from_secs(10))
            .with_max_times(6)
            .with_jitter();
        let busy =
            |error: &CallError| error.fault().is_some_and(|fault| fault.kind() == FaultKind::TaskInProgress);
        let result = attempt.retry(backoff).when(busy).await?;
        if let Some(first) = result.errors.first() {
            let all: Vec<String> = result.errors.iter().map(ToString::to_string).collect();
            return Err(CallError::Fault(Box::new(Fault::new(first.type_name(), all.join("; ")))));
        }
        let warnings = result.warnings.iter().map(ToString::to_string).collect();
        Ok(Descriptor { ovf: result.descriptor, warnings })
    }
}

#[async_trait]
impl ExportSession for VsphereExport {
    fn source(&self) -> &ExportSource {
        &self.source
    }

    fn files(&self) -> &[SourceFile] {
        &self.files
    }

    async fn open(&self, file: &SourceFile) -> Result<ByteStream> {
        let device = self.devices.get(&file.key).ok_or_else(|| {
            Error::new(ErrorKind::Invalid, format!("read {}", file.name), "it is not a file of this export")
        })?;
        self.clients.open(&file.name, device, self.lease.probe()).await
    }

    fn report_progress(&self, percent: u8) {
        self.lease.set_percent(percent);
    }

    async fn host_digests(&self) -> Result<Vec<HostDigest>> {
        let entries =
            match self.scope.call(&HttpNfcLeaseGetManifest { this: self.lease_object.clone() }).await {
                Err(CallError::Fault(fault)) if fault.kind() == FaultKind::NotSupported => {
                    tracing::info!(%fault, "the host does not attest digests");
                    return Ok(Vec::new());
                }
                result => result.map_err(|error| error.into_error("get manifest"))?,
            };
        let digest = |entry: crate::api::ManifestEntry| {
            let is_sha256 = |kind: &String| kind.replace('-', "").eq_ignore_ascii_case("sha256");
            let sha256 = entry.checksum.filter(|_| entry.checksum_type.as_ref().is_some_and(is_sha256));
            HostDigest {
                key: entry.key,
                size_bytes: entry.size,
                sha1: entry.sha1.map(|text| text.to_ascii_lowercase()),
                sha256: sha256.map(|text| text.to_ascii_lowercase()),
            }
        };
        Ok(entries.into_iter().map(digest).collect())
    }

    async fn descriptor(&self, name: &str, files: &[PackagedFile]) -> Result<Descriptor> {
        let this = self.scope.content().ovf_manager.clone().ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "create descriptor", "the server has no OVF manager")
        })?;
        let file = |file: &PackagedFile| OvfFile {
            device_id: file.key.clone(),
            path: file.name.clone(),
            size: file.size_bytes,
            capacity: file.capacity_bytes,
            populated_size: file.populated_bytes,
        };
        let call = CreateDescriptor {
            this,
            vm: self.vm.clone(),
            files: files.iter().map(file).collect(),
            name: name.to_owned(),
            images: self.has_images(files),
            snapshot: self.snapshot.clone(),
        };
        let lost = self.lease.lost().borrow().clone();
        match (self.create_descriptor(&call).await, lost) {
            (Ok(descriptor), _) => Ok(descriptor),
            (Err(_), Some(lost)) => Err(lost.error("create descriptor")),
            (Err(error), None) => Err(error.into_error("create descriptor")),
        }
    }

    async fn complete(self: Box<Self>) -> Result<()> {
        self.lease.complete().await
    }

    async fn abort(self: Box<Self>, reason: &str, patience: Duration) {
        self.lease.abort(reason, patience).await;
    }
}
