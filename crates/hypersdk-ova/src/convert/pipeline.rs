use std::collections::BTreeMap;
use std::fs::File;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::batch::{Batch, Codec, Prepared};
use super::layout::Layout;
use super::{ConvertError, DiskTarget};
use crate::vmdk::{DiskSummary, Grain, GrainPool, GrainSink, VmdkError};

/// However many threads there are: about 50 MiB at most are under way.
const MAX_UNDER_WAY: usize = 48;

/// The sink of the inspector: gathers grains in batches and hands these to the pool.
#[derive(Debug)]
pub(super) struct Batches {
    batch: Batch,
    next: u64,
    pipeline: Arc<Pipeline>,
    pool: Arc<GrainPool>,
}

impl Batches {
    pub(super) fn new(pipeline: Arc<Pipeline>, pool: Arc<GrainPool>) -> Self {
        Self { batch: Batch::default(), next: 0, pipeline, pool }
    }

    /// Hands over what is gathered; blocks while enough is under way.
    pub(super) fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let batch = std::mem::take(&mut self.batch);
        let number = self.next;
        self.next += 1;
        let limit = (self.pool.threads() * 2 + 2).min(MAX_UNDER_WAY);
        if self.pipeline.begin(&batch, limit) {
            let job =
                Job { pipeline: Arc::clone(&self.pipeline), number, outcome: Err(ConvertError::Worker) };
            self.pool.run(move || job.run(batch));
        }
    }
}

impl GrainSink for Batches {
    fn grain(&mut self, grain: Grain<'_>) -> Result<(), VmdkError> {
        self.batch.add(&grain);
        if self.batch.is_full() {
            self.flush();
        }
        Ok(())
    }
}

/// What the pushing thread and the workers share: batches are worked on at once and in any order,
/// placed one after another, and written at once again.
#[derive(Debug)]
pub(super) struct Pipeline {
    target: DiskTarget,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// Taken when the conversion ends; nobody else holds it once no job runs.
    file: Option<Arc<File>>,
    layout: Option<Layout>,
    /// One a thread.
    codecs: Vec<Codec>,
    /// Jobs queued or running.
    jobs: usize,
    /// Batches begun and not yet written.
    under_way: usize,
    /// The batch to be placed next.
    next: u64,
    ready: BTreeMap<u64, Prepared>,
    failure: Option<Failure>,
}

#[derive(Debug)]
enum Failure {
    Cancelled,
    /// The batch it happened in, and the error until somebody took it.
    Error(u64, ConvertError),
}

impl Pipeline {
    pub(super) fn new(file: File, target: DiskTarget) -> Self {
        let state = State {
            file: Some(Arc::new(file)),
            layout: None,
            codecs: Vec::new(),
            jobs: 0,
            under_way: 0,
            next: 0,
            ready: BTreeMap::new(),
            failure: None,
        };
        Self { target, state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock is noted as a failure by the guard of the job it ended.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while(&self, condition: impl FnMut(&mut State) -> bool) -> MutexGuard<'_, State> {
        self.changed.wait_while(self.lock(), condition).unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room for one more batch; `false` if the conversion has failed already.
    fn begin(&self, batch: &Batch, limit: usize) -> bool {
        let mut state = self.wait_while(|state| state.failure.is_none() && state.under_way >= limit);
        if state.failure.is_some() {
            return false;
        }
        state.layout.get_or_insert_with(|| Layout::new(self.target, batch.grain_bytes()));
        state.jobs += 1;
        state.under_way += 1;
        true
    }

    fn work(&self, number: u64, batch: Batch) -> Result<(), ConvertError> {
        let (file, codec) = {
            let mut state = self.lock();
            match &state.file {
                Some(file) if state.failure.is_none() => (Arc::clone(file), state.codecs.pop()),
                _ => return Ok(()),
            }
        };
        let mut codec = codec.unwrap_or_else(|| Codec::new(self.target, batch.grain_bytes()));
        let prepared = batch.prepare(&mut codec)?;
        drop(batch);
        let mut placed = Vec::new();
        {
            let state = &mut *self.lock();
            state.codecs.push(codec);
            state.ready.insert(number, prepared);
            let layout = state.layout.as_mut().expect("it was made before the first batch began");
            while let Some(prepared) = state.ready.remove(&state.next) {
                placed.push(layout.place(&file, prepared).map_err(ConvertError::Image)?);
                state.next += 1;
            }
        }
        for placed in placed {
            placed.write(&file).map_err(ConvertError::Image)?;
            self.lock().under_way -= 1;
            self.changed.notify_all();
        }
        Ok(())
    }

    /// The first error in the order of the stream, if a batch failed.
    pub(super) fn take_failure(&self) -> Result<(), ConvertError> {
        let mut state = self.lock();
        match state.failure.take() {
            Some(Failure::Error(_, error)) => {
                state.failure = Some(Failure::Cancelled);
                Err(error)
            }
            other => {
                state.failure = other;
                Ok(())
            }
        }
    }

    pub(super) fn wait_until_idle(&self) {
        drop(self.wait_while(|state| state.jobs > 0));
    }

    /// Lets the jobs under way fall through, and waits until none touches the file any more.
    pub(super) fn cancel(&self) {
        self.lock().failure.get_or_insert(Failure::Cancelled);
        self.wait_until_idle();
    }

    /// Writes what an image has besides its clusters. No job may be under way.
    pub(super) fn complete(&self, disk: &DiskSummary) -> Result<(), ConvertError> {
        let mut state = self.lock();
        let layout =
            state.layout.take().unwrap_or_else(|| Layout::new(self.target, disk.grain_bytes as usize));
        let file = state.file.as_ref().expect("the file is taken last");
        layout.finish(file, disk).map_err(ConvertError::Image)
    }

    /// The file. No job may be under way, and none come later.
    pub(super) fn take_file(&self) -> File {
        let file = self.lock().file.take().expect("the file is taken once");
        Arc::into_inner(file).expect("jobs let go of the file before they count as ended")
    }
}

/// Notes the end of a job, however it ends: done, in a panic, or never begun.
struct Job {
    pipeline: Arc<Pipeline>,
    number: u64,
    outcome: Result<(), ConvertError>,
}

impl Job {
    fn run(mut self, batch: Batch) {
        self.outcome = self.pipeline.work(self.number, batch);
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let mut state = self.pipeline.lock();
        state.jobs -= 1;
        if let Err(error) = std::mem::replace(&mut self.outcome, Ok(())) {
            match state.failure {
                Some(Failure::Cancelled) => {}
                Some(Failure::Error(number, _)) if number < self.number => {}
                _ => state.failure = Some(Failure::Error(self.number, error)),
            }
        }
        self.pipeline.changed.notify_all();
    }
}
