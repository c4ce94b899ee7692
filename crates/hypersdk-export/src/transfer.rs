//! Moves an export's files into a package, and writes descriptor and manifest around them.

mod archive;
mod directory;
mod spool;

use std::path::PathBuf;

use hypersdk_core::{
    Error, ErrorKind, ExportSession, HostDigest, JobContext, JobSpec, LogLevel, ManifestDigest, OutcomeFile,
    PackageFormat, PackagedFile, Phase, Result,
};
use hypersdk_ova::digest::DigestAlgorithm;
use hypersdk_ova::package::PackageSummary;

use crate::fetch::Fetched;
use crate::meter::Meter;
use crate::plan::{PlannedFile, Target};

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
                attested: fetched.attested,
            })
            .collect()
    }

    /// The package's main file under its final name.
    pub(crate) fn main_file(&self, target: &Target) -> PathBuf {
        match target.format {
            PackageFormat::Ova => target.package(),
            PackageFormat::Ovf => target.package().join(&self.summary.descriptor.name),
        }
    }
}

/// One export on its way into one package.
#[derive(Clone, Copy)]
pub(crate) struct Transfer<'a> {
    pub(crate) session: &'a dyn ExportSession,
    pub(crate) target: &'a Target,
    pub(crate) spec: &'a JobSpec,
    pub(crate) context: &'a JobContext,
    pub(crate) meter: &'a Meter,
    /// Streams open at once.
    pub(crate) workers: usize,
}

impl Transfer<'_> {
    pub(crate) async fn run(&self, files: &[PlannedFile]) -> Result<Written> {
        match self.target.format {
            PackageFormat::Ovf => self.write_directory(files).await,
            PackageFormat::Ova => self.write_archive(files).await,
        }
    }

    /// The last word of the source on what it sent. It may attest a file only after all have been read.
    async fn attest_the_rest(&self, files: &[PlannedFile], fetched: &mut [Fetched]) -> Result<()> {
        if fetched.iter().all(|file| file.attested) {
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
        Ok((descriptor.ovf, descriptor.warnings))
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
