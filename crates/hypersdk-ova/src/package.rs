//! What both package formats have in common, and the end of an OVF directory.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::digest::{Digest, DigestAlgorithm};
use crate::manifest::Manifest;
use crate::sign::{SignError, Signer};
use crate::tar::{TarError, check_member_name};

mod chunked;

pub use chunked::{ChunkedFile, MAX_CHUNKS, chunk_name};

/// One file of a package, written and hashed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PackagedFile {
    /// Its name, without a path.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// The digest of its bytes.
    pub digest: Digest,
}

/// A whole package.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PackageSummary {
    /// The descriptor, as written.
    pub descriptor: PackagedFile,
    /// Disks and other files, in their order.
    pub files: Vec<PackagedFile>,
    /// The manifest.
    pub manifest: PackagedFile,
    /// The certificate file, if it is signed.
    #[serde(default)]
    pub certificate: Option<PackagedFile>,
    /// How many bytes the package takes: the archive's size, or the sum of the files'.
    pub bytes: u64,
}

/// The descriptor's file name in a package of this name.
#[must_use]
pub fn descriptor_name(package: &str) -> String {
    format!("{package}.ovf")
}

/// The manifest's file name in a package of this name.
#[must_use]
pub fn manifest_name(package: &str) -> String {
    format!("{package}.mf")
}

/// The certificate file's name in a package of this name.
#[must_use]
pub fn certificate_name(package: &str) -> String {
    format!("{package}.cert")
}

/// The manifest of a package: the descriptor's line, then the files' in their order.
#[must_use]
pub fn manifest_of(descriptor: &PackagedFile, files: &[PackagedFile]) -> Manifest {
    let mut manifest = Manifest::new();
    for file in std::iter::once(descriptor).chain(files) {
        manifest.push(&file.name, file.digest.clone());
    }
    manifest
}

/// Why an OVF directory could not be completed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// A name that importers do not take.
    #[error(transparent)]
    Name(#[from] TarError),
    /// A file was hashed with another algorithm than the manifest is to use.
    #[error("{name} was hashed with {found}, the manifest uses {wanted}")]
    Algorithm {
        /// The file.
        name: String,
        /// Its digest's algorithm.
        found: DigestAlgorithm,
        /// The manifest's.
        wanted: DigestAlgorithm,
    },
    /// A file in more than [`MAX_CHUNKS`] chunks.
    #[error("{0} makes more than {MAX_CHUNKS} chunks")]
    TooManyChunks(String),
    /// It could not be signed.
    #[error("sign manifest")]
    Sign(#[from] SignError),
    /// Writing failed.
    #[error("write {name}")]
    Io {
        /// The file.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Completes an OVF directory whose disks and other files are in place: writes descriptor and
/// manifest, and makes them and the directory's entries durable.
///
/// # Errors
/// `Name` if an importer would refuse a name, `Algorithm`, `Io`.
pub fn finish_directory(
    directory: &Path,
    package: &str,
    descriptor: &str,
    files: Vec<PackagedFile>,
    algorithm: DigestAlgorithm,
) -> Result<PackageSummary, DirectoryError> {
    complete(directory, package, descriptor, files, algorithm, None)
}

/// Like [`finish_directory`], with a certificate file.
///
/// # Errors
/// The same; `Sign`.
pub fn finish_signed_directory(
    directory: &Path,
    package: &str,
    descriptor: &str,
    files: Vec<PackagedFile>,
    algorithm: DigestAlgorithm,
    signer: &Signer,
) -> Result<PackageSummary, DirectoryError> {
    complete(directory, package, descriptor, files, algorithm, Some(signer))
}

fn complete(
    directory: &Path,
    package: &str,
    descriptor: &str,
    files: Vec<PackagedFile>,
    algorithm: DigestAlgorithm,
    signer: Option<&Signer>,
) -> Result<PackageSummary, DirectoryError> {
    for file in &files {
        check_member_name(&file.name)?;
        if file.digest.algorithm() != algorithm {
            let (name, found) = (file.name.clone(), file.digest.algorithm());
            return Err(DirectoryError::Algorithm { name, found, wanted: algorithm });
        }
    }
    let put = |name: String, content: &[u8]| {
        check_member_name(&name)?;
        let write = || {
            let mut file = File::create(directory.join(&name))?;
            file.write_all(content)?;
            file.sync_all()
        };
        let digest = Digest::of(algorithm, content);
        match write() {
            Ok(()) => Ok(PackagedFile { name, size: content.len() as u64, digest }),
            Err(source) => Err(DirectoryError::Io { name, source }),
        }
    };
    let descriptor = put(descriptor_name(package), descriptor.as_bytes())?;
    let text = manifest_of(&descriptor, &files).to_string();
    let manifest = put(manifest_name(package), text.as_bytes())?;
    let certificate = match signer {
        Some(signer) => {
            let signed = signer.sign(&manifest.name, text.as_bytes(), algorithm)?;
            Some(put(certificate_name(package), signed.as_bytes())?)
        }
        None => None,
    };
    let synced = fs::File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(|source| DirectoryError::Io { name: directory.display().to_string(), source })?;
    let all = files.iter().chain([&descriptor, &manifest]).chain(&certificate);
    let bytes = all.map(|file| file.size).sum();
    Ok(PackageSummary { descriptor, files, manifest, certificate, bytes })
}
