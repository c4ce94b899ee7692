//! One file of a package: hashed, and looked into if it is a disk or a text.

use super::inspection::Inspection;
use super::report::{DiskReport, Fault, FileReport, Level};
use crate::digest::{Digest, DigestAlgorithm, Digester};
use crate::manifest::MAX_MANIFEST_BYTES;
use crate::ovf::MAX_DESCRIPTOR_BYTES;
use crate::sign::MAX_CERTIFICATE_BYTES;

/// A file of a package, as found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) size: u64,
    /// By each algorithm that was asked for.
    pub(super) digests: Vec<Digest>,
    pub(super) content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    /// Of descriptor, manifest or certificate.
    Text(Vec<u8>),
    Disk(DiskReport),
    /// A VMDK with a fault, reported already.
    BadDisk,
    Other,
    /// A chunk of a file; of the first, once all are read, the content is the whole file's.
    Chunk,
    /// It was not read.
    Unknown,
}

impl Found {
    /// A file whose bytes were not read, unless it is descriptor, manifest or certificate.
    pub(super) fn from_header(
        name: &str,
        size: u64,
        text: Option<Vec<u8>>,
        algorithms: &[DigestAlgorithm],
    ) -> Self {
        let Some(text) = text else {
            return Self { name: name.to_owned(), size, digests: Vec::new(), content: Content::Unknown };
        };
        let digests = algorithms.iter().map(|&algorithm| Digest::of(algorithm, &text)).collect();
        Self { name: name.to_owned(), size, digests, content: Content::Text(text) }
    }

    pub(super) fn into_report(self) -> FileReport {
        let disk = match self.content {
            Content::Disk(disk) => Some(disk),
            _ => None,
        };
        let customary = self.digests.iter().find(|digest| digest.algorithm() == DigestAlgorithm::Sha256);
        let digest = customary.or(self.digests.first()).cloned();
        FileReport { name: self.name, size: self.size, digest, disk }
    }
}

pub(super) fn is_descriptor(name: &str) -> bool {
    has_extension(name, "ovf")
}

pub(super) fn is_manifest(name: &str) -> bool {
    has_extension(name, "mf")
}

pub(super) fn is_certificate(name: &str) -> bool {
    has_extension(name, "cert")
}

/// How many bytes of a file are kept, if it is descriptor, manifest or certificate.
pub(super) fn text_limit(name: &str) -> Option<u64> {
    match () {
        () if is_descriptor(name) => Some(MAX_DESCRIPTOR_BYTES),
        () if is_manifest(name) => Some(MAX_MANIFEST_BYTES),
        () if is_certificate(name) => Some(MAX_CERTIFICATE_BYTES),
        () => None,
    }
}

fn has_extension(name: &str, wanted: &str) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(base, extension)| !base.is_empty() && extension.eq_ignore_ascii_case(wanted))
}

/// Looks at a file as its bytes pass.
pub(super) struct MemberCheck {
    name: String,
    size: u64,
    digesters: Vec<Digester>,
    look: Look,
}

enum Look {
    Text {
        text: Vec<u8>,
        limit: u64,
    },
    Inside(Box<Inspection>),
    /// Only the whole is worth a look.
    Chunk,
}

impl MemberCheck {
    pub(super) fn new(name: &str, algorithms: &[DigestAlgorithm], level: Level, is_chunk: bool) -> Self {
        let look = match text_limit(name) {
            _ if is_chunk => Look::Chunk,
            Some(limit) => Look::Text { text: Vec::new(), limit },
            None => Look::Inside(Box::new(Inspection::new(name, level))),
        };
        let digesters = algorithms.iter().copied().map(Digester::new).collect();
        Self { name: name.to_owned(), size: 0, digesters, look }
    }

    pub(super) fn push(&mut self, data: &[u8]) {
        self.size += data.len() as u64;
        for digester in &mut self.digesters {
            digester.update(data);
        }
        match &mut self.look {
            Look::Text { text, limit } => {
                // One byte past the limit is enough to be refused for its size.
                let room = (*limit as usize + 1).saturating_sub(text.len()).min(data.len());
                text.extend_from_slice(&data[..room]);
            }
            Look::Inside(inspection) => inspection.push(data),
            Look::Chunk => {}
        }
    }

    pub(super) fn finish(self) -> (Found, Vec<Fault>) {
        let (content, faults) = match self.look {
            Look::Text { text, .. } => (Content::Text(text), Vec::new()),
            Look::Inside(inspection) => inspection.finish(),
            Look::Chunk => (Content::Chunk, Vec::new()),
        };
        let digests = self.digesters.into_iter().map(Digester::finish).collect();
        (Found { name: self.name, size: self.size, digests, content }, faults)
    }
}
