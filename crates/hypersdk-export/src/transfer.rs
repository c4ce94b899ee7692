//! Moves an export's files into a package, and writes descriptor and manifest around them.

mod archive;
mod descriptor;
mod directory;
mod spool;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hypersdk_core::{
    Error, ErrorKind, ExportSession, HostDigest, JobContext, JobSpec, LogLevel, ManifestDigest, OutcomeChunk,
    OutcomeFile, PackageFormat, Result,
};
use hypersdk_ova::convert::DiskTarget;
use hypersdk_ova::digest::DigestAlgorithm;
use hypersdk_ova::package::{self, PackageSummary};
use hypersdk_ova::sign::Signer;
use hypersdk_ova::vmdk::CompressionLevel;
use serde::{Deserialize, Serialize};

use crate::fetch::Fetched;
use crate::journal::Journal;
use crate::meter::Meter;
use crate::plan::{PlannedFile, Target};
use crate::pool::SharedPool;
use crate::shape::Shape;

/// What was written under the partial names.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) summary: PackageSummary,
    delivered: Vec<Delivered>,
    pub(crate) warnings: Vec<String>,
}

/// A disk or other file of the source in the package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Delivered {
    pub(crate) name: String,
    fetched: Fetched,
    /// The files it is cut in, if it is.
    chunks: Option<Vec<package::PackagedFile>>,
}

impl Delivered {
    fn whole(file: &PlannedFile, fetched: Fetched) -> Self {
        Delivered { name: file.name.clone(), fetched, chunks: None }
    }

    /// Bytes that came from the source, and the capacity if it is a disk.
    pub(crate) fn came(&self) -> (u64, Option<u64>) {
        (self.fetched.source.size_bytes, self.fetched.disk.map(|disk| disk.capacity_bytes))
    }

    /// The files of the package that hold it.
    pub(crate) fn packaged(&self) -> Vec<package::PackagedFile> {
        let Fetched { size_bytes, manifest_digest, .. } = &self.fetched;
        self.chunks.clone().unwrap_or_else(|| {
            let (name, digest) = (self.name.clone(), manifest_digest.clone());
            vec![package::PackagedFile { name, size: *size_bytes, digest }]
        })
    }
}

impl Written {
    /// The package's files as an outcome lists them: what came from the source, as it came.
    pub(crate) fn files(&self) -> Vec<OutcomeFile> {
        self.delivered.iter().map(outcome_file).collect()
    }

    /// The package's main file under its final name.
    pub(crate) fn main_file(&self, target: &Target) -> PathBuf {
        let package = target.package();
        if target.format.is_archive() { package } else { package.join(&self.summary.descriptor.name) }
    }
}

fn outcome_file(delivered: &Delivered) -> OutcomeFile {
    let Delivered { name, fetched, chunks } = delivered;
    let source = &fetched.source;
    OutcomeFile {
        name: name.clone(),
        size: fetched.size_bytes,
        sha256: fetched.sha256.hex(),
        source_size: source.size_bytes,
        source_sha256: source.sha256.hex(),
        attested: source.attested(),
        host_sha256: source.host_sha256.clone(),
        chunks: chunks
            .iter()
            .flatten()
            .map(|chunk| OutcomeChunk {
                name: chunk.name.clone(),
                size: chunk.size,
                digest: chunk.digest.hex(),
            })
            .collect(),
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
    /// Where finished files of a directory are noted, if they can be kept after a crash.
    pub(crate) journal: Option<&'a Journal>,
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
    async fn attest_the_rest(&self, files: &[PlannedFile], delivered: &mut [Delivered]) -> Result<()> {
        if delivered.iter().all(|file| file.fetched.source.attested()) {
            return Ok(());
        }
        let digests: Vec<HostDigest> = match self.session.host_digests().await {
            Ok(digests) => digests,
            Err(error) => {
                self.context.log(LogLevel::Warning, format!("the host attests nothing: {}", error.chain()));
                return Ok(());
            }
        };
        for (file, delivered) in files.iter().zip(delivered) {
            // What was kept was sent by another lease, which this one knows nothing of.
            if self.journal.is_some_and(|journal| journal.has_kept(&file.source.key)) {
                continue;
            }
            if let Some(digest) = digests.iter().find(|digest| digest.key == file.source.key) {
                delivered
                    .fetched
                    .source
                    .attest(digest)
                    .map_err(|error| error.context(format!("fetch {}", file.source.name)))?;
            }
        }
        Ok(())
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
