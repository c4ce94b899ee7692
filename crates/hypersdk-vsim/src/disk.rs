//! Virtual disks: where their bytes come from and how they look on the wire.

mod attachment;
mod esxi;
mod grains;
mod header;
mod pieces;
mod qemu;
mod raw;
mod source;

pub use attachment::Attachment;
pub use source::{DiskSource, DiskSpec, Layout, SynthDisk};

pub(crate) use source::DiskReader;

/// Bytes of a sector, the unit of every offset in a VMDK.
const SECTOR: u64 = 512;
/// Bytes of a grain before compression.
const GRAIN: usize = 64 * 1024;
/// Sectors of a grain.
const GRAIN_SECTORS: u64 = GRAIN as u64 / SECTOR;
/// Grains one grain table covers.
const GTES_PER_GT: u64 = 512;
/// Sectors of one grain table.
const GT_SECTORS: u64 = GTES_PER_GT * 4 / SECTOR;
/// Pieces handed to the connection are at least this long, except the last.
const PIECE: usize = 256 * 1024;
