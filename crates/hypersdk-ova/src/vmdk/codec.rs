use libdeflater::{CompressionLvl, Compressor, Decompressor};

/// How hard grains are deflated: 1 (fastest) to 12 (smallest), as libdeflate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CompressionLevel(u8);

impl CompressionLevel {
    /// A level from 1 to 12; anything else is none.
    #[must_use]
    pub fn new(level: u8) -> Option<Self> {
        (1..=12).contains(&level).then_some(Self(level))
    }

    /// The level as a number.
    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }
}

impl Default for CompressionLevel {
    fn default() -> Self {
        Self(6)
    }
}

/// Deflates grains into zlib members (RFC 1950). Independent of each other: one a thread.
pub struct GrainEncoder {
    compressor: Compressor,
    buffer: Vec<u8>,
}

impl GrainEncoder {
    /// An encoder at this level.
    #[must_use]
    pub fn new(level: CompressionLevel) -> Self {
        let level = CompressionLvl::new(i32::from(level.0)).expect("levels 1 to 12 are libdeflate's");
        Self { compressor: Compressor::new(level), buffer: Vec::new() }
    }

    /// Deflates one grain; the result is valid until the next call.
    pub fn encode(&mut self, raw: &[u8]) -> &[u8] {
        let bound = self.compressor.zlib_compress_bound(raw.len());
        self.buffer.resize(bound, 0);
        let used = self.compressor.zlib_compress(raw, &mut self.buffer);
        &self.buffer[..used.expect("the buffer has the size libdeflate asked for")]
    }
}

impl std::fmt::Debug for GrainEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GrainEncoder").finish_non_exhaustive()
    }
}

/// Inflates grains. Independent of each other: one a thread.
pub struct GrainDecoder {
    decompressor: Decompressor,
    buffer: Vec<u8>,
}

impl GrainDecoder {
    /// A decoder for grains of up to `grain_bytes`.
    #[must_use]
    pub fn new(grain_bytes: usize) -> Self {
        Self { decompressor: Decompressor::new(), buffer: vec![0; grain_bytes] }
    }

    /// Inflates one grain of a disk that has `expected` bytes at that place (less than a grain at
    /// its end); the result is valid until the next call.
    ///
    /// # Errors
    /// A reason if the data is no zlib member, its checksum is wrong, or it holds another amount
    /// of bytes than the disk has there.
    pub fn decode(&mut self, payload: &[u8], expected: usize) -> Result<&[u8], String> {
        let length =
            self.decompressor.zlib_decompress(payload, &mut self.buffer).map_err(|error| match error {
                libdeflater::DecompressionError::BadData => "it does not inflate".to_owned(),
                libdeflater::DecompressionError::InsufficientSpace => {
                    format!("it inflates to more than {} bytes", self.buffer.len())
                }
            })?;
        // The grain that reaches past the end of the disk is whole in some writers, cut in others.
        if length < expected || (length != expected && length != self.buffer.len()) {
            return Err(format!("it inflates to {length} bytes instead of {expected}"));
        }
        Ok(&self.buffer[..expected])
    }
}

impl std::fmt::Debug for GrainDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GrainDecoder").finish_non_exhaustive()
    }
}

/// Whether these bytes are all zero: such grains are left out of a stream.
#[must_use]
pub fn is_zero(raw: &[u8]) -> bool {
    raw.chunks(256).all(|chunk| chunk.iter().fold(0, |all, &byte| all | byte) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grain_survives_deflate_and_inflate_at_every_level() {
        let raw: Vec<u8> = (0..65_536_u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
        for level in (1..=12).filter_map(CompressionLevel::new) {
            let packed = GrainEncoder::new(level).encode(&raw).to_vec();
            assert_eq!(GrainDecoder::new(65_536).decode(&packed, raw.len()).unwrap(), raw);
        }
    }

    #[test]
    fn a_grain_of_another_length_is_refused() {
        let packed = GrainEncoder::new(CompressionLevel::default()).encode(&[7; 4096]).to_vec();
        let error = GrainDecoder::new(65_536).decode(&packed, 65_536).unwrap_err();
        assert_eq!(error, "it inflates to 4096 bytes instead of 65536");
        let error = GrainDecoder::new(2048).decode(&packed, 2048).unwrap_err();
        assert_eq!(error, "it inflates to more than 2048 bytes");
    }

    #[test]
    fn zero_is_told_from_nearly_zero() {
        let mut raw = vec![0; 65_536];
        assert!(is_zero(&raw));
        raw[65_535] = 1;
        assert!(!is_zero(&raw));
    }
}
