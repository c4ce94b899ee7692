use std::ops::Range;

use super::coder::{GrainCoder, Recoded};
use crate::vmdk::{CompressionLevel, GRAIN_BYTES, Grain, SECTOR_BYTES, VmdkError};

/// How many grains go to a thread at once: enough to make handing over cheap.
pub(super) const BATCH_GRAINS: usize = 4;

/// Grains on their way through a thread. The buffers are used again for later grains.
#[derive(Debug)]
pub(super) struct Batch {
    grains: Vec<Waiting>,
    input: Vec<u8>,
    outcomes: Vec<Outcome>,
    output: Vec<u8>,
    failure: Option<VmdkError>,
}

#[derive(Debug)]
struct Waiting {
    lba: u64,
    offset: u64,
    disk_bytes: usize,
    payload: Range<usize>,
}

#[derive(Debug)]
enum Outcome {
    Zero,
    Kept,
    Deflated(Range<usize>),
}

/// A grain as it leaves a batch, with its zlib member.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Leaving<'a> {
    Zero,
    Kept(&'a [u8]),
    Deflated(&'a [u8]),
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            grains: Vec::with_capacity(BATCH_GRAINS),
            input: Vec::with_capacity(BATCH_GRAINS * GRAIN_BYTES),
            outcomes: Vec::with_capacity(BATCH_GRAINS),
            output: Vec::with_capacity(BATCH_GRAINS * GRAIN_BYTES),
            failure: None,
        }
    }
}

impl Batch {
    pub(super) fn add(&mut self, grain: &Grain<'_>) {
        let start = self.input.len();
        self.input.extend_from_slice(grain.payload);
        let Grain { lba, offset, disk_bytes, .. } = *grain;
        self.grains.push(Waiting { lba, offset, disk_bytes, payload: start..self.input.len() });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.grains.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.grains.len() >= BATCH_GRAINS
    }

    pub(super) fn clear(&mut self) {
        self.grains.clear();
        self.input.clear();
        self.outcomes.clear();
        self.output.clear();
        self.failure = None;
    }

    /// Deflates each grain anew, up to the first that is corrupt.
    pub(super) fn recode(&mut self, coder: &mut GrainCoder, level: CompressionLevel) {
        for &Waiting { lba, offset, disk_bytes, ref payload } in &self.grains {
            let outcome = match coder.recode(&self.input[payload.clone()], disk_bytes, level) {
                Ok(Recoded::Zero) => Outcome::Zero,
                Ok(Recoded::Kept) => Outcome::Kept,
                Ok(Recoded::Deflated(member)) => {
                    let start = self.output.len();
                    self.output.extend_from_slice(member);
                    Outcome::Deflated(start..self.output.len())
                }
                Err(reason) => {
                    self.failure = Some(VmdkError::Grain { offset, lba, reason });
                    return;
                }
            };
            self.outcomes.push(outcome);
        }
    }

    #[cfg(test)]
    pub(super) fn first_lba(&self) -> u64 {
        self.grains[0].lba
    }

    /// The error of the grain that was corrupt, if one was.
    pub(super) fn take_failure(&mut self) -> Option<VmdkError> {
        self.failure.take()
    }

    /// The grains by index on the disk, after [`recode`](Self::recode).
    pub(super) fn leaving(&self) -> impl Iterator<Item = (u64, Leaving<'_>)> {
        self.grains.iter().zip(&self.outcomes).map(|(grain, outcome)| {
            let leaving = match outcome {
                Outcome::Zero => Leaving::Zero,
                Outcome::Kept => Leaving::Kept(&self.input[grain.payload.clone()]),
                Outcome::Deflated(member) => Leaving::Deflated(&self.output[member.clone()]),
            };
            (grain.lba * SECTOR_BYTES / GRAIN_BYTES as u64, leaving)
        })
    }
}
