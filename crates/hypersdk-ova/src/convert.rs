//! A streamOptimized VMDK stream turned into another disk format as its bytes pass.
//!
//! ```text
//! push: inspect ─▶ batches of grains ─▶ pool: inflate, find zeros, (deflate) ─▶ in order: place ─▶ write
//! ```
//!
//! Place and content of the image depend on the stream alone, not on how many threads there are or
//! how its pieces are cut, so that the same disk gives the same file.
//!
//! Either format is written at scattered places (a raw disk where the grains belong, a qcow2 image
//! with its header last), and a digest cannot be patched: take it of the finished file with
//! [`hash_file`](crate::digest::hash_file), which reads it from the page cache and reads no holes.

mod batch;
mod converter;
mod layout;
mod pipeline;
mod qcow2;

pub use converter::DiskConverter;

use crate::vmdk::{CompressionLevel, VmdkError};

/// The format a disk is turned into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskTarget {
    /// The disk's bytes as they are; whole grains of zeros are holes of the file.
    Raw,
    /// qcow2 version 3, clusters of 64 KiB (of a grain, where the source has smaller grains).
    ///
    /// Compressed clusters are raw deflate with a window of 4 KiB: what every qcow2 reader takes
    /// (zstd needs QEMU 5.1; QEMU inflates with a window of 12 bits, so libdeflate, whose window is
    /// always 32 KiB, cannot make them).
    Qcow2 {
        /// How hard clusters are deflated (levels above 9 count as 9); `None` stores them.
        compress: Option<CompressionLevel>,
    },
}

/// Why a disk could not be converted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// The stream is at fault.
    #[error(transparent)]
    Stream(#[from] VmdkError),
    /// The image file could not be written.
    #[error("write disk image")]
    Image(#[source] std::io::Error),
    /// A worker thread panicked over this disk.
    #[error("a worker thread failed")]
    Worker,
}
