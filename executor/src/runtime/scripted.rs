//! A runtime that runs nothing, for tests of what decides about processes.

use std::sync::{Mutex, MutexGuard};

use super::{Exit, Network, Output, Runtime, Spec};
use crate::{Cancel, Error, Result};

/// What a process of a test does: it may look at its spec and write output.
pub type Script = dyn Fn(&Spec, Output<'_>) -> Exit + Send + Sync;

/// Runs a function instead of a process, and remembers what was to be run.
pub struct Scripted {
    script: Box<Script>,
    has_sandbox: bool,
    seen: Mutex<Vec<Spec>>,
    expected: Mutex<Vec<bool>>,
}

impl Scripted {
    /// Every process does what `script` does.
    pub fn new(script: impl Fn(&Spec, Output<'_>) -> Exit + Send + Sync + 'static) -> Self {
        Self { script: Box::new(script), has_sandbox: true, seen: Mutex::default(), expected: Mutex::default() }
    }

    /// The same where there can be no sandbox.
    #[must_use]
    pub fn without_sandbox(self) -> Self {
        Self { has_sandbox: false, ..self }
    }

    /// Every process writes nothing and ends with a code.
    pub fn exiting(code: i32) -> Self {
        Self::new(move |_, _| Exit { code, out_of_memory: false })
    }

    /// What it was told to expect, in order: whether a process wants a sandbox.
    pub fn expected(&self) -> Vec<bool> {
        self.expected.lock().expect("no panic while the list is held").clone()
    }

    /// What was to be run, in order.
    pub fn seen(&self) -> MutexGuard<'_, Vec<Spec>> {
        self.seen.lock().expect("no panic while the list is held")
    }
}

impl Runtime for Scripted {
    fn expect(&self, sandbox: bool) {
        self.expected.lock().expect("no panic while the list is held").push(sandbox);
    }

    fn run(&self, spec: &Spec, output: Output<'_>, cancel: &Cancel) -> Result<Exit> {
        if cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        if spec.network == Network::Sandbox && !self.has_sandbox {
            return Err(Error::NoSandbox("there is none in this test".into()));
        }
        self.seen().push(spec.clone());
        Ok((self.script)(spec, output))
    }
}
