//! A few threads that do what a walk finds to do: copying files, hashing them.

use std::cell::RefCell;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use crate::host::processors;
use crate::{Cancel, Error, Result};

/// Jobs handed over at once: waking a thread costs more than a small file.
const BATCH: usize = 16;
/// Batches that wait at most: each job may hold two descriptors of directories.
const WAITING: usize = 4;
/// Most threads: beyond, the file system's own locks are what takes time.
const MAX_THREADS: usize = 8;

/// The threads.
pub(crate) struct Pool<'a, J> {
    jobs: SyncSender<Vec<J>>,
    batch: RefCell<Vec<J>>,
    failure: &'a Mutex<Option<Error>>,
}

impl<J> Pool<'_, J> {
    /// Has something done. **Errors**: what went wrong with an earlier one.
    pub(crate) fn submit(&self, job: J) -> Result<()> {
        if let Some(error) = self.failure.lock().expect("no panic while it is held").take() {
            return Err(error);
        }
        let mut batch = self.batch.borrow_mut();
        batch.push(job);
        if batch.len() < BATCH { Ok(()) } else { self.send(std::mem::take(&mut *batch)) }
    }

    fn send(&self, batch: Vec<J>) -> Result<()> {
        self.jobs.send(batch).map_err(|_| Error::Cancelled)
    }
}

/// Runs a walk with threads beside it; all is done when it returns. `work` gets a buffer of its thread.
pub(crate) fn with<J: Send, T>(
    cancel: &Cancel,
    work: impl Fn(J, &mut Vec<u8>) -> Result<()> + Sync,
    walk: impl FnOnce(&Pool<'_, J>) -> Result<T>,
) -> Result<T> {
    let failure = Mutex::new(None);
    let (jobs, queue) = sync_channel(WAITING);
    let queue = Mutex::new(queue);
    let walked = thread::scope(|scope| {
        let count = processors().min(MAX_THREADS);
        for _ in 0..count {
            scope.spawn(|| serve(&queue, &work, &failure, cancel));
        }
        // Dropped at the end of the walk: then the threads end.
        let pool = Pool { jobs, batch: RefCell::default(), failure: &failure };
        let walked = walk(&pool)?;
        pool.send(pool.batch.take())?;
        Ok(walked)
    });
    match failure.into_inner().expect("no thread panicked") {
        Some(error) => Err(error),
        None => walked,
    }
}

fn serve<J>(
    queue: &Mutex<Receiver<Vec<J>>>,
    work: &(impl Fn(J, &mut Vec<u8>) -> Result<()> + Sync),
    failure: &Mutex<Option<Error>>,
    cancel: &Cancel,
) {
    let mut buffer = Vec::new();
    loop {
        let batch = queue.lock().expect("no panic while it is held").recv();
        let Ok(batch) = batch else { return };
        for job in batch {
            // After a failure the queue is emptied, so that the walk never waits.
            let done = if cancel.is_cancelled() { Err(Error::Cancelled) } else { work(job, &mut buffer) };
            if let Err(error) = done {
                failure.lock().expect("no panic while it is held").get_or_insert(error);
            }
        }
    }
}
