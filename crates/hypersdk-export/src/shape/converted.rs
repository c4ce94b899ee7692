use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use hypersdk_core::{Error, ErrorKind, Result};
use hypersdk_ova::convert::{ConvertError, DiskConverter, DiskTarget};
use hypersdk_ova::digest::{Digest, DigestAlgorithm, hash_file};
use hypersdk_ova::vmdk::GrainPool;

use super::{Shaped, Shaper, disk_error};
use crate::output::DiskFile;

/// Turns a disk into another format. It is written out of order, so it is hashed when it is whole, from the
/// page cache.
pub(super) struct Converted {
    converter: DiskConverter,
    path: PathBuf,
    manifest: DigestAlgorithm,
}

impl Converted {
    pub(super) fn new(
        file: File,
        target: DiskTarget,
        path: PathBuf,
        manifest: DigestAlgorithm,
        pool: Arc<GrainPool>,
    ) -> Result<Self> {
        let converter = DiskConverter::new(file, target, pool).map_err(|error| Error::io("write", error))?;
        Ok(Converted { converter, path, manifest })
    }
}

impl Shaper<DiskFile> for Converted {
    fn push(&mut self, batch: &[Bytes]) -> Result<()> {
        batch.iter().try_for_each(|piece| self.converter.push(piece)).map_err(convert_error)
    }

    fn position(&self) -> u64 {
        self.converter.progress().position_bytes
    }

    fn finish(self: Box<Self>) -> (DiskFile, Result<Shaped>) {
        let Converted { converter, path, manifest } = *self;
        let (file, disk) = match converter.finish() {
            Ok(done) => done,
            Err((error, file)) => return (DiskFile::new(file), Err(convert_error(error))),
        };
        let shaped = file.metadata().map_err(|error| Error::io("write", error)).and_then(|metadata| {
            let sha256 = hash(&path, DigestAlgorithm::Sha256)?;
            let manifest = match manifest {
                DigestAlgorithm::Sha256 => None,
                other => Some(hash(&path, other)?),
            };
            Ok(Shaped { size_bytes: metadata.len(), sha256: Some(sha256), manifest, disk: Some(disk) })
        });
        (DiskFile::new(file), shaped)
    }

    fn abandon(self: Box<Self>) -> DiskFile {
        DiskFile::new(self.converter.abort())
    }
}

fn hash(path: &Path, algorithm: DigestAlgorithm) -> Result<Digest> {
    hash_file(path, algorithm).map_err(|error| Error::io(format!("hash {}", path.display()), error))
}

fn convert_error(error: ConvertError) -> Error {
    match error {
        ConvertError::Stream(error) => disk_error(error),
        ConvertError::Image(error) => Error::io("write disk image", error),
        other => Error::new(ErrorKind::Internal, "convert disk", other.to_string()),
    }
}
