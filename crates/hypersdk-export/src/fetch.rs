//! One file from the source into an output: network on the runtime, everything that computes or writes on a
//! thread of its own.
//!
//! ```text
//! ByteStream ── batches of ≤ 1 MiB ──► channel of 4 ──► thread: inspect → hash → write
//! ```

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use hypersdk_core::{
    ByteStream, Error, ErrorKind, ExportSession, FileKind, HostDigest, JobContext, LogLevel, Result, RetryHint,
};
use hypersdk_ova::digest::{DigestAlgorithm, Digester};
use hypersdk_ova::vmdk::{DiskSummary, StreamInspector};
use tokio::sync::mpsc;

use crate::meter::FileMeter;
use crate::output::Output;
use crate::plan::PlannedFile;

/// How often one file is begun before the export fails.
const ATTEMPTS: u32 = 3;
/// The wait before a file is begun again; doubles each time.
const PAUSE: Duration = Duration::from_millis(500);
/// Bytes gathered before they are handed to the thread.
const BATCH_BYTES: usize = 1 << 20;
/// Batches on their way to the thread.
const BATCHES: usize = 4;

/// A file that arrived whole.
#[derive(Debug, Clone)]
pub(crate) struct Fetched {
    pub(crate) size_bytes: u64,
    /// Lower-case hexadecimal.
    pub(crate) sha256: String,
    pub(crate) disk: Option<DiskSummary>,
    /// The source attested the same SHA-256.
    pub(crate) attested: bool,
}

/// Fetches `file` into `output`, from its start again if something goes wrong that may not happen twice.
pub(crate) async fn fetch<O: Output>(
    session: &dyn ExportSession,
    file: &PlannedFile,
    meter: Arc<FileMeter>,
    mut output: O,
    context: &JobContext,
) -> Result<(O, Fetched)> {
    let operation = || format!("fetch {}", file.source.name);
    let mut pause = PAUSE;
    for attempt in 1.. {
        let (returned, outcome) = attempt_once(session, file, Arc::clone(&meter), output, context).await;
        output = returned.ok_or_else(|| Error::new(ErrorKind::Internal, operation(), "the writing thread died"))?;
        let error = match outcome {
            Ok(fetched) => {
                meter.finish();
                return Ok((output, fetched));
            }
            Err(error) => error,
        };
        if attempt == ATTEMPTS || !error.is_retryable() || context.cancel.is_cancelled() {
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
        .map_err(|_| Error::new(ErrorKind::Internal, "rewind", "the writing thread died"))?
        .map_err(|error| Error::io("rewind", error))
}

/// One reading. The output comes back whatever happened, unless its thread died.
async fn attempt_once<O: Output>(
    session: &dyn ExportSession,
    file: &PlannedFile,
    meter: Arc<FileMeter>,
    output: O,
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
    let kind = file.source.kind;
    let receiver = tokio::task::spawn_blocking(move || receive(batches, kind, &meter, output));
    let pumped = tokio::select! {
        pumped = pump(stream, sender) => pumped,
        () = context.cancel.cancelled() => Err(Error::cancelled("read stream")),
    };
    let Ok((output, received)) = receiver.await else {
        return (None, Err(Error::new(ErrorKind::Internal, "receive", "the writing thread died")));
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

/// Inspects, hashes and writes what comes, on a thread that may block.
fn receive<O: Output>(
    mut batches: mpsc::Receiver<Vec<Bytes>>,
    kind: FileKind,
    meter: &FileMeter,
    mut output: O,
) -> (O, Result<Fetched>) {
    let mut digester = Digester::new(DigestAlgorithm::Sha256);
    let mut inspector = (kind == FileKind::Disk).then(StreamInspector::new);
    let mut size_bytes = 0;
    let mut run = || -> Result<Fetched> {
        while let Some(batch) = batches.blocking_recv() {
            for piece in &batch {
                if let Some(inspector) = &mut inspector {
                    inspector.push(piece).map_err(corrupt)?;
                }
                digester.update(piece);
                size_bytes += piece.len() as u64;
            }
            output.append(&batch).map_err(|error| Error::io("write", error))?;
            let position = inspector
                .as_ref()
                .map_or(size_bytes, |inspector| inspector.progress().position_bytes);
            meter.record(size_bytes, position);
        }
        let disk = inspector.take().map(StreamInspector::finish).transpose().map_err(corrupt)?;
        output.finish().map_err(|error| Error::io("write", error))?;
        let sha256 = std::mem::replace(&mut digester, Digester::new(DigestAlgorithm::Sha256)).finish().hex();
        Ok(Fetched { size_bytes, sha256, disk, attested: false })
    };
    let received = run();
    (output, received)
}

fn corrupt(error: hypersdk_ova::vmdk::VmdkError) -> Error {
    Error::new(ErrorKind::Corrupt, "inspect disk stream", error.to_string())
        .with_advice("the stream was cut or altered on its way; the file is fetched again")
}

/// Compares what arrived with what the source says it sent, if it says anything.
async fn attest(session: &dyn ExportSession, file: &PlannedFile, mut fetched: Fetched) -> Result<Fetched> {
    if let Some(announced) = file.source.size_bytes
        && announced != fetched.size_bytes
    {
        return Err(Error::new(
            ErrorKind::Corrupt,
            "compare sizes",
            format!("{} bytes arrived, {announced} were announced", fetched.size_bytes),
        ));
    }
    let digests = session.host_digests().await.unwrap_or_else(|error| {
        tracing::debug!(error = %error.chain(), "the source attests nothing");
        Vec::new()
    });
    if let Some(digest) = digests.iter().find(|digest| digest.key == file.source.key) {
        fetched.attested = agrees(digest, &fetched)?;
    }
    Ok(fetched)
}

/// True if the SHA-256 agrees, false if only the size could be compared.
fn agrees(digest: &HostDigest, fetched: &Fetched) -> Result<bool> {
    if digest.size_bytes != fetched.size_bytes {
        return Err(Error::new(
            ErrorKind::Corrupt,
            "compare with the host",
            format!("{} bytes arrived, the host sent {}", fetched.size_bytes, digest.size_bytes),
        ));
    }
    match &digest.sha256 {
        Some(sha256) if *sha256 != fetched.sha256 => Err(Error::new(
            ErrorKind::Corrupt,
            "compare with the host",
            format!("SHA-256 {} arrived, the host sent {sha256}", fetched.sha256),
        )),
        other => Ok(other.is_some()),
    }
}
