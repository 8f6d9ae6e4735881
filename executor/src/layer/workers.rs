//! Threads that compress the blocks of one stream.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::{io, thread};

use super::pace::Pace;
use crate::host::processors;

/// Most threads of one stream: beyond, reading the files is what takes time.
const MAX_THREADS: usize = 16;

type Job = Box<dyn FnOnce() + Send>;

/// The threads; they end when this is dropped.
pub(super) struct Workers {
    jobs: Sender<Job>,
    count: usize,
    pace: Pace,
}

impl Workers {
    /// Starts as many as there are processors.
    pub(super) fn start(pace: Pace) -> Self {
        let count = processors().min(MAX_THREADS);
        let (jobs, queue) = channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..count {
            let queue = queue.clone();
            thread::spawn(move || {
                loop {
                    let job = queue.lock().expect("nobody panics while waiting").recv();
                    let Ok(job) = job else { return };
                    job();
                }
            });
        }
        Self { jobs, count, pace }
    }

    /// Blocks that may be under way: enough that nobody waits, few enough for memory.
    pub(super) fn ahead(&self) -> usize {
        self.count * 3
    }

    /// Has one block compressed.
    pub(super) fn submit(&self, job: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let pace = self.pace.clone();
        let paced = move || {
            pace.wait();
            job();
        };
        self.jobs.send(Box::new(paced)).map_err(|_| io::Error::other("all compressing threads have ended"))
    }
}
