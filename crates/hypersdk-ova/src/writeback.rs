//! Storage that works while the stream still comes.
//!
//! The kernel keeps what is written until much has come together, and a sync at the end then waits for all of it.
//! Asked for early, the same bytes are on their way long before, and the sync is short.

use std::fs::File;
use std::num::NonZeroU64;
use std::ops::Range;

use rustix::fs::{Advice, fadvise};

/// What is asked for at once, in bytes.
const STEP_BYTES: NonZeroU64 = NonZeroU64::new(8 << 20).expect("it is not 0");

/// Has the kernel begin to write what of the file is whole steps, if the range just written, in bytes, ends one.
/// Nothing waits for it, and nothing depends on it: it is no sync.
pub fn begin_writeback(file: &File, written: Range<u64>) {
    let (first, end) = (written.start / STEP_BYTES, written.end / STEP_BYTES);
    if let Some(steps) = end.checked_sub(first).and_then(NonZeroU64::new) {
        // Of pages that are not clean yet this advice is the beginning of writeback. Where it means nothing, all is
        // as it would be without.
        let _ = fadvise(file, first * STEP_BYTES.get(), steps.checked_mul(STEP_BYTES), Advice::DontNeed);
    }
}
