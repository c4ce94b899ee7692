//! How jobs look on the wire.

use std::num::NonZeroU64;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hypersdk_core::{
    ArchiveCompression, ExportOptions, Failure, Job, JobStatus, ManifestDigest, Outcome, OutcomeChunk,
    OutcomeFile, PackageFormat, Phase, PowerPolicy, Progress, ScheduledBy, VerifyMode,
};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::openapi::words;

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct JobView {
    definition: DefinitionView,
    #[schema(schema_with = words::job_status)]
    status: JobStatus,
    progress: ProgressView,
    result: Option<ResultView>,
    error: Option<String>,
    started_at: Option<DateTime<Utc>>,
    completed_at: Option<DateTime<Utc>>,
    updated_at: DateTime<Utc>,
}

impl From<Job> for JobView {
    fn from(job: Job) -> Self {
        JobView {
            progress: ProgressView::from(&job.progress),
            status: job.status,
            result: job.outcome.as_ref().map(ResultView::from),
            error: job.failure.as_ref().map(error_text),
            started_at: job.started_at,
            completed_at: job.completed_at,
            updated_at: job.updated_at,
            definition: DefinitionView::from(job),
        }
    }
}

fn error_text(failure: &Failure) -> String {
    match &failure.advice {
        Some(advice) => format!("{}; {advice}", failure.message),
        None => failure.message.clone(),
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct DefinitionView {
    id: String,
    name: Option<String>,
    vm_path: String,
    output_dir: String,
    provider: Option<String>,
    package_name: Option<String>,
    #[schema(schema_with = words::format)]
    format: &'static str,
    compress: bool,
    compression_level: u8,
    cleanup_ovf: bool,
    #[schema(schema_with = words::manifest_digest)]
    manifest_digest: &'static str,
    portable: bool,
    sign: Option<SigningView>,
    #[schema(schema_with = words::archive_compression)]
    archive_compression: Option<&'static str>,
    #[schema(value_type = Option<u64>)]
    chunk_size: Option<NonZeroU64>,
    #[schema(schema_with = words::verify_mode)]
    verify: &'static str,
    keep_partial: bool,
    overwrite: bool,
    priority: i32,
    labels: Vec<String>,
    submitter: Option<String>,
    after: Vec<String>,
    retry_attempts: Option<u32>,
    retry_delay: Option<String>,
    timeout: Option<String>,
    options: OptionsView,
    metadata: Map<String, Value>,
    /// The firing of a schedule that made it.
    schedule: Option<FiringView>,
    created_at: DateTime<Utc>,
    attempt: u32,
}

impl From<Job> for DefinitionView {
    fn from(job: Job) -> Self {
        let spec = job.spec;
        DefinitionView {
            id: job.id.to_string(),
            name: spec.name,
            vm_path: spec.vm.to_string(),
            output_dir: spec.output_dir.display().to_string(),
            provider: spec.provider.map(|name| name.to_string()),
            package_name: spec.package_name,
            format: spec.format.as_str(),
            compress: spec.compress,
            compression_level: spec.compression_level,
            cleanup_ovf: spec.cleanup_ovf,
            manifest_digest: word(&MANIFEST_DIGESTS, spec.manifest_digest),
            portable: spec.portable,
            sign: spec.sign.map(|signing| SigningView {
                key: signing.key.display().to_string(),
                certificate: signing.certificate.display().to_string(),
            }),
            archive_compression: spec.archive_compression.map(|how| word(&ARCHIVE_COMPRESSIONS, how)),
            chunk_size: spec.chunk_size,
            verify: word(&VERIFY_MODES, spec.verify),
            keep_partial: spec.keep_partial,
            overwrite: spec.overwrite,
            priority: spec.priority,
            labels: spec.labels.into_iter().collect(),
            submitter: spec.submitter,
            after: spec.after.iter().map(ToString::to_string).collect(),
            retry_attempts: spec.retry_attempts,
            retry_delay: spec.retry_delay_ms.map(duration),
            timeout: spec.timeout_ms.map(duration),
            options: OptionsView::from(&spec.options),
            metadata: spec.metadata,
            schedule: spec.schedule.map(FiringView::from),
            created_at: job.created_at,
            attempt: job.attempt,
        }
    }
}

/// A time of a schedule.
#[derive(Debug, Serialize, ToSchema)]
struct FiringView {
    /// The schedule
    id: String,
    /// The time that it fired for
    planned_at: DateTime<Utc>,
}

impl From<ScheduledBy> for FiringView {
    fn from(by: ScheduledBy) -> Self {
        FiringView { id: by.id.to_string(), planned_at: by.planned_at }
    }
}

fn duration(millis: u64) -> String {
    crate::config::display_duration(Duration::from_millis(millis))
}

/// Where the signing key is; the key itself is never read by the API.
#[derive(Debug, Serialize, ToSchema)]
struct SigningView {
    key: String,
    certificate: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct OptionsView {
    #[schema(schema_with = words::power_policy)]
    power: &'static str,
    quiesce: bool,
    restore_power: bool,
    remove_cdrom: bool,
    include_snapshots: &'static str,
    disks: DisksView,
}

/// Which disks a package has.
#[derive(Debug, Serialize, ToSchema)]
struct DisksView {
    include: Vec<String>,
    exclude: Vec<String>,
}

impl From<&ExportOptions> for OptionsView {
    fn from(options: &ExportOptions) -> Self {
        OptionsView {
            power: word(&POWER_POLICIES, options.power),
            quiesce: options.quiesce,
            restore_power: options.restore_power,
            remove_cdrom: options.remove_cdrom,
            include_snapshots: "no",
            disks: DisksView {
                include: options.disks.include.clone(),
                exclude: options.disks.exclude.clone(),
            },
        }
    }
}

/// The words for package formats.
pub(super) const FORMATS: [(&str, PackageFormat); 5] = [
    ("ovf", PackageFormat::Ovf),
    ("ova", PackageFormat::Ova),
    ("qcow2", PackageFormat::Qcow2),
    ("raw", PackageFormat::Raw),
    ("vmdk", PackageFormat::Vmdk),
];

/// The words for ways to compress an archive as a whole.
pub(super) const ARCHIVE_COMPRESSIONS: [(&str, ArchiveCompression); 2] =
    [("gzip", ArchiveCompression::Gzip), ("zstd", ArchiveCompression::Zstd)];

/// The words for a manifest's algorithms.
pub(super) const MANIFEST_DIGESTS: [(&str, ManifestDigest); 3] =
    [("sha1", ManifestDigest::Sha1), ("sha256", ManifestDigest::Sha256), ("sha512", ManifestDigest::Sha512)];

/// The words for ways to verify.
pub(super) const VERIFY_MODES: [(&str, VerifyMode); 2] =
    [("structure", VerifyMode::Structure), ("full", VerifyMode::Full)];

/// The words for what to do about a running VM.
pub(super) const POWER_POLICIES: [(&str, PowerPolicy); 4] = [
    ("snapshot", PowerPolicy::Snapshot),
    ("keep", PowerPolicy::Keep),
    ("shutdown", PowerPolicy::Shutdown),
    ("poweroff", PowerPolicy::Poweroff),
];

fn word<T: PartialEq + Copy>(words: &[(&'static str, T)], value: T) -> &'static str {
    words.iter().find(|(_, known)| *known == value).map_or("unknown", |(word, _)| word)
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProgressView {
    #[schema(schema_with = words::phase)]
    phase: Phase,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_for: Option<String>,
    current_file: Option<String>,
    files_downloaded: u32,
    total_files: u32,
    bytes_downloaded: u64,
    total_bytes: Option<u64>,
    pub(super) percent_complete: f64,
    /// Seconds.
    pub(super) estimated_remaining: Option<f64>,
    bytes_per_second: f64,
    /// Each file by itself; empty before the first is begun.
    files: Vec<FileProgressView>,
}

#[derive(Debug, Serialize, ToSchema)]
struct FileProgressView {
    name: String,
    bytes_downloaded: u64,
    percent_complete: f64,
}

impl From<&Progress> for ProgressView {
    fn from(progress: &Progress) -> Self {
        ProgressView {
            phase: progress.phase,
            waiting_for: progress.waiting_for.clone(),
            current_file: progress.current_file.clone(),
            files_downloaded: progress.files_done,
            total_files: progress.files_total,
            bytes_downloaded: progress.bytes_done,
            total_bytes: progress.bytes_total,
            percent_complete: percent(progress.fraction),
            estimated_remaining: progress.remaining_seconds,
            bytes_per_second: progress.bytes_per_second,
            files: progress
                .files
                .iter()
                .map(|file| FileProgressView {
                    name: file.name.clone(),
                    bytes_downloaded: file.bytes_done,
                    percent_complete: percent(file.fraction),
                })
                .collect(),
        }
    }
}

/// A share as percent, to two places.
fn percent(fraction: f64) -> f64 {
    (fraction * 10_000.0).round() / 100.0
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ResultView {
    vm_name: String,
    output_dir: String,
    ovf_path: String,
    files: Vec<FileView>,
    total_size: u64,
    /// Seconds.
    duration: f64,
    checksum: String,
    warnings: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct FileView {
    name: String,
    size: u64,
    sha256: String,
    attested: bool,
    source_size: u64,
    source_sha256: String,
    /// What the host says it sent.
    host_sha256: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    chunks: Vec<ChunkView>,
}

#[derive(Debug, Serialize, ToSchema)]
struct ChunkView {
    name: String,
    size: u64,
    /// In the manifest's algorithm.
    digest: String,
}

impl From<&OutcomeFile> for FileView {
    fn from(file: &OutcomeFile) -> Self {
        let chunk = |chunk: &OutcomeChunk| ChunkView {
            name: chunk.name.clone(),
            size: chunk.size,
            digest: chunk.digest.clone(),
        };
        FileView {
            name: file.name.clone(),
            size: file.size,
            sha256: file.sha256.clone(),
            attested: file.attested,
            source_size: file.source_size,
            source_sha256: file.source_sha256.clone(),
            host_sha256: file.host_sha256.clone(),
            chunks: file.chunks.iter().map(chunk).collect(),
        }
    }
}

impl From<&Outcome> for ResultView {
    fn from(outcome: &Outcome) -> Self {
        ResultView {
            vm_name: outcome.vm_name.clone(),
            output_dir: outcome.output_dir.clone(),
            ovf_path: outcome.ovf_path.clone(),
            files: outcome.files.iter().map(FileView::from).collect(),
            total_size: outcome.total_size,
            duration: outcome.duration_seconds,
            checksum: outcome.checksum.clone(),
            warnings: outcome.warnings.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_its_word() {
        for format in PackageFormat::ALL {
            assert_eq!(word(&FORMATS, format), format.as_str());
        }
        assert_eq!(word(&VERIFY_MODES, VerifyMode::default()), "structure");
        assert_eq!(word(&POWER_POLICIES, PowerPolicy::default()), "snapshot");
    }
}
