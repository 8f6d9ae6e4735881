//! How packing shares the processors: at once, or giving way to whoever else computes.
//!
//! Layers are packed while the build goes on, and no step may take longer for it. Priorities do not see to that: they count
//! among the processes of one session or control group, and steps run in others. So packing that gives way looks, before each
//! block, how many threads of the whole machine want a processor, and waits while that is more than there are: a step that
//! sleeps or uses one processor of several leaves room, one that uses all leaves none. Where that cannot be seen there is
//! no room.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::host::processors;

/// Processor time of a block is some milliseconds; so often it is looked for room.
const LOOK: Duration = Duration::from_millis(5);

/// When to go on. Clones share one haste.
#[derive(Clone, Default)]
pub struct Pace(Option<Arc<Yielding>>);

struct Yielding {
    hurry: Mutex<bool>,
    hurried: Condvar,
    room: Box<dyn Fn() -> bool + Send + Sync>,
}

impl Pace {
    /// Never waits.
    pub fn at_once() -> Self {
        Self(None)
    }

    /// Gives way to whatever else runs on this machine, until [`Pace::hurry`].
    pub fn yielding() -> Self {
        let load = File::open("/proc/loadavg").ok();
        Self::with_room(move || load.as_ref().and_then(wanting).is_some_and(|wanting| wanting <= processors()))
    }

    fn with_room(room: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(Yielding { hurry: Mutex::new(false), hurried: Condvar::new(), room: Box::new(room) })))
    }

    /// Waits no more: somebody waits for the result.
    pub fn hurry(&self) {
        if let Some(yielding) = &self.0 {
            *yielding.hurry.lock().expect("no panic while it is held") = true;
            yielding.hurried.notify_all();
        }
    }

    /// Waits until there is room, before a block.
    pub(super) fn wait(&self) {
        let Some(yielding) = &self.0 else { return };
        let mut hurry = yielding.hurry.lock().expect("no panic while it is held");
        while !*hurry {
            drop(hurry);
            if (yielding.room)() {
                return;
            }
            hurry = yielding.hurry.lock().expect("no panic while it is held");
            if !*hurry {
                hurry = yielding.hurried.wait_timeout(hurry, LOOK).expect("no panic while it is held").0;
            }
        }
    }
}

/// Threads that run or wait for a processor, the caller included: the fourth field, before its slash.
fn wanting(load: &File) -> Option<usize> {
    let mut text = [0; 128];
    let length = load.read_at(&mut text, 0).ok()?;
    let field = text[..length].split(|byte| *byte == b' ').nth(3)?;
    let digits = field.split(|byte| *byte == b'/').next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn it_waits_for_room_or_haste() {
        let looked = Arc::new(AtomicUsize::new(0));
        let counter = looked.clone();
        let pace = Pace::with_room(move || counter.fetch_add(1, Ordering::Relaxed) == 2);
        pace.wait();
        assert_eq!(looked.load(Ordering::Relaxed), 3, "it looks until there is room");
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| pace.wait());
            pace.hurry();
            waiting.join().unwrap();
        });
        pace.wait();
    }

    #[test]
    fn the_kernel_says_how_many_want_a_processor() {
        let load = File::open("/proc/loadavg").unwrap();
        assert!(wanting(&load).unwrap() >= 1, "this thread runs");
        let empty = tempfile::tempfile().unwrap();
        assert_eq!(wanting(&empty), None);
    }
}
