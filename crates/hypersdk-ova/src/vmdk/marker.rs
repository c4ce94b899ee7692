use super::header::{u32_at, u64_at};

pub(super) const END_OF_STREAM: u32 = 0;
pub(super) const GRAIN_TABLE: u32 = 1;
pub(super) const GRAIN_DIRECTORY: u32 = 2;
pub(super) const FOOTER: u32 = 3;
pub(super) const PROGRESS: u32 = 4;

/// How many bytes tell a grain's marker; a metadata marker needs [`METADATA_BYTES`].
pub(super) const GRAIN_HEADER_BYTES: usize = 12;
pub(super) const METADATA_BYTES: usize = 16;

/// A marker's first two fields: `value` is a grain's sector on the disk, or how many sectors of
/// metadata follow; `size` is a grain's compressed length in bytes, or 0 for metadata.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marker {
    pub(super) value: u64,
    pub(super) size: u32,
}

impl Marker {
    pub(super) fn parse(raw: &[u8]) -> Self {
        Self { value: u64_at(raw, 0), size: u32_at(raw, 8) }
    }

    pub(super) fn grain(lba: u64, size: u32) -> [u8; GRAIN_HEADER_BYTES] {
        let mut raw = [0; GRAIN_HEADER_BYTES];
        raw[..8].copy_from_slice(&lba.to_le_bytes());
        raw[8..].copy_from_slice(&size.to_le_bytes());
        raw
    }

    pub(super) fn metadata(kind: u32, sectors: u64) -> [u8; 512] {
        let mut raw = [0; 512];
        raw[..8].copy_from_slice(&sectors.to_le_bytes());
        raw[12..16].copy_from_slice(&kind.to_le_bytes());
        raw
    }
}

/// How many bytes pad a grain of `size` compressed bytes to the next sector.
pub(super) fn grain_padding(size: u64) -> u64 {
    let used = (GRAIN_HEADER_BYTES as u64 + size) % 512;
    (512 - used) % 512
}
