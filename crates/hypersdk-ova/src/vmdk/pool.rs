use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use super::recompress::GrainCoder;

type Task = Box<dyn FnOnce(&mut GrainCoder) + Send>;

/// Threads that inflate and deflate grains, shared by every disk of the process, so that several
/// disks at once take no more cores than one does.
///
/// Tasks are taken in the order they came. Each disk hands in a bounded number ahead, so no disk
/// starves another and the queue stays short. Dropping the pool ends its threads.
pub struct GrainPool {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    tasks: VecDeque<Task>,
    closed: bool,
}

impl GrainPool {
    /// A pool of this many threads.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub fn new(threads: NonZero<usize>) -> io::Result<Self> {
        let mut pool = Self { queue: Arc::default(), threads: Vec::new() };
        for number in 0..threads.get() {
            let queue = Arc::clone(&pool.queue);
            let thread = thread::Builder::new().name(format!("grains-{number}"));
            // On failure the drop of `pool` ends those begun.
            pool.threads.push(thread.spawn(move || queue.work())?);
        }
        Ok(pool)
    }

    /// A pool with a thread for each core this process may use.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub fn on_all_cores() -> io::Result<Self> {
        Self::new(thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN))
    }

    /// How many threads there are.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads.len()
    }

    /// Queues a task that needs nothing of the thread that runs it.
    pub(crate) fn run(&self, task: impl FnOnce() + Send + 'static) {
        self.submit(|_| task());
    }

    pub(super) fn submit(&self, task: impl FnOnce(&mut GrainCoder) + Send + 'static) {
        self.queue.lock().tasks.push_back(Box::new(task));
        self.queue.changed.notify_one();
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Task> {
        let idle = |waiting: &mut Waiting| waiting.tasks.is_empty() && !waiting.closed;
        let mut waiting = self.changed.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        if waiting.closed { None } else { waiting.tasks.pop_front() }
    }

    fn work(&self) {
        let mut coder = GrainCoder::default();
        while let Some(task) = self.next() {
            // Whoever waits for the task learns of the panic: its end of the channel closes.
            if catch_unwind(AssertUnwindSafe(|| task(&mut coder))).is_err() {
                coder = GrainCoder::default();
            }
        }
    }
}

impl Drop for GrainPool {
    /// Waits for the tasks at work; those waiting are dropped.
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.changed.notify_all();
        for thread in self.threads.drain(..) {
            thread.join().expect("tasks that panic are caught");
        }
    }
}

impl fmt::Debug for GrainPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrainPool").field("threads", &self.threads.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::mpsc::sync_channel;

    use super::*;

    fn pool(threads: usize) -> GrainPool {
        GrainPool::new(NonZero::new(threads).unwrap()).unwrap()
    }

    #[test]
    fn tasks_run_side_by_side() {
        let pool = pool(3);
        let barrier = Arc::new(Barrier::new(4));
        for _ in 0..pool.threads() {
            let barrier = Arc::clone(&barrier);
            pool.submit(move |_| {
                barrier.wait();
            });
        }
        barrier.wait();
    }

    #[test]
    fn a_panic_costs_the_pool_no_thread() {
        let pool = pool(1);
        let (lost, waiting) = sync_channel::<()>(1);
        pool.submit(move |_| {
            let _lost = lost;
            panic!("on purpose");
        });
        assert!(waiting.recv().is_err());
        let (answer, waiting) = sync_channel(1);
        pool.submit(move |_| answer.send(42).unwrap());
        assert_eq!(waiting.recv(), Ok(42));
    }

    #[test]
    fn dropping_the_pool_ends_its_threads_and_forgets_what_waits() {
        let pool = pool(1);
        let (begun, at_work) = sync_channel(1);
        let (release, gate) = sync_channel::<()>(1);
        pool.submit(move |_| {
            begun.send(()).unwrap();
            gate.recv().unwrap();
        });
        let (never, waiting) = sync_channel::<()>(1);
        pool.submit(move |_| never.send(()).unwrap());
        at_work.recv().unwrap();
        let queue = Arc::clone(&pool.queue);
        let dropping = thread::spawn(move || drop(pool));
        while !queue.lock().closed {
            thread::yield_now();
        }
        release.send(()).unwrap();
        dropping.join().unwrap();
        drop(queue);
        assert!(waiting.recv().is_err());
    }
}
