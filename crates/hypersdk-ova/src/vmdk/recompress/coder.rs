use std::collections::BTreeMap;

use crate::vmdk::{CompressionLevel, GRAIN_BYTES, GrainDecoder, GrainEncoder, is_zero};

/// What becomes of one grain.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Recoded<'a> {
    /// It is all zeros and can be left out.
    Zero,
    /// It is no larger as it came.
    Kept,
    /// Its new zlib member, smaller than the old one.
    Deflated(&'a [u8]),
}

/// One thread's tools to deflate grains anew.
#[derive(Debug)]
pub(in crate::vmdk) struct GrainCoder {
    decoder: GrainDecoder,
    encoders: BTreeMap<CompressionLevel, GrainEncoder>,
    padded: Vec<u8>,
}

impl Default for GrainCoder {
    fn default() -> Self {
        Self { decoder: GrainDecoder::new(GRAIN_BYTES), encoders: BTreeMap::new(), padded: Vec::new() }
    }
}

impl GrainCoder {
    /// Deflates a grain anew that covers `disk_bytes` of the disk.
    pub(super) fn recode(
        &mut self,
        payload: &[u8],
        disk_bytes: usize,
        level: CompressionLevel,
    ) -> Result<Recoded<'_>, String> {
        let Self { decoder, encoders, padded } = self;
        let mut raw = decoder.decode(payload, disk_bytes)?;
        if is_zero(raw) {
            return Ok(Recoded::Zero);
        }
        if raw.len() < GRAIN_BYTES {
            padded.clear();
            padded.extend_from_slice(raw);
            padded.resize(GRAIN_BYTES, 0);
            raw = padded;
        }
        let deflated = encoders.entry(level).or_insert_with(|| GrainEncoder::new(level)).encode(raw);
        Ok(if deflated.len() < payload.len() { Recoded::Deflated(deflated) } else { Recoded::Kept })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(level: u8) -> CompressionLevel {
        CompressionLevel::new(level).unwrap()
    }

    #[test]
    fn a_grain_is_dropped_or_kept_or_made_smaller() {
        let mut coder = GrainCoder::default();
        let text: Vec<u8> = b"the same words, ".iter().copied().cycle().take(GRAIN_BYTES).collect();
        let best = GrainEncoder::new(level(9)).encode(&text).to_vec();
        let zeros = GrainEncoder::new(level(1)).encode(&[0; GRAIN_BYTES]).to_vec();
        assert_eq!(coder.recode(&zeros, GRAIN_BYTES, level(6)), Ok(Recoded::Zero));
        assert_eq!(coder.recode(&best, GRAIN_BYTES, level(9)), Ok(Recoded::Kept));
        let poor = zlib_stored(&text);
        assert_eq!(coder.recode(&poor, GRAIN_BYTES, level(9)), Ok(Recoded::Deflated(&best)));
    }

    #[test]
    fn a_grain_at_the_end_of_the_disk_is_filled_up_with_zeros() {
        let mut coder = GrainCoder::default();
        let raw = vec![3; 512];
        let deflated = match coder.recode(&zlib_stored(&raw), 512, level(6)).unwrap() {
            Recoded::Deflated(deflated) => deflated.to_vec(),
            other => panic!("{other:?}"),
        };
        let whole = GrainDecoder::new(GRAIN_BYTES).decode(&deflated, GRAIN_BYTES).unwrap().to_vec();
        assert_eq!(whole, [raw, vec![0; GRAIN_BYTES - 512]].concat());
    }

    /// A zlib member of stored blocks (RFC 1950, RFC 1951 section 3.2.4).
    fn zlib_stored(raw: &[u8]) -> Vec<u8> {
        let mut member = vec![0x78, 0x01];
        let last = raw.chunks(0xffff).count() - 1;
        for (number, block) in raw.chunks(0xffff).enumerate() {
            let length = block.len() as u16;
            member.push(u8::from(number == last));
            member.extend(length.to_le_bytes());
            member.extend((!length).to_le_bytes());
            member.extend(block);
        }
        let (a, b) = raw.iter().fold((1_u32, 0_u32), |(a, b), &byte| {
            let a = (a + u32::from(byte)) % 65_521;
            (a, (b + a) % 65_521)
        });
        member.extend((b << 16 | a).to_be_bytes());
        member
    }
}
