use std::io;

/// Why a VMDK stream is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VmdkError {
    /// The stream does not begin with the magic number of a sparse VMDK.
    #[error("not a VMDK: the magic number is missing")]
    NotVmdk,
    /// The header's version is none of 1, 2, 3.
    #[error("VMDK version {0} is not known (1 to 3 are)")]
    Version(u32),
    /// A sparse VMDK, but not compressed grains behind markers.
    #[error("not a streamOptimized VMDK: header flags {0:#x}")]
    NotStreamOptimized(u32),
    /// A header field that no valid stream has.
    #[error("header field {field} is {value}: {reason}")]
    Header {
        /// The field's name in the technical note.
        field: &'static str,
        /// What it held.
        value: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The embedded text descriptor is unusable.
    #[error("embedded disk descriptor: {0}")]
    Descriptor(String),
    /// A marker that cannot be.
    #[error("marker at byte {offset}: {reason}")]
    Marker {
        /// Where the marker begins in the stream, in bytes.
        offset: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A grain whose place or size cannot be.
    #[error("grain at byte {offset}, sector {lba}: {reason}")]
    Grain {
        /// Where the grain's marker begins in the stream, in bytes.
        offset: u64,
        /// The disk sector it claims.
        lba: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// Grain directory or tables disagree with the grains seen.
    #[error("grain directory: {0}")]
    Tables(String),
    /// The stream ends too early.
    #[error("truncated at byte {offset}: {missing} missing")]
    Truncated {
        /// How many bytes there were.
        offset: u64,
        /// What should have followed.
        missing: String,
    },
    /// Something other than zeros follows the end-of-stream marker.
    #[error("data after the end of the stream at byte {offset}")]
    TrailingData {
        /// Where it begins, in bytes.
        offset: u64,
    },
    /// The writer was given something it cannot write.
    #[error("write disk: {0}")]
    Unwritable(String),
    /// The disk is sound, but grains in this order or of this size cannot be deflated anew in one pass.
    #[error("{0}")]
    Unsuited(String),
    /// A thread of the pool that deflates grains panicked over one of this disk.
    #[error("a thread that deflates grains panicked")]
    Panicked,
    /// Reading or writing failed.
    #[error("disk stream")]
    Io(#[from] io::Error),
}

impl VmdkError {
    /// Where in the stream the fault lies, in bytes, if it has one place.
    #[must_use]
    pub fn offset(&self) -> Option<u64> {
        match self {
            Self::NotVmdk | Self::Version(_) | Self::NotStreamOptimized(_) | Self::Header { .. } => Some(0),
            Self::Marker { offset, .. }
            | Self::Grain { offset, .. }
            | Self::Truncated { offset, .. }
            | Self::TrailingData { offset } => Some(*offset),
            Self::Descriptor(_)
            | Self::Tables(_)
            | Self::Unwritable(_)
            | Self::Unsuited(_)
            | Self::Panicked
            | Self::Io(_) => None,
        }
    }

    /// Whether the stream stopped early, so that fetching it again may help.
    #[must_use]
    pub fn is_truncation(&self) -> bool {
        matches!(self, Self::Truncated { .. })
    }
}
