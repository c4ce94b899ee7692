use std::collections::BTreeMap;
use std::io::Write;

use super::codec::{CompressionLevel, GrainEncoder, is_zero};
use super::descriptor;
use super::header::{ENTRIES_PER_TABLE, SparseHeader, TABLE_SECTORS};
use super::marker::{self, Marker, grain_padding};
use super::{GRAIN_BYTES, SECTOR_BYTES, VmdkError};

const DESCRIPTOR_SECTORS: u64 = 20;
/// ESXi begins the grains on the first whole grain; a long descriptor moves them to a later one.
const OVERHEAD_SECTORS: u64 = 128;

/// What a new disk is.
#[derive(Debug, Clone)]
pub struct DiskOptions {
    /// The disk's size in bytes; a multiple of 512.
    pub capacity_bytes: u64,
    /// The extent's name in the embedded descriptor: the file name, in plain ASCII.
    pub name: String,
    /// The content id: any number but 0xffffffff (that means: no parent) will do.
    pub cid: u32,
    /// `ddb.adapterType`: `lsilogic`, `buslogic`, `ide`.
    pub adapter: String,
    /// Entries of the embedded descriptor's disk database, in plain ASCII, by keys that begin with
    /// `ddb.`. They replace customary ones, `adapter` too.
    pub database: BTreeMap<String, String>,
    /// How hard [`StreamWriter::write_raw`] deflates.
    pub level: CompressionLevel,
}

impl DiskOptions {
    /// A disk of this size with customary values for the rest.
    #[must_use]
    pub fn new(capacity_bytes: u64) -> Self {
        Self {
            capacity_bytes,
            name: "disk.vmdk".into(),
            cid: 0xffff_fffe,
            adapter: "lsilogic".into(),
            database: BTreeMap::new(),
            level: CompressionLevel::default(),
        }
    }
}

/// Writes a streamOptimized disk (version 3) front to back, in ESXi's layout: each grain table
/// behind its grains, then grain directory, footer and end-of-stream marker.
///
/// Grains come in rising order, deflated already or raw. Memory: one table, the directory, one grain.
#[derive(Debug)]
pub struct StreamWriter<W> {
    output: W,
    header: SparseHeader,
    encoder: GrainEncoder,
    /// Sectors written.
    position: u64,
    table: Vec<u32>,
    table_index: u64,
    directory: Vec<u32>,
    next_grain: u64,
    grains: u64,
}

impl<W: Write> StreamWriter<W> {
    /// Begins a disk: writes header and descriptor.
    ///
    /// # Errors
    /// `Unwritable` if capacity, name or an entry of the database cannot be; `Io`.
    pub fn new(mut output: W, options: &DiskOptions) -> Result<Self, VmdkError> {
        let capacity_bytes = options.capacity_bytes;
        if capacity_bytes == 0 || !capacity_bytes.is_multiple_of(SECTOR_BYTES) {
            return Err(VmdkError::Unwritable(format!(
                "{capacity_bytes} bytes are no multiple of {SECTOR_BYTES}"
            )));
        }
        let text = descriptor::render(options)?;
        let descriptor_sectors = (text.len() as u64).div_ceil(SECTOR_BYTES).max(DESCRIPTOR_SECTORS);
        let overhead = (1 + descriptor_sectors).next_multiple_of(OVERHEAD_SECTORS);
        let header = SparseHeader::at_end(capacity_bytes / SECTOR_BYTES, descriptor_sectors, overhead);
        let raw = header.encode();
        SparseHeader::parse(&raw)?;
        let mut front = vec![0; (overhead * SECTOR_BYTES) as usize];
        front[..512].copy_from_slice(&raw);
        front[512..512 + text.len()].copy_from_slice(text.as_bytes());
        output.write_all(&front)?;
        Ok(Self {
            output,
            header,
            encoder: GrainEncoder::new(options.level),
            position: overhead,
            table: vec![0; ENTRIES_PER_TABLE as usize],
            table_index: 0,
            directory: vec![0; (header.directory_sectors() * SECTOR_BYTES / 4) as usize],
            next_grain: 0,
            grains: 0,
        })
    }

    /// Adds the grain at this index (of 64 KiB each) from raw bytes. A shorter grain is filled up
    /// with zeros; a grain of zeros is left out.
    ///
    /// # Errors
    /// `Unwritable` if it lies outside the disk, comes out of order or is too long; `Io`.
    pub fn write_raw(&mut self, index: u64, raw: &[u8]) -> Result<(), VmdkError> {
        self.check(index)?;
        if raw.len() > GRAIN_BYTES {
            return Err(VmdkError::Unwritable(format!("grain {index} has {} bytes", raw.len())));
        }
        if is_zero(raw) {
            self.next_grain = index + 1;
            return Ok(());
        }
        self.flush_table_before(index)?;
        let padded;
        let grain = if raw.len() == GRAIN_BYTES {
            raw
        } else {
            padded = [raw, &vec![0; GRAIN_BYTES - raw.len()]].concat();
            &padded
        };
        let Self { output, encoder, .. } = self;
        let used = put_grain(output, index * self.header.grain_sectors, encoder.encode(grain))?;
        self.note(index, used)
    }

    /// Adds the grain at this index (of 64 KiB each), deflated already: a zlib member.
    ///
    /// # Errors
    /// `Unwritable` if it lies outside the disk, comes out of order or is too long; `Io`.
    pub fn write_compressed(&mut self, index: u64, payload: &[u8]) -> Result<(), VmdkError> {
        self.check(index)?;
        if payload.is_empty() || payload.len() as u64 > self.header.max_compressed() {
            return Err(VmdkError::Unwritable(format!(
                "grain {index} has {} compressed bytes",
                payload.len()
            )));
        }
        self.flush_table_before(index)?;
        let used = put_grain(&mut self.output, index * self.header.grain_sectors, payload)?;
        self.note(index, used)
    }

    /// How many grains were written; those of zeros do not count.
    #[must_use]
    pub fn grains(&self) -> u64 {
        self.grains
    }

    /// What was written so far.
    pub(super) fn output_mut(&mut self) -> &mut W {
        &mut self.output
    }

    /// Ends the disk and gives the output back together with the stream's length in bytes.
    ///
    /// # Errors
    /// `Io`, `Unwritable`.
    pub fn finish(mut self) -> Result<(W, u64), VmdkError> {
        self.flush_table()?;
        self.put_sector(&Marker::metadata(marker::GRAIN_DIRECTORY, self.header.directory_sectors()))?;
        let gd_offset = self.position;
        let directory: Vec<u8> = self.directory.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        self.output.write_all(&directory)?;
        self.position += self.header.directory_sectors();
        self.put_sector(&Marker::metadata(marker::FOOTER, 1))?;
        let footer = SparseHeader { gd_offset, ..self.header };
        self.put_sector(&footer.encode())?;
        self.put_sector(&Marker::metadata(marker::END_OF_STREAM, 0))?;
        self.output.flush()?;
        Ok((self.output, self.position * SECTOR_BYTES))
    }

    fn check(&self, index: u64) -> Result<(), VmdkError> {
        if index >= self.header.grains() {
            return Err(VmdkError::Unwritable(format!(
                "the disk has {} grains, not {index}",
                self.header.grains()
            )));
        }
        if index < self.next_grain {
            return Err(VmdkError::Unwritable(format!(
                "grain {index} comes after grain {}",
                self.next_grain - 1
            )));
        }
        Ok(())
    }

    fn note(&mut self, index: u64, sectors: u64) -> Result<(), VmdkError> {
        let position = u32::try_from(self.position)
            .map_err(|_| VmdkError::Unwritable("a stream of more than 2 TiB".into()))?;
        self.table[(index % ENTRIES_PER_TABLE) as usize] = position;
        self.position += sectors;
        self.next_grain = index + 1;
        self.grains += 1;
        Ok(())
    }

    fn flush_table_before(&mut self, index: u64) -> Result<(), VmdkError> {
        if index / ENTRIES_PER_TABLE != self.table_index {
            self.flush_table()?;
            self.table_index = index / ENTRIES_PER_TABLE;
        }
        Ok(())
    }

    fn flush_table(&mut self) -> Result<(), VmdkError> {
        if self.table.iter().all(|&entry| entry == 0) {
            return Ok(());
        }
        self.put_sector(&Marker::metadata(marker::GRAIN_TABLE, TABLE_SECTORS))?;
        self.directory[self.table_index as usize] = u32::try_from(self.position)
            .map_err(|_| VmdkError::Unwritable("a stream of more than 2 TiB".into()))?;
        let raw: Vec<u8> = self.table.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        self.output.write_all(&raw)?;
        self.position += TABLE_SECTORS;
        self.table.fill(0);
        Ok(())
    }

    fn put_sector(&mut self, raw: &[u8; 512]) -> Result<(), VmdkError> {
        self.output.write_all(raw)?;
        self.position += 1;
        Ok(())
    }
}

/// Writes marker, payload and padding; gives the number of sectors.
fn put_grain<W: Write>(output: &mut W, lba: u64, payload: &[u8]) -> Result<u64, VmdkError> {
    let size = payload.len() as u64;
    let padding = grain_padding(size);
    output.write_all(&Marker::grain(lba, size as u32))?;
    output.write_all(payload)?;
    output.write_all(&[0; 512][..padding as usize])?;
    Ok((marker::GRAIN_HEADER_BYTES as u64 + size + padding) / SECTOR_BYTES)
}
