use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::big_endian;
use super::space::Space;

/// Bit 63 of an entry: what it leads to has a refcount of exactly one.
pub(super) const IN_USE_ONCE: u64 = 1 << 63;
const COMPRESSED: u64 = 1 << 62;
const SECTOR_BYTES: u64 = 512;

/// How many L2 tables are kept: grains come by rising place but for a few.
const CACHED_TABLES: usize = 16;

/// The entry of a cluster whose deflated bytes lie at `offset`.
pub(super) fn compressed_entry(cluster_bytes: u64, offset: u64, length: u64) -> u64 {
    let offset_bits = 62 - (cluster_bytes.trailing_zeros() - 8);
    let further_sectors = (offset + length - 1) / SECTOR_BYTES - offset / SECTOR_BYTES;
    COMPRESSED | further_sectors << offset_bits | offset
}

/// From a cluster of the disk to its place in the file.
#[derive(Debug)]
pub(super) struct Mapping {
    cluster_bytes: u64,
    /// Where each L2 table is; 0: there is none.
    l1: Vec<u64>,
    /// The last used one first.
    cached: Vec<L2Table>,
}

#[derive(Debug)]
struct L2Table {
    number: u64,
    offset: u64,
    entries: Vec<u64>,
}

impl L2Table {
    fn write(&self, file: &File) -> io::Result<()> {
        file.write_all_at(&big_endian(&self.entries), self.offset)
    }
}

impl Mapping {
    pub(super) fn new(cluster_bytes: u64) -> Self {
        Self { cluster_bytes, l1: Vec::new(), cached: Vec::new() }
    }

    /// The entry of the disk's cluster at this index.
    pub(super) fn slot(&mut self, file: &File, space: &mut Space, index: u64) -> io::Result<&mut u64> {
        let entries = self.entries_per_table();
        let number = index / entries;
        match self.cached.iter().position(|table| table.number == number) {
            Some(0) => {}
            Some(at) => self.cached[..=at].rotate_right(1),
            None => {
                if self.cached.len() == CACHED_TABLES
                    && let Some(oldest) = self.cached.pop()
                {
                    oldest.write(file)?;
                }
                let table = self.table(file, space, number)?;
                self.cached.insert(0, table);
            }
        }
        Ok(&mut self.cached[0].entries[(index % entries) as usize])
    }

    /// Writes the tables that are left; gives the L1 table's offset and number of entries.
    pub(super) fn finish(
        mut self,
        file: &File,
        space: &mut Space,
        capacity_bytes: u64,
    ) -> io::Result<(u64, u32)> {
        for table in &self.cached {
            table.write(file)?;
        }
        let l1_entries = capacity_bytes.div_ceil(self.cluster_bytes).div_ceil(self.entries_per_table());
        let clusters = (l1_entries * 8).div_ceil(self.cluster_bytes);
        self.l1.resize((clusters * self.entries_per_table()) as usize, 0);
        let offset = space.neighbours(file, clusters)?;
        let raw: Vec<u64> =
            self.l1.iter().map(|&table| if table == 0 { 0 } else { IN_USE_ONCE | table }).collect();
        file.write_all_at(&big_endian(&raw), offset)?;
        let l1_entries = u32::try_from(l1_entries).map_err(|_| io::ErrorKind::FileTooLarge)?;
        Ok((offset, l1_entries))
    }

    fn entries_per_table(&self) -> u64 {
        self.cluster_bytes / 8
    }

    fn table(&mut self, file: &File, space: &mut Space, number: u64) -> io::Result<L2Table> {
        let at = number as usize;
        if self.l1.len() <= at {
            self.l1.resize(at + 1, 0);
        }
        let mut entries = vec![0; self.entries_per_table() as usize];
        if self.l1[at] == 0 {
            self.l1[at] = space.cluster(file)?;
        } else {
            let mut raw = vec![0; self.cluster_bytes as usize];
            file.read_exact_at(&mut raw, self.l1[at])?;
            for (entry, raw) in entries.iter_mut().zip(raw.as_chunks::<8>().0) {
                *entry = u64::from_be_bytes(*raw);
            }
        }
        Ok(L2Table { number, offset: self.l1[at], entries })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compressed_entry_counts_the_sectors_behind_the_first() {
        for (offset, length, further) in [(0, 512, 0), (511, 1, 0), (511, 2, 1), (1000, 65_535, 128)] {
            let entry = compressed_entry(65_536, offset, length);
            assert_eq!(entry, 1 << 62 | further << 54 | offset, "{offset} {length}");
        }
    }
}
