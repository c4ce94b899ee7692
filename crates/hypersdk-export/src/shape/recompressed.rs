use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use hypersdk_core::Result;
use hypersdk_ova::digest::{DigestAlgorithm, Digester};
use hypersdk_ova::vmdk::{CompressionLevel, GrainPool, RecompressOptions, Recompressor};

use super::{Shaped, Shaper, disk_error};
use crate::output::Output;

/// Deflates every grain of a disk anew, on the pool's threads.
pub(super) struct Recompressed<O: Output>(Recompressor<Hashing<O>>);

impl<O: Output> Recompressed<O> {
    pub(super) fn new(
        output: O,
        manifest: DigestAlgorithm,
        level: CompressionLevel,
        pool: Arc<GrainPool>,
    ) -> Self {
        let output = Hashing {
            output,
            sha256: Digester::new(DigestAlgorithm::Sha256),
            manifest: (manifest != DigestAlgorithm::Sha256).then(|| Digester::new(manifest)),
            size_bytes: 0,
        };
        Recompressed(Recompressor::new(output, pool, RecompressOptions::new(level)))
    }
}

impl<O: Output> Shaper<O> for Recompressed<O> {
    fn push(&mut self, batch: &[Bytes]) -> Result<()> {
        batch.iter().try_for_each(|piece| self.0.push(piece)).map_err(disk_error)
    }

    fn position(&self) -> u64 {
        self.0.progress().position_bytes
    }

    fn finish(self: Box<Self>) -> (O, Result<Shaped>) {
        match self.0.finish() {
            Ok(done) => {
                let Hashing { output, sha256, manifest, size_bytes } = done.output;
                let shaped = Shaped {
                    size_bytes,
                    sha256: Some(sha256.finish()),
                    manifest: manifest.map(Digester::finish),
                    disk: Some(done.source),
                };
                (output, Ok(shaped))
            }
            Err((error, hashing)) => (hashing.output, Err(disk_error(error))),
        }
    }

    fn abandon(self: Box<Self>) -> O {
        self.0.into_output().output
    }
}

/// Hashes what passes on its way to the output.
struct Hashing<O> {
    output: O,
    sha256: Digester,
    manifest: Option<Digester>,
    size_bytes: u64,
}

impl<O: Output> Write for Hashing<O> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.output.write(data)?;
        self.sha256.update(data);
        if let Some(manifest) = &mut self.manifest {
            manifest.update(data);
        }
        self.size_bytes += data.len() as u64;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
