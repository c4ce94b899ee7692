//! What an archive may ask for: a reader that refuses to give more.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// What a wrapped archive may unwrap to, however small it is.
const FREE_BYTES: u64 = 64 << 20;
/// Beyond that, how many times its own size. Disks are compressed already, so a real package
/// wraps to little less than its size; a bomb reaches 1000 with gzip, and more with zstd.
const MAX_RATIO: u64 = 200;
/// What may lie between two members: long names, PAX records, padding.
const MAX_BETWEEN: u64 = 1 << 20;

/// Counts the bytes of a [`Gauged`] reader and holds its limits.
#[derive(Debug, Clone)]
pub(super) struct Gauge(Arc<State>);

#[derive(Debug)]
struct State {
    /// How many more bytes may come in all.
    left: AtomicU64,
    /// How many more may come before the next member.
    left_between: AtomicU64,
    refusal: OnceLock<String>,
    limit: u64,
}

impl Gauge {
    /// For an archive that lies there as it is.
    pub(super) fn plain() -> Self {
        Self::with_limit(u64::MAX)
    }

    /// For one that is wrapped in so many bytes.
    pub(super) fn wrapped(packed_bytes: u64) -> Self {
        Self::with_limit(packed_bytes.saturating_mul(MAX_RATIO).max(FREE_BYTES))
    }

    fn with_limit(limit: u64) -> Self {
        let (left, left_between) = (AtomicU64::new(limit), AtomicU64::new(u64::MAX));
        Self(Arc::new(State { left, left_between, refusal: OnceLock::new(), limit }))
    }

    /// From here on headers are read.
    pub(super) fn enter_headers(&self) {
        self.0.left_between.store(MAX_BETWEEN, Ordering::Relaxed);
    }

    /// From here on a member's content is read.
    pub(super) fn enter_member(&self) {
        self.0.left_between.store(u64::MAX, Ordering::Relaxed);
    }

    /// Why the reader gave up, if it did.
    pub(super) fn refusal(&self) -> Option<&str> {
        self.0.refusal.get().map(String::as_str)
    }

    fn take(&self, length: u64) -> Result<(), String> {
        let State { left, left_between, limit, .. } = &*self.0;
        if left.load(Ordering::Relaxed) < length {
            return Err(format!("a decompression bomb: it unwraps to more than {limit} bytes"));
        }
        if left_between.load(Ordering::Relaxed) < length {
            return Err(format!("more than {MAX_BETWEEN} bytes of headers in front of one member"));
        }
        left.fetch_sub(length, Ordering::Relaxed);
        left_between.fetch_sub(length, Ordering::Relaxed);
        Ok(())
    }
}

/// A reader whose bytes a [`Gauge`] counts.
#[derive(Debug)]
pub(super) struct Gauged<R> {
    reader: R,
    gauge: Gauge,
}

impl<R> Gauged<R> {
    pub(super) fn new(reader: R, gauge: Gauge) -> Self {
        Self { reader, gauge }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Gauged<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = target.filled().len();
        ready!(Pin::new(&mut self.reader).poll_read(context, target))?;
        let taken = self.gauge.take((target.filled().len() - before) as u64);
        Poll::Ready(taken.map_err(|reason| {
            let error = io::Error::new(io::ErrorKind::InvalidData, reason.clone());
            self.gauge.0.refusal.get_or_init(|| reason);
            error
        }))
    }
}
