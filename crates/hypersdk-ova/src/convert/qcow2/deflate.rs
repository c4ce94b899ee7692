use zlib_rs::{Deflate, DeflateFlush, Status};

use crate::vmdk::CompressionLevel;

/// QEMU inflates with a window of 4 KiB.
const WINDOW_BITS: u8 = 12;
const MAX_LEVEL: u8 = 9;

/// Deflates clusters the way qcow2 readers expect them.
pub(in crate::convert) struct ClusterDeflater {
    deflate: Deflate,
    buffer: Vec<u8>,
}

impl ClusterDeflater {
    pub(in crate::convert) fn new(level: CompressionLevel, cluster_bytes: usize) -> Self {
        let level = i32::from(level.number().min(MAX_LEVEL));
        // Room for the worst case, 9 bits a byte: zlib-rs 0.6 does not recover from running out of it.
        let buffer = vec![0; cluster_bytes + cluster_bytes / 8 + 1024];
        Self { deflate: Deflate::new(level, false, WINDOW_BITS), buffer }
    }

    /// The deflated cluster, or none if that saves nothing.
    pub(in crate::convert) fn deflate(&mut self, raw: &[u8]) -> Option<&[u8]> {
        self.deflate.reset();
        let status = self.deflate.compress(raw, &mut self.buffer, DeflateFlush::Finish);
        assert_eq!(status, Ok(Status::StreamEnd), "there is room for the worst case");
        let length = self.deflate.total_out() as usize;
        (length < raw.len()).then(|| &self.buffer[..length])
    }
}

impl std::fmt::Debug for ClusterDeflater {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterDeflater").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cluster of noise that comes again every `period` bytes: it shrinks by these repeats alone.
    fn noise(period: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .take(period)
        .collect();
        noise.into_iter().cycle().take(65_536).collect()
    }

    #[test]
    fn at_every_level_repeats_further_away_than_4_kib_are_not_used() {
        for level in (1..=12).filter_map(CompressionLevel::new) {
            let mut deflater = ClusterDeflater::new(level, 65_536);
            assert!(deflater.deflate(&noise(4_097)).is_none(), "{level:?}");
            let near = deflater.deflate(&noise(3_500)).map(<[u8]>::len);
            assert!(near.is_some_and(|length| length < 8_000), "{level:?}: {near:?}");
        }
    }

    #[test]
    fn what_does_not_shrink_is_left_alone_at_every_level() {
        for level in (1..=12).filter_map(CompressionLevel::new) {
            let mut deflater = ClusterDeflater::new(level, 65_536);
            for _ in 0..3 {
                assert!(deflater.deflate(&noise(65_536)).is_none());
                // Level 1 has fixed codes: 9 bits for each of these bytes.
                let high: Vec<u8> = noise(65_536).into_iter().map(|byte| byte | 0x90).collect();
                deflater.deflate(&high);
            }
            assert!(deflater.deflate(&[7; 65_536]).is_some(), "it works again afterwards");
        }
    }
}
