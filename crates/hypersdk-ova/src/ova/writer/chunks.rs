use std::fs::File;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;

use super::{OvaError, OvaWriter};
use crate::digest::Digester;
use crate::package::{MAX_CHUNKS, chunk_name};

/// A file is read in pieces of this size.
const PIECE_BYTES: usize = 1 << 20;

/// A member that is being cut in chunks.
#[derive(Debug)]
pub(super) struct ChunkSeries {
    name: String,
    chunk_bytes: NonZeroU64,
    /// Where its first header is, or will be.
    start: u64,
    /// How many members came before it.
    first: usize,
    pub(super) bytes: u64,
    /// Of the open chunk.
    digester: Option<Digester>,
}

impl OvaWriter {
    /// Begins a member that is cut in chunks of this size (DSP0243, section 7.1), each of them a
    /// member `NAME.000000000` and so on, hashed as it passes. The descriptor has to say so:
    /// `ovf:chunkSize`.
    ///
    /// # Errors
    /// `Name`, `Duplicate`, `Order` if one is open already.
    pub fn begin_chunked_member(&mut self, name: &str, chunk_bytes: NonZeroU64) -> Result<(), OvaError> {
        self.check_new(name)?;
        self.check_name(&chunk_name(name, 0))?;
        let (start, first) = (self.body.position(), self.members.len());
        let name = name.to_owned();
        self.series = Some(ChunkSeries { name, chunk_bytes, start, first, bytes: 0, digester: None });
        Ok(())
    }

    /// Ends the open chunked member and gives the size of all chunks in bytes.
    ///
    /// # Errors
    /// `Order` if none is open; `Io`.
    pub fn end_chunked_member(&mut self) -> Result<u64, OvaError> {
        self.end_chunk()?;
        let series = self.series.take().ok_or(OvaError::Order("no chunked member to end"))?;
        Ok(series.bytes)
    }

    /// Adds a member that lies in a file, cut in chunks. It is read, for their digests.
    ///
    /// # Errors
    /// Those of [`begin_chunked_member`](Self::begin_chunked_member); `Io`.
    pub fn append_chunked_file(
        &mut self,
        name: &str,
        source: &File,
        chunk_bytes: NonZeroU64,
    ) -> Result<u64, OvaError> {
        self.begin_chunked_member(name, chunk_bytes)?;
        let mut piece = vec![0; PIECE_BYTES];
        let mut offset = 0;
        loop {
            match source.read_at(&mut piece, offset)? {
                0 => return self.end_chunked_member(),
                length => {
                    self.write_chunks(&piece[..length])?;
                    offset += length as u64;
                }
            }
        }
    }

    pub(super) fn write_chunks(&mut self, mut data: &[u8]) -> Result<(), OvaError> {
        while !data.is_empty() {
            if self.open.is_none() {
                self.begin_chunk()?;
            }
            let Some(series) = &mut self.series else { return Err(OvaError::Order("no chunked member")) };
            let chunk_bytes = series.chunk_bytes.get();
            let room = chunk_bytes - series.bytes % chunk_bytes;
            let (now, rest) = data.split_at(room.min(data.len() as u64) as usize);
            series.bytes += now.len() as u64;
            if let Some(digester) = &mut series.digester {
                digester.update(now);
            }
            self.body.put(now)?;
            if now.len() as u64 == room {
                self.end_chunk()?;
            }
            data = rest;
        }
        Ok(())
    }

    pub(super) fn restart_chunks(&mut self) -> Result<(), OvaError> {
        let Some(series) = &mut self.series else { return Err(OvaError::Order("no chunked member")) };
        (series.bytes, series.digester) = (0, None);
        let (start, first) = (series.start, series.first);
        self.open = None;
        self.members.truncate(first);
        Ok(self.body.rewind(start)?)
    }

    fn begin_chunk(&mut self) -> Result<(), OvaError> {
        let Some(series) = &mut self.series else { return Err(OvaError::Order("no chunked member")) };
        let number = (self.members.len() - series.first) as u64;
        if number == MAX_CHUNKS {
            return Err(OvaError::TooManyChunks(series.name.clone()));
        }
        let name = chunk_name(&series.name, number);
        series.digester = Some(Digester::new(self.options.algorithm));
        self.check_name(&name)?;
        self.open_member(&name)
    }

    fn end_chunk(&mut self) -> Result<(), OvaError> {
        if let Some(digester) = self.series.as_mut().and_then(|series| series.digester.take()) {
            self.close_member(digester.finish())?;
        }
        Ok(())
    }
}
