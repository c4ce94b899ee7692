//! What becomes of a file's bytes between the source and the output: kept, deflated anew, or turned into
//! another disk format. Each checks a disk's structure as it passes.

mod as_is;
mod converted;
mod recompressed;

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use hypersdk_core::{Error, ErrorKind, FileKind, Result};
use hypersdk_ova::convert::DiskTarget;
use hypersdk_ova::digest::{Digest, DigestAlgorithm};
use hypersdk_ova::ova::OvaWriter;
use hypersdk_ova::package::ChunkedFile;
use hypersdk_ova::vmdk::{CompressionLevel, DiskSummary, GrainPool, VmdkError};

use crate::output::{DiskFile, Output};
use as_is::AsIs;
use converted::Converted;
use recompressed::Recompressed;

/// What is to become of a file.
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    /// Kept as the source sent it.
    AsIs,
    /// A streamOptimized disk with every grain deflated anew.
    Recompressed(CompressionLevel, Arc<GrainPool>),
    /// A disk of another format, in a file of its own at this path.
    Converted(DiskTarget, PathBuf, Arc<GrainPool>),
}

/// A file in its final shape.
#[derive(Debug)]
pub(crate) struct Shaped {
    pub(crate) size_bytes: u64,
    /// Of what was written; `None` where that is what came.
    pub(crate) sha256: Option<Digest>,
    /// In the manifest's algorithm; `None` if that is SHA-256.
    pub(crate) manifest: Option<Digest>,
    pub(crate) disk: Option<DiskSummary>,
}

/// Gives a file its shape as its bytes come, on a thread that may block.
pub(crate) trait Shaper<O>: Send {
    /// Takes the next bytes.
    fn push(&mut self, batch: &[Bytes]) -> Result<()>;
    /// How far it is, in bytes of the disk or file.
    fn position(&self) -> u64;
    /// All bytes have come. The output comes back in any case.
    fn finish(self: Box<Self>) -> (O, Result<Shaped>);
    /// Gives the output back, in whatever state.
    fn abandon(self: Box<Self>) -> O;
}

impl Shape {
    /// The shape of a file that is no disk, or of a disk, in an output that takes bytes in order.
    fn in_order<O: Output>(
        self,
        output: O,
        kind: FileKind,
        manifest: DigestAlgorithm,
    ) -> Result<Box<dyn Shaper<O>>> {
        match self {
            Shape::Recompressed(level, pool) if kind == FileKind::Disk => {
                Ok(Box::new(Recompressed::new(output, manifest, level, pool)))
            }
            Shape::Converted(..) if kind == FileKind::Disk => Err(Error::new(
                ErrorKind::Internal,
                "shape disk",
                "an archive cannot take a format that is written out of order",
            )),
            _ => Ok(Box::new(AsIs::new(output, kind, manifest))),
        }
    }
}

/// An output that shapes can be written to.
pub(crate) trait Shapeable: Output + Sized {
    /// Begins to give a file its shape.
    fn shaped(self, shape: Shape, kind: FileKind, manifest: DigestAlgorithm)
    -> Result<Box<dyn Shaper<Self>>>;
}

impl Shapeable for OvaWriter {
    fn shaped(
        self,
        shape: Shape,
        kind: FileKind,
        manifest: DigestAlgorithm,
    ) -> Result<Box<dyn Shaper<Self>>> {
        shape.in_order(self, kind, manifest)
    }
}

impl Shapeable for ChunkedFile {
    fn shaped(
        self,
        shape: Shape,
        kind: FileKind,
        manifest: DigestAlgorithm,
    ) -> Result<Box<dyn Shaper<Self>>> {
        shape.in_order(self, kind, manifest)
    }
}

impl Shapeable for File {
    fn shaped(
        self,
        shape: Shape,
        kind: FileKind,
        manifest: DigestAlgorithm,
    ) -> Result<Box<dyn Shaper<Self>>> {
        shape.in_order(self, kind, manifest)
    }
}

impl Shapeable for DiskFile {
    fn shaped(
        self,
        shape: Shape,
        kind: FileKind,
        manifest: DigestAlgorithm,
    ) -> Result<Box<dyn Shaper<Self>>> {
        match shape {
            Shape::Converted(target, path, pool) if kind == FileKind::Disk => {
                Ok(Box::new(Converted::new(self.into_file(), target, path, manifest, pool)?))
            }
            other => other.in_order(self, kind, manifest),
        }
    }
}

fn disk_error(error: VmdkError) -> Error {
    match error {
        VmdkError::Io(error) => Error::io("write", error),
        VmdkError::Panicked => Error::new(ErrorKind::Internal, "deflate grains", error.to_string()),
        VmdkError::Unsuited(_) => Error::new(ErrorKind::Unsupported, "deflate grains", error.to_string()),
        other => Error::new(ErrorKind::Corrupt, "inspect disk stream", other.to_string())
            .with_advice("the stream was cut or altered on its way; the file is fetched again"),
    }
}
