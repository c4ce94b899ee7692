use std::fs::{self, File};
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::path::PathBuf;

use super::{DirectoryError, PackagedFile};
use crate::digest::{DigestAlgorithm, Digester};
use crate::tar::check_member_name;

/// More chunks than any importer would open: none are written, and none are looked for.
pub const MAX_CHUNKS: u64 = 9_000;

/// The name of a chunk of a file (DSP0243, section 7.1): `web01-disk1.vmdk.000000000` is the first.
#[must_use]
pub fn chunk_name(file: &str, number: u64) -> String {
    format!("{file}.{number:09}")
}

#[derive(Debug)]
struct Chunk {
    file: File,
    name: String,
    size: u64,
    digester: Digester,
}

/// Writes a file of an OVF directory cut in chunks, each hashed and durable when it is full.
/// Blocking, for a thread of its own. The descriptor has to say so: `ovf:chunkSize`.
///
/// Dropped before [`finish`](Self::finish) it leaves its chunks to the caller.
#[derive(Debug)]
pub struct ChunkedFile {
    directory: PathBuf,
    name: String,
    chunk_bytes: NonZeroU64,
    algorithm: DigestAlgorithm,
    open: Option<Chunk>,
    chunks: Vec<PackagedFile>,
    bytes: u64,
}

impl ChunkedFile {
    /// A file of no bytes yet, and of no chunk.
    ///
    /// # Errors
    /// `Name` if the chunks would have names that importers refuse.
    pub fn new(
        directory: impl Into<PathBuf>,
        name: impl Into<String>,
        chunk_bytes: NonZeroU64,
        algorithm: DigestAlgorithm,
    ) -> Result<Self, DirectoryError> {
        let (directory, name) = (directory.into(), name.into());
        check_member_name(&name)?;
        check_member_name(&chunk_name(&name, 0))?;
        Ok(Self { directory, name, chunk_bytes, algorithm, open: None, chunks: Vec::new(), bytes: 0 })
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// `TooManyChunks`; `Io`, also if a chunk's file exists already.
    pub fn write(&mut self, mut data: &[u8]) -> Result<(), DirectoryError> {
        while !data.is_empty() {
            let mut chunk = match self.open.take() {
                Some(chunk) => chunk,
                None => self.create()?,
            };
            let room = self.chunk_bytes.get() - chunk.size;
            let (now, rest) = data.split_at(room.min(data.len() as u64) as usize);
            chunk.file.write_all(now).map_err(|source| io_error(&chunk.name, source))?;
            chunk.digester.update(now);
            chunk.size += now.len() as u64;
            self.bytes += now.len() as u64;
            if chunk.size == self.chunk_bytes.get() {
                self.close(chunk)?;
            } else {
                self.open = Some(chunk);
            }
            data = rest;
        }
        Ok(())
    }

    /// How many bytes there are, in all chunks.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Removes all chunks: the source starts over.
    ///
    /// # Errors
    /// `Io`.
    pub fn restart(&mut self) -> Result<(), DirectoryError> {
        self.bytes = 0;
        let open = self.open.take().map(|chunk| chunk.name);
        for name in self.chunks.drain(..).map(|chunk| chunk.name).chain(open) {
            fs::remove_file(self.directory.join(&name)).map_err(|source| io_error(&name, source))?;
        }
        Ok(())
    }

    /// Ends the file and gives its chunks, for the manifest. An empty file has none.
    ///
    /// # Errors
    /// `Io`.
    pub fn finish(mut self) -> Result<Vec<PackagedFile>, DirectoryError> {
        if let Some(chunk) = self.open.take() {
            self.close(chunk)?;
        }
        Ok(self.chunks)
    }

    fn create(&self) -> Result<Chunk, DirectoryError> {
        let number = self.chunks.len() as u64;
        if number == MAX_CHUNKS {
            return Err(DirectoryError::TooManyChunks(self.name.clone()));
        }
        let name = chunk_name(&self.name, number);
        let file = File::create_new(self.directory.join(&name)).map_err(|source| io_error(&name, source))?;
        Ok(Chunk { file, name, size: 0, digester: Digester::new(self.algorithm) })
    }

    fn close(&mut self, chunk: Chunk) -> Result<(), DirectoryError> {
        let Chunk { file, name, size, digester } = chunk;
        file.sync_all().map_err(|source| io_error(&name, source))?;
        self.chunks.push(PackagedFile { name, size, digest: digester.finish() });
        Ok(())
    }
}

fn io_error(name: &str, source: io::Error) -> DirectoryError {
    DirectoryError::Io { name: name.to_owned(), source }
}
