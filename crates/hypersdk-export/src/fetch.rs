//! One file from the source into an output: network on the runtime, everything that computes or writes on a
//! thread of its own.
//!
//! ```text
//! ByteStream ── batches of ≤ 1 MiB ──► channel of 4 ──► thread: hash → shape → write
//! ```

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use hypersdk_core::{
    ByteStream, Error, ErrorKind, ExportSession, HostDigest, JobContext, LogLevel, Result, RetryHint,
};
use hypersdk_ova::digest::{Digest, DigestAlgorithm, Digester};
use hypersdk_ova::vmdk::DiskSummary;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tracing::Instrument;

use crate::meter::FileMeter;
use crate::output::Output;
use crate::plan::PlannedFile;
use crate::shape::{Shape, Shapeable, Shaper};

/// How often one file is begun before the export fails.
const ATTEMPTS: u32 = 3;
/// The wait before a file is begun again; doubles each time.
const PAUSE: Duration = Duration::from_millis(500);
/// Bytes gathered before they are handed to the thread.
const BATCH_BYTES: usize = 1 << 20;
/// Batches on their way to the thread.
const BATCHES: usize = 4;

/// A file that arrived whole, as it came and as it stands in the package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fetched {
    /// What came.
    pub(crate) source: Arrived,
    /// What was written.
    pub(crate) size_bytes: u64,
    pub(crate) sha256: Digest,
    /// What the manifest says of it; the same digest unless another algorithm was chosen.
    pub(crate) manifest_digest: Digest,
    pub(crate) disk: Option<FetchedDisk>,
}

/// What a disk turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FetchedDisk {
    pub(crate) capacity_bytes: u64,
    /// How many bytes of it hold data.
    pub(crate) populated_bytes: u64,
}

impl From<DiskSummary> for FetchedDisk {
    fn from(disk: DiskSummary) -> Self {
        FetchedDisk { capacity_bytes: disk.capacity_bytes, populated_bytes: disk.populated_bytes }
    }
}

/// A file as it came from the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Arrived {
    pub(crate) size_bytes: u64,
    pub(crate) sha256: Digest,
    /// What the source says it sent, if it says so; the same, or the fetch failed.
    pub(crate) host_sha256: Option<String>,
}

impl Arrived {
    /// The source attested the same bytes.
    pub(crate) fn attested(&self) -> bool {
        self.host_sha256.is_some()
    }
}

/// Fetches `file` into `output`, from its start again if something goes wrong that may not happen twice.
pub(crate) async fn fetch<O: Shapeable>(
    session: &dyn ExportSession,
    file: &PlannedFile,
    meter: Arc<FileMeter>,
    mut output: O,
    mut shape: Shape,
    manifest: DigestAlgorithm,
    context: &JobContext,
) -> Result<(O, Fetched)> {
    let operation = || format!("fetch {}", file.source.name);
    let mut pause = PAUSE;
    for attempt in 1.. {
        let span = tracing::info_span!("file", name = %file.source.name, reading = attempt);
        let (returned, outcome) =
            attempt_once(session, file, Arc::clone(&meter), output, shape.clone(), manifest, context)
                .instrument(span)
                .await;
        let error = match (returned, outcome) {
            (Some(output), Ok(fetched)) => {
                meter.finish();
                return Ok((output, fetched));
            }
            (Some(returned), Err(error)) => {
                output = returned;
                error
            }
            (None, Err(error)) => return Err(error.context(operation())),
            (None, Ok(_)) => return Err(thread_died().context(operation())),
        };
        let unsuited = error.kind() == ErrorKind::Unsupported && matches!(shape, Shape::Recompressed(..));
        if unsuited {
            shape = Shape::AsIs;
        } else if attempt == ATTEMPTS || !error.is_retryable() || context.cancel.is_cancelled() {
            return Err(error.context(operation()));
        }
        let wait = match error.retry() {
            RetryHint::After(wait) => wait,
            _ => pause,
        };
        context.log(
            LogLevel::Warning,
            format!("{}: {}; beginning the file again in {wait:?}", file.source.name, error.chain()),
        );
        meter.record(0, 0);
        output = restart(output).await.map_err(|error| error.context(operation()))?;
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = context.cancel.cancelled() => return Err(Error::cancelled(operation())),
        }
        pause *= 2;
    }
    unreachable!("the loop returns")
}

async fn restart<O: Output>(mut output: O) -> Result<O> {
    tokio::task::spawn_blocking(move || output.restart().map(|()| output))
        .await
        .map_err(|_| thread_died())?
        .map_err(|error| Error::io("rewind", error))
}

/// One reading. The output comes back whatever happened, unless its thread died.
async fn attempt_once<O: Shapeable>(
    session: &dyn ExportSession,
    file: &PlannedFile,
    meter: Arc<FileMeter>,
    output: O,
    shape: Shape,
    manifest: DigestAlgorithm,
    context: &JobContext,
) -> (Option<O>, Result<Fetched>) {
    let opened = tokio::select! {
        opened = session.open(&file.source) => opened,
        () = context.cancel.cancelled() => Err(Error::cancelled("open file")),
    };
    let stream = match opened {
        Ok(stream) => stream,
        Err(error) => return (Some(output), Err(error)),
    };
    let (sender, batches) = mpsc::channel(BATCHES);
    let shaper = match output.shaped(shape, file.source.kind, manifest) {
        Ok(shaper) => shaper,
        Err(error) => return (None, Err(error)),
    };
    let receiver = tokio::task::spawn_blocking(move || receive(batches, shaper, &meter));
    let pumped = tokio::select! {
        pumped = pump(stream, sender) => pumped,
        () = context.cancel.cancelled() => Err(Error::cancelled("read stream")),
    };
    let Ok((output, received)) = receiver.await else {
        return (None, Err(thread_died()));
    };
    // What the writer ran into explains a pump that stopped; else the pump knows more than "truncated".
    let fetched = match (pumped, received) {
        (Ok(Pumped::ReceiverGone), Ok(_)) => {
            Err(Error::new(ErrorKind::Internal, "receive", "the writing thread stopped early"))
        }
        (Ok(_), received) => received,
        (Err(error), _) => Err(error),
    };
    let fetched = match fetched {
        Ok(fetched) => attest(session, file, fetched).await,
        Err(error) => Err(error),
    };
    (Some(output), fetched)
}

enum Pumped {
    StreamEnded,
    ReceiverGone,
}

/// Moves the stream into the channel in batches, without waiting to fill one.
async fn pump(mut stream: ByteStream, sender: mpsc::Sender<Vec<Bytes>>) -> Result<Pumped> {
    while let Some(first) = stream.next().await {
        let first = first?;
        let mut size = first.len();
        let mut batch = vec![first];
        let mut ended = false;
        while size < BATCH_BYTES {
            match stream.next().now_or_never() {
                Some(Some(next)) => {
                    let next = next?;
                    size += next.len();
                    batch.push(next);
                }
                Some(None) => {
                    ended = true;
                    break;
                }
                None => break,
            }
        }
        if sender.send(batch).await.is_err() {
            return Ok(Pumped::ReceiverGone);
        }
        if ended {
            break;
        }
    }
    Ok(Pumped::StreamEnded)
}

/// Hashes, shapes and writes what comes, on a thread that may block.
fn receive<O>(
    mut batches: mpsc::Receiver<Vec<Bytes>>,
    mut shaper: Box<dyn Shaper<O>>,
    meter: &FileMeter,
) -> (O, Result<Fetched>) {
    let mut sha256 = Digester::new(DigestAlgorithm::Sha256);
    let mut size_bytes = 0;
    while let Some(batch) = batches.blocking_recv() {
        for piece in &batch {
            sha256.update(piece);
            size_bytes += piece.len() as u64;
        }
        if let Err(error) = shaper.push(&batch) {
            return (shaper.abandon(), Err(error));
        }
        meter.record(size_bytes, shaper.position());
    }
    let (output, shaped) = shaper.finish();
    let fetched = shaped.map(|shaped| {
        let source = Arrived { size_bytes, sha256: sha256.finish(), host_sha256: None };
        let sha256 = shaped.sha256.unwrap_or_else(|| source.sha256.clone());
        let manifest_digest = shaped.manifest.unwrap_or_else(|| sha256.clone());
        let disk = shaped.disk.map(FetchedDisk::from);
        Fetched { source, size_bytes: shaped.size_bytes, sha256, manifest_digest, disk }
    });
    (output, fetched)
}

fn thread_died() -> Error {
    Error::new(ErrorKind::Internal, "receive", "the writing thread died")
}

/// Compares what arrived with what the source says it sent, if it says anything.
async fn attest(session: &dyn ExportSession, file: &PlannedFile, mut fetched: Fetched) -> Result<Fetched> {
    if let Some(announced) = file.source.size_bytes
        && announced != fetched.source.size_bytes
    {
        return Err(Error::new(
            ErrorKind::Corrupt,
            "compare sizes",
            format!("{} bytes arrived, {announced} were announced", fetched.source.size_bytes),
        ));
    }
    let digests = session.host_digests().await.unwrap_or_else(|error| {
        tracing::debug!(error = %error.chain(), "the source attests nothing");
        Vec::new()
    });
    if let Some(digest) = digests.iter().find(|digest| digest.key == file.source.key) {
        fetched.source.attest(digest)?;
    }
    Ok(fetched)
}

impl Arrived {
    /// Compares with what the host says it sent; an old host gives only a size.
    pub(crate) fn attest(&mut self, host: &HostDigest) -> Result<()> {
        let differs = |what: String| Error::new(ErrorKind::Corrupt, "compare with the host", what);
        if host.size_bytes != self.size_bytes {
            return Err(differs(format!(
                "{} bytes arrived, the host sent {}",
                self.size_bytes, host.size_bytes
            )));
        }
        match &host.sha256 {
            Some(sha256) if *sha256 != self.sha256.hex() => {
                Err(differs(format!("SHA-256 {} arrived, the host sent {sha256}", self.sha256.hex())))
            }
            Some(sha256) => {
                self.host_sha256 = Some(sha256.clone());
                Ok(())
            }
            None => Ok(()),
        }
    }
}
