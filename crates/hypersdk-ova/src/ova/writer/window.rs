//! A stretch of a file in memory, aligned as direct writes ask for.

use std::fmt;
use std::ops::Range;

/// What memory, place and length of direct writes are multiples of; enough for nearly every device.
pub(super) const ALIGNMENT: u64 = 4096;
/// Windows are this long in memory and in the file.
pub(super) const WINDOW_BYTES: u64 = 4 << 20;

/// A stretch of a file that fills from some place on.
pub(super) struct Window {
    /// Longer than a window, so that there is an aligned place in it.
    memory: Vec<u8>,
    /// That place.
    base: usize,
    /// Where in the file it belongs; a multiple of the window's length.
    offset: u64,
    /// What of it holds bytes that belong in the file.
    filled: Range<usize>,
}

impl Window {
    /// A window that holds nothing yet; the next byte's place in the file is `position`.
    pub(super) fn new(position: u64) -> Self {
        let memory = vec![0; (WINDOW_BYTES + ALIGNMENT) as usize];
        let base = memory.as_ptr().align_offset(ALIGNMENT as usize).min(ALIGNMENT as usize);
        let mut window = Self { memory, base, offset: 0, filled: 0..0 };
        window.begin(position);
        window
    }

    /// Holds nothing again.
    pub(super) fn begin(&mut self, position: u64) {
        let within = (position % WINDOW_BYTES) as usize;
        self.offset = position - within as u64;
        self.filled = within..within;
    }

    /// Where its first byte belongs in the file.
    pub(super) fn start(&self) -> u64 {
        self.offset + self.filled.start as u64
    }

    /// Where in the file the next byte belongs.
    pub(super) fn end(&self) -> u64 {
        self.offset + self.filled.end as u64
    }

    pub(super) fn is_empty(&self) -> bool {
        self.filled.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.filled.end == WINDOW_BYTES as usize
    }

    /// Takes as many bytes as there is room for, and says how many.
    pub(super) fn fill(&mut self, data: &[u8]) -> usize {
        let taken = data.len().min(WINDOW_BYTES as usize - self.filled.end);
        self.memory[self.base + self.filled.end..][..taken].copy_from_slice(&data[..taken]);
        self.filled.end += taken;
        taken
    }

    /// Replaces bytes it holds, from this place in the file on.
    pub(super) fn patch(&mut self, position: u64, data: &[u8]) {
        if !data.is_empty() {
            let at = self.base + (position - self.offset) as usize;
            self.memory[at..][..data.len()].copy_from_slice(data);
        }
    }

    /// Drops what belongs at or behind this place, which is not before its first byte.
    pub(super) fn truncate(&mut self, position: u64) {
        self.filled.end = self.filled.end.min((position - self.offset) as usize);
    }

    /// The bytes of these places in the file, all of them held.
    pub(super) fn bytes(&self, places: Range<u64>) -> &[u8] {
        let at = self.base + (places.start - self.offset) as usize;
        &self.memory[at..][..(places.end - places.start) as usize]
    }
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Window").field(&(self.start()..self.end())).finish()
    }
}
