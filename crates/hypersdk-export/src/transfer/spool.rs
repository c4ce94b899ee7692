//! Files fetched beside the archive until it is ready for them.

use std::collections::BTreeMap;
use std::fs::File;

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt, future::BoxFuture};
use hypersdk_core::{Error, ErrorKind, Result};

use super::{Transfer, check_disk, manifest_algorithm};
use crate::fetch::{Fetched, fetch};
use crate::plan::PlannedFile;

/// A file of less than this is not worth a spool.
const WORTH_A_SPOOL_BYTES: u64 = 16 << 20;

/// A whole file that waits beside the archive.
pub(super) struct Spooled {
    pub(super) file: File,
    pub(super) fetched: Fetched,
}

/// The spools of one archive.
pub(super) struct Spools<'a> {
    transfer: &'a Transfer<'a>,
    files: &'a [PlannedFile],
    /// Every file before this place has begun, in a spool or straight.
    begun: usize,
    running: FuturesUnordered<BoxFuture<'a, Result<(usize, Spooled)>>>,
    ready: BTreeMap<usize, Spooled>,
    /// Spools pay: streams are slower than storage.
    wanted: bool,
}

impl<'a> Spools<'a> {
    pub(super) fn new(transfer: &'a Transfer<'a>, files: &'a [PlannedFile]) -> Self {
        Spools {
            transfer,
            files,
            begun: 0,
            running: FuturesUnordered::new(),
            ready: BTreeMap::new(),
            wanted: false,
        }
    }

    /// True if the file at `index` is in a spool or on its way there; otherwise it is the caller's now.
    pub(super) fn has(&mut self, index: usize) -> bool {
        let has = index < self.begun;
        self.begun = self.begun.max(index + 1);
        has
    }

    /// From now on, later files are spooled as long as there are streams to spare.
    pub(super) fn want(&mut self) {
        self.wanted = true;
    }

    /// Does `work`, which uses `streams` streams itself, while spools go on.
    pub(super) async fn during<T>(
        &mut self,
        streams: usize,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let mut work = std::pin::pin!(work);
        loop {
            self.fill(streams);
            tokio::select! {
                done = &mut work => return done,
                Some(spooled) = self.running.next() => self.keep(spooled?),
            }
        }
    }

    /// The spool of the file at `index`, once it is whole.
    pub(super) async fn take(&mut self, index: usize) -> Result<Spooled> {
        loop {
            if let Some(spooled) = self.ready.remove(&index) {
                return Ok(spooled);
            }
            self.fill(0);
            let lost = || Error::new(ErrorKind::Internal, "join spool", "a spool was begun and is gone");
            let spooled = self.running.next().await.ok_or_else(lost)??;
            self.keep(spooled);
        }
    }

    fn keep(&mut self, (index, spooled): (usize, Spooled)) {
        self.ready.insert(index, spooled);
    }

    fn fill(&mut self, streams: usize) {
        while self.wanted && streams + self.running.len() < self.transfer.workers {
            let index = self.begun;
            match self.files.get(index) {
                Some(file) if file.weight >= WORTH_A_SPOOL_BYTES => {
                    self.begun += 1;
                    self.running.push(spool(self.transfer, index, file).boxed());
                }
                _ => return,
            }
        }
    }
}

async fn spool(transfer: &Transfer<'_>, index: usize, file: &PlannedFile) -> Result<(usize, Spooled)> {
    let path = transfer.target.spool(index);
    let create = File::options().read(true).write(true).create_new(true).open(&path);
    let output = create.map_err(|error| Error::io(format!("create {}", path.display()), error))?;
    transfer.meter.begin(&file.name);
    let algorithm = manifest_algorithm(transfer.spec);
    let meter = transfer.meter.file(index);
    let shape = transfer.shape()?;
    let (output, fetched) =
        fetch(transfer.session, file, meter, output, shape, algorithm, transfer.context).await?;
    check_disk(file, &fetched)?;
    Ok((index, Spooled { file: output, fetched }))
}
