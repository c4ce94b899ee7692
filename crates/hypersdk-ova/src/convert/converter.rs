use std::fs::File;
use std::io;
use std::sync::Arc;

use super::pipeline::{Batches, Pipeline};
use super::{ConvertError, DiskTarget};
use crate::vmdk::{DiskSummary, GrainPool, StreamInspector, StreamProgress};

/// Turns one streamOptimized stream, pushed in pieces cut anywhere, into a disk image in a file.
///
/// For one thread that may block; the pool does the heavy work. Every fault that
/// [`StreamInspector`] or inflating a grain finds is found. Until [`finish`](Self::finish) a qcow2
/// image has no header: nobody takes half of one for a disk.
///
/// Memory: what the inspector takes, at most about 50 MiB of grains (6 MiB with two threads), 1 MiB
/// of mapping tables.
///
/// To begin anew after a failure, take the file out ([`abort`](Self::abort)) and make another
/// converter of it.
#[derive(Debug)]
pub struct DiskConverter {
    inspector: StreamInspector<Batches>,
    jobs: Jobs,
}

impl DiskConverter {
    /// Begins an image in `file`, which is readable and writable, and is emptied.
    ///
    /// # Errors
    /// If the file cannot be emptied.
    pub fn new(file: File, target: DiskTarget, pool: Arc<GrainPool>) -> io::Result<Self> {
        file.set_len(0)?;
        let pipeline = Arc::new(Pipeline::new(file, target));
        let jobs = Jobs(Arc::clone(&pipeline));
        Ok(Self { inspector: StreamInspector::with_sink(Batches::new(pipeline, pool)), jobs })
    }

    /// Takes the next bytes of the stream; blocks while the pool is behind.
    ///
    /// # Errors
    /// As soon as the stream is known to be at fault or the image cannot be written. A fault inside
    /// a grain may come up some pushes later. All that is left to do afterwards is to
    /// [`abort`](Self::abort).
    pub fn push(&mut self, data: &[u8]) -> Result<(), ConvertError> {
        let pushed = self.inspector.push(data);
        self.jobs.0.take_failure()?;
        Ok(pushed?)
    }

    /// How far along the disk the stream has come.
    #[must_use]
    pub fn progress(&self) -> StreamProgress {
        self.inspector.progress()
    }

    /// Says that the stream is at its end, and completes the image. The file is not synced.
    ///
    /// # Errors
    /// Those of [`push`](Self::push), and those of an incomplete stream; with the file, so that it
    /// can be used again.
    pub fn finish(mut self) -> Result<(File, DiskSummary), (ConvertError, File)> {
        self.inspector.sink_mut().flush();
        let Self { inspector, jobs } = self;
        let pipeline = &jobs.0;
        pipeline.wait_until_idle();
        let completed = pipeline.take_failure().and_then(|()| {
            let disk = inspector.finish()?;
            pipeline.complete(&disk)?;
            Ok(disk)
        });
        let file = pipeline.take_file();
        match completed {
            Ok(disk) => Ok((file, disk)),
            Err(error) => Err((error, file)),
        }
    }

    /// Gives up, and gives the file back; no thread writes to it any more.
    #[must_use]
    pub fn abort(self) -> File {
        self.jobs.0.cancel();
        self.jobs.0.take_file()
    }
}

/// Waits for the jobs under way, so that a converter that is dropped leaves the file alone.
#[derive(Debug)]
struct Jobs(Arc<Pipeline>);

impl Drop for Jobs {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
