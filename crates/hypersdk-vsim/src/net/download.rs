//! One NFC stream: bytes, pace, sums, and the faults that strike it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use sha1::{Digest as _, Sha1};
use sha2::Sha256;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Peer;
use crate::disk::DiskReader;
use crate::faults::FaultKind;
use crate::log::{Event, StreamOutcome};
use crate::model::{FileSource, Sums, World};
use crate::spec::ManifestSupport;

/// A capped stream is sent in pieces of about this long.
const PACE: Duration = Duration::from_millis(20);

/// A file of a ready lease.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) lease: String,
    pub(super) vm_id: String,
    pub(super) vm_name: String,
    pub(super) file: String,
    pub(super) key: String,
    pub(super) is_disk: bool,
    pub(super) source: FileSource,
    /// Checksum type asked for.
    pub(super) checksum: Option<String>,
    pub(super) ended: CancellationToken,
}

/// Offsets at which something happens to the stream.
#[derive(Debug, Default)]
struct Plan {
    cut: Option<u64>,
    end: Option<u64>,
    stall: Option<u64>,
    expire: Option<u64>,
    flips: Vec<u64>,
    rate: Option<u64>,
}

impl Plan {
    fn new(faults: &[FaultKind], rate: Option<u64>) -> Self {
        let mut plan = Self { rate, ..Self::default() };
        for fault in faults {
            match *fault {
                FaultKind::CutAfter { bytes } => plan.cut = Some(bytes),
                FaultKind::EndAfter { bytes } => plan.end = Some(bytes),
                FaultKind::StallAt { bytes } => plan.stall = Some(bytes),
                FaultKind::ExpireLease { bytes } => plan.expire = Some(bytes),
                FaultKind::FlipByte { offset } => plan.flips.push(offset),
                FaultKind::RateCap { bytes_per_second } => plan.rate = Some(bytes_per_second.max(1)),
                _ => {}
            }
        }
        plan
    }

    /// The next offset at or after `at` where something happens.
    fn next_stop(&self, at: u64) -> Option<u64> {
        [self.cut, self.end, self.stall, self.expire].into_iter().flatten().filter(|stop| *stop >= at).min()
    }
}

/// Sums of what the host read, whatever became of it on the wire.
#[derive(Debug, Default)]
struct Hashers {
    size: u64,
    sha1: Option<Sha1>,
    sha256: Option<Sha256>,
}

impl Hashers {
    fn new(support: ManifestSupport, asked: Option<&str>) -> Self {
        let on = |name: &str| support != ManifestSupport::Unsupported && asked == Some(name);
        Self {
            size: 0,
            sha1: (support == ManifestSupport::Full || on("sha1")).then(Sha1::new),
            sha256: on("sha256").then(Sha256::new),
        }
    }

    fn update(&mut self, piece: &[u8]) {
        self.size += piece.len() as u64;
        if let Some(sha1) = &mut self.sha1 {
            sha1.update(piece);
        }
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(piece);
        }
    }

    fn finish(&mut self) -> Sums {
        Sums {
            size: self.size,
            sha1: self.sha1.take().map(|sum| hex::encode(sum.finalize())),
            sha256: self.sha256.take().map(|sum| hex::encode(sum.finalize())),
        }
    }
}

/// A stream under way; dropping it logs its end.
#[derive(Debug)]
pub(super) struct Download {
    world: Arc<World>,
    peer: Peer,
    offer: Offer,
    number: u64,
    reader: DiskReader,
    plan: Plan,
    hashers: Hashers,
    /// Read and summed, not yet sent.
    pending: Bytes,
    sent: u64,
    started: Instant,
    outcome: StreamOutcome,
    /// Ends the watch on the lease.
    _watch: DropGuard,
}

impl Download {
    pub(super) async fn open(
        world: Arc<World>,
        peer: Peer,
        offer: Offer,
        faults: &[FaultKind],
    ) -> io::Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let reader = match &offer.source {
            FileSource::Disk(disk) => DiskReader::open(disk).await?,
            FileSource::Bytes(bytes) => DiskReader::Bytes(bytes.clone()),
        };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        world.log.push(Event::StreamStarted {
            stream: number,
            lease: offer.lease.clone(),
            vm: offer.vm_name.clone(),
            file: offer.file.clone(),
        });
        let over = CancellationToken::new();
        world.tracker.spawn({
            // A client that reads nothing would otherwise keep its stream past the lease.
            let (over, ended, peer) = (over.clone(), offer.ended.clone(), peer.clone());
            async move {
                tokio::select! {
                    () = over.cancelled() => {}
                    () = ended.cancelled() => peer.reset(),
                }
            }
        });
        Ok(Self {
            plan: Plan::new(faults, world.config.stream_rate),
            hashers: Hashers::new(world.config.manifest, offer.checksum.as_deref()),
            world,
            peer,
            offer,
            number,
            reader,
            pending: Bytes::new(),
            sent: 0,
            started: Instant::now(),
            outcome: StreamOutcome::ClientGone,
            _watch: over.drop_guard(),
        })
    }

    /// The next piece of body; `None` ends it properly.
    pub(super) async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.plan.expire == Some(self.sent) {
            self.world.expire_leases(Some(&self.offer.vm_id));
            // The lease's end resets the connection.
            std::future::pending::<()>().await;
        }
        if self.plan.cut == Some(self.sent) {
            return self.break_off(StreamOutcome::Cut).await;
        }
        if self.plan.end == Some(self.sent) {
            return self.end_early().await;
        }
        if self.plan.stall == Some(self.sent) {
            // The lease's end resets the connection, so this wait has an end.
            std::future::pending::<()>().await;
        }
        if self.pending.is_empty() {
            match self.read().await {
                Ok(Some(piece)) => self.pending = piece,
                Ok(None) => {
                    self.attest();
                    self.outcome = StreamOutcome::Whole;
                    return None;
                }
                Err(error) => return Some(Err(error)),
            }
        }
        let piece = self.take();
        self.pace(piece.len()).await;
        self.sent += piece.len() as u64;
        Some(Ok(piece))
    }

    async fn read(&mut self) -> io::Result<Option<Bytes>> {
        let piece = self.reader.next().await?;
        if let Some(piece) = &piece {
            self.hashers.update(piece);
        }
        Ok(piece)
    }

    /// Cuts a piece off what is pending, up to the next stop, and damages it if so planned.
    fn take(&mut self) -> Bytes {
        let mut len = self.pending.len();
        if let Some(stop) = self.plan.next_stop(self.sent + 1) {
            len = len.min(usize::try_from(stop - self.sent).unwrap_or(len));
        }
        if let Some(rate) = self.plan.rate {
            let slice = rate as f64 * PACE.as_secs_f64();
            len = len.min((slice as usize).max(1));
        }
        let piece = self.pending.split_to(len);
        let hit = |offset: &u64| (self.sent..self.sent + len as u64).contains(offset);
        if !self.plan.flips.iter().any(hit) {
            return piece;
        }
        let mut damaged = BytesMut::from(&piece[..]);
        for offset in self.plan.flips.iter().filter(|offset| hit(offset)) {
            damaged[(offset - self.sent) as usize] ^= 0xff;
        }
        damaged.freeze()
    }

    /// Waits until a capped stream may send so many more bytes.
    async fn pace(&self, len: usize) {
        if let Some(rate) = self.plan.rate {
            let due = Duration::from_secs_f64((self.sent + len as u64) as f64 / rate as f64);
            tokio::time::sleep_until(self.started + due).await;
        }
    }

    async fn break_off(&mut self, outcome: StreamOutcome) -> Option<io::Result<Bytes>> {
        // The client is to see this end, however slowly it reads what comes before it: a reset would overtake that.
        self.peer.flushed().await;
        self.outcome = outcome;
        self.peer.close();
        std::future::pending().await
    }

    async fn end_early(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            match self.read().await {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => return Some(Err(error)),
            }
        }
        self.attest();
        self.outcome = StreamOutcome::EndedEarly;
        None
    }

    /// Records the sums on the lease, for its manifest.
    fn attest(&mut self) {
        let sums = self.hashers.finish();
        self.world.note(|state| {
            let lease = state.leases.get_mut(&self.offer.lease);
            let file = lease.and_then(|lease| lease.files.iter_mut().find(|file| file.key == self.offer.key));
            if let Some(file) = file {
                file.sent = Some(sums);
            }
        });
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        let ended = self.offer.ended.is_cancelled() && self.outcome == StreamOutcome::ClientGone;
        self.world.log.push(Event::StreamEnded {
            stream: self.number,
            lease: self.offer.lease.clone(),
            vm: self.offer.vm_name.clone(),
            file: self.offer.file.clone(),
            bytes: self.sent,
            outcome: if ended { StreamOutcome::LeaseEnded } else { self.outcome },
        });
    }
}
