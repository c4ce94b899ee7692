//! Where a file's bytes go.

use std::fs::File;
use std::io::{self, IoSlice, Seek, Write};

use bytes::Bytes;
use hypersdk_ova::ova::{OvaError, OvaWriter};
use hypersdk_ova::package::{ChunkedFile, DirectoryError};
use hypersdk_ova::writeback::begin_writeback;

/// A place that takes one file and can begin it anew.
pub(crate) trait Output: Send + 'static {
    /// Forgets what was written of this file.
    fn restart(&mut self) -> io::Result<()>;
    /// Adds bytes.
    fn write(&mut self, data: &[u8]) -> io::Result<()>;
    /// Adds pieces.
    fn append(&mut self, pieces: &[Bytes]) -> io::Result<()> {
        pieces.iter().try_for_each(|piece| self.write(piece))
    }
}

impl Output for File {
    fn restart(&mut self) -> io::Result<()> {
        self.set_len(0)?;
        self.rewind()
    }

    fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.write_all(data)
    }

    fn append(&mut self, pieces: &[Bytes]) -> io::Result<()> {
        write_all_vectored(self, pieces)
    }
}

/// A file that stays, so that storage may begin with it at once; a spool does not.
#[derive(Debug)]
pub(crate) struct DiskFile {
    file: File,
    /// How many bytes were written in order.
    end: u64,
}

impl DiskFile {
    /// An empty file.
    pub(crate) fn new(file: File) -> Self {
        DiskFile { file, end: 0 }
    }

    pub(crate) fn into_file(self) -> File {
        self.file
    }

    fn advance(&mut self, bytes: usize) {
        let start = self.end;
        self.end += bytes as u64;
        begin_writeback(&self.file, start..self.end);
    }
}

impl Output for DiskFile {
    fn restart(&mut self) -> io::Result<()> {
        self.end = 0;
        self.file.restart()
    }

    fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.file.write_all(data)?;
        self.advance(data.len());
        Ok(())
    }

    fn append(&mut self, pieces: &[Bytes]) -> io::Result<()> {
        self.file.append(pieces)?;
        self.advance(pieces.iter().map(Bytes::len).sum());
        Ok(())
    }
}

/// The open member of an archive.
impl Output for OvaWriter {
    fn restart(&mut self) -> io::Result<()> {
        self.restart_member().map_err(into_io)
    }

    fn write(&mut self, data: &[u8]) -> io::Result<()> {
        OvaWriter::write(self, data).map_err(into_io)
    }
}

/// A file cut in chunks.
impl Output for ChunkedFile {
    fn restart(&mut self) -> io::Result<()> {
        ChunkedFile::restart(self).map_err(chunk_error)
    }

    fn write(&mut self, data: &[u8]) -> io::Result<()> {
        ChunkedFile::write(self, data).map_err(chunk_error)
    }
}

fn chunk_error(error: DirectoryError) -> io::Error {
    match error {
        DirectoryError::Io { source, .. } => source,
        other => io::Error::other(other),
    }
}

fn into_io(error: OvaError) -> io::Error {
    match error {
        OvaError::Io(error) => error,
        other => io::Error::other(other),
    }
}

/// Writes every piece with as few system calls as the system allows, without copying them together.
fn write_all_vectored(output: &mut impl Write, pieces: &[Bytes]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut left = slices.as_mut_slice();
    while !left.is_empty() {
        match output.write_vectored(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut left, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
