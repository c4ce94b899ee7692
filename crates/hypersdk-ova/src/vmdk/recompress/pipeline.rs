use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

use super::batch::{Batch, Leaving};
use super::coder::GrainCoder;
use super::{RecompressOptions, RecompressSummary};
use crate::vmdk::{
    DiskFront, DiskOptions, GRAIN_BYTES, Grain, GrainPool, GrainSink, SECTOR_BYTES, StreamWriter, VmdkError,
    descriptor,
};

/// More batches than this feed no further thread of a disk that arrives over a network.
const MAX_PENDING: usize = 32;
/// How many bytes are gathered for one write.
const STAGE_BYTES: usize = 256 * 1024;

type Work = dyn Fn(&mut Batch, &mut GrainCoder) + Send + Sync;

/// Grains go in, batches of them through the pool, and come out in the same order.
///
/// ```text
/// grain -> filling (1) -> pending (at most `limit`) -> staged -> output
///             ^-------------- spare buffers -----------|
/// ```
pub(super) struct Pipeline<W> {
    output: W,
    options: RecompressOptions,
    pool: Arc<GrainPool>,
    work: Arc<Work>,
    /// Batches whose disk is gone find it dead and are not worked on.
    alive: Arc<()>,
    filling: Batch,
    /// One channel a batch, oldest first: this is what keeps the order.
    pending: VecDeque<Receiver<Batch>>,
    spare: Vec<Batch>,
    limit: usize,
    last_index: Option<u64>,
    /// There once the front of the source has passed.
    writer: Option<StreamWriter<Vec<u8>>>,
    summary: RecompressSummary,
}

impl<W: Write> Pipeline<W> {
    pub(super) fn new(output: W, pool: Arc<GrainPool>, options: RecompressOptions) -> Self {
        let level = options.level;
        let work = move |batch: &mut Batch, coder: &mut GrainCoder| batch.recode(coder, level);
        Self {
            output,
            limit: (2 * pool.threads() + 2).min(MAX_PENDING),
            options,
            pool,
            work: Arc::new(work),
            alive: Arc::new(()),
            filling: Batch::default(),
            pending: VecDeque::new(),
            spare: Vec::new(),
            last_index: None,
            writer: None,
            summary: RecompressSummary::default(),
        }
    }

    /// Waits for what is in flight and ends the disk.
    pub(super) fn finish(&mut self) -> Result<RecompressSummary, VmdkError> {
        self.submit()?;
        while let Some(oldest) = self.pending.pop_front() {
            self.write(oldest.recv().map_err(|_| VmdkError::Panicked)?)?;
        }
        let Some(writer) = self.writer.take() else {
            return Err(VmdkError::Truncated { offset: 0, missing: "header".into() });
        };
        let (staged, length) = writer.finish()?;
        self.output.write_all(&staged)?;
        self.output.flush()?;
        self.summary.bytes_out = length;
        Ok(self.summary)
    }

    pub(super) fn into_output(self) -> W {
        self.output
    }

    /// Sends the batch being filled to the pool; waits while too many are there.
    fn submit(&mut self) -> Result<(), VmdkError> {
        if self.filling.is_empty() {
            return Ok(());
        }
        if self.pending.len() >= self.limit
            && let Some(oldest) = self.pending.pop_front()
        {
            self.write(oldest.recv().map_err(|_| VmdkError::Panicked)?)?;
        }
        let mut batch = std::mem::replace(&mut self.filling, self.spare.pop().unwrap_or_default());
        let (done, receiver) = sync_channel(1);
        let (work, alive) = (Arc::clone(&self.work), Arc::downgrade(&self.alive));
        self.pool.submit(move |coder| {
            if alive.strong_count() > 0 {
                work(&mut batch, coder);
                // Nobody waits for it if the disk has been given up since.
                let _ = done.send(batch);
            }
        });
        self.pending.push_back(receiver);
        self.write_what_is_ready()
    }

    fn write_what_is_ready(&mut self) -> Result<(), VmdkError> {
        while let Some(oldest) = self.pending.front() {
            match oldest.try_recv() {
                Ok(batch) => {
                    self.pending.pop_front();
                    self.write(batch)?;
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Err(VmdkError::Panicked),
            }
        }
        Ok(())
    }

    fn write(&mut self, mut batch: Batch) -> Result<(), VmdkError> {
        if let Some(error) = batch.take_failure() {
            return Err(error);
        }
        let writer = self.writer.as_mut().expect("grains follow the front of the stream");
        for (index, grain) in batch.leaving() {
            match grain {
                Leaving::Zero => {
                    self.summary.zero_dropped += 1;
                    continue;
                }
                Leaving::Kept(member) => {
                    self.summary.kept += 1;
                    writer.write_compressed(index, member)?;
                }
                Leaving::Deflated(member) => writer.write_compressed(index, member)?,
            }
            self.summary.grains_out += 1;
        }
        batch.clear();
        self.spare.push(batch);
        let staged = writer.output_mut();
        if staged.len() >= STAGE_BYTES {
            self.output.write_all(staged)?;
            staged.clear();
        }
        Ok(())
    }
}

impl<W: Write> GrainSink for Pipeline<W> {
    fn begin(&mut self, front: &DiskFront) -> Result<(), VmdkError> {
        if front.grain_bytes != GRAIN_BYTES as u64 {
            return Err(VmdkError::Unsuited(format!(
                "only grains of 64 KiB can be deflated anew, and this disk has {} bytes",
                front.grain_bytes
            )));
        }
        let mut options =
            DiskOptions { name: self.options.name.clone(), ..DiskOptions::new(front.capacity_bytes) };
        if let Ok(cid) = u32::from_str_radix(&front.descriptor.cid, 16) {
            options.cid = cid;
        }
        options.database = front.descriptor.database.clone();
        options.database.retain(|key, value| descriptor::is_writable(key, value));
        self.writer = Some(StreamWriter::new(Vec::with_capacity(2 * STAGE_BYTES), &options)?);
        Ok(())
    }

    fn grain(&mut self, grain: Grain<'_>) -> Result<(), VmdkError> {
        let index = grain.lba * SECTOR_BYTES / GRAIN_BYTES as u64;
        if self.last_index.is_some_and(|last| index < last) {
            return Err(VmdkError::Unsuited(format!(
                "the grain at sector {} comes after one further back on the disk, too late to write it in place",
                grain.lba
            )));
        }
        self.last_index = Some(index);
        self.summary.grains_in += 1;
        self.filling.add(&grain);
        if self.filling.is_full() { self.submit() } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::io::Cursor;
    use std::num::NonZero;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Condvar, Mutex};

    use super::super::batch::BATCH_GRAINS;
    use super::*;
    use crate::vmdk::{CompressionLevel, DiskDescriptor, DiskReader, GrainEncoder};

    const GRAIN_SECTORS: u64 = GRAIN_BYTES as u64 / SECTOR_BYTES;

    /// A pipeline for a disk of this many grains, on two threads.
    fn pipeline(grains: u64) -> Pipeline<Vec<u8>> {
        let pool = GrainPool::new(NonZero::new(2).unwrap()).unwrap();
        let options = RecompressOptions::new(CompressionLevel::default());
        let mut pipeline = Pipeline::new(Vec::new(), Arc::new(pool), options);
        let descriptor = DiskDescriptor {
            cid: "cafe".into(),
            create_type: "streamOptimized".into(),
            database: BTreeMap::new(),
        };
        let capacity_bytes = grains * GRAIN_BYTES as u64;
        pipeline.begin(&DiskFront { capacity_bytes, grain_bytes: GRAIN_BYTES as u64, descriptor }).unwrap();
        pipeline
    }

    fn raw(index: u64) -> Vec<u8> {
        format!("grain {index}. ").bytes().cycle().take(GRAIN_BYTES).collect()
    }

    fn push(pipeline: &mut Pipeline<Vec<u8>>, index: u64) -> Result<(), VmdkError> {
        let payload = GrainEncoder::new(CompressionLevel::default()).encode(&raw(index)).to_vec();
        let (lba, offset) = (index * GRAIN_SECTORS, 0);
        let (disk_bytes, grain_bytes) = (GRAIN_BYTES, GRAIN_BYTES);
        pipeline.grain(Grain { lba, offset, disk_bytes, grain_bytes, payload: &payload })
    }

    /// Holds batches back in their threads until it is opened.
    #[derive(Default)]
    struct Gate {
        open: Mutex<bool>,
        changed: Condvar,
        begun: AtomicUsize,
    }

    impl Gate {
        fn pass(&self) {
            self.begun.fetch_add(1, Ordering::SeqCst);
            let open = self.open.lock().unwrap();
            self.changed.notify_all();
            drop(self.changed.wait_while(open, |open| !*open).unwrap());
        }

        fn wait_for_begun(&self, wanted: usize) {
            let open = self.open.lock().unwrap();
            drop(self.changed.wait_while(open, |_| self.begun.load(Ordering::SeqCst) < wanted).unwrap());
        }

        fn open(&self) {
            *self.open.lock().unwrap() = true;
            self.changed.notify_all();
        }
    }

    #[test]
    fn grains_keep_their_order_when_every_other_batch_is_overtaken() {
        let batches = 20;
        let mut pipeline = pipeline(batches * BATCH_GRAINS as u64);
        let level = pipeline.options.level;
        let done = (Mutex::new(BTreeSet::new()), Condvar::new());
        let overtaken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&overtaken);
        pipeline.work = Arc::new(move |batch, coder| {
            let number = batch.first_lba() / GRAIN_SECTORS / BATCH_GRAINS as u64;
            if number.is_multiple_of(2) {
                let wait = |done: &mut BTreeSet<u64>| !done.contains(&(number + 1));
                drop(done.1.wait_while(done.0.lock().unwrap(), wait).unwrap());
                count.fetch_add(1, Ordering::SeqCst);
            }
            batch.recode(coder, level);
            done.0.lock().unwrap().insert(number);
            done.1.notify_all();
        });
        for index in 0..batches * BATCH_GRAINS as u64 {
            push(&mut pipeline, index).unwrap();
        }
        assert_eq!(pipeline.finish().unwrap().grains_out, batches * BATCH_GRAINS as u64);
        assert_eq!(overtaken.load(Ordering::SeqCst), 10);
        let mut reader = DiskReader::open(Cursor::new(pipeline.into_output())).unwrap();
        for index in 0..batches * BATCH_GRAINS as u64 {
            assert!(reader.read_grain(index).unwrap() == Some(&raw(index)), "grain {index}");
        }
    }

    #[test]
    fn no_more_batches_than_the_limit_are_ever_held() {
        let grains = 40 * BATCH_GRAINS as u64;
        let mut pipeline = pipeline(grains);
        let (gate, level, limit) = (Arc::new(Gate::default()), pipeline.options.level, pipeline.limit);
        let watched = Arc::clone(&gate);
        pipeline.work = Arc::new(move |batch, coder| {
            watched.pass();
            batch.recode(coder, level);
        });
        let mut most = 0;
        for index in 0..grains {
            if index == (limit * BATCH_GRAINS) as u64 {
                assert_eq!(pipeline.pending.len(), limit, "nothing can be done yet");
                gate.open();
            }
            push(&mut pipeline, index).unwrap();
            most = most.max(pipeline.pending.len() + pipeline.spare.len());
        }
        assert_eq!(limit, 6);
        assert_eq!(most, limit, "one more is being filled");
        assert_eq!(pipeline.finish().unwrap().grains_out, grains);
    }

    #[test]
    fn a_thread_that_panics_is_an_error() {
        let mut pipeline = pipeline(100);
        pipeline.work = Arc::new(|_, _| panic!("on purpose"));
        let error = (0..100)
            .try_for_each(|index| push(&mut pipeline, index))
            .and_then(|()| pipeline.finish().map(drop));
        assert!(matches!(error, Err(VmdkError::Panicked)), "{error:?}");
    }

    #[test]
    fn a_disk_given_up_is_not_worked_on_any_further() {
        let mut pipeline = pipeline(100);
        let gate = Arc::new(Gate::default());
        let watched = Arc::clone(&gate);
        pipeline.work = Arc::new(move |_, _| watched.pass());
        for index in 0..(4 * BATCH_GRAINS) as u64 {
            push(&mut pipeline, index).unwrap();
        }
        gate.wait_for_begun(2);
        let pool = Arc::clone(&pipeline.pool);
        drop(pipeline.into_output());
        gate.open();
        let (done, waiting) = sync_channel(1);
        pool.submit(move |_| done.send(()).unwrap());
        waiting.recv().unwrap();
        assert_eq!(gate.begun.load(Ordering::SeqCst), 2, "two threads had one batch each at work");
    }
}
