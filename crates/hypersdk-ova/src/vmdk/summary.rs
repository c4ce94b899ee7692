use super::descriptor::DiskDescriptor;
use super::header::Layout;

/// How far along the disk a stream has come. Grains arrive by rising place on the disk, so this
/// is true progress though the length of a thin disk's stream is not known beforehand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamProgress {
    /// The end of the furthest grain seen, in bytes of the disk.
    pub position_bytes: u64,
    /// The disk's size in bytes; 0 until the header has passed.
    pub capacity_bytes: u64,
}

/// What a complete stream turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskSummary {
    /// The header's version, 1 to 3.
    pub version: u32,
    /// Where the grain directory was.
    pub layout: Layout,
    /// The disk's size in bytes.
    pub capacity_bytes: u64,
    /// The size of a grain in bytes.
    pub grain_bytes: u64,
    /// How many grains were present.
    pub grains: u64,
    /// How many bytes of the disk these cover.
    pub populated_bytes: u64,
    /// How many bytes they take compressed.
    pub compressed_bytes: u64,
    /// The length of the stream in bytes.
    pub stream_bytes: u64,
    /// The embedded descriptor.
    pub descriptor: DiskDescriptor,
}

/// What a stream says of its disk before the first grain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskFront {
    /// The disk's size in bytes.
    pub capacity_bytes: u64,
    /// The size of a grain in bytes.
    pub grain_bytes: u64,
    /// The embedded descriptor.
    pub descriptor: DiskDescriptor,
}
