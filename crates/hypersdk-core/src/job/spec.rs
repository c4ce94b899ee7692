//! What a job is to do, as it is kept.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::id::{JobId, ProviderName, ScheduleId};
use crate::provider::ExportOptions;
use crate::vm::VmSelector;

/// What a job is to do. Rows written by any earlier version keep being readable: every field but the first
/// two has a default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobSpec {
    /// The VM; never a glob, which becomes one job a VM when it is submitted.
    pub vm: VmSelector,
    /// The absolute directory the package goes into.
    pub output_dir: PathBuf,
    /// A name for people.
    #[serde(default)]
    pub name: Option<String>,
    /// The provider instance; the default one if absent.
    #[serde(default)]
    pub provider: Option<ProviderName>,
    /// The base name of the package's files; the VM's name if absent.
    #[serde(default)]
    pub package_name: Option<String>,
    /// What to write.
    #[serde(default)]
    pub format: PackageFormat,
    /// Deflate the disks' grains anew.
    #[serde(default)]
    pub compress: bool,
    /// How hard to deflate, 0 to 9.
    #[serde(default = "default_level")]
    pub compression_level: u8,
    /// Leave no OVF directory beside an OVA.
    #[serde(default = "yes")]
    pub cleanup_ovf: bool,
    /// The manifest's digests.
    #[serde(default)]
    pub manifest_digest: ManifestDigest,
    /// Leave the vendor's own sections out of the descriptor.
    #[serde(default)]
    pub portable: bool,
    /// Sign the manifest.
    #[serde(default)]
    pub sign: Option<Signing>,
    /// Compress the finished archive as a whole; importers must unwrap it first.
    #[serde(default)]
    pub archive_compression: Option<ArchiveCompression>,
    /// Cut the disks of an OVF directory in files of this many bytes; the last one may be shorter.
    #[serde(default)]
    pub chunk_size: Option<NonZeroU64>,
    /// How the finished package is checked.
    #[serde(default)]
    pub verify: VerifyMode,
    /// Keep what a failed attempt wrote, under its `.partial` name.
    #[serde(default)]
    pub keep_partial: bool,
    /// Replace a package of the same name.
    #[serde(default)]
    pub overwrite: bool,
    /// Higher goes first.
    #[serde(default)]
    pub priority: i32,
    /// Only a process that has all of these labels runs it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub labels: BTreeSet<String>,
    /// For whom it is done: submitters take turns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submitter: Option<String>,
    /// Jobs that must be completed before it starts. If one of them ends otherwise, so does this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<JobId>,
    /// Its own number of further attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_attempts: Option<u32>,
    /// Its own wait before the first of them, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_delay_ms: Option<u64>,
    /// The longest an attempt of it may take, in milliseconds; 0 for no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// How to treat the VM.
    #[serde(default)]
    pub options: ExportOptions,
    /// The submitter's own data, kept and shown.
    #[serde(default)]
    pub metadata: Map<String, Value>,
    /// The firing of a schedule that made the job, if one did.
    #[serde(default)]
    pub schedule: Option<ScheduledBy>,
}

/// The firing of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduledBy {
    /// The schedule.
    pub id: ScheduleId,
    /// The time that it fired for.
    pub planned_at: DateTime<Utc>,
}

impl JobSpec {
    /// An OVA export with every option at its default.
    pub fn new(vm: VmSelector, output_dir: impl Into<PathBuf>) -> Self {
        JobSpec {
            vm,
            output_dir: output_dir.into(),
            name: None,
            provider: None,
            package_name: None,
            format: PackageFormat::default(),
            compress: false,
            compression_level: default_level(),
            cleanup_ovf: true,
            manifest_digest: ManifestDigest::default(),
            portable: false,
            sign: None,
            archive_compression: None,
            chunk_size: None,
            verify: VerifyMode::default(),
            keep_partial: false,
            overwrite: false,
            priority: 0,
            labels: BTreeSet::new(),
            submitter: None,
            after: Vec::new(),
            retry_attempts: None,
            retry_delay_ms: None,
            timeout_ms: None,
            options: ExportOptions::default(),
            metadata: Map::new(),
            schedule: None,
        }
    }
}

fn default_level() -> u8 {
    6
}

fn yes() -> bool {
    true
}

/// The form of a package.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PackageFormat {
    /// A directory of files with a descriptor and a manifest.
    Ovf,
    /// One tar file of the same.
    #[default]
    Ova,
    /// A directory of qcow2 disks.
    Qcow2,
    /// A directory of raw disks, sparse.
    Raw,
    /// A directory of the disks alone, as streamOptimized VMDK.
    Vmdk,
}

impl PackageFormat {
    /// Every format.
    pub const ALL: [PackageFormat; 5] = [
        PackageFormat::Ovf,
        PackageFormat::Ova,
        PackageFormat::Qcow2,
        PackageFormat::Raw,
        PackageFormat::Vmdk,
    ];

    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            PackageFormat::Ovf => "ovf",
            PackageFormat::Ova => "ova",
            PackageFormat::Qcow2 => "qcow2",
            PackageFormat::Raw => "raw",
            PackageFormat::Vmdk => "vmdk",
        }
    }

    /// True if the package is one file, false if it is a directory.
    pub fn is_archive(self) -> bool {
        self == PackageFormat::Ova
    }
}

/// What signs a manifest: files that the process running the job can read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signing {
    /// A private RSA key in PEM.
    pub key: PathBuf,
    /// Its X.509 certificate in PEM; further ones behind it are kept.
    pub certificate: PathBuf,
}

/// How a finished archive is compressed as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArchiveCompression {
    /// One core, read everywhere.
    Gzip,
    /// All cores, and denser.
    Zstd,
}

/// The algorithm of a manifest's digests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ManifestDigest {
    /// For importers older than vSphere 6.5; newer ones may refuse it.
    Sha1,
    /// What every current importer takes.
    #[default]
    Sha256,
    /// Not taken by every importer.
    Sha512,
}

/// How a finished package is checked before its job may say completed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerifyMode {
    /// Everything is checked as it passes, and the finished structure is read back.
    #[default]
    Structure,
    /// In addition every byte is read again and every grain inflated.
    Full,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_the_first_version_is_still_read() {
        let spec: JobSpec = serde_json::from_str(r#"{"vm":"/DC0/vm/a","output_dir":"/srv"}"#).unwrap();
        assert_eq!(spec, JobSpec::new("/DC0/vm/a".parse().unwrap(), "/srv"));
    }
}
