//! One file of a package: hashed, and looked into if it is a disk or a text.

use super::inflate::InflatePool;
use super::report::{DiskReport, Fault, FaultClass, FileReport, Level};
use crate::digest::{Digest, DigestAlgorithm, Digester};
use crate::manifest::MAX_MANIFEST_BYTES;
use crate::ovf::MAX_DESCRIPTOR_BYTES;
use crate::vmdk::{DiskSummary, StreamInspector, VmdkError};

const VMDK_MAGIC: &[u8; 4] = b"KDMV";

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
    /// Of the descriptor or the manifest.
    Text(Vec<u8>),
    Disk(DiskReport),
    /// A VMDK with a fault, reported already.
    BadDisk,
    Other,
    /// It was not read.
    Unknown,
}

impl Found {
    /// A file whose bytes were not read, unless it is the descriptor or the manifest.
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

fn has_extension(name: &str, wanted: &str) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(base, extension)| !base.is_empty() && extension.eq_ignore_ascii_case(wanted))
}

enum Look {
    /// Too few bytes yet to tell.
    Start(Vec<u8>),
    Text(Vec<u8>),
    Structure(StreamInspector),
    Full(StreamInspector<InflatePool>),
    Bad,
    None,
}

/// Looks at a file as its bytes pass.
pub(super) struct MemberCheck {
    name: String,
    level: Level,
    size: u64,
    digesters: Vec<Digester>,
    look: Look,
    faults: Vec<Fault>,
}

impl MemberCheck {
    pub(super) fn new(name: &str, algorithms: &[DigestAlgorithm], level: Level) -> Self {
        let look =
            if is_descriptor(name) || is_manifest(name) { Look::Text(vec![]) } else { Look::Start(vec![]) };
        let digesters = algorithms.iter().copied().map(Digester::new).collect();
        Self { name: name.to_owned(), level, size: 0, digesters, look, faults: Vec::new() }
    }

    pub(super) fn push(&mut self, data: &[u8]) {
        self.size += data.len() as u64;
        for digester in &mut self.digesters {
            digester.update(data);
        }
        let pushed = match &mut self.look {
            Look::Start(start) => {
                start.extend_from_slice(data);
                if start.len() < VMDK_MAGIC.len() {
                    return;
                }
                let start = std::mem::take(start);
                self.look = match (start.starts_with(VMDK_MAGIC), self.level) {
                    (false, _) => Look::None,
                    (true, Level::Full) => Look::Full(StreamInspector::with_sink(InflatePool::start())),
                    (true, _) => Look::Structure(StreamInspector::new()),
                };
                match &mut self.look {
                    Look::Structure(inspector) => inspector.push(&start),
                    Look::Full(inspector) => inspector.push(&start),
                    _ => Ok(()),
                }
            }
            Look::Text(text) => {
                let limit = if is_manifest(&self.name) { MAX_MANIFEST_BYTES } else { MAX_DESCRIPTOR_BYTES };
                // One byte past the limit is enough to be refused for its size.
                let room = (limit as usize + 1).saturating_sub(text.len()).min(data.len());
                text.extend_from_slice(&data[..room]);
                Ok(())
            }
            Look::Structure(inspector) => inspector.push(data),
            Look::Full(inspector) => inspector.push(data),
            Look::Bad | Look::None => Ok(()),
        };
        if let Err(error) = pushed {
            if let Look::Full(inspector) = &mut self.look {
                let errors = inspector.sink_mut().finish();
                errors.iter().for_each(|error| self.faults.push(disk_fault(&self.name, error)));
            }
            self.faults.push(disk_fault(&self.name, &error));
            self.look = Look::Bad;
        }
    }

    pub(super) fn finish(mut self) -> (Found, Vec<Fault>) {
        let finished = match std::mem::replace(&mut self.look, Look::None) {
            Look::Start(_) | Look::None => Ok(Content::Other),
            Look::Bad => Ok(Content::BadDisk),
            Look::Text(text) => Ok(Content::Text(text)),
            Look::Structure(inspector) => inspector.finish().map(|summary| Content::Disk((&summary).into())),
            Look::Full(inspector) => {
                self.finish_full(inspector).map(|summary| Content::Disk((&summary).into()))
            }
        };
        let content = finished.unwrap_or_else(|error| {
            self.faults.push(disk_fault(&self.name, &error));
            Content::BadDisk
        });
        let digests = self.digesters.into_iter().map(Digester::finish).collect();
        (Found { name: self.name, size: self.size, digests, content }, self.faults)
    }

    fn finish_full(&mut self, mut inspector: StreamInspector<InflatePool>) -> Result<DiskSummary, VmdkError> {
        let errors = inspector.sink_mut().finish();
        errors.iter().for_each(|error| self.faults.push(disk_fault(&self.name, error)));
        inspector.finish()
    }
}

fn disk_fault(name: &str, error: &VmdkError) -> Fault {
    let class = if error.is_truncation() { FaultClass::Truncated } else { FaultClass::Disk };
    Fault { class, file: Some(name.to_owned()), offset: error.offset(), message: error.to_string() }
}
