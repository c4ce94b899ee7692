//! What an archive holds, on its way to storage: gathered in windows, which a thread of their own writes while the
//! next one fills.
//!
//! Whole blocks go past the page cache where the file system takes them so (`O_DIRECT`, open(2)). A package is
//! written once and not read again soon, so a copy of it there is only work: pages to find and fill, other files'
//! pages to drop for them, and a sync that waits for all of it. What is less than a block, and everything where the
//! file system refuses, is written as usual.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};

use rustix::fs::OFlags;

use super::window::{ALIGNMENT, Window};
use crate::writeback::begin_writeback;

/// How many windows there are at most: one fills, one is being written, one waits in between.
const WINDOWS: usize = 3;

/// An archive's bytes, in their order.
#[derive(Debug)]
pub(super) struct Body {
    file: Arc<File>,
    window: Window,
    /// Windows that came back and are not in use.
    spare: Vec<Window>,
    in_flight: usize,
    writer: Option<Writer>,
    failure: Option<Failure>,
}

/// The first bytes that could not be written.
#[derive(Debug)]
struct Failure {
    offset: u64,
    /// Until somebody was told.
    error: Option<io::Error>,
}

#[derive(Debug)]
struct Writer {
    full: Sender<Window>,
    written: Receiver<(Window, io::Result<()>)>,
    thread: JoinHandle<()>,
}

impl Body {
    /// Goes on in the file at this path, which `file` is, from `position` in bytes.
    pub(super) fn new(path: &Path, file: Arc<File>, position: u64) -> io::Result<Self> {
        let flags = OFlags::DIRECT.bits().cast_signed();
        let direct = OpenOptions::new().write(true).custom_flags(flags).open(path).ok();
        Self::over(Sink { file: Arc::clone(&file), direct }, file, position)
    }

    fn over(sink: Sink, file: Arc<File>, position: u64) -> io::Result<Self> {
        let writer = Some(Writer::start(sink)?);
        Ok(Self {
            file,
            window: Window::new(position),
            spare: Vec::new(),
            in_flight: 0,
            writer,
            failure: None,
        })
    }

    /// Where the next byte goes.
    pub(super) fn position(&self) -> u64 {
        self.window.end()
    }

    /// Adds bytes. An error may be that of bytes that came long before.
    pub(super) fn put(&mut self, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            let taken = self.window.fill(data);
            data = &data[taken..];
            if self.window.is_full() {
                self.hand_over()?;
            }
        }
        Ok(())
    }

    /// Replaces bytes that came before.
    pub(super) fn patch(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let handed_over = self.window.start().saturating_sub(offset).min(data.len() as u64) as usize;
        let (before, within) = data.split_at(handed_over);
        if !before.is_empty() {
            self.settle()?;
            self.file.write_all_at(before, offset)?;
        }
        self.window.patch(offset + handed_over as u64, within);
        Ok(())
    }

    /// Drops everything from `position` on.
    pub(super) fn rewind(&mut self, position: u64) -> io::Result<()> {
        if position >= self.window.start() {
            self.window.truncate(position);
            return Ok(());
        }
        self.collect_all()?;
        // What is dropped need not have been written.
        self.failure.take_if(|failure| failure.offset >= position);
        self.file.set_len(position)?;
        self.window.begin(position);
        Ok(())
    }

    /// Goes on `bytes` further: somebody else wrote what is between. Everything must have been flushed.
    pub(super) fn skip(&mut self, bytes: u64) {
        self.window.begin(self.position() + bytes);
    }

    /// Returns when the file holds everything that came; it is no sync.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if !self.window.is_empty() {
            self.hand_over()?;
        }
        self.settle()
    }

    /// Has the window written, and goes on in another.
    fn hand_over(&mut self) -> io::Result<()> {
        if self.spare.is_empty() && self.in_flight + 1 == WINDOWS {
            self.collect()?;
        }
        let position = self.position();
        let next = match self.spare.pop() {
            Some(mut window) => {
                window.begin(position);
                window
            }
            None => Window::new(position),
        };
        let full = std::mem::replace(&mut self.window, next);
        self.writer.as_ref().and_then(|writer| writer.full.send(full).ok()).ok_or_else(died)?;
        self.in_flight += 1;
        self.check()
    }

    /// Waits until nothing is on its way.
    fn settle(&mut self) -> io::Result<()> {
        self.collect_all()?;
        self.check()
    }

    fn collect_all(&mut self) -> io::Result<()> {
        (0..self.in_flight).try_for_each(|_| self.collect())
    }

    /// Waits for a window to come back.
    fn collect(&mut self) -> io::Result<()> {
        let written = self.writer.as_ref().and_then(|writer| writer.written.recv().ok());
        let (window, outcome) = written.ok_or_else(died)?;
        self.in_flight -= 1;
        if let (Err(error), None) = (outcome, &self.failure) {
            self.failure = Some(Failure { offset: window.start(), error: Some(error) });
        }
        self.spare.push(window);
        Ok(())
    }

    fn check(&mut self) -> io::Result<()> {
        match &mut self.failure {
            None => Ok(()),
            Some(failure) => {
                Err(failure.error.take().unwrap_or_else(|| io::Error::other("an earlier write failed")))
            }
        }
    }
}

/// Nothing is written any more once it is gone.
impl Drop for Body {
    fn drop(&mut self) {
        if let Some(Writer { full, written, thread }) = self.writer.take() {
            drop((full, written));
            let _ = thread.join();
        }
    }
}

fn died() -> io::Error {
    io::Error::other("the writing thread died")
}

impl Writer {
    fn start(mut sink: Sink) -> io::Result<Self> {
        let (full, windows) = channel::<Window>();
        let (done, written) = channel();
        let thread = Builder::new().name("archive".into()).spawn(move || {
            for window in windows {
                let outcome = sink.write(&window);
                if done.send((window, outcome)).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { full, written, thread })
    }
}

/// A file, and the way into it past the page cache as long as there is one.
#[derive(Debug)]
struct Sink {
    file: Arc<File>,
    direct: Option<File>,
}

impl Sink {
    fn write(&mut self, window: &Window) -> io::Result<()> {
        let Range { start, end } = window.start()..window.end();
        if let Some(direct) = &self.direct {
            let first = start.next_multiple_of(ALIGNMENT).min(end);
            let last = (end - end % ALIGNMENT).max(first);
            let outcome = direct.write_all_at(window.bytes(first..last), first);
            if outcome.is_ok() {
                self.file.write_all_at(window.bytes(start..first), start)?;
                return self.file.write_all_at(window.bytes(last..end), last);
            }
            // What a file system says that cannot; if storage is to blame, writing as usual will tell.
            self.direct = None;
        }
        self.file.write_all_at(window.bytes(start..end), start)?;
        begin_writeback(&self.file, start..end);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ova::writer::window::WINDOW_BYTES;

    fn body(direct: bool, start: u64) -> (tempfile::NamedTempFile, Body) {
        let kept = tempfile::NamedTempFile::new().unwrap();
        let file = Arc::new(kept.reopen().unwrap());
        let body = match direct {
            true => Body::new(kept.path(), file, start),
            false => Body::over(Sink { file: Arc::clone(&file), direct: None }, file, start),
        };
        (kept, body.unwrap())
    }

    #[derive(Debug, Clone)]
    enum Step {
        Put(usize, u8),
        /// Replaces 512 bytes at this share of what there is.
        Patch(f64, u8),
        Rewind(f64),
        Flush,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..2 * WINDOW_BYTES as usize + 5000, any::<u8>()).prop_map(|(length, byte)| Step::Put(length, byte)),
            2 => (0..2000usize, any::<u8>()).prop_map(|(length, byte)| Step::Put(length, byte)),
            2 => (0.0..1.0, any::<u8>()).prop_map(|(share, byte)| Step::Patch(share, byte)),
            1 => (0.0..1.0).prop_map(Step::Rewind),
            1 => Just(Step::Flush),
        ]
    }

    proptest! {
        // About a second.
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn the_file_is_what_came_past_the_page_cache_or_through_it(
            steps in prop::collection::vec(step(), 1..12),
            start in 0..3 * ALIGNMENT,
            direct: bool,
        ) {
            let (kept, mut body) = body(direct, start);
            let mut model = vec![0; start as usize];
            for step in steps {
                let place = |share: f64| start + ((model.len() as u64 - start) as f64 * share) as u64;
                match step {
                    Step::Put(length, byte) => {
                        let bytes: Vec<u8> = (0..length).map(|index| (index / 7) as u8 ^ byte).collect();
                        body.put(&bytes).unwrap();
                        model.extend(bytes);
                    }
                    Step::Patch(share, byte) => {
                        let at = place(share);
                        let length = (model.len() - at as usize).min(512);
                        body.patch(at, &vec![byte; length]).unwrap();
                        model[at as usize..][..length].fill(byte);
                    }
                    Step::Rewind(share) => {
                        let at = place(share);
                        body.rewind(at).unwrap();
                        model.truncate(at as usize);
                    }
                    Step::Flush => body.flush().unwrap(),
                }
                prop_assert_eq!(body.position(), model.len() as u64);
            }
            body.flush().unwrap();
            let found = std::fs::read(kept.path()).unwrap();
            prop_assert!(found.is_empty() && model.len() as u64 == start || found == model);
        }
    }

    #[test]
    fn what_cannot_be_written_is_told_until_it_is_dropped() {
        let kept = tempfile::NamedTempFile::new().unwrap();
        let read_only = Arc::new(File::open(kept.path()).unwrap());
        let file = Arc::new(kept.reopen().unwrap());
        let mut body = Body::over(Sink { file: read_only, direct: None }, file, 0).unwrap();
        body.put(b"abc").unwrap();
        assert_eq!(body.flush().unwrap_err().raw_os_error(), Some(9));
        assert!(body.flush().is_err());
        body.put(b"def").unwrap();
        body.rewind(2).unwrap();
        assert!(body.flush().is_err(), "two of the bytes are still missing");
        body.rewind(0).unwrap();
        body.flush().unwrap();
    }

    #[test]
    fn there_are_never_more_windows_than_allowed() {
        let (_kept, mut body) = body(true, 0);
        for _ in 0..3 {
            body.put(&vec![1; 10 * WINDOW_BYTES as usize]).unwrap();
            assert!(body.spare.len() + body.in_flight < WINDOWS);
            body.flush().unwrap();
            assert_eq!(body.in_flight, 0);
        }
    }
}
