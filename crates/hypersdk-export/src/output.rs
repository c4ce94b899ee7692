//! Where a file's bytes go.

use std::fs::File;
use std::io::{self, IoSlice, Seek, Write};

use bytes::Bytes;

/// A place that takes one file and can begin it anew.
pub(crate) trait Output: Send + 'static {
    /// Forgets what was written of this file.
    fn restart(&mut self) -> io::Result<()>;
    /// Adds bytes.
    fn append(&mut self, pieces: &[Bytes]) -> io::Result<()>;
    /// The file is whole.
    fn finish(&mut self) -> io::Result<()>;
}

/// A file of its own.
#[derive(Debug)]
pub(crate) struct FileOutput {
    file: File,
    /// Make it durable when it is whole; a spool need not be.
    sync: bool,
}

impl FileOutput {
    pub(crate) fn durable(file: File) -> Self {
        FileOutput { file, sync: true }
    }

    pub(crate) fn spool(file: File) -> Self {
        FileOutput { file, sync: false }
    }

    pub(crate) fn into_file(self) -> File {
        self.file
    }
}

impl Output for FileOutput {
    fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()
    }

    fn append(&mut self, pieces: &[Bytes]) -> io::Result<()> {
        write_all_vectored(&mut self.file, pieces)
    }

    fn finish(&mut self) -> io::Result<()> {
        if self.sync { self.file.sync_all() } else { Ok(()) }
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
