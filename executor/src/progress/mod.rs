//! What happens while a build runs, as events; renderers show them.

mod clip;
mod plain;
mod raw;
mod renderer;
mod style;
#[cfg(test)]
mod tests;
mod trace;
mod tty;
mod visible;

use std::time::SystemTime;

use oci::Digest;

pub use clip::Clipped;
pub use renderer::{Mode, renderer};
pub use visible::{tame, visible};

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
    /// Something to tell the user.
    Warning {
        /// The vertex it is about; `None` is the build, and is shown once however often it is said.
        digest: Option<Digest>,
        /// One line.
        message: String,
        /// What programs are told besides.
        about: Option<Box<About>>,
    },
}

/// What a warning is about, as a frontend says it.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// The vertex; perhaps one that only the frontend knows.
    pub vertex: Option<Digest>,
    /// How bad it is: 1 is worst.
    pub level: i64,
    /// The line, without the address.
    pub short: Vec<u8>,
    /// More of it.
    pub detail: Vec<Vec<u8>>,
    /// Where to read about it.
    pub url: String,
    /// The text it is about, and where in it.
    pub source: Option<(llb::SourceInfo, Vec<llb::Range>)>,
}

/// Takes events; called from many threads.
pub trait Sink: Send + Sync {
    /// One thing happened.
    fn event(&self, event: Event);

    /// The build is over: whatever waits is shown now.
    fn finish(&self) {}
}

/// Takes events and shows none.
pub struct Silent;

impl Sink for Silent {
    fn event(&self, _: Event) {}
}

/// Hands on nothing but what is of the build as a whole.
pub(crate) struct Notices<'a>(pub(crate) &'a dyn Sink);

impl Sink for Notices<'_> {
    fn event(&self, event: Event) {
        if matches!(event, Event::Warning { digest: None, .. }) {
            self.0.event(event);
        }
    }
}

/// Where one vertex tells what it does.
pub struct Vertex<'a> {
    /// Who listens.
    pub sink: &'a dyn Sink,
    /// The vertex.
    pub digest: Digest,
}

impl Vertex<'_> {
    /// The vertex's process wrote something (1 is stdout, 2 is stderr).
    pub fn log(&self, stream: u8, data: &[u8]) {
        let at = SystemTime::now();
        self.sink.event(Event::Log { digest: self.digest.clone(), stream, data: data.to_vec(), at });
    }

    /// Something to tell the user.
    pub fn warn(&self, message: impl Into<String>) {
        self.sink.event(Event::Warning { digest: Some(self.digest.clone()), message: message.into(), about: None });
    }

    /// A part of the work, which ends when the returned value is dropped.
    pub fn part(&self, id: impl Into<String>, total: u64) -> Part<'_> {
        let part = Part { vertex: self, id: id.into(), total, current: 0, started: SystemTime::now() };
        part.report(None);
        part
    }

    /// Does the whole work of a vertex that is none of the definition's (an export), told as one.
    pub fn during<T>(&self, name: &str, work: impl FnOnce() -> crate::Result<T>) -> crate::Result<T> {
        let digest = self.digest.clone();
        self.sink.event(Event::Vertex {
            digest: digest.clone(),
            name: name.to_owned(),
            inputs: Vec::new(),
            group: None,
        });
        self.sink.event(Event::Started { digest: digest.clone(), at: SystemTime::now() });
        let done = work();
        let error = done.as_ref().err().map(ToString::to_string);
        self.sink.event(Event::Completed { digest, at: SystemTime::now(), cached: false, error });
        done
    }
}

/// A part of a vertex's work: a download, an extraction.
pub struct Part<'a> {
    vertex: &'a Vertex<'a>,
    id: String,
    total: u64,
    current: u64,
    started: SystemTime,
}

impl Part<'_> {
    /// Bytes or files done so far.
    pub fn at(&mut self, current: u64) {
        self.current = current;
        self.report(None);
    }

    fn report(&self, completed: Option<SystemTime>) {
        self.vertex.sink.event(Event::Status {
            digest: self.vertex.digest.clone(),
            id: self.id.clone(),
            current: self.current,
            total: self.total,
            started: self.started,
            completed,
        });
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        self.report(Some(SystemTime::now()));
    }
}
