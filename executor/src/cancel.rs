//! Cancellation: one flag that many threads look at, wait on, or are told of.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// A shared request to stop. Cheap to clone; once set it stays set.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    set: bool,
    hooks: BTreeMap<u64, Box<dyn FnOnce() + Send>>,
    next: u64,
}

/// A function that is called when a [`Cancel`] is set; dropped before, it is never called.
#[must_use = "a dropped hook is never called"]
#[derive(Debug)]
pub struct Hook {
    cancel: Cancel,
    id: u64,
}

impl Cancel {
    /// Asks everybody who holds a clone to stop.
    pub fn cancel(&self) {
        let hooks = {
            let mut state = self.state();
            state.set = true;
            std::mem::take(&mut state.hooks)
        };
        self.0.changed.notify_all();
        hooks.into_values().for_each(|hook| hook());
    }

    /// Whether to stop.
    pub fn is_cancelled(&self) -> bool {
        self.state().set
    }

    /// An error when it is time to stop: `cancel.check()?` between two pieces of work.
    pub fn check(&self) -> crate::Result<()> {
        if self.is_cancelled() { Err(crate::Error::Cancelled) } else { Ok(()) }
    }

    /// Waits until it is set or the time is over; returns whether it is set.
    pub fn wait(&self, timeout: Duration) -> bool {
        let waited = self.0.changed.wait_timeout_while(self.state(), timeout, |state| !state.set);
        waited.expect("no panic while the flag is held").0.set
    }

    /// Calls `hook` when it is set, in the thread that sets it; at once when it is set already. The hook must be quick.
    pub fn on_cancel(&self, hook: impl FnOnce() + Send + 'static) -> Hook {
        let mut state = self.state();
        let id = state.next;
        state.next += 1;
        if state.set {
            drop(state);
            hook();
        } else {
            state.hooks.insert(id, Box::new(hook));
        }
        Hook { cancel: self.clone(), id }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no panic while the flag is held")
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.cancel.state().hooks.remove(&self.id);
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancel").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn hooks_are_called_once_or_never() {
        let calls = Arc::new(AtomicU32::new(0));
        let hook = || {
            let calls = calls.clone();
            move || {
                calls.fetch_add(1, Ordering::Relaxed);
            }
        };
        let cancel = Cancel::default();
        let _kept = cancel.on_cancel(hook());
        drop(cancel.on_cancel(hook()));
        cancel.cancel();
        cancel.cancel();
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        let _late = cancel.on_cancel(hook());
        assert_eq!(calls.load(Ordering::Relaxed), 2);
        assert!(cancel.check().is_err());
    }

    #[test]
    fn waiting_ends_when_it_is_set() {
        let cancel = Cancel::default();
        assert!(!cancel.wait(Duration::from_millis(1)));
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| cancel.wait(Duration::from_secs(60)));
            cancel.cancel();
            assert!(waiter.join().unwrap());
        });
    }
}
