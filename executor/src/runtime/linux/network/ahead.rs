//! Networks of containers, the next one made while a container runs: making one takes as long as starting a container.
//!
//! Most builds run one step after another. The first container gets a network when it asks; from the second on one is
//! waiting, or nearly.

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

    /// A network for one container.
    pub(in super::super) fn sandbox(&self) -> Result<Sandbox> {
        let next = std::mem::replace(&mut *self.lock(), Next::Taken);
        let ready = match next {
            Next::First => return self.router.sandbox(),
            Next::Taken => None,
            Next::Made(making) => making.join().expect("nothing there panics").ok(),
        };
        // One that could not be made ahead is made now, or fails for a reason that holds now.
        let sandbox = ready.map_or_else(|| self.router.sandbox(), Ok);
        let router = self.router.clone();
        let mut next = self.lock();
        if matches!(*next, Next::Taken) {
            *next = Next::Made(std::thread::spawn(move || router.sandbox()));
        }
        sandbox
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Next> {
        self.next.lock().expect("no panic while it is held")
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        // The router goes with this, and not with a thread that nobody waits for.
        if let Next::Made(making) = std::mem::replace(&mut *self.lock(), Next::Taken) {
            let _ = making.join();
        }
    }
}
