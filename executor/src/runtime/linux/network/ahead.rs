//! Networks of containers, the next one made while a container runs: making one takes as long as starting a container.
//!
//! Most builds run one step after another. The first container gets a network when it asks, or that was made when a container
//! was expected; from the second on one is waiting, or nearly.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::{Router, Sandbox};
use crate::Result;

/// A router, and the network of the next container.
pub(in super::super) struct Networks {
    router: Arc<Router>,
    next: Mutex<Next>,
}

enum Next {
    /// Nobody asked yet; nobody else may.
    First,
    /// Made, or being made, for the first who asks.
    Expected(JoinHandle<Result<Sandbox>>),
    /// Taken; it is made by who asks.
    Taken,
    Made(JoinHandle<Result<Sandbox>>),
}

impl Networks {
    /// Makes the router. **Errors**: why there can be none here.
    pub(in super::super) fn start() -> Result<Self> {
        Ok(Self { router: Arc::new(Router::start()?), next: Mutex::new(Next::First) })
    }

    /// The router.
    pub(in super::super) fn router(&self) -> &Router {
        &self.router
    }

    /// Begins to make the network of the first container.
    pub(in super::super) fn expect(&self) {
        let mut next = self.lock();
        if matches!(*next, Next::First) {
            *next = Next::Expected(self.make());
        }
    }

    /// A network for one container.
    pub(in super::super) fn sandbox(&self) -> Result<Sandbox> {
        let next = std::mem::replace(&mut *self.lock(), Next::Taken);
        let (ready, is_first) = match next {
            Next::First => (None, true),
            Next::Expected(making) => (made(making), true),
            Next::Taken => (None, false),
            Next::Made(making) => (made(making), false),
        };
        // One that could not be made ahead is made now, or fails for a reason that holds now.
        let sandbox = ready.map_or_else(|| self.router.sandbox(), Ok);
        let mut next = self.lock();
        if !is_first && matches!(*next, Next::Taken) {
            *next = Next::Made(self.make());
        }
        sandbox
    }

    fn make(&self) -> JoinHandle<Result<Sandbox>> {
        let router = self.router.clone();
        std::thread::spawn(move || router.sandbox())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Next> {
        self.next.lock().expect("no panic while it is held")
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        // The router goes with this, and not with a thread that nobody waits for.
        if let Next::Expected(making) | Next::Made(making) = std::mem::replace(&mut *self.lock(), Next::Taken) {
            let _ = making.join();
        }
    }
}

fn made(making: JoinHandle<Result<Sandbox>>) -> Option<Sandbox> {
    making.join().expect("nothing there panics").ok()
}
