//! Finished packages wrapped for cold storage.
//!
//! No importer reads the result: it has to be unwrapped first. [`verify`](crate::verify) reads it
//! as it is.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use async_compression::Level;
use async_compression::tokio::bufread::{GzipEncoder, ZstdEncoder};
use async_compression::zstd::CParameter;
use tokio::io::{AsyncRead, AsyncReadExt, BufReader};

use crate::blocking::{BlockingFile, run};
use crate::digest::{Digest, DigestAlgorithm, Digester};

const PIECE_BYTES: usize = 256 << 10;

/// How a finished package is compressed as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArchiveCompression {
    /// gzip, on one core: levels 0 to 9.
    Gzip,
    /// zstd, on all cores: levels 1 to 19.
    Zstd,
}

impl ArchiveCompression {
    /// What the file's name gets: `gz`, `zst`.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Gzip => "gz",
            Self::Zstd => "zst",
        }
    }

    /// The levels it takes.
    #[must_use]
    pub fn levels(self) -> std::ops::RangeInclusive<u8> {
        match self {
            Self::Gzip => 0..=9,
            Self::Zstd => 1..=19,
        }
    }
}

impl fmt::Display for ArchiveCompression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

/// How to wrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrapOptions {
    /// The format.
    pub compression: ArchiveCompression,
    /// How hard to try; the format's own default without one.
    pub level: Option<u8>,
}

/// Why a package could not be wrapped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WrapError {
    /// The format has no such level.
    #[error("{compression} has no level {level}")]
    Level {
        /// The format.
        compression: ArchiveCompression,
        /// The level.
        level: u8,
    },
    /// Reading or writing failed.
    #[error("wrap {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The runtime is shutting down.
    #[error("wrapping was stopped")]
    Stopped,
}

/// A wrapped package under its partial name, durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrapped {
    /// Where it is: the final name and `.partial`.
    pub partial: PathBuf,
    /// Where it belongs: the package's name and `.gz` or `.zst`. To be renamed by the caller,
    /// who then makes the directory durable.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// The SHA-256 of its bytes.
    pub digest: Digest,
}

/// Compresses a finished package beside itself, on a blocking thread of the runtime. The package
/// stays.
///
/// # Errors
/// `Level`, `Io`; nothing is left behind then.
///
/// # Cancel safety
/// Dropped, the thread stops at the next piece and removes the partial file.
pub async fn wrap(package: &Path, options: WrapOptions) -> Result<Wrapped, WrapError> {
    let WrapOptions { compression, level } = options;
    if let Some(level) = level.filter(|level| !compression.levels().contains(level)) {
        return Err(WrapError::Level { compression, level });
    }
    let package = package.to_owned();
    let stop = StopOnDrop(Arc::new(AtomicBool::new(false)));
    let stopped = Arc::clone(&stop.0);
    let task = tokio::task::spawn_blocking(move || compress(&package, options, &stopped));
    task.await.unwrap_or(Err(WrapError::Stopped))
}

struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn compress(package: &Path, options: WrapOptions, stopped: &AtomicBool) -> Result<Wrapped, WrapError> {
    let path = with_suffix(package, options.compression.extension());
    let partial = with_suffix(&path, "partial");
    let io_error = |path: &Path| {
        let path = path.to_owned();
        move |source| WrapError::Io { path, source }
    };
    let source = File::open(package).map_err(io_error(package))?;
    let target = File::create(&partial).map_err(io_error(&partial))?;
    let copied = match encoder(source, options) {
        Encoder::Gzip(encoder) => run(copy(encoder, &target, stopped)),
        Encoder::Zstd(encoder) => run(copy(encoder, &target, stopped)),
    };
    let copied = copied.and_then(|copied| target.sync_all().map(|()| copied));
    match copied {
        Ok(Some((size, digest))) => Ok(Wrapped { partial, path, size, digest }),
        unfinished => {
            // What cannot be removed either is found by whoever cleans up partial files.
            let _ = fs::remove_file(&partial);
            unfinished.map_err(io_error(&partial))?;
            Err(WrapError::Stopped)
        }
    }
}

type Source = BufReader<BlockingFile>;

enum Encoder {
    Gzip(GzipEncoder<Source>),
    Zstd(ZstdEncoder<Source>),
}

fn encoder(source: File, options: WrapOptions) -> Encoder {
    let source = BufReader::with_capacity(PIECE_BYTES, BlockingFile::new(source));
    let level = options.level.map_or(Level::Default, |level| Level::Precise(level.into()));
    match options.compression {
        ArchiveCompression::Gzip => Encoder::Gzip(GzipEncoder::with_quality(source, level)),
        ArchiveCompression::Zstd => {
            let workers = thread::available_parallelism().map_or(1, |count| count.get().min(8) as u32);
            let parameters = [CParameter::checksum_flag(true), CParameter::nb_workers(workers)];
            Encoder::Zstd(ZstdEncoder::with_quality_and_params(source, level, &parameters))
        }
    }
}

async fn copy<R: AsyncRead + Unpin>(
    mut encoder: R,
    mut target: &File,
    stopped: &AtomicBool,
) -> io::Result<Option<(u64, Digest)>> {
    let mut digester = Digester::new(DigestAlgorithm::Sha256);
    let mut size = 0;
    let mut piece = vec![0; PIECE_BYTES];
    while !stopped.load(Ordering::Relaxed) {
        let length = encoder.read(&mut piece).await?;
        if length == 0 {
            return Ok(Some((size, digester.finish())));
        }
        digester.update(&piece[..length]);
        target.write_all(&piece[..length])?;
        size += length as u64;
    }
    Ok(None)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}
