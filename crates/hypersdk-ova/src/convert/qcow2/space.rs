use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::big_endian;

/// Hands out the file front to back and keeps count of how often each cluster is used.
///
/// A cluster of deflated pieces is used once a piece in it. Refcounts of clusters that nothing more
/// can go into are final; blocks of such are written as soon as another cluster is handed out.
#[derive(Debug)]
pub(super) struct Space {
    cluster_bytes: u64,
    /// The number of the first cluster never handed out.
    next: u64,
    /// Where the next deflated piece may go: inside a cluster begun by the one before.
    open: Option<u64>,
    /// Refcounts by block number, not written yet.
    blocks: BTreeMap<u64, Vec<u16>>,
    /// Where each block was written; 0: it was not.
    table: Vec<u64>,
}

/// What the header says of the refcounts, and how long the file is.
#[derive(Debug)]
pub(super) struct Refcounts {
    pub(super) table_offset: u64,
    pub(super) table_clusters: u32,
    pub(super) file_bytes: u64,
}

impl Space {
    /// A file in which only the header's cluster is taken.
    pub(super) fn new(cluster_bytes: u64) -> Self {
        let mut space =
            Self { cluster_bytes, next: 0, open: None, blocks: BTreeMap::new(), table: Vec::new() };
        space.take();
        space
    }

    /// A cluster; gives its offset.
    pub(super) fn cluster(&mut self, file: &File) -> io::Result<u64> {
        self.neighbours(file, 1)
    }

    /// That many clusters in a row; gives the first one's offset.
    pub(super) fn neighbours(&mut self, file: &File, clusters: u64) -> io::Result<u64> {
        self.write_final_blocks(file)?;
        let first = self.next;
        for _ in 0..clusters {
            self.take();
        }
        Ok(first * self.cluster_bytes)
    }

    /// Room for a deflated piece shorter than a cluster; gives its offset, at any byte.
    pub(super) fn piece(&mut self, file: &File, length: u64) -> io::Result<u64> {
        self.write_final_blocks(file)?;
        let offset = match self.open {
            Some(at) if self.fits_behind(at, length) => {
                self.count(at / self.cluster_bytes);
                at
            }
            _ => self.take() * self.cluster_bytes,
        };
        let end = offset + length;
        if end > self.next * self.cluster_bytes {
            self.take();
        }
        self.open = (!end.is_multiple_of(self.cluster_bytes)).then_some(end);
        Ok(offset)
    }

    /// Writes the refcounts; their own clusters are counted too.
    pub(super) fn finish(mut self, file: &File) -> io::Result<Refcounts> {
        self.open = None;
        self.write_final_blocks(file)?;
        let first = self.next;
        let written = self.table.iter().filter(|&&offset| offset != 0).count() as u64;
        let (mut blocks, mut table_clusters) = (0, 0);
        loop {
            let needed = (first + blocks + table_clusters).div_ceil(self.counts_per_block());
            let wanted = (needed - written, (needed * 8).div_ceil(self.cluster_bytes));
            if wanted == (blocks, table_clusters) {
                break;
            }
            (blocks, table_clusters) = wanted;
        }
        for _ in 0..blocks + table_clusters {
            self.take();
        }
        debug_assert_eq!(self.blocks.len() as u64, blocks, "every block left has its cluster");
        for (position, (number, counts)) in (first..).zip(std::mem::take(&mut self.blocks)) {
            self.write_block(file, number, &counts, position * self.cluster_bytes)?;
        }
        let table_offset = (first + blocks) * self.cluster_bytes;
        self.table.resize((table_clusters * self.cluster_bytes / 8) as usize, 0);
        file.write_all_at(&big_endian(&self.table), table_offset)?;
        let table_clusters = u32::try_from(table_clusters).map_err(|_| io::ErrorKind::FileTooLarge)?;
        Ok(Refcounts { table_offset, table_clusters, file_bytes: self.next * self.cluster_bytes })
    }

    /// Whether a piece at `at` stays in its cluster or goes on in one that is free.
    fn fits_behind(&self, at: u64, length: u64) -> bool {
        let cluster = at / self.cluster_bytes;
        at + length <= (cluster + 1) * self.cluster_bytes || cluster + 1 == self.next
    }

    /// Takes the next cluster; gives its number.
    fn take(&mut self) -> u64 {
        let cluster = self.next;
        self.next += 1;
        self.count(cluster);
        cluster
    }

    fn count(&mut self, cluster: u64) {
        let per_block = self.counts_per_block();
        let counts = self.blocks.entry(cluster / per_block).or_insert_with(|| vec![0; per_block as usize]);
        counts[(cluster % per_block) as usize] += 1;
    }

    /// With refcounts of 16 bits.
    fn counts_per_block(&self) -> u64 {
        self.cluster_bytes / 2
    }

    fn write_final_blocks(&mut self, file: &File) -> io::Result<()> {
        // The open cluster is given up when all others of its block are taken.
        let current = self.next / self.counts_per_block();
        if self.open.is_some_and(|at| at / self.cluster_bytes / self.counts_per_block() < current) {
            self.open = None;
        }
        while let Some((&number, _)) = self.blocks.first_key_value()
            && number < self.next / self.counts_per_block()
            && let Some(counts) = self.blocks.remove(&number)
        {
            let offset = self.take() * self.cluster_bytes;
            self.write_block(file, number, &counts, offset)?;
        }
        Ok(())
    }

    fn write_block(&mut self, file: &File, number: u64, counts: &[u16], offset: u64) -> io::Result<()> {
        let raw: Vec<u8> = counts.iter().flat_map(|count| count.to_be_bytes()).collect();
        file.write_all_at(&raw, offset)?;
        let at = number as usize;
        if self.table.len() <= at {
            self.table.resize(at + 1, 0);
        }
        self.table[at] = offset;
        Ok(())
    }
}
