use super::{GRAIN_BYTES, SECTOR_BYTES, VmdkError};

pub(super) const MAGIC: [u8; 4] = *b"KDMV";
pub(super) const GD_AT_END: u64 = u64::MAX;
pub(super) const ENTRIES_PER_TABLE: u64 = 512;
pub(super) const TABLE_SECTORS: u64 = ENTRIES_PER_TABLE * 4 / SECTOR_BYTES;

const FLAG_NEWLINE_TEST: u32 = 1;
const FLAG_COMPRESSED: u32 = 1 << 16;
const FLAG_MARKERS: u32 = 1 << 17;
const DEFLATE: u16 = 1;
const NEWLINE_TEST: [u8; 4] = *b"\n \r\n";
const MAX_DESCRIPTOR_SECTORS: u64 = 2048;
/// 64 TiB of 64 KiB grains: vSphere's largest disk is 62 TB.
const MAX_GRAINS: u64 = 1 << 30;

/// Where a stream keeps its grain directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// Behind the grains, found through the footer: what ESXi sends and this crate writes.
    DirectoryAtEnd,
    /// In front of the grains: what `qemu-img` writes.
    DirectoryUpFront,
}

/// The 512 bytes at the start of a sparse extent, and again in its footer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SparseHeader {
    pub(super) version: u32,
    pub(super) flags: u32,
    pub(super) capacity: u64,
    pub(super) grain_sectors: u64,
    pub(super) descriptor_offset: u64,
    pub(super) descriptor_sectors: u64,
    pub(super) rgd_offset: u64,
    pub(super) gd_offset: u64,
    pub(super) overhead: u64,
}

impl SparseHeader {
    /// A version 3 header in the layout with the directory at the end.
    pub(super) fn at_end(capacity: u64, descriptor_sectors: u64, overhead: u64) -> Self {
        Self {
            version: 3,
            flags: FLAG_NEWLINE_TEST | FLAG_COMPRESSED | FLAG_MARKERS,
            capacity,
            grain_sectors: GRAIN_BYTES as u64 / SECTOR_BYTES,
            descriptor_offset: 1,
            descriptor_sectors,
            rgd_offset: 0,
            gd_offset: GD_AT_END,
            overhead,
        }
    }

    /// The header of a stream.
    pub(super) fn parse(raw: &[u8; 512]) -> Result<Self, VmdkError> {
        let header = Self::parse_any(raw)?;
        if !header.is_compressed() {
            return Err(VmdkError::NotStreamOptimized(header.flags));
        }
        Ok(header)
    }

    /// The header of a stream, or of a monolithicSparse disk: grains as they are, between no markers.
    pub(super) fn parse_any(raw: &[u8; 512]) -> Result<Self, VmdkError> {
        if raw[..4] != MAGIC {
            return Err(VmdkError::NotVmdk);
        }
        let header = Self {
            version: u32_at(raw, 4),
            flags: u32_at(raw, 8),
            capacity: u64_at(raw, 12),
            grain_sectors: u64_at(raw, 20),
            descriptor_offset: u64_at(raw, 28),
            descriptor_sectors: u64_at(raw, 36),
            rgd_offset: u64_at(raw, 48),
            gd_offset: u64_at(raw, 56),
            overhead: u64_at(raw, 64),
        };
        if !(1..=3).contains(&header.version) {
            return Err(VmdkError::Version(header.version));
        }
        // Markers without compression, or the reverse, are neither.
        if ![0, FLAG_COMPRESSED | FLAG_MARKERS].contains(&(header.flags & (FLAG_COMPRESSED | FLAG_MARKERS))) {
            return Err(VmdkError::NotStreamOptimized(header.flags));
        }
        if header.flags & FLAG_NEWLINE_TEST != 0 && raw[73..77] != NEWLINE_TEST {
            return Err(refuse(
                "newline test",
                u64::from(u32_at(raw, 73)),
                "line ends were converted in transit",
            ));
        }
        if header.is_compressed() && u16::from_le_bytes([raw[77], raw[78]]) != DEFLATE {
            let value = u64::from(u16::from_le_bytes([raw[77], raw[78]]));
            return Err(refuse("compressAlgorithm", value, "only 1, deflate, is defined"));
        }
        if u64::from(u32_at(raw, 44)) != ENTRIES_PER_TABLE {
            return Err(refuse("numGTEsPerGT", u64::from(u32_at(raw, 44)), "512 is defined"));
        }
        header.check()?;
        Ok(header)
    }

    fn check(&self) -> Result<(), VmdkError> {
        if !self.grain_sectors.is_power_of_two() || !(16..=2048).contains(&self.grain_sectors) {
            return Err(refuse("grainSize", self.grain_sectors, "not a power of two between 16 and 2048"));
        }
        if self.capacity == 0 || self.capacity.div_ceil(self.grain_sectors) > MAX_GRAINS {
            return Err(refuse("capacity", self.capacity, "no disk, or more than 2^30 grains"));
        }
        if self.descriptor_offset == 0 || self.descriptor_sectors == 0 {
            return Err(refuse("descriptorOffset", self.descriptor_offset, "no embedded descriptor"));
        }
        if self.descriptor_sectors > MAX_DESCRIPTOR_SECTORS {
            return Err(refuse("descriptorSize", self.descriptor_sectors, "more than 1 MiB"));
        }
        let descriptor_end = self.descriptor_offset.checked_add(self.descriptor_sectors);
        if descriptor_end.is_none_or(|end| end > self.overhead) {
            return Err(refuse(
                "descriptorOffset",
                self.descriptor_offset,
                "the descriptor reaches past overHead",
            ));
        }
        let metadata = 2 * (self.directory_sectors() + self.directory_entries() * TABLE_SECTORS);
        if self.overhead > metadata + 2 * MAX_DESCRIPTOR_SECTORS + 8192 {
            return Err(refuse("overHead", self.overhead, "more than the metadata of such a disk can fill"));
        }
        if self.gd_offset != GD_AT_END && (self.gd_offset == 0 || self.gd_offset > u64::from(u32::MAX)) {
            return Err(refuse("gdOffset", self.gd_offset, "outside the stream"));
        }
        Ok(())
    }

    pub(super) fn encode(&self) -> [u8; 512] {
        let mut raw = [0; 512];
        raw[..4].copy_from_slice(&MAGIC);
        raw[4..8].copy_from_slice(&self.version.to_le_bytes());
        raw[8..12].copy_from_slice(&self.flags.to_le_bytes());
        for (at, value) in [
            (12, self.capacity),
            (20, self.grain_sectors),
            (28, self.descriptor_offset),
            (36, self.descriptor_sectors),
            (48, self.rgd_offset),
            (56, self.gd_offset),
            (64, self.overhead),
        ] {
            raw[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        raw[44..48].copy_from_slice(&(ENTRIES_PER_TABLE as u32).to_le_bytes());
        raw[73..77].copy_from_slice(&NEWLINE_TEST);
        raw[77..79].copy_from_slice(&DEFLATE.to_le_bytes());
        raw
    }

    /// Grains are deflated, each behind a marker.
    pub(super) fn is_compressed(&self) -> bool {
        self.flags & FLAG_COMPRESSED != 0
    }

    pub(super) fn layout(&self) -> Layout {
        if self.gd_offset == GD_AT_END { Layout::DirectoryAtEnd } else { Layout::DirectoryUpFront }
    }

    pub(super) fn grains(&self) -> u64 {
        self.capacity.div_ceil(self.grain_sectors)
    }

    pub(super) fn grain_bytes(&self) -> u64 {
        self.grain_sectors * SECTOR_BYTES
    }

    pub(super) fn directory_entries(&self) -> u64 {
        self.grains().div_ceil(ENTRIES_PER_TABLE)
    }

    pub(super) fn directory_sectors(&self) -> u64 {
        (self.directory_entries() * 4).div_ceil(SECTOR_BYTES)
    }

    /// How many bytes of the disk the grain at this index covers: the last one may be cut off.
    pub(super) fn grain_len(&self, index: u64) -> u64 {
        let first = index * self.grain_sectors;
        self.capacity.saturating_sub(first).min(self.grain_sectors) * SECTOR_BYTES
    }

    /// The most bytes a deflated grain can plausibly take: deflate stores what it cannot shrink.
    pub(super) fn max_compressed(&self) -> u64 {
        self.grain_bytes() + self.grain_bytes() / 8 + 512
    }
}

pub(super) fn u32_at(raw: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]])
}

pub(super) fn u64_at(raw: &[u8], at: usize) -> u64 {
    u64::from(u32_at(raw, at)) | u64::from(u32_at(raw, at + 4)) << 32
}

fn refuse(field: &'static str, value: u64, reason: &'static str) -> VmdkError {
    VmdkError::Header { field, value, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_encoding_and_parsing() {
        let header = SparseHeader::at_end(20_480, 20, 128);
        assert_eq!(SparseHeader::parse(&header.encode()).unwrap(), header);
    }

    #[test]
    fn a_monolithic_sparse_disk_is_named_as_not_stream_optimized() {
        let mut raw = SparseHeader::at_end(20_480, 20, 128).encode();
        raw[8..12].copy_from_slice(&3_u32.to_le_bytes());
        assert!(matches!(SparseHeader::parse(&raw), Err(VmdkError::NotStreamOptimized(3))));
    }

    #[test]
    fn absurd_fields_are_refused_by_name() {
        for (at, value, name) in [
            (12, u64::MAX, "capacity"),
            (12, 0, "capacity"),
            (20, 100, "grainSize"),
            (28, 0, "descriptorOffset"),
            (28, u64::MAX, "descriptorOffset"),
            (36, 1 << 40, "descriptorSize"),
            (56, 0, "gdOffset"),
            (64, 1 << 50, "overHead"),
        ] {
            let mut raw = SparseHeader::at_end(20_480, 20, 128).encode();
            raw[at..at + 8].copy_from_slice(&value.to_le_bytes());
            match SparseHeader::parse(&raw) {
                Err(VmdkError::Header { field, .. }) => assert_eq!(field, name),
                other => panic!("{name} = {value}: {other:?}"),
            }
        }
    }
}
