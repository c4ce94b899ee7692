//! A fake provider with real disks, and a directory to export into.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hypersdk_core::testing::{FakeFile, FakeProvider};
use hypersdk_core::{
    FileKind, JobContext, JobSpec, LogLevel, NamedProvider, Outcome, PackageFormat, PackagedFile, Result,
};
use hypersdk_export::{ExportConfig, export};
use hypersdk_ova::ovf::{Envelope, EnvelopeDisk, EnvelopeFile};
use hypersdk_ova::vmdk::{DiskOptions, StreamWriter};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

pub(crate) const GRAIN: usize = 64 << 10;
pub(crate) const VM: &str = "/DC0/vm/prod/web 01";

pub(crate) struct Lab {
    pub(crate) provider: FakeProvider,
    pub(crate) directory: tempfile::TempDir,
    pub(crate) cancel: CancellationToken,
    pub(crate) config: ExportConfig,
}

impl Lab {
    /// A VM with disks of these many grains and an nvram.
    pub(crate) fn with_disks(grains: &[u64]) -> Self {
        let provider = FakeProvider::new(envelope);
        let mut files: Vec<FakeFile> = grains
            .iter()
            .enumerate()
            .map(|(index, grains)| {
                let capacity = grains * GRAIN as u64;
                let content = disk(index as u64, *grains);
                FakeFile::new(&format!("disk-{index}.vmdk"), FileKind::Disk, Some(capacity), content)
            })
            .collect();
        files.push(FakeFile::new("file-0.nvram", FileKind::Nvram, None, vec![0x5a; 8684]));
        provider.add_vm(VM, files);
        Lab {
            provider,
            directory: tempfile::tempdir().expect("a directory"),
            cancel: CancellationToken::new(),
            config: ExportConfig::default(),
        }
    }

    pub(crate) fn spec(&self, format: PackageFormat) -> JobSpec {
        let mut spec = JobSpec::new(VM.parse().expect("a path"), self.directory.path());
        spec.format = format;
        spec
    }

    pub(crate) async fn export(&self, spec: &JobSpec) -> Result<Outcome> {
        self.export_as("job-1", spec).await
    }

    pub(crate) async fn export_as(&self, job: &str, spec: &JobSpec) -> Result<Outcome> {
        let (context, _log) = self.context(job);
        self.export_in(&context, spec).await
    }

    /// The first attempt of a job, with its log.
    pub(crate) fn context(&self, job: &str) -> (JobContext, UnboundedReceiver<(LogLevel, String)>) {
        JobContext::new(job.parse().expect("an id"), 1, self.cancel.clone())
    }

    pub(crate) async fn export_in(&self, context: &JobContext, spec: &JobSpec) -> Result<Outcome> {
        let provider =
            NamedProvider { name: "lab".parse().expect("a name"), provider: Arc::new(self.provider.clone()) };
        export(&provider, spec, context, self.config).await
    }

    /// The names in the output directory.
    pub(crate) fn names(&self) -> Vec<String> {
        names(self.directory.path())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

pub(crate) fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .expect("the directory reads")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .collect();
    names.sort();
    names
}

/// A streamOptimized disk in which every third grain holds data of its own.
fn disk(seed: u64, grains: u64) -> Vec<u8> {
    let mut writer =
        StreamWriter::new(Vec::new(), &DiskOptions::new(grains * GRAIN as u64)).expect("a writer");
    for index in (0..grains).step_by(3) {
        writer.write_raw(index, &grain(seed, index)).expect("a grain");
    }
    writer.finish().expect("a disk").0
}

/// Content that neither repeats between grains nor deflates to nothing.
fn grain(seed: u64, index: u64) -> Vec<u8> {
    let mut state = (seed << 32 | index).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..GRAIN)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 60) as u8
        })
        .collect()
}

fn envelope(name: &str, files: &[PackagedFile]) -> String {
    let disks = files.iter().filter(|file| file.capacity_bytes.is_some());
    let others = files.iter().filter(|file| file.capacity_bytes.is_none());
    Envelope {
        name: name.to_owned(),
        cpus: 1,
        memory_mib: 512,
        disks: disks
            .map(|disk| EnvelopeDisk {
                href: disk.name.clone(),
                size: disk.size_bytes,
                capacity_bytes: disk.capacity_bytes.unwrap_or_default(),
                populated_bytes: disk.populated_bytes.unwrap_or_default(),
            })
            .collect(),
        files: others.map(|file| EnvelopeFile { href: file.name.clone(), size: file.size_bytes }).collect(),
    }
    .to_xml()
}
