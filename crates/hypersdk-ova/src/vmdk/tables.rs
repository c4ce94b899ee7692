//! Whether directory and tables agree with the grains, without keeping the tables.
//!
//! A table of a 2 TB disk takes 128 MiB. Instead of its entries, a 64-bit sum over each of its
//! sectors (128 entries) is kept, and the same sum is built from the grains as they pass: both
//! are sums over the same set of (position in sector, offset) pairs, so order does not matter.
//! A bitmap of the grains seen gives counts, and refuses a grain that comes twice.

use super::VmdkError;
use super::header::{SparseHeader, TABLE_SECTORS, u32_at};

const ENTRIES_PER_SECTOR: u64 = 128;

/// The entries of one sector of a grain table, summed up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sum {
    entries: u32,
    mixed: u64,
}

#[derive(Debug)]
pub(super) struct TableCheck {
    /// By sector in the stream, rising; only sectors with entries in use.
    tables: Vec<(u64, Sum)>,
    /// One bit a grain.
    seen: Vec<u64>,
    /// One sum a group of 128 grains.
    sums: Vec<u64>,
}

impl TableCheck {
    pub(super) fn new(header: &SparseHeader) -> Self {
        // Both are zeroed lazily by the system: a thin disk touches little of them.
        let groups = header.grains().div_ceil(ENTRIES_PER_SECTOR) as usize;
        Self { tables: Vec::new(), seen: vec![0; groups * 2], sums: vec![0; groups] }
    }

    /// Notes a sector that may be part of a grain table.
    pub(super) fn table_sector(&mut self, sector: u64, raw: &[u8; 512]) {
        let mut sum = Sum::default();
        for position in 0..ENTRIES_PER_SECTOR {
            let entry = u32_at(raw, position as usize * 4);
            if in_use(entry) {
                sum.entries += 1;
                sum.mixed = sum.mixed.wrapping_add(mix(position, entry));
            }
        }
        if sum.entries > 0 {
            self.tables.push((sector, sum));
        }
    }

    /// Notes a grain whose marker lies at `sector` of the stream; `false` if it came before.
    pub(super) fn grain(&mut self, index: u64, sector: u32) -> bool {
        let word = &mut self.seen[(index / 64) as usize];
        let bit = 1 << (index % 64);
        if *word & bit != 0 {
            return false;
        }
        *word |= bit;
        let sum = &mut self.sums[(index / ENTRIES_PER_SECTOR) as usize];
        *sum = sum.wrapping_add(mix(index % ENTRIES_PER_SECTOR, sector));
        true
    }

    /// Compares what `directory` leads to with the grains seen.
    pub(super) fn check(&self, directory: &[u32], stream_bytes: u64) -> Result<(), VmdkError> {
        let mut missing = 0_u64;
        for (group, &mixed) in self.sums.iter().enumerate() {
            let table = directory.get(group / TABLE_SECTORS as usize).copied().unwrap_or(0);
            let sector = u64::from(table) + group as u64 % TABLE_SECTORS;
            let expected = if in_use(table) { self.table_at(sector) } else { Sum::default() };
            let entries = self.seen[group * 2].count_ones() + self.seen[group * 2 + 1].count_ones();
            if (Sum { entries, mixed }) == expected {
                continue;
            }
            if expected.entries <= entries {
                return Err(VmdkError::Tables(format!(
                    "{entries} grains were seen between grains {} and {}, its table at sector {sector} lists {} or others",
                    group as u64 * ENTRIES_PER_SECTOR,
                    (group as u64 + 1) * ENTRIES_PER_SECTOR,
                    expected.entries
                )));
            }
            missing += u64::from(expected.entries - entries);
        }
        if missing > 0 {
            let missing = format!("{missing} grains that the tables list");
            return Err(VmdkError::Truncated { offset: stream_bytes, missing });
        }
        Ok(())
    }

    fn table_at(&self, sector: u64) -> Sum {
        let found = self.tables.binary_search_by_key(&sector, |&(at, _)| at);
        found.map_or_else(|_| Sum::default(), |index| self.tables[index].1)
    }
}

/// 0 is a hole; 1 is a grain of zeros in formats that know such.
fn in_use(entry: u32) -> bool {
    entry > 1
}

/// The finaliser of SplitMix64: every input bit reaches every output bit.
fn mix(position: u64, entry: u32) -> u64 {
    let mut z = (position << 32 | u64::from(entry)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
