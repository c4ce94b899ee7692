//! One export in progress: the files a source offers, their bytes, and the descriptor at the end.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::id::{JobId, VmId};

/// A file's bytes in order. Ends with `None` when the source says it is complete; whether it really is, is
/// for the reader to check.
pub type ByteStream = BoxStream<'static, Result<Bytes>>;

/// How to export a VM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExportOptions {
    /// The job on whose behalf; names what is left at the source meanwhile (a snapshot, a lease).
    #[serde(skip)]
    pub job: Option<JobId>,
    /// A snapshot that an earlier attempt of the same job left behind. If it is still there, the export reads from
    /// it, and the bytes are those that the earlier attempt read; [`ExportSource::snapshot`] says whether it does.
    #[serde(skip)]
    pub reuse_snapshot: Option<String>,
    /// What to do about a running VM.
    pub power: PowerPolicy,
    /// Asks the guest to flush its file systems before a snapshot is taken.
    pub quiesce: bool,
    /// Switches a VM that was switched off for the export on again, however the export ends.
    pub restore_power: bool,
    /// Leaves images in virtual drives out of the package.
    pub remove_cdrom: bool,
    /// Which disks go into the package.
    pub disks: DiskSelection,
    /// An earlier attempt of the same job found the VM running and switched it off.
    #[serde(skip)]
    pub was_running: bool,
}

impl Default for ExportOptions {
    fn default() -> Self {
        ExportOptions {
            job: None,
            reuse_snapshot: None,
            power: PowerPolicy::default(),
            quiesce: false,
            restore_power: true,
            remove_cdrom: false,
            disks: DiskSelection::default(),
            was_running: false,
        }
    }
}

/// Which disks go into the package. A disk is named by its label (`Hard disk 1`), by its file's name in the
/// package (`disk-0.vmdk`) or by its number from 0, all without regard to case.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiskSelection {
    /// Only these; all if empty.
    pub include: Vec<String>,
    /// Not these.
    pub exclude: Vec<String>,
}

impl DiskSelection {
    /// True if every disk is taken.
    pub fn is_everything(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }

    /// True if a disk of any of these names is taken.
    pub fn takes(&self, names: &[&str]) -> bool {
        let named = |list: &[String]| {
            list.iter().any(|wanted| names.iter().any(|name| wanted.trim().eq_ignore_ascii_case(name)))
        };
        (self.include.is_empty() || named(&self.include)) && !named(&self.exclude)
    }

    /// The entries that name none of these disks: most likely slips.
    pub fn unknown(&self, disks: &[Vec<&str>]) -> Vec<&str> {
        let known =
            |wanted: &str| disks.iter().flatten().any(|name| wanted.trim().eq_ignore_ascii_case(name));
        let all = self.include.iter().chain(&self.exclude);
        all.map(String::as_str).filter(|wanted| !known(wanted)).collect()
    }
}

/// What to do about a running VM.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerPolicy {
    /// Export a running VM from a temporary snapshot, a stopped one as it is.
    #[default]
    Snapshot,
    /// Leave the power state alone and fail if that forbids the export.
    Keep,
    /// Ask the guest to shut down, and export the stopped VM.
    Shutdown,
    /// Switch the VM off hard, and export it.
    Poweroff,
}

impl PowerPolicy {
    /// True if a running VM is stopped for the export.
    pub fn stops(self) -> bool {
        matches!(self, PowerPolicy::Shutdown | PowerPolicy::Poweroff)
    }
}

/// Where an export comes from, for receipts and logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportSource {
    /// The VM's identifier at the source.
    pub vm: VmId,
    /// The VM's name.
    pub vm_name: String,
    /// The VM's instance UUID.
    pub instance_uuid: Option<String>,
    /// The host that serves the files.
    pub host: Option<String>,
    /// The temporary snapshot the export reads from, if any.
    pub snapshot: Option<String>,
}

/// What a source file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// A virtual disk, sent as streamOptimized VMDK.
    Disk,
    /// The firmware's variables; a UEFI VM does not boot without.
    Nvram,
    /// An image in a virtual drive, or anything else that is copied as it is.
    Other,
}

/// A file the source offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// The source's key for it, e.g. `/vm-42/ParaVirtualSCSIController0:0`.
    pub key: String,
    /// The name it wants in a package, e.g. `disk-0.vmdk`.
    pub name: String,
    /// What it is.
    pub kind: FileKind,
    /// The virtual disk's capacity in bytes.
    pub capacity_bytes: Option<u64>,
    /// Bytes that will be sent, if the source knows.
    pub size_bytes: Option<u64>,
    /// About how many bytes will be sent at most, if the source can tell that much.
    pub estimate_bytes: Option<u64>,
}

/// What the source says it sent, for comparison with what arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostDigest {
    /// The file's key.
    pub key: String,
    /// Bytes sent.
    pub size_bytes: u64,
    /// SHA-1, lower-case hexadecimal.
    pub sha1: Option<String>,
    /// SHA-256, lower-case hexadecimal.
    pub sha256: Option<String>,
}

/// A file as it stands in the package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackagedFile {
    /// The source's key for it.
    pub key: String,
    /// Its name in the package.
    pub name: String,
    /// Its size in the package in bytes.
    pub size_bytes: u64,
    /// For a disk, its capacity in bytes.
    pub capacity_bytes: Option<u64>,
    /// For a disk, how many bytes of it hold data.
    pub populated_bytes: Option<u64>,
}

/// The OVF envelope of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// The XML text.
    pub ovf: String,
    /// What the source warned of while making it.
    pub warnings: Vec<String>,
}

/// An export that is open at the source.
///
/// The order is: [`open`](Self::open) each file, [`host_digests`](Self::host_digests),
/// [`descriptor`](Self::descriptor), [`complete`](Self::complete). [`abort`](Self::abort) ends it at any
/// point, and dropping the session does the same in the background; both release the lease and remove the
/// temporary snapshot.
#[async_trait]
pub trait ExportSession: fmt::Debug + Send + Sync {
    /// Where it comes from.
    fn source(&self) -> &ExportSource;

    /// The files to fetch, in the order they belong in a package.
    fn files(&self) -> &[SourceFile];

    /// Begins to read a file from its start. May be called again for the same file after a failure, and for
    /// several files at once.
    ///
    /// # Cancel safety
    /// Dropping the stream closes the connection at once.
    async fn open(&self, file: &SourceFile) -> Result<ByteStream>;

    /// Tells the source how far the whole export is, in percent. Cheap, never fails, may be called often.
    fn report_progress(&self, percent: u8);

    /// What the source says it sent; empty if it does not attest.
    async fn host_digests(&self) -> Result<Vec<HostDigest>>;

    /// The OVF envelope that references exactly `files` with these sizes.
    async fn descriptor(&self, name: &str, files: &[PackagedFile]) -> Result<Descriptor>;

    /// Ends the export well and releases everything at the source.
    async fn complete(self: Box<Self>) -> Result<()>;

    /// Ends the export as failed, releases everything at the source, and waits until that is done or
    /// `patience` has passed.
    async fn abort(self: Box<Self>, reason: &str, patience: Duration);
}
