//! The scheduler: decides what to do next, as data. No I/O, no locks, no clock: events in, actions out.
//!
//! | term | meaning |
//! |---|---|
//! | vertex, edge | a step; one of its outputs |
//! | key | what an edge is found by in the cache; opaque here |
//! | known keys of an input | keys of the edge it is, and the key of its content as the vertex sees it |
//! | goal, level | how far an edge should get, and has got: `Level` |
//!
//! An edge goes `Nothing → Fast → Slow → Done`. *Fast*: looked for under its definition key, which needs only the keys of
//! its inputs. *Slow*: looked for in every other way, which may need the contents of inputs, and so their results.
//! *Done*: loaded from the cache, or run. A vertex raises the goals of its inputs no further than it must: inputs that led
//! to nothing first, contents last, and once one input has been looked at in every way and led to nothing, no match is
//! possible and all inputs are wanted at once, in parallel. Vertices are shared by whoever wants them, and cancelled when
//! nobody does any more.
//!
//! Two vertices that do the same on inputs that are known under a common key give the same result. When the first is
//! running and the second would begin to, the second *follows*: it takes over the results as those of a nested build are.
//!
//! The order in which keys are looked for mirrors BuildKit v0.32 (`solver/edge.go`), and so does which vertices are merged;
//! how it is done does not.

mod edge;
#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;
mod want;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Index of a vertex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VertexId(pub u32);

/// One output of a vertex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Edge {
    /// The vertex.
    pub vertex: VertexId,
    /// Which of its outputs, from 0.
    pub output: u32,
}

/// Somebody who wants edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JobId(pub u32);

/// Name of a cache key.
pub type Key = Arc<str>;

/// What a vertex does, and which part of each input matters to it: vertices for which both are equal do the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Same {
    /// What it does.
    pub key: Key,
    /// One for each input; of no account for an input that is known by its content.
    pub selectors: Vec<Option<Key>>,
}

/// A key an input is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The key.
    pub key: Key,
    /// Whether it is the key of the content (which is already of the selected part) or of the whole edge.
    pub content: bool,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A job wants edges.
    Want(JobId, Vec<Edge>),
    /// A job wants nothing any more.
    Drop(JobId),
    /// `Action::Key` is done.
    Keyed {
        /// Whose key.
        vertex: VertexId,
        /// For each input, whether its content may be compared.
        content: Vec<bool>,
        /// Whether there is another key (sources only).
        more: bool,
        /// What the vertex does, if it may follow another that does the same.
        same: Option<Same>,
    },
    /// `Action::Query` is done.
    Matched {
        /// Of which edge.
        edge: Edge,
        /// The keys the cache has for it. More than one when the cache learned later that they are the same.
        keys: Vec<Key>,
        /// Whether a result is there, too.
        loadable: bool,
        /// For each input, whether its known keys lead nowhere.
        missed: Vec<bool>,
    },
    /// `Action::Content` is done.
    Content {
        /// The vertex that looks at the content.
        vertex: VertexId,
        /// Which input of it.
        input: usize,
        /// The key.
        key: Key,
    },
    /// `Action::Load` is done.
    Loaded {
        /// Of which edge.
        edge: Edge,
        /// Whether the result could be had.
        found: bool,
    },
    /// `Action::Run` or `Action::Adopt` is done.
    Ran(VertexId),
    /// `Action::Run` found that the outputs are those of other vertices, which were added (a nested build).
    Expanded(VertexId, Vec<Edge>),
    /// `Action::Save` is done: the keys of each output.
    Saved(VertexId, Vec<Vec<Key>>),
    /// An action of the vertex failed, or was cancelled.
    Failed(VertexId, Task),
}

/// What takes time and can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    /// Computing a key.
    Key,
    /// Computing the content key of an input.
    Content(usize),
    /// Running.
    Run,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Compute the key of a vertex; the index counts the keys of sources.
    Key(VertexId, usize),
    /// Look an edge up in the cache under the known keys of its inputs.
    Query(Edge, Vec<Vec<Known>>),
    /// Compute the content key of an input, which is done.
    Content(VertexId, usize),
    /// Get the result of an edge that was matched.
    Load(Edge),
    /// Run a vertex, whose inputs are done.
    Run(VertexId),
    /// Take over the results of other edges, which are done, as the vertex's own.
    Adopt(VertexId, Vec<Edge>),
    /// Put the results into the cache under the known keys of the inputs.
    Save(VertexId, Vec<Vec<Known>>),
    /// Stop what is being done for a vertex. Every task still ends with its event.
    Cancel(VertexId),
    /// Tell a job how it ended.
    Finish(JobId, Outcome),
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything it wanted is done.
    Done,
    /// This vertex failed.
    Failed(VertexId),
}

/// How far an edge got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    #[default]
    Nothing,
    Fast,
    Slow,
    Done,
}

/// The vertices of all jobs and how far each is.
#[derive(Default)]
pub struct Scheduler {
    vertices: Vec<Vertex>,
    jobs: BTreeMap<JobId, Vec<Edge>>,
    /// Vertices to look at before the next event, each once.
    queue: VecDeque<VertexId>,
    /// Tasks that were started and have not ended.
    in_flight: BTreeSet<(VertexId, Task)>,
    /// Vertices that are running, by what they do.
    running: BTreeMap<Key, BTreeSet<VertexId>>,
    /// What the event being handled leads to.
    actions: Vec<Action>,
}

struct Vertex {
    inputs: Vec<Input>,
    ignore_cache: bool,
    outputs: Vec<Output>,
    /// Keys computed so far.
    keyed: usize,
    /// Whether there are more.
    more_keys: bool,
    same: Option<Same>,
    run: Run,
    /// A task failed for good.
    failed: bool,
    /// Its tasks were told to stop; nothing is started before they have.
    cancelled: bool,
    queued: bool,
}

struct Input {
    edge: Edge,
    /// Whether its content may be compared.
    comparable: bool,
    /// The key of its content.
    content: Option<Key>,
}

#[derive(Default)]
struct Output {
    goal: Level,
    level: Level,
    keys: Vec<Key>,
    loadable: bool,
    /// For each input, whether its keys led nowhere when last looked.
    missed: Vec<bool>,
    /// How many keys were known of each input when last looked, and of the vertex itself.
    asked: Option<Vec<usize>>,
    answered: bool,
    loading: bool,
    /// Vertices that want this edge.
    waiters: BTreeSet<VertexId>,
    /// Jobs that want it.
    jobs: BTreeSet<JobId>,
}

#[derive(Default)]
enum Run {
    #[default]
    Idle,
    Running,
    /// Waiting for the vertices it expanded into, or for the one it follows.
    Expanded(Vec<Edge>),
    /// Ran; the results are not saved yet.
    Ran,
    /// Failed; content keys that are still being computed may fail with a better reason.
    Failed,
    Saving,
    Done,
}

impl Scheduler {
    /// Adds a vertex, whose inputs were added before.
    pub fn add(&mut self, inputs: &[Edge], ignore_cache: bool) -> VertexId {
        let id = VertexId(u32::try_from(self.vertices.len()).expect("fewer than 2^32 vertices"));
        debug_assert!(inputs.iter().all(|input| input.vertex < id), "inputs come first");
        let input = |edge: &Edge| Input { edge: *edge, comparable: false, content: None };
        self.vertices.push(Vertex {
            inputs: inputs.iter().map(input).collect(),
            ignore_cache,
            outputs: Vec::new(),
            keyed: 0,
            more_keys: false,
            same: None,
            run: Run::Idle,
            failed: false,
            cancelled: false,
            queued: false,
        });
        id
    }

    /// Takes an event and says what to do about it.
    pub fn on(&mut self, event: Event, actions: &mut Vec<Action>) {
        self.apply(event);
        self.settle();
        actions.append(&mut self.actions);
    }

    /// Whether the edge's result is there.
    pub fn is_done(&self, edge: Edge) -> bool {
        let outputs = &self.vertices[edge.vertex.0 as usize].outputs;
        outputs.get(edge.output as usize).is_some_and(|output| output.level == Level::Done)
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Want(job, edges) => self.want(job, edges),
            Event::Drop(job) => self.drop_job(job),
            Event::Keyed { vertex, content, more, same } => self.keyed(vertex, &content, more, same),
            Event::Matched { edge, keys, loadable, missed } => self.matched(edge, keys, loadable, missed),
            Event::Content { vertex, input, key } => {
                self.ended(vertex, Task::Content(input));
                self.vertex_mut(vertex).inputs[input].content = Some(key);
            }
            Event::Loaded { edge, found } => self.loaded(edge, found),
            Event::Ran(vertex) => {
                self.ended(vertex, Task::Run);
                self.vertex_mut(vertex).run = Run::Ran;
            }
            Event::Expanded(vertex, edges) => {
                self.ended(vertex, Task::Run);
                self.runs_no_more(vertex);
                self.vertex_mut(vertex).run = Run::Expanded(edges);
            }
            Event::Saved(vertex, keys) => self.saved(vertex, keys),
            Event::Failed(vertex, task) => self.task_failed(vertex, task),
        }
    }

    fn keyed(&mut self, id: VertexId, content: &[bool], more: bool, same: Option<Same>) {
        self.ended(id, Task::Key);
        let vertex = self.vertex_mut(id);
        vertex.keyed += 1;
        vertex.same = same;
        vertex.more_keys = more;
        for (input, comparable) in vertex.inputs.iter_mut().zip(content) {
            input.comparable = *comparable;
        }
    }

    fn matched(&mut self, edge: Edge, keys: Vec<Key>, loadable: bool, missed: Vec<bool>) {
        let output = self.output_mut(edge);
        output.answered = true;
        output.missed = missed;
        if output.level == Level::Done {
            return; // It was run for another output meanwhile, and has the keys it was saved under.
        }
        output.keys = keys;
        output.loadable = loadable;
        self.enqueue(edge.vertex);
    }

    fn loaded(&mut self, edge: Edge, found: bool) {
        let output = self.output_mut(edge);
        output.loading = false;
        output.loadable = found;
        if found {
            self.done(edge);
        }
        self.enqueue(edge.vertex);
    }

    fn saved(&mut self, id: VertexId, keys: Vec<Vec<Key>>) {
        self.runs_no_more(id);
        self.vertex_mut(id).run = Run::Done;
        for (output, keys) in (0..).zip(keys) {
            let edge = Edge { vertex: id, output };
            self.output_mut(edge).keys = keys;
            self.done(edge);
        }
        // Nobody can have asked for an output that the vertex does not have: the driver checks definitions.
    }

    fn done(&mut self, edge: Edge) {
        self.output_mut(edge).level = Level::Done;
        self.wake(edge);
        self.release_unneeded(edge.vertex);
        self.finish_jobs(edge);
    }

    fn task_failed(&mut self, id: VertexId, task: Task) {
        let cancelled = self.vertex(id).cancelled;
        self.ended(id, task);
        if task == Task::Run {
            self.runs_no_more(id);
        }
        let vertex = self.vertex_mut(id);
        match task {
            _ if cancelled => {
                // It may be wanted again; then everything is done again.
                if task == Task::Run {
                    vertex.run = Run::Idle;
                }
            }
            Task::Run => vertex.run = Run::Failed,
            // It was found in another way meanwhile.
            Task::Content(_) if vertex.outputs.iter().all(Output::is_found) => {}
            Task::Key | Task::Content(_) => self.fail(id),
        }
    }

    /// Takes a vertex out of those that others may follow.
    fn runs_no_more(&mut self, id: VertexId) {
        let Some(same) = &self.vertices[id.0 as usize].same else { return };
        if let Some(running) = self.running.get_mut(&same.key) {
            running.remove(&id);
            if running.is_empty() {
                self.running.remove(&same.key);
            }
        }
    }

    /// Notes that a task is over and the vertex is to be looked at.
    fn ended(&mut self, id: VertexId, task: Task) {
        self.in_flight.remove(&(id, task));
        if !self.is_busy(id) {
            self.vertex_mut(id).cancelled = false;
        }
        self.enqueue(id);
    }

    fn wake(&mut self, edge: Edge) {
        let waiters: Vec<_> = self.output_mut(edge).waiters.iter().copied().collect();
        waiters.into_iter().for_each(|waiter| self.enqueue(waiter));
    }

    fn enqueue(&mut self, id: VertexId) {
        if !std::mem::replace(&mut self.vertex_mut(id).queued, true) {
            self.queue.push_back(id);
        }
    }

    fn start(&mut self, vertex: VertexId, task: Task) {
        self.in_flight.insert((vertex, task));
    }

    /// Whether any task of the vertex is running.
    fn is_busy(&self, vertex: VertexId) -> bool {
        self.in_flight.range((vertex, Task::Key)..=(vertex, Task::Run)).next().is_some()
    }

    fn is_running(&self, vertex: VertexId, task: Task) -> bool {
        self.in_flight.contains(&(vertex, task))
    }

    fn vertex(&self, id: VertexId) -> &Vertex {
        &self.vertices[id.0 as usize]
    }

    fn vertex_mut(&mut self, id: VertexId) -> &mut Vertex {
        &mut self.vertices[id.0 as usize]
    }

    fn output_mut(&mut self, edge: Edge) -> &mut Output {
        let outputs = &mut self.vertex_mut(edge.vertex).outputs;
        let index = edge.output as usize;
        if outputs.len() <= index {
            outputs.resize_with(index + 1, Output::default);
        }
        &mut outputs[index]
    }
}
