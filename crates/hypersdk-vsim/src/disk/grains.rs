//! Grains made up on the fly: cheap to produce, different at every position.
//!
//! A grain's first 16 bytes are a stamp (seed and sector address), the rest is
//! one of a pool of blocks deflated once per process. Its zlib stream is a
//! stored block with the stamp followed by the pool's deflate stream, and the
//! Adler-32 of both joined, so that making a grain costs one copy.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use bytes::{BufMut, BytesMut};
use libdeflater::{CompressionLvl, Compressor, adler32};

use super::source::SynthDisk;
use super::{GRAIN, GRAIN_SECTORS, SECTOR};

const STAMP: usize = 16;
const POOL_BLOCKS: usize = 64;
const MARKER: usize = 12;
const ZLIB_HEADER: [u8; 2] = [0x78, 0x01];
/// A stored block of 16 bytes that is not the last: type, length, inverted length.
const STORED_BLOCK: [u8; 5] = [0x00, STAMP as u8, 0x00, !(STAMP as u8), 0xff];
/// Grains allocated or left out together, as a guest's file system would.
const EXTENT_GRAINS: u64 = 16;

#[derive(Debug)]
struct Block {
    plain: Vec<u8>,
    deflated: Vec<u8>,
    adler: u32,
}

#[derive(Debug)]
struct Pool {
    blocks: Vec<Block>,
}

/// The allocated grains of one synthesised disk.
#[derive(Clone, Debug)]
pub(super) struct Grains {
    seed: u64,
    count: u64,
    threshold: u64,
    pool: Arc<Pool>,
}

impl Grains {
    pub(super) fn new(disk: &SynthDisk) -> Self {
        let fill = disk.fill.clamp(0.0, 1.0);
        Self {
            seed: disk.seed,
            count: disk.capacity().div_ceil(GRAIN as u64),
            // Saturating: a ratio of 1 lets every hash pass.
            threshold: (fill * u64::MAX as f64) as u64,
            pool: pool(disk.compressibility),
        }
    }

    /// Number of grains, allocated or not.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The first and last extents are always there unless the disk is empty.
    pub(super) fn is_allocated(&self, grain: u64) -> bool {
        if self.threshold == 0 {
            return false;
        }
        let extent = grain / EXTENT_GRAINS;
        let last = (self.count - 1) / EXTENT_GRAINS;
        extent == 0 || extent == last || mix(self.seed ^ mix(extent)) <= self.threshold
    }

    /// Sectors the grain takes in the stream, its marker and padding included.
    pub(super) fn stored_sectors(&self, grain: u64) -> u64 {
        ((MARKER + zlib_len(self.block(grain))) as u64).div_ceil(SECTOR)
    }

    /// Appends marker, zlib stream and padding.
    pub(super) fn append(&self, grain: u64, out: &mut BytesMut) {
        let block = self.block(grain);
        let stamp = self.stamp(grain);
        let start = out.len();
        out.put_u64_le(grain * GRAIN_SECTORS);
        out.put_u32_le(zlib_len(block) as u32);
        out.put_slice(&ZLIB_HEADER);
        out.put_slice(&STORED_BLOCK);
        out.put_slice(&stamp);
        out.put_slice(&block.deflated);
        out.put_u32(adler_join(adler32(&stamp), block.adler, block.plain.len()));
        let padded = (out.len() - start).next_multiple_of(SECTOR as usize);
        out.put_bytes(0, start + padded - out.len());
    }

    /// Writes the grain's 64 KiB as the guest sees them.
    pub(super) fn plain(&self, grain: u64, out: &mut [u8]) {
        out[..STAMP].copy_from_slice(&self.stamp(grain));
        out[STAMP..].copy_from_slice(&self.block(grain).plain);
    }

    fn block(&self, grain: u64) -> &Block {
        &self.pool.blocks[(mix(self.seed.wrapping_add(mix(!grain))) % POOL_BLOCKS as u64) as usize]
    }

    fn stamp(&self, grain: u64) -> [u8; STAMP] {
        let mut stamp = [0; STAMP];
        stamp[..8].copy_from_slice(&self.seed.to_le_bytes());
        stamp[8..].copy_from_slice(&(grain * GRAIN_SECTORS).to_le_bytes());
        stamp
    }
}

fn zlib_len(block: &Block) -> usize {
    ZLIB_HEADER.len() + STORED_BLOCK.len() + STAMP + block.deflated.len() + 4
}

/// The finaliser of SplitMix64: a cheap, well-spread hash of one word.
fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// The Adler-32 of two pieces joined, from the sum of each (RFC 1950, section 9).
fn adler_join(first: u32, second: u32, second_len: usize) -> u32 {
    const BASE: u64 = 65_521;
    let (a1, b1) = (u64::from(first & 0xffff), u64::from(first >> 16));
    let (a2, b2) = (u64::from(second & 0xffff), u64::from(second >> 16));
    let len = second_len as u64 % BASE;
    let a = (a1 + a2 + BASE - 1) % BASE;
    let b = (b1 + b2 + len * (a1 + BASE - 1)) % BASE;
    (b << 16 | a) as u32
}

/// Pools are shared by all disks of the process, one per compressibility in percent.
fn pool(compressibility: f64) -> Arc<Pool> {
    static POOLS: LazyLock<Mutex<HashMap<u8, Arc<Pool>>>> = LazyLock::new(Mutex::default);
    let percent = (compressibility.clamp(0.0, 1.0) * 100.0).round() as u8;
    let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(pools.entry(percent).or_insert_with(|| Arc::new(Pool::new(percent))))
}

impl Pool {
    fn new(percent: u8) -> Self {
        let mut compressor = Compressor::new(CompressionLvl::new(1).expect("level 1 is known"));
        let blocks = (0..POOL_BLOCKS).map(|index| Block::new(index, percent, &mut compressor)).collect();
        Self { blocks }
    }
}

impl Block {
    fn new(index: usize, percent: u8, compressor: &mut Compressor) -> Self {
        let mut rng = fastrand::Rng::with_seed(mix(index as u64));
        let mut plain = vec![0; GRAIN - STAMP];
        let text =
            format!("block {index:02} of a synthesised virtual disk, repeated so that it deflates well. ");
        for kib in plain.chunks_mut(1024) {
            let noise = kib.len() * usize::from(100 - percent) / 100;
            let (noisy, wordy) = kib.split_at_mut(noise);
            rng.fill(noisy);
            for (slot, byte) in wordy.iter_mut().zip(text.bytes().cycle()) {
                *slot = byte;
            }
        }
        let mut deflated = vec![0; compressor.deflate_compress_bound(plain.len())];
        let len = compressor
            .deflate_compress(&plain, &mut deflated)
            .expect("the output buffer has the compressor's own bound");
        deflated.truncate(len);
        let adler = adler32(&plain);
        Self { plain, deflated, adler }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grains(fill: f64, compressibility: f64) -> Grains {
        Grains::new(&SynthDisk { fill, compressibility, ..SynthDisk::new(7, 8 << 20) })
    }

    #[test]
    fn a_grain_inflates_to_its_plain_bytes() {
        for compressibility in [0.0, 0.5, 1.0] {
            let grains = grains(1.0, compressibility);
            let mut stored = BytesMut::new();
            grains.append(5, &mut stored);
            assert_eq!(stored.len() as u64, grains.stored_sectors(5) * SECTOR);
            let len = u32::from_le_bytes(stored[8..12].try_into().unwrap()) as usize;
            let mut inflated = vec![0; GRAIN];
            let written = libdeflater::Decompressor::new()
                .zlib_decompress(&stored[MARKER..MARKER + len], &mut inflated)
                .unwrap();
            assert_eq!(written, GRAIN);
            let mut plain = vec![0; GRAIN];
            grains.plain(5, &mut plain);
            assert!(plain == inflated);
        }
    }

    #[test]
    fn every_position_and_seed_has_bytes_of_its_own() {
        let grains = grains(1.0, 0.5);
        let other = Grains::new(&SynthDisk { seed: 8, ..SynthDisk::new(7, 8 << 20) });
        let (mut a, mut b) = (vec![0; GRAIN], vec![0; GRAIN]);
        grains.plain(1, &mut a);
        grains.plain(2, &mut b);
        assert!(a != b);
        other.plain(1, &mut b);
        assert!(a != b);
    }

    #[test]
    fn the_fill_ratio_is_kept_on_average() {
        let disk = SynthDisk { fill: 0.25, ..SynthDisk::new(3, 4 << 30) };
        let grains = Grains::new(&disk);
        let allocated = (0..grains.count()).filter(|grain| grains.is_allocated(*grain)).count();
        let ratio = allocated as f64 / grains.count() as f64;
        assert!((0.22..0.28).contains(&ratio), "{ratio}");
    }
}
