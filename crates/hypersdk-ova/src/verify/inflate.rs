//! Inflates the grains of one disk on all cores, with bounded memory.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crate::vmdk::{Grain, GrainDecoder, GrainSink, VmdkError};

/// How many grains may wait for each thread: 512 KiB.
const QUEUE_PER_THREAD: usize = 8;
/// A disk with more bad grains than these is not worth listing further.
const MAX_ERRORS: usize = 20;

struct Job {
    lba: u64,
    offset: u64,
    disk_bytes: usize,
    grain_bytes: usize,
    payload: Vec<u8>,
}

/// A sink that finds grains that do not inflate.
#[derive(Debug)]
pub(super) struct InflatePool {
    jobs: Option<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
    errors: Arc<Mutex<Vec<VmdkError>>>,
}

impl InflatePool {
    pub(super) fn start() -> Self {
        let count = thread::available_parallelism().map_or(1, usize::from);
        let (sender, receiver) = sync_channel(count * QUEUE_PER_THREAD);
        let receiver = Arc::new(Mutex::new(receiver));
        let errors = Arc::new(Mutex::new(Vec::new()));
        let spawn = |_| {
            let (receiver, errors) = (Arc::clone(&receiver), Arc::clone(&errors));
            thread::spawn(move || work(&receiver, &errors))
        };
        Self { jobs: Some(sender), threads: (0..count).map(spawn).collect(), errors }
    }

    /// Waits for the grains handed in so far and gives the errors by their place in the stream.
    pub(super) fn finish(&mut self) -> Vec<VmdkError> {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            thread.join().expect("a thread that inflates does not panic");
        }
        let mut errors = std::mem::take(&mut *self.errors.lock().unwrap_or_else(PoisonError::into_inner));
        errors.sort_by_key(VmdkError::offset);
        errors
    }
}

impl GrainSink for InflatePool {
    fn grain(&mut self, grain: Grain<'_>) -> Result<(), VmdkError> {
        let Grain { lba, offset, disk_bytes, grain_bytes, payload } = grain;
        let job = Job { lba, offset, disk_bytes, grain_bytes, payload: payload.to_vec() };
        let sent = self.jobs.as_ref().map(|jobs| jobs.send(job));
        sent.and_then(Result::ok).ok_or_else(|| grain.refuse("no thread is left to inflate it"))
    }
}

fn work(jobs: &Mutex<Receiver<Job>>, errors: &Mutex<Vec<VmdkError>>) {
    let mut decoder: Option<GrainDecoder> = None;
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { lba, offset, disk_bytes, grain_bytes, payload }) = job else { return };
        let decoder = decoder.get_or_insert_with(|| GrainDecoder::new(grain_bytes));
        if let Err(reason) = decoder.decode(&payload, disk_bytes) {
            let mut errors = errors.lock().unwrap_or_else(PoisonError::into_inner);
            if errors.len() < MAX_ERRORS {
                errors.push(VmdkError::Grain { offset, lba, reason });
            }
        }
    }
}
