//! What happens while a build runs, as events; renderers show them.

use std::time::SystemTime;

use oci::Digest;

/// One thing that happened. Times are wall clock.
#[derive(Clone, Debug)]
pub enum Event {
    /// A vertex exists (announced once, before it starts).
    Vertex {
        /// Its digest.
        digest: Digest,
        /// Its name for people.
        name: String,
        /// Digests of its inputs.
        inputs: Vec<Digest>,
        /// Group it is shown in.
        group: Option<llb::ProgressGroup>,
    },
    /// A vertex started.
    Started {
        /// Which.
        digest: Digest,
        /// When.
        at: SystemTime,
    },
    /// A vertex ended.
    Completed {
        /// Which.
        digest: Digest,
        /// When.
        at: SystemTime,
        /// Whether its result came from the cache.
        cached: bool,
        /// Why it failed.
        error: Option<String>,
    },
    /// Part of a vertex's work: a download, an extraction.
    Status {
        /// The vertex.
        digest: Digest,
        /// Free id: a layer's digest, `transferring context:`.
        id: String,
        /// Done so far: bytes, or files.
        current: u64,
        /// In all; 0 when not known.
        total: u64,
        /// When the part started.
        started: SystemTime,
        /// When it ended.
        completed: Option<SystemTime>,
    },
    /// A vertex's process wrote something.
    Log {
        /// The vertex.
        digest: Digest,
        /// 1 is stdout, 2 is stderr.
        stream: u8,
        /// The bytes as written.
        data: Vec<u8>,
        /// When.
        at: SystemTime,
    },
    /// Something to tell the user about a vertex.
    Warning {
        /// The vertex.
        digest: Option<Digest>,
        /// One line.
        message: String,
    },
}

/// Takes events; called from many threads.
pub trait Sink: Send + Sync {
    /// One thing happened.
    fn event(&self, event: Event);
}

/// Takes events and shows none.
pub struct Silent;

impl Sink for Silent {
    fn event(&self, _: Event) {}
}
