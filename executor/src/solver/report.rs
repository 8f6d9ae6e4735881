//! What of a build is told as progress: every vertex once as it is announced, started, ended.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use super::scheduler::VertexId;
use super::vertices::{Step, Vertices};
use crate::progress::{Event, Sink};

/// Tells a sink how vertices fare.
pub(super) struct Report<'a> {
    sink: &'a dyn Sink,
    states: HashMap<VertexId, State>,
    started: HashMap<VertexId, Instant>,
    ran: Vec<(VertexId, Duration)>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Started,
    Ended,
}

impl<'a> Report<'a> {
    pub(super) fn new(sink: &'a dyn Sink) -> Self {
        Self { sink, states: HashMap::new(), started: HashMap::new(), ran: Vec::new() }
    }

    /// Vertices exist.
    pub(super) fn announce(&self, vertices: &Vertices, new: &[VertexId]) {
        for id in new {
            let step = &vertices[*id].step;
            self.sink.event(Event::Vertex {
                digest: step.digest.clone(),
                name: step.name.clone(),
                inputs: step.inputs.iter().map(|input| vertices[input.vertex].step.digest.clone()).collect(),
                group: step.node.meta.progress_group.as_deref().cloned(),
            });
        }
    }

    /// Something is being done for a vertex.
    pub(super) fn started(&mut self, step: &Step) {
        if self.states.insert(step.id, State::Started) != Some(State::Started) {
            self.started.insert(step.id, Instant::now());
            self.sink.event(Event::Started { digest: step.digest.clone(), at: SystemTime::now() });
        }
    }

    /// A vertex ran, or failed.
    pub(super) fn ended(&mut self, step: &Step, error: Option<String>) {
        // One that takes what another made did not start.
        if let Some(started) = self.started.get(&step.id).filter(|_| error.is_none()) {
            self.ran.push((step.id, started.elapsed()));
        }
        self.end(step, false, error);
    }

    /// A result was loaded: its vertex and all before it that nobody has to run are cached.
    pub(super) fn loaded(&mut self, vertices: &Vertices, id: VertexId) {
        let mut open = vec![id];
        let mut cached = std::collections::BTreeSet::new();
        while let Some(id) = open.pop() {
            if self.states.get(&id) != Some(&State::Ended) && cached.insert(id) {
                open.extend(vertices[id].step.inputs.iter().map(|input| input.vertex));
            }
        }
        cached.into_iter().for_each(|id| self.end(&vertices[id].step, true, None));
    }

    /// Vertices that ran, and how long they took, in the order in which they ended.
    pub(super) fn ran(&self) -> &[(VertexId, Duration)] {
        &self.ran
    }

    /// The build is over: what was not run was not needed, or was stopped.
    pub(super) fn finish(&mut self, vertices: &Vertices, succeeded: bool) {
        for vertex in vertices.iter() {
            match (self.states.get(&vertex.step.id), succeeded) {
                (Some(State::Ended), _) | (None, false) => {}
                (_, true) => self.end(&vertex.step, true, None),
                (Some(State::Started), false) => self.end(&vertex.step, false, Some("context canceled".into())),
            }
        }
    }

    fn end(&mut self, step: &Step, cached: bool, error: Option<String>) {
        self.started(step);
        self.states.insert(step.id, State::Ended);
        self.sink.event(Event::Completed { digest: step.digest.clone(), at: SystemTime::now(), cached, error });
    }
}
