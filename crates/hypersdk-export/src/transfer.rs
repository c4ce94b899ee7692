//! Moves an export's files into a package, and writes descriptor and manifest around them.

mod archive;
mod directory;
mod spool;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hypersdk_core::{
    Error, ErrorKind, ExportSession, HostDigest, JobContext, JobSpec, LogLevel, ManifestDigest, OutcomeFile,
    PackageFormat, PackagedFile, Phase, Result,
};
use hypersdk_ova::convert::DiskTarget;
use hypersdk_ova::digest::DigestAlgorithm;
use hypersdk_ova::ovf::portable;
use hypersdk_ova::package::PackageSummary;
use hypersdk_ova::sign::Signer;
use hypersdk_ova::vmdk::CompressionLevel;

use crate::fetch::Fetched;
use crate::meter::Meter;
use crate::plan::{PlannedFile, Target};
use crate::pool::SharedPool;
use crate::shape::Shape;

/// What was written under the partial names.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) summary: PackageSummary,
    /// Disks and other files as they came, in the summary's order.
    fetched: Vec<Fetched>,
    pub(crate) warnings: Vec<String>,
}

impl Written {
    /// The package's files as an outcome lists them: what came from the source, as it came.
    pub(crate) fn files(&self) -> Vec<OutcomeFile> {
        self.summary
            .files
            .iter()
            .zip(&self.fetched)
            .map(|(file, fetched)| OutcomeFile {
                name: file.name.clone(),
                size: file.size,
                sha256: fetched.sha256.hex(),
                source_size: fetched.source.size_bytes,
                source_sha256: fetched.source.sha256.hex(),
                attested: fetched.source.attested,
            })
            .collect()
    }

    /// The package's main file under its final name.
    pub(crate) fn main_file(&self, target: &Target) -> PathBuf {
        let package = target.package();
        if target.format.is_archive() { package } else { package.join(&self.summary.descriptor.name) }
    }
}

/// One export on its way into one package.
pub(crate) struct Transfer<'a> {
    pub(crate) session: &'a dyn ExportSession,
    pub(crate) target: &'a Target,
    pub(crate) spec: &'a JobSpec,
    pub(crate) context: &'a JobContext,
    pub(crate) meter: &'a Meter,
    pub(crate) pool: &'a SharedPool,
    pub(crate) signer: Option<Arc<Signer>>,
    /// Streams open at once.
    pub(crate) workers: usize,
}

impl Transfer<'_> {
    pub(crate) async fn run(&self, files: &[PlannedFile]) -> Result<Written> {
        if self.target.format.is_archive() {
            self.write_archive(files).await
        } else {
            self.write_directory(files).await
        }
    }

    /// What is to become of a disk in a file that takes bytes in order.
    fn shape(&self) -> Result<Shape> {
        match CompressionLevel::new(self.spec.compression_level) {
            Some(level) if self.spec.compress => Ok(Shape::Recompressed(level, self.pool.get()?)),
            // Level 0 passes the source's grains through.
            _ => Ok(Shape::AsIs),
        }
    }

    /// What is to become of a disk in a file of its own.
    fn shape_in(&self, path: &Path) -> Result<Shape> {
        let target = match self.target.format {
            PackageFormat::Raw => DiskTarget::Raw,
            PackageFormat::Qcow2 => DiskTarget::Qcow2 {
                compress: self
                    .spec
                    .compress
                    .then(|| CompressionLevel::new(self.spec.compression_level))
                    .flatten(),
            },
            _ => return self.shape(),
        };
        Ok(Shape::Converted(target, path.to_owned(), self.pool.get()?))
    }

    /// The last word of the source on what it sent. It may attest a file only after all have been read.
    async fn attest_the_rest(&self, files: &[PlannedFile], fetched: &mut [Fetched]) -> Result<()> {
        if fetched.iter().all(|file| file.source.attested) {
            return Ok(());
        }
        let digests: Vec<HostDigest> = match self.session.host_digests().await {
            Ok(digests) => digests,
            Err(error) => {
                self.context.log(LogLevel::Warning, format!("the host attests nothing: {}", error.chain()));
                return Ok(());
            }
        };
        for (file, fetched) in files.iter().zip(fetched) {
            if let Some(digest) = digests.iter().find(|digest| digest.key == file.source.key) {
                fetched
                    .source
                    .attest(digest)
                    .map_err(|error| error.context(format!("fetch {}", file.source.name)))?;
            }
        }
        Ok(())
    }

    /// Asks the source for the envelope that references the files as they were written.
    async fn descriptor(&self, files: &[PlannedFile], fetched: &[Fetched]) -> Result<(String, Vec<String>)> {
        self.context.progress.update(|progress| progress.phase = Phase::Finishing);
        let packaged: Vec<PackagedFile> = files
            .iter()
            .zip(fetched)
            .map(|(file, fetched)| PackagedFile {
                key: file.source.key.clone(),
                name: file.name.clone(),
                size_bytes: fetched.size_bytes,
                capacity_bytes: fetched.disk.as_ref().map(|disk| disk.capacity_bytes),
                populated_bytes: fetched.disk.as_ref().map(|disk| disk.populated_bytes),
            })
            .collect();
        let descriptor = tokio::select! {
            descriptor = self.session.descriptor(&self.target.name, &packaged) => descriptor?,
            () = self.context.cancel.cancelled() => return Err(Error::cancelled("make descriptor")),
        };
        for warning in &descriptor.warnings {
            self.context.log(LogLevel::Warning, format!("descriptor: {warning}"));
        }
        let mut text = describe_format(descriptor.ovf, self.target.format);
        if self.spec.portable {
            text = portable(&text).map_err(|error| {
                Error::new(ErrorKind::Unsupported, "make descriptor portable", error.to_string())
                    .with_advice("submit the job without portable")
            })?;
        }
        Ok((text, descriptor.warnings))
    }
}

/// The disk format that sources name in their descriptors.
const VMDK_FORMAT: &str = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized";

/// Names the disks' new format in a descriptor that a source made for its own.
fn describe_format(descriptor: String, format: PackageFormat) -> String {
    // No standard registers names for these; the first is what OVF tools have used for qcow2, the second what
    // virt-v2v writes for a disk's plain bytes.
    match format {
        PackageFormat::Qcow2 => {
            descriptor.replace(VMDK_FORMAT, "http://www.gnome.org/~markmc/qcow-image-format.html")
        }
        PackageFormat::Raw => descriptor.replace(VMDK_FORMAT, "http://en.wikipedia.org/wiki/Byte"),
        PackageFormat::Ova | PackageFormat::Ovf | PackageFormat::Vmdk => descriptor,
    }
}

/// The algorithm of the manifest that a job asks for.
fn manifest_algorithm(spec: &JobSpec) -> DigestAlgorithm {
    match spec.manifest_digest {
        ManifestDigest::Sha1 => DigestAlgorithm::Sha1,
        ManifestDigest::Sha256 => DigestAlgorithm::Sha256,
        ManifestDigest::Sha512 => DigestAlgorithm::Sha512,
    }
}

/// A disk that arrived must be the disk that was announced.
fn check_disk(file: &PlannedFile, fetched: &Fetched) -> Result<()> {
    let arrived = fetched.disk.as_ref().map(|disk| disk.capacity_bytes);
    match (file.source.capacity_bytes, arrived) {
        (Some(announced), Some(arrived)) if announced != arrived => Err(Error::new(
            ErrorKind::Corrupt,
            format!("fetch {}", file.source.name),
            format!("the disk's header says {arrived} bytes, the VM's hardware {announced}"),
        )),
        _ => Ok(()),
    }
}
