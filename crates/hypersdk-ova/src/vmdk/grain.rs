use super::{DiskFront, VmdkError};

/// One compressed grain as it passes.
#[derive(Debug, Clone, Copy)]
pub struct Grain<'a> {
    /// Its first sector on the disk.
    pub lba: u64,
    /// Where its marker begins in the stream, in bytes.
    pub offset: u64,
    /// How many bytes of the disk it covers: a whole grain, or less at the end of the disk.
    pub disk_bytes: usize,
    /// The size of a whole grain in bytes.
    pub grain_bytes: usize,
    /// The zlib member.
    pub payload: &'a [u8],
}

impl Grain<'_> {
    /// The error that says what is wrong with this grain.
    #[must_use]
    pub fn refuse(&self, reason: impl Into<String>) -> VmdkError {
        VmdkError::Grain { offset: self.offset, lba: self.lba, reason: reason.into() }
    }
}

/// Takes the compressed grains an inspector meets, in the order of the stream.
pub trait GrainSink {
    /// Whether this sink looks at grains at all: if not, payloads are never gathered.
    const WANTS_GRAINS: bool = true;

    /// Learns once, before the first grain, which disk the grains are of.
    ///
    /// # Errors
    /// An error stops the inspection and is what `push` returns.
    fn begin(&mut self, _front: &DiskFront) -> Result<(), VmdkError> {
        Ok(())
    }

    /// Takes one grain.
    ///
    /// # Errors
    /// An error stops the inspection and is what `push` returns.
    fn grain(&mut self, grain: Grain<'_>) -> Result<(), VmdkError>;
}

/// The sink of an inspection that only looks at the structure.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSink;

impl GrainSink for NoSink {
    const WANTS_GRAINS: bool = false;

    fn grain(&mut self, _: Grain<'_>) -> Result<(), VmdkError> {
        Ok(())
    }
}

impl<F: FnMut(Grain<'_>) -> Result<(), VmdkError>> GrainSink for F {
    fn grain(&mut self, grain: Grain<'_>) -> Result<(), VmdkError> {
        self(grain)
    }
}
