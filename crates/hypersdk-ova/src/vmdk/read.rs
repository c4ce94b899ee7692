use std::io::{Read, Seek, SeekFrom};

use super::codec::GrainDecoder;
use super::grain::Grain;
use super::header::{ENTRIES_PER_TABLE, Layout, SparseHeader, TABLE_SECTORS, u32_at};
use super::inspect::StreamInspector;
use super::marker::{self, GRAIN_HEADER_BYTES, Marker};
use super::summary::DiskSummary;
use super::{SECTOR_BYTES, VmdkError};

/// Reads a whole stream, checks its structure, inflates every grain and hands each to `visit`
/// with its offset on the disk in bytes.
///
/// # Errors
/// Those of [`StreamInspector`], `Grain` if one does not inflate, and what `visit` returns.
pub fn inflate_stream<R: Read>(
    mut stream: R,
    mut visit: impl FnMut(u64, &[u8]) -> Result<(), VmdkError>,
) -> Result<DiskSummary, VmdkError> {
    let mut decoder: Option<GrainDecoder> = None;
    let mut inspector = StreamInspector::with_sink(|grain: Grain<'_>| {
        let decoder = decoder.get_or_insert_with(|| GrainDecoder::new(grain.grain_bytes));
        let raw = decoder.decode(grain.payload, grain.disk_bytes).map_err(|reason| grain.refuse(reason))?;
        visit(grain.lba * SECTOR_BYTES, raw)
    });
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match stream.read(&mut buffer)? {
            0 => return inspector.finish(),
            length => inspector.push(&buffer[..length])?,
        }
    }
}

/// Reads any place of a streamOptimized or monolithicSparse disk through its grain tables.
///
/// Memory: the grain directory, one table and one grain.
#[derive(Debug)]
pub struct DiskReader<R> {
    file: R,
    header: SparseHeader,
    directory: Vec<u32>,
    table: Option<(u64, Vec<u32>)>,
    packed: Vec<u8>,
    decoder: GrainDecoder,
}

impl<R: Read + Seek> DiskReader<R> {
    /// Opens a disk.
    ///
    /// # Errors
    /// Those of the header; `Truncated` if footer or end-of-stream marker are missing.
    pub fn open(mut file: R) -> Result<Self, VmdkError> {
        let mut header = SparseHeader::parse_any(&read_sector(&mut file, 0)?)?;
        if header.layout() == Layout::DirectoryAtEnd {
            header = read_footer(&mut file, &header)?;
        }
        let mut raw = vec![0; (header.directory_sectors() * SECTOR_BYTES) as usize];
        file.seek(SeekFrom::Start(header.gd_offset * SECTOR_BYTES))?;
        file.read_exact(&mut raw)?;
        let directory =
            (0..header.directory_entries() as usize).map(|index| u32_at(&raw, index * 4)).collect();
        let decoder = GrainDecoder::new(header.grain_bytes() as usize);
        Ok(Self { file, header, directory, table: None, packed: Vec::new(), decoder })
    }

    /// The disk's size in bytes.
    #[must_use]
    pub fn capacity_bytes(&self) -> u64 {
        self.header.capacity * SECTOR_BYTES
    }

    /// The size of a grain in bytes.
    #[must_use]
    pub fn grain_bytes(&self) -> u64 {
        self.header.grain_bytes()
    }

    /// One grain by its index on the disk, inflated; `None` for a hole. The last grain may be
    /// shorter than the others.
    ///
    /// # Errors
    /// `Grain` or `Tables` if the disk contradicts itself there.
    pub fn read_grain(&mut self, index: u64) -> Result<Option<&[u8]>, VmdkError> {
        let sector = self.table_entry(index)?;
        if sector <= 1 {
            return Ok(None);
        }
        let offset = sector * SECTOR_BYTES;
        self.file.seek(SeekFrom::Start(offset))?;
        if !self.header.is_compressed() {
            self.packed.resize(self.header.grain_len(index) as usize, 0);
            self.file.read_exact(&mut self.packed)?;
            return Ok(Some(&self.packed));
        }
        let mut raw = [0; GRAIN_HEADER_BYTES];
        self.file.read_exact(&mut raw)?;
        let found = Marker::parse(&raw);
        let size = u64::from(found.size);
        if found.value != index * self.header.grain_sectors
            || size == 0
            || size > self.header.max_compressed()
        {
            return Err(VmdkError::Tables(format!("grain {index} is not at sector {sector}")));
        }
        self.packed.resize(size as usize, 0);
        self.file.read_exact(&mut self.packed)?;
        let expected = self.header.grain_len(index) as usize;
        self.decoder.decode(&self.packed, expected).map(Some).map_err(|reason| VmdkError::Grain {
            offset,
            lba: found.value,
            reason,
        })
    }

    /// Fills `target` from `offset` bytes on; holes read as zeros.
    ///
    /// # Errors
    /// Those of [`read_grain`](Self::read_grain); `Io` if it reaches past the end of the disk.
    pub fn read_at(&mut self, offset: u64, target: &mut [u8]) -> Result<(), VmdkError> {
        let grain_bytes = self.grain_bytes();
        if offset.checked_add(target.len() as u64).is_none_or(|end| end > self.capacity_bytes()) {
            return Err(VmdkError::Io(std::io::ErrorKind::UnexpectedEof.into()));
        }
        let mut done = 0;
        while done < target.len() {
            let at = offset + done as u64;
            let within = (at % grain_bytes) as usize;
            let step = (grain_bytes as usize - within).min(target.len() - done);
            let piece = &mut target[done..done + step];
            match self.read_grain(at / grain_bytes)? {
                Some(raw) => piece.copy_from_slice(&raw[within..within + step]),
                None => piece.fill(0),
            }
            done += step;
        }
        Ok(())
    }

    fn table_entry(&mut self, index: u64) -> Result<u64, VmdkError> {
        let number = index / ENTRIES_PER_TABLE;
        let sector = self.directory.get(number as usize).copied().map_or(0, u64::from);
        if sector <= 1 {
            return Ok(0);
        }
        if self.table.as_ref().is_none_or(|(loaded, _)| *loaded != number) {
            let mut raw = vec![0; (TABLE_SECTORS * SECTOR_BYTES) as usize];
            self.file.seek(SeekFrom::Start(sector * SECTOR_BYTES))?;
            self.file.read_exact(&mut raw)?;
            let entries = (0..ENTRIES_PER_TABLE as usize).map(|entry| u32_at(&raw, entry * 4)).collect();
            self.table = Some((number, entries));
        }
        let entry =
            self.table.as_ref().map_or(0, |(_, entries)| entries[(index % ENTRIES_PER_TABLE) as usize]);
        Ok(u64::from(entry))
    }
}

fn read_sector<R: Read + Seek>(file: &mut R, offset: u64) -> Result<[u8; 512], VmdkError> {
    let mut raw = [0; 512];
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(&mut raw)?;
    Ok(raw)
}

/// The last three sectors are: footer marker, footer, end-of-stream marker.
fn read_footer<R: Read + Seek>(file: &mut R, header: &SparseHeader) -> Result<SparseHeader, VmdkError> {
    let length = file.seek(SeekFrom::End(0))?;
    let truncated =
        || VmdkError::Truncated { offset: length, missing: "footer and end-of-stream marker".into() };
    let start = length.checked_sub(3 * SECTOR_BYTES).ok_or_else(truncated)?;
    if read_sector(file, start)? != Marker::metadata(marker::FOOTER, 1)
        || read_sector(file, start + 2 * SECTOR_BYTES)? != Marker::metadata(marker::END_OF_STREAM, 0)
    {
        return Err(truncated());
    }
    let footer = SparseHeader::parse(&read_sector(file, start + SECTOR_BYTES)?)?;
    if footer.layout() == Layout::DirectoryAtEnd || footer.capacity != header.capacity {
        return Err(VmdkError::Tables("the footer does not lead to the directory of this disk".into()));
    }
    Ok(footer)
}
