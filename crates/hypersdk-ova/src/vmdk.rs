//! streamOptimized VMDK: the disk format vSphere exports and every importer reads.
//!
//! A stream is a header, a text descriptor, and then *markers*: each announces either one
//! compressed grain (64 KiB of disk) or a piece of metadata. Two layouts are met in the wild:
//!
//! ```text
//! at end:   header  descriptor  grain..  GT grain.. GT  GD  footer  end-of-stream    (ESXi, ours)
//! up front: header  descriptor  [RGD RGTs] GD GTs  grain..                           (qemu-img)
//! ```
//!
//! [`StreamInspector`] checks either as it passes, without copying it. [`StreamWriter`] makes the
//! first; [`Recompressor`] makes it from either, deflated anew on all cores. [`DiskReader`] and
//! [`inflate_stream`] give back raw grains of both. [`DiskReader`] also reads monolithicSparse disks,
//! whose grains lie in place and are not deflated, and [`FlatReader`] flat ones, which are a text
//! descriptor beside files of plain bytes.
//!
//! Reference: VMware, *Virtual Disk Format 5.0* (technical note). Marker type 4 (progress) is not
//! in the note; it is defined in open-vmdk's `vmware_vmdk.h` and readers have to skip it.

mod codec;
mod descriptor;
mod error;
mod flat;
mod grain;
mod header;
mod inspect;
mod marker;
mod pool;
mod read;
mod recompress;
mod summary;
mod tables;
mod writer;

pub use codec::{CompressionLevel, GrainDecoder, GrainEncoder, is_zero};
pub use descriptor::DiskDescriptor;
pub use error::VmdkError;
pub use flat::FlatReader;
pub use grain::{Grain, GrainSink, NoSink};
pub use header::Layout;
pub use inspect::StreamInspector;
pub use pool::GrainPool;
pub use read::{DiskReader, inflate_stream};
pub use recompress::{RecompressOptions, RecompressSummary, Recompressed, Recompressor};
pub use summary::{DiskFront, DiskSummary, StreamProgress};
pub use writer::{DiskOptions, StreamWriter};

/// The unit of every offset inside a VMDK, in bytes.
pub const SECTOR_BYTES: u64 = 512;
/// The grain size streamOptimized disks have, in bytes.
pub const GRAIN_BYTES: usize = 65536;
