use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, DigestAlgorithm};
use crate::vmdk::{DiskSummary, Layout};

/// How much is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Headers, descriptor and manifest.
    Headers,
    /// Every byte: digests, and the structure of disks.
    Structure,
    /// Also every grain, inflated.
    Full,
}

/// The form of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PackageFormat {
    /// One tar archive.
    Ova,
    /// One tar archive, compressed with gzip: to be unwrapped before an import.
    OvaGzip,
    /// One tar archive, compressed with zstd: to be unwrapped before an import.
    OvaZstd,
    /// Files beside a descriptor.
    Ovf,
}

/// What kind of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultClass {
    /// The package or a file of it ends too early.
    Truncated,
    /// The archive as such: headers, order, members that come twice.
    Archive,
    /// A name that leads elsewhere, a link, a device.
    Unsafe,
    /// The descriptor is missing or unusable.
    Descriptor,
    /// The manifest is unusable or does not list what it should.
    Manifest,
    /// A file that descriptor or manifest names is not there.
    Missing,
    /// A size differs from what descriptor or exporter say.
    Size,
    /// A digest differs.
    Digest,
    /// The signature is not one of this manifest, or cannot be checked.
    Signature,
    /// A disk contradicts itself or its description.
    Disk,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What kind of thing.
    pub class: FaultClass,
    /// The file it lies in, if in one.
    pub file: Option<String>,
    /// Where in that file, or without one where in the archive, in bytes.
    pub offset: Option<u64>,
    /// What it is.
    pub message: String,
}

/// Something that some importer may stumble over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// The file, if one.
    pub file: Option<String>,
    /// What it is.
    pub message: String,
}

/// What was found in a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskReport {
    /// Its capacity in bytes.
    pub capacity_bytes: u64,
    /// Where its grain directory is.
    pub layout: Layout,
    /// How many grains it has.
    pub grains: u64,
    /// How many bytes of the disk these cover.
    pub populated_bytes: u64,
    /// How many bytes they take compressed.
    pub compressed_bytes: u64,
}

impl From<&DiskSummary> for DiskReport {
    fn from(summary: &DiskSummary) -> Self {
        Self {
            capacity_bytes: summary.capacity_bytes,
            layout: summary.layout,
            grains: summary.grains,
            populated_bytes: summary.populated_bytes,
            compressed_bytes: summary.compressed_bytes,
        }
    }
}

/// One file that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileReport {
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its digest: computed, or at [`Level::Headers`] the one the exporter knew.
    pub digest: Option<Digest>,
    /// If it is a VMDK that was read. Of a disk cut in chunks, the first tells of the whole.
    pub disk: Option<DiskReport>,
}

/// Who signed a package. That the certificate is theirs is not examined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureReport {
    /// The certificate's subject.
    pub signer: String,
    /// The digest the signature is made of.
    pub algorithm: DigestAlgorithm,
    /// Whether it is the signature of this manifest by the certificate's key.
    pub valid: bool,
}

/// The result of a verification. Displays as lines for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What was verified.
    pub package: PathBuf,
    /// Its form.
    pub format: PackageFormat,
    /// How much was read.
    pub level: Level,
    /// The files, in their order.
    pub files: Vec<FileReport>,
    /// Who signed it, if it has a certificate that can be read.
    #[serde(default)]
    pub signature: Option<SignatureReport>,
    /// What is wrong.
    pub faults: Vec<Fault>,
    /// What may be.
    pub warnings: Vec<Warning>,
}

impl Report {
    pub(super) fn new(package: &Path, level: Level) -> Self {
        Self {
            package: package.to_owned(),
            format: PackageFormat::Ova,
            level,
            files: Vec::new(),
            signature: None,
            faults: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.faults.is_empty()
    }

    /// The first fault's class, of those that tell most: a truncated package has other faults too.
    #[must_use]
    pub fn worst(&self) -> Option<FaultClass> {
        self.faults.iter().map(|fault| fault.class).min()
    }

    pub(super) fn fault(&mut self, class: FaultClass, file: Option<&str>, message: impl Into<String>) {
        self.fault_at(class, file, None, message);
    }

    pub(super) fn fault_at(
        &mut self,
        class: FaultClass,
        file: Option<&str>,
        offset: Option<u64>,
        message: impl Into<String>,
    ) {
        self.faults.push(Fault { class, file: file.map(str::to_owned), offset, message: message.into() });
    }

    pub(super) fn warn(&mut self, file: Option<&str>, message: impl Into<String>) {
        self.warnings.push(Warning { file: file.map(str::to_owned), message: message.into() });
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}: ")?;
        }
        if let Some(offset) = self.offset {
            write!(f, "byte {offset}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for FileReport { name, size, digest, disk } in &self.files {
            write!(f, "file     {name}, {size} bytes")?;
            if let Some(disk) = disk {
                write!(f, ", disk of {} bytes in {} grains", disk.capacity_bytes, disk.grains)?;
            }
            match digest {
                Some(digest) => writeln!(f, ", {digest}")?,
                None => writeln!(f)?,
            }
        }
        if let Some(SignatureReport { signer, algorithm, valid }) = &self.signature {
            let verdict = if *valid { "valid" } else { "not valid" };
            writeln!(f, "signed   by {signer}, {algorithm}, {verdict}")?;
        }
        for Warning { file, message } in &self.warnings {
            let file = file.as_ref().map_or(String::new(), |file| format!("{file}: "));
            writeln!(f, "warning  {file}{message}")?;
        }
        for fault in &self.faults {
            writeln!(f, "fault    {fault}")?;
        }
        write!(f, "{}: {}", self.package.display(), if self.is_ok() { "whole" } else { "faulty" })
    }
}
