use bytes::Bytes;
use hypersdk_core::{Error, FileKind, Result};
use hypersdk_ova::digest::{DigestAlgorithm, Digester};
use hypersdk_ova::vmdk::StreamInspector;

use super::{Shaped, Shaper, disk_error};
use crate::output::Output;

/// Writes what comes; inspects it if it is a disk.
pub(super) struct AsIs<O> {
    output: O,
    inspector: Option<StreamInspector>,
    /// For a manifest whose algorithm is not the one every file is hashed with anyway.
    manifest: Option<Digester>,
    size_bytes: u64,
}

impl<O: Output> AsIs<O> {
    pub(super) fn new(output: O, kind: FileKind, manifest: DigestAlgorithm) -> Self {
        AsIs {
            output,
            inspector: (kind == FileKind::Disk).then(StreamInspector::new),
            manifest: (manifest != DigestAlgorithm::Sha256).then(|| Digester::new(manifest)),
            size_bytes: 0,
        }
    }
}

impl<O: Output> Shaper<O> for AsIs<O> {
    fn push(&mut self, batch: &[Bytes]) -> Result<()> {
        for piece in batch {
            if let Some(inspector) = &mut self.inspector {
                inspector.push(piece).map_err(disk_error)?;
            }
            if let Some(manifest) = &mut self.manifest {
                manifest.update(piece);
            }
            self.size_bytes += piece.len() as u64;
        }
        self.output.append(batch).map_err(|error| Error::io("write", error))
    }

    fn position(&self) -> u64 {
        self.inspector.as_ref().map_or(self.size_bytes, |inspector| inspector.progress().position_bytes)
    }

    fn finish(self: Box<Self>) -> (O, Result<Shaped>) {
        let AsIs { output, inspector, manifest, size_bytes } = *self;
        let disk = inspector.map(StreamInspector::finish).transpose().map_err(disk_error);
        let manifest = manifest.map(Digester::finish);
        (output, disk.map(|disk| Shaped { size_bytes, sha256: None, manifest, disk }))
    }

    fn abandon(self: Box<Self>) -> O {
        self.output
    }
}
