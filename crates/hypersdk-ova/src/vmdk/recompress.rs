//! Deflating a disk anew as it passes.

mod batch;
mod coder;
mod pipeline;

use std::fmt;
use std::io::Write;
use std::sync::Arc;

pub(super) use coder::GrainCoder;
use pipeline::Pipeline;

use super::{CompressionLevel, DiskSummary, GrainPool, StreamInspector, StreamProgress, VmdkError};

/// How a disk is deflated anew.
#[derive(Debug, Clone)]
pub struct RecompressOptions {
    /// How hard. At each of 1 to 9 libdeflate leaves less than zlib does at the same level, in a
    /// fraction of its time; 10 to 12 take several times longer for two per cent more.
    pub level: CompressionLevel,
    /// The extent's name in the embedded descriptor: the file name, in plain ASCII.
    pub name: String,
}

impl RecompressOptions {
    /// This level and a customary name.
    #[must_use]
    pub fn new(level: CompressionLevel) -> Self {
        Self { level, name: "disk.vmdk".into() }
    }
}

/// What deflating anew did to a disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RecompressSummary {
    /// How many grains the source had.
    pub grains_in: u64,
    /// How many grains were written: `grains_in` without `zero_dropped`.
    pub grains_out: u64,
    /// How many grains were left out because they held only zeros.
    pub zero_dropped: u64,
    /// How many of those written are as they came, because deflating anew made them no smaller.
    pub kept: u64,
    /// The length of the source in bytes.
    pub bytes_in: u64,
    /// The length of the new disk in bytes.
    pub bytes_out: u64,
}

/// A disk that was deflated anew to its end.
#[derive(Debug)]
pub struct Recompressed<W> {
    /// Where it was written; flushed.
    pub output: W,
    /// What the source turned out to be.
    pub source: DiskSummary,
    /// What came of it.
    pub summary: RecompressSummary,
}

/// Deflates a streamOptimized disk anew while it arrives, on all threads of a [`GrainPool`].
///
/// The source is checked as by [`StreamInspector`], and each grain against its checksum. What is
/// written is a version 3 disk in ESXi's layout: grains in the order of the source, those of
/// zeros left out, none larger than it came. Content id and disk database are the source's, as far
/// as they are plain ASCII.
///
/// Memory: what [`StreamInspector`] and [`StreamWriter`](super::StreamWriter) take, and up to 33
/// batches of four grains (two a thread and three; 0.5 MiB each). `push` blocks while as many are
/// at work, so give it a thread of its own. Dropping it gives up what is in flight without waiting.
pub struct Recompressor<W> {
    inspector: StreamInspector<Pipeline<W>>,
    failed: bool,
}

impl<W: Write> Recompressor<W> {
    /// Begins a disk; nothing is written before the source's descriptor has passed.
    pub fn new(output: W, pool: Arc<GrainPool>, options: RecompressOptions) -> Self {
        let inspector = StreamInspector::with_sink(Pipeline::new(output, pool, options));
        Self { inspector, failed: false }
    }

    /// Takes the next bytes of the source, cut anywhere.
    ///
    /// # Errors
    /// Those of [`StreamInspector::push`]; `Unsuited` for grains of another size than 64 KiB
    /// or not by rising place on the disk; `Grain` for one that is corrupt; `Unwritable`
    /// past 2 TiB of new stream; `Io` from the output; `Panicked`. The error of a grain shows up
    /// some grains later. Nothing can be pushed afterwards.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), VmdkError> {
        self.check()?;
        let pushed = self.inspector.push(bytes);
        self.failed = pushed.is_err();
        pushed
    }

    /// How far along the disk the source has come; what is written lags by the grains in flight.
    #[must_use]
    pub fn progress(&self) -> StreamProgress {
        self.inspector.progress()
    }

    /// How many bytes of the disk the grains seen so far cover.
    #[must_use]
    pub fn populated_bytes(&self) -> u64 {
        self.inspector.populated_bytes()
    }

    /// Says that the source is at its end, waits for the grains in flight and ends the new disk.
    ///
    /// # Errors
    /// Those of [`StreamInspector::finish`] and of [`push`](Self::push), with the output, which
    /// then holds part of a disk.
    pub fn finish(mut self) -> Result<Recompressed<W>, (VmdkError, W)> {
        let finished = self.check().and_then(|()| {
            let source = self.inspector.summary()?;
            let summary = self.inspector.sink_mut().finish()?;
            Ok((RecompressSummary { bytes_in: source.stream_bytes, ..summary }, source))
        });
        let output = self.into_output();
        match finished {
            Ok((summary, source)) => Ok(Recompressed { output, source, summary }),
            Err(error) => Err((error, output)),
        }
    }

    /// Gives up and returns the output, which holds part of a disk.
    pub fn into_output(self) -> W {
        self.inspector.into_sink().into_output()
    }

    fn check(&self) -> Result<(), VmdkError> {
        if self.failed {
            return Err(VmdkError::Unwritable("an earlier piece of the source was refused".into()));
        }
        Ok(())
    }
}

impl<W> fmt::Debug for Recompressor<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recompressor").field("failed", &self.failed).finish_non_exhaustive()
    }
}
