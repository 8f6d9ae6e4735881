//! Networks of containers, the next one made while a container runs: making one takes as long as starting a container.
//!
//! Most builds run one step after another. The network of the first container is made with the router; from the second on
//! one is waiting, or nearly, for who is the next to ask.

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
    /// Nobody asked yet.
    First(Sandbox),
    /// Taken; it is made by who asks.
    Taken,
    Made(JoinHandle<Result<Sandbox>>),
}

impl Networks {
    /// Makes the router and a first network. **Errors**: why there can be none here.
    pub(in super::super) fn start() -> Result<Self> {
        let (router, first) = Router::start()?;
        Ok(Self { router: Arc::new(router), next: Mutex::new(first.map_or(Next::Taken, Next::First)) })
    }

    /// The router.
    pub(in super::super) fn router(&self) -> &Router {
        &self.router
    }

    /// A network for one container.
    pub(in super::super) fn sandbox(&self) -> Result<Sandbox> {
        let next = std::mem::replace(&mut *self.lock(), Next::Taken);
        let (ready, is_first) = match next {
            Next::First(first) => (Some(first), true),
            Next::Taken => (None, false),
            Next::Made(making) => (making.join().expect("nothing there panics").ok(), false),
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
        std::thread::spawn(move || router.sandbox_here())
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
