//! The loop between the scheduler, which decides, and the threads that act. What takes no time is done in the loop.

use std::any::Any;
use std::collections::{BTreeSet, HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Scope;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use llb::{Decoded, Op};
use oci::{Digest, Platform};

use super::lanes::{Lane, Lanes};
use super::lineage;
use super::makers;
use super::names;
use super::report::Report;
use super::scheduler::{Action, Edge, Event, JobId, Known, Outcome, Same, Scheduler, Task, VertexId};
use super::tasks::Job;
use super::trace::{self, Trace};
use super::vertices::Vertices;
use crate::cache::{self, Lent, VertexKey};
use crate::cdi::Devices;
use crate::exporters::Made;
use crate::ops::Ran;
use crate::ops::exec::{Failures, wants_sandbox};
use crate::runtime::{NetworkMode, Runtime};
use crate::session::Session;
use crate::snapshot::{Committed, LayerId, Snapshots};
use crate::sources::{self, Fetching, Key, Pinned};
use crate::store::{StepRun, Store};
use crate::{Cancel, Error, Result, progress};

/// So deep may builds be nested: generated definitions use one level or two, and a definition that makes the next one must
/// end.
const MAX_NESTED: u32 = 16;

/// The only job of a build.
const JOB: JobId = JobId(0);

/// What a build works with.
pub struct Build<'a> {
    /// Blobs, layers, the cache.
    pub store: &'a Store,
    /// Trees.
    pub snapshots: &'a dyn Snapshots,
    /// Processes.
    pub runtime: &'a dyn Runtime,
    /// Layers on their way.
    pub fetching: &'a Fetching,
    /// The user's directories, secrets, agents.
    pub session: &'a Session,
    /// Entitlements granted.
    pub allow: &'a [String],
    /// Devices of this machine.
    pub devices: &'a Devices,
    /// The network of processes whose definition leaves it open.
    pub network: NetworkMode,
    /// Who is told.
    pub sink: &'a dyn progress::Sink,
    /// Platform of vertices that do not name one.
    pub host: &'a Platform,
    /// Caches that others lend.
    pub lent: &'a [Arc<Lent>],
    /// How many of the outputs are results; what comes behind them is said of those.
    pub results: usize,
    /// Whether it is traced what went into the results.
    pub traced: bool,
    /// Whether the cache is not read.
    pub no_cache: bool,
    /// Most vertices run at once; 0 leaves it to the driver.
    pub max_parallelism: usize,
    /// Where steps that fail leave what they had; without it, it is thrown away.
    pub failures: Option<&'a Failures>,
    /// Asked to stop through this.
    pub cancel: &'a Cancel,
}

/// Takes a tree whose layers are all layers of what was asked for, as soon as it is made. Must be quick.
pub type OnMade<'a> = &'a dyn Fn(&Committed);

/// A result.
#[derive(Clone, Debug, Default)]
pub struct Solved {
    /// Its tree.
    pub tree: Committed,
    /// Where each layer of the tree is from, as the definition has it; nothing where it does not say.
    pub made: Vec<Made>,
    /// The keys that it has in the cache.
    pub keys: Vec<cache::Key>,
    /// What led to it, where that is traced.
    pub trace: Option<Trace>,
}

/// What a build gave.
#[derive(Debug, Default)]
pub struct Outcomes {
    /// One result for each output of the definition.
    pub solved: Vec<Solved>,
    /// The keys in the cache of all that it needed, results or not, but for what the definition says is not for others.
    pub keys: BTreeSet<cache::Key>,
}

/// Builds what a definition asks for.
pub fn solve(build: &Build<'_>, decoded: Decoded, on_made: OnMade<'_>) -> Result<Outcomes> {
    let (sender, receiver) = channel();
    let interrupt = sender.clone();
    let _hook = build.cancel.on_cancel(move || drop(interrupt.send(Ended::Interrupted)));
    std::thread::scope(|scope| {
        let mut driver = Driver::new(build, scope, sender, on_made);
        let outputs = driver.add(decoded, 0);
        let edges: Vec<Edge> = outputs.iter().copied().flatten().collect();
        outputs.iter().take(build.results).flatten().for_each(|edge| driver.descend(*edge));
        driver.run(Event::Want(JOB, edges), &receiver);
        driver.finish(&outputs)
    })
}

fn same(key: &VertexKey) -> Same {
    let selector = |input: &cache::InputKey| input.selector.as_ref().map(|selector| selector.as_str().into());
    Same { key: key.digest.as_str().into(), selectors: key.inputs.iter().map(selector).collect() }
}

/// A task that came to its end, or a request to stop.
enum Ended {
    Pinned(VertexId, Result<(Arc<dyn Pinned>, Option<Key>)>),
    Compared(VertexId, usize, Result<Digest>),
    Ran(VertexId, Result<Ran>),
    Panicked(Lane, Box<dyn Any + Send>),
    Interrupted,
}

impl Ended {
    /// The lane that has room again.
    fn lane(&self) -> Option<Lane> {
        match self {
            Self::Pinned(..) => Some(Lane::Pin),
            Self::Compared(..) => Some(Lane::Compare),
            Self::Ran(..) => Some(Lane::Run),
            Self::Panicked(lane, _) => Some(*lane),
            Self::Interrupted => None,
        }
    }
}

type Work<'a> = Box<dyn FnOnce() -> Ended + Send + 'a>;

/// Work that has no thread yet.
struct Waiting<'a> {
    id: VertexId,
    work: Work<'a>,
}

struct Driver<'scope, 'env> {
    build: &'env Build<'env>,
    scope: &'scope Scope<'scope, 'env>,
    sender: Sender<Ended>,
    scheduler: Scheduler,
    vertices: Vertices,
    report: Report<'env>,
    /// Events that actions done in the loop gave.
    events: VecDeque<Event>,
    lanes: Lanes<Waiting<'env>>,
    outcome: Option<Result<()>>,
    /// What the outputs will consist of.
    lineage: HashSet<Edge>,
    on_made: OnMade<'env>,
    /// Whether processes that the runtime has not been told of may come, and whether one of them in a sandbox.
    processes: Option<bool>,
}

impl<'scope, 'env> Driver<'scope, 'env> {
    fn new(
        build: &'env Build<'env>,
        scope: &'scope Scope<'scope, 'env>,
        sender: Sender<Ended>,
        on_made: OnMade<'env>,
    ) -> Self {
        Self {
            build,
            scope,
            sender,
            scheduler: Scheduler::default(),
            vertices: Vertices::default(),
            report: Report::new(build.sink),
            events: VecDeque::new(),
            lanes: Lanes::new(build.max_parallelism),
            outcome: None,
            lineage: HashSet::new(),
            on_made,
            processes: None,
        }
    }

    /// Adds the vertices of a definition, which so many nested builds led to.
    fn add(&mut self, decoded: Decoded, depth: u32) -> Vec<Option<Edge>> {
        let (outputs, new) = self.vertices.add(decoded, self.build.no_cache, depth, &mut self.scheduler);
        self.report.announce(&self.vertices, &new);
        let mut is_certain = false;
        new.into_iter().for_each(|id| is_certain |= self.note_process(id));
        if is_certain {
            self.expect_processes();
        }
        outputs
    }

    /// Adds what an edge will consist of to the lineage.
    fn descend(&mut self, edge: Edge) {
        let mut open = vec![edge];
        while let Some(edge) = open.pop() {
            if !self.lineage.insert(edge) {
                continue;
            }
            let vertex = &self.vertices[edge.vertex];
            let kept = lineage::kept(&vertex.step.node, edge.output);
            open.extend(kept.iter().filter_map(|position| vertex.step.inputs.get(*position)));
            open.extend(vertex.expanded);
            self.made(edge);
        }
    }

    /// Tells of a result if it is of the lineage.
    fn made(&self, edge: Edge) {
        if self.lineage.contains(&edge)
            && let Some(tree) = self.vertices[edge.vertex].results.get(&edge.output)
        {
            (self.on_made)(tree);
        }
    }

    fn run(&mut self, first: Event, receiver: &Receiver<Ended>) {
        self.events.push_back(first);
        let mut actions = Vec::new();
        loop {
            while let Some(event) = self.events.pop_front() {
                self.scheduler.on(event, &mut actions);
                actions.drain(..).for_each(|action| self.perform(action));
            }
            if self.lanes.is_idle() {
                assert!(self.outcome.is_some(), "a build with nothing left to do has ended");
                return;
            }
            let ended = receiver.recv().expect("the driver itself holds a sender");
            self.take(ended);
        }
    }

    fn finish(mut self, outputs: &[Option<Edge>]) -> Result<Outcomes> {
        let outcome = self.outcome.take().expect("the loop ran to its end");
        self.report.finish(&self.vertices, outcome.is_ok());
        self.build.store.remember_steps(&self.steps(), &self.layers_made())?;
        outcome?;
        let used = self.vertices.iter().flat_map(|vertex| vertex.results.values());
        cache::touch(self.build.store, used, now())?;
        let solved = outputs.iter().enumerate().map(|(number, edge)| match edge {
            None => Ok(Solved::default()),
            Some(edge) => self.solved(*edge, self.build.traced && number < self.build.results),
        });
        let lent = self.vertices.iter().filter(|vertex| vertex.step.node.meta.export_cache != Some(false));
        let keys = lent.flat_map(|vertex| vertex.found.values().flatten().cloned()).collect();
        Ok(Outcomes { solved: solved.collect::<Result<_>>()?, keys })
    }

    fn solved(&self, edge: Edge, traced: bool) -> Result<Solved> {
        let tree = self.vertices.result(edge)?;
        let Build { host, store, .. } = *self.build;
        let trace = traced.then(|| trace::of(edge, &self.vertices, host, store)).transpose()?;
        let keys = self.vertices[edge.vertex].found.get(&edge.output).cloned().unwrap_or_default();
        let mut makers = makers::of_layers(edge, &self.vertices).unwrap_or_default().into_iter();
        // A layer may go on with the one below, and be one with it.
        let mut made: Vec<Made> = Vec::with_capacity(tree.layers.len());
        for (index, layer) in tree.layers.iter().enumerate() {
            let continues = self.build.snapshots.contents(layer).ok().and_then(|contents| contents.continues);
            let below = index.checked_sub(1).filter(|below| continues.as_deref() == Some(&*tree.layers[*below].0));
            match below.and_then(|below| made.get(below).cloned()).or_else(|| makers.next()) {
                Some(maker) => made.push(maker),
                None => return Ok(Solved { tree, made: Vec::new(), keys, trace }),
            }
        }
        if makers.next().is_some() {
            made.clear();
        }
        Ok(Solved { tree, made, keys, trace })
    }

    /// How the vertices that ran went.
    fn steps(&self) -> Vec<(Digest, StepRun)> {
        let step = |(id, took): &(VertexId, Duration)| {
            let bytes = self.made_bytes(*id);
            (self.vertices[*id].step.digest.clone(), StepRun { took: *took, bytes })
        };
        self.report.ran().iter().map(step).collect()
    }

    /// The layers that vertices made that ran, and what each is called.
    fn layers_made(&self) -> Vec<(&str, String)> {
        let mut made = Vec::new();
        for (id, _) in self.report.ran() {
            let step = &self.vertices[*id].step;
            for output in self.vertices[*id].results.keys() {
                for layer in self.own_layers(Edge { vertex: *id, output: *output }) {
                    made.push((&*layer.0, names::of_layers(&step.node, &step.name, *output)));
                }
            }
        }
        made
    }

    /// Bytes of the layers that a vertex put on those of its inputs, in its first output.
    fn made_bytes(&self, id: VertexId) -> Option<u64> {
        let own = self.own_layers(Edge { vertex: id, output: 0 });
        own.into_iter().map(|layer| Some(self.build.snapshots.contents(layer).ok()?.bytes)).sum()
    }

    /// The layers of a result that are in no input of its vertex.
    fn own_layers(&self, edge: Edge) -> Vec<&LayerId> {
        let vertex = &self.vertices[edge.vertex];
        let inputs = vertex.step.inputs.iter().filter_map(|input| self.vertices.result(*input).ok());
        let known: HashSet<_> = inputs.flat_map(|tree| tree.layers).collect();
        let layers = vertex.results.get(&edge.output).into_iter().flat_map(|tree| &tree.layers);
        layers.filter(|layer| !known.contains(layer)).collect()
    }

    fn perform(&mut self, action: Action) {
        let done = match action {
            Action::Key(id, index) => self.key(id, index),
            Action::Query(edge, known) => self.query(edge, &known),
            Action::Content(id, input) => self.compare(id, input),
            Action::Load(edge) => self.load(edge),
            Action::Run(id) => self.start(id),
            Action::Adopt(id, edges) => self.adopt(id, &edges),
            Action::Save(id, known) => self.save(id, &known),
            Action::Cancel(id) => {
                std::mem::take(&mut self.vertices[id].cancel).cancel();
                Ok(())
            }
            Action::Finish(_, outcome) => {
                self.finished(outcome);
                Ok(())
            }
        };
        if let Err(error) = done {
            self.abort(error);
        }
    }

    /// Takes note of how a task ended.
    fn take(&mut self, ended: Ended) {
        if let Some(lane) = ended.lane() {
            self.lanes.ended(lane);
            self.start_next(lane);
        }
        match ended {
            Ended::Pinned(id, Ok((pinned, key))) => self.pinned(id, pinned, key),
            Ended::Pinned(id, Err(error)) => self.failed(id, Task::Key, error),
            Ended::Compared(vertex, input, Ok(content)) => {
                let key = cache::content_key(&content);
                self.events.push_back(Event::Content { vertex, input, key });
            }
            Ended::Compared(id, input, Err(error)) => self.failed(id, Task::Content(input), error),
            Ended::Ran(id, Ok(ran)) => self.ran(id, ran),
            Ended::Ran(id, Err(error)) => self.failed(id, Task::Run, error),
            Ended::Panicked(_, payload) => {
                // The other threads of the scope are told to stop, and joined while this unwinds.
                self.vertices.iter().for_each(|vertex| vertex.cancel.cancel());
                resume_unwind(payload);
            }
            Ended::Interrupted => self.abort(Error::Cancelled),
        }
    }

    /// Ends the build before its time.
    fn abort(&mut self, error: Error) {
        self.outcome.get_or_insert(Err(error));
        self.events.push_back(Event::Drop(JOB));
    }

    fn finished(&mut self, outcome: Outcome) {
        let outcome = match outcome {
            Outcome::Done => Ok(()),
            Outcome::Failed(id) => Err(self.failure(id)),
        };
        self.outcome.get_or_insert(outcome);
    }

    fn failure(&mut self, id: VertexId) -> Error {
        let vertex = &mut self.vertices[id];
        let source = Box::new(vertex.error.take().expect("a vertex that failed has an error"));
        Error::Step { name: vertex.step.name.clone(), digest: vertex.step.digest.clone(), source }
    }

    fn failed(&mut self, id: VertexId, task: Task, error: Error) {
        let vertex = &mut self.vertices[id];
        match task {
            // A run that fails beside a comparison fails for the same reason, which the comparison says better.
            Task::Run => drop(vertex.error.get_or_insert(error)),
            Task::Key | Task::Content(_) => vertex.error = Some(error),
        }
        let text = vertex.error.as_ref().map(Error::to_string);
        self.report.ended(&vertex.step.clone(), text);
        self.events.push_back(Event::Failed(id, task));
    }

    fn key(&mut self, id: VertexId, index: usize) -> Result<()> {
        let vertex = &mut self.vertices[id];
        if matches!(vertex.step.node.op, Op::Source(_)) {
            let pinned = vertex.pinned.clone();
            self.spawn(Lane::Pin, id, move |job| Ended::Pinned(id, job.pin(pinned, index)));
            return Ok(());
        }
        match cache::of_vertex(&vertex.step.node, self.build.host) {
            Ok(key) => {
                let content = key.inputs.iter().map(|input| input.content.is_some()).collect();
                // A nested build may hold the vertex that would wait for it.
                let same = (!matches!(vertex.step.node.op, Op::Build(_))).then(|| same(&key));
                vertex.keys.push(key);
                self.events.push_back(Event::Keyed { vertex: id, content, more: false, same });
            }
            Err(error) => self.failed(id, Task::Key, error),
        }
        Ok(())
    }

    fn pinned(&mut self, id: VertexId, pinned: Arc<dyn Pinned>, key: Option<Key>) {
        let more = key.is_some();
        let vertex = &mut self.vertices[id];
        vertex.pinned = Some(pinned);
        if let Some(Key::Stable(key)) = key {
            vertex.keys.push(VertexKey { digest: cache::of_source(&key), inputs: Vec::new() });
        }
        // Layers on their way are shared below: sources are not merged here.
        self.events.push_back(Event::Keyed { vertex: id, content: Vec::new(), more, same: None });
    }

    fn query(&mut self, edge: Edge, known: &[Vec<Known>]) -> Result<()> {
        let vertex = &mut self.vertices[edge.vertex];
        let found = cache::query(self.build.store, self.build.lent, &vertex.keys, edge.output, &to_cache(known))?;
        vertex.found.insert(edge.output, found.keys.clone());
        let (keys, loadable, missed) = (found.keys, found.has_result, found.missed);
        self.events.push_back(Event::Matched { edge, keys, loadable, missed });
        Ok(())
    }

    fn compare(&mut self, id: VertexId, input: usize) -> Result<()> {
        let vertex = &self.vertices[id];
        let tree = self.vertices.result(vertex.step.inputs[input])?;
        let key = vertex.keys.first().expect("a vertex is keyed before its inputs are compared");
        let selectors = key.inputs[input].content.clone().expect("only comparable inputs are compared");
        self.spawn(Lane::Compare, id, move |job| Ended::Compared(id, input, job.compare(&tree, &selectors)));
        Ok(())
    }

    fn load(&mut self, edge: Edge) -> Result<()> {
        let keys = self.vertices[edge.vertex].found.get(&edge.output).cloned().unwrap_or_default();
        let tree = match self.stored(&keys)? {
            Some(tree) => Some(tree),
            None => self.borrowed(&keys)?,
        };
        let found = tree.is_some();
        if let Some(tree) = tree {
            self.vertices[edge.vertex].results.insert(edge.output, tree);
            self.report.loaded(&self.vertices, edge.vertex);
            self.made(edge);
        }
        self.events.push_back(Event::Loaded { edge, found });
        Ok(())
    }

    /// The newest result of keys that the store has, and that can be had; those that cannot are forgotten.
    fn stored(&self, keys: &[cache::Key]) -> Result<Option<Committed>> {
        for (_, tree) in cache::results(self.build.store, keys)? {
            if self.can_be_had(&tree)? {
                return Ok(Some(tree));
            }
            cache::forget(self.build.store, keys, &tree)?;
        }
        Ok(None)
    }

    /// The newest result of keys that somebody lends, which is the store's then.
    fn borrowed(&self, keys: &[cache::Key]) -> Result<Option<Committed>> {
        let loans = self.build.lent.iter().flat_map(|lent| keys.iter().flat_map(|key| lent.loans(key)));
        let Some(newest) = loans.max_by_key(|loan| loan.created) else { return Ok(None) };
        cache::borrow(self.build.store, keys, newest)?;
        Ok(Some(newest.tree.clone()))
    }

    fn can_be_had(&self, tree: &Committed) -> Result<bool> {
        let Build { store, snapshots, session, cancel, sink, .. } = *self.build;
        let progress = &progress::Vertex { sink, digest: Digest::sha256(b"files") };
        sources::can_be_had(tree, sources::Context { store, snapshots, session, progress, cancel })
    }

    /// Takes note of a step that runs a process; whether it is certain to run.
    fn note_process(&mut self, id: VertexId) -> bool {
        let node = &self.vertices[id].step.node;
        let Op::Exec(exec) = &node.op else { return false };
        *self.processes.get_or_insert_default() |= wants_sandbox(exec, self.build.network);
        node.meta.ignore_cache
    }

    /// Not all comes from the cache: lets begin what processes and their trees will wait for.
    fn expect_processes(&mut self) {
        if let Some(sandbox) = self.processes.take() {
            let (runtime, snapshots) = (self.build.runtime, self.build.snapshots);
            self.scope.spawn(move || runtime.expect(sandbox));
            self.scope.spawn(move || snapshots.expect());
        }
    }

    fn start(&mut self, id: VertexId) -> Result<()> {
        self.expect_processes();
        let vertex = &self.vertices[id];
        let pinned = vertex.pinned.clone();
        let inputs = vertex.step.inputs.iter().map(|input| self.vertices.result(*input));
        let inputs: Vec<Committed> = match inputs.collect() {
            Ok(inputs) => inputs,
            Err(error) => {
                self.failed(id, Task::Run, error);
                return Ok(());
            }
        };
        self.spawn(Lane::Run, id, move |job| {
            Ended::Ran(id, pinned.map_or_else(|| job.run(&inputs), |pinned| job.fetch(&*pinned)))
        });
        Ok(())
    }

    fn ran(&mut self, id: VertexId, ran: Ran) {
        match ran {
            Ran::Outputs(outputs) => {
                self.vertices[id].results = (0..).zip(outputs).collect();
                let outputs = self.vertices[id].results.keys();
                outputs.for_each(|output| self.made(Edge { vertex: id, output: *output }));
                self.report.ended(&self.vertices[id].step.clone(), None);
                self.events.push_back(Event::Ran(id));
            }
            Ran::Definition(decoded) => self.nested(id, *decoded),
        }
    }

    /// Lets what a definition asks for stand for the vertex that read it.
    fn nested(&mut self, id: VertexId, decoded: Decoded) {
        let depth = self.vertices[id].depth + 1;
        if depth > MAX_NESTED {
            let error = Error::Definition(format!("builds are nested more than {MAX_NESTED} deep"));
            return self.failed(id, Task::Run, error);
        }
        let outputs = self.add(decoded, depth);
        let Some(Some(edge)) = outputs.first().copied() else {
            return self.ran(id, Ran::Outputs(vec![Committed::default()]));
        };
        if self.vertices.needs(edge.vertex, id) {
            return self.failed(id, Task::Run, Error::Definition("a nested build contains itself".into()));
        }
        self.vertices[id].expanded = Some(edge);
        if self.lineage.contains(&Edge { vertex: id, output: 0 }) {
            self.descend(edge);
        }
        self.events.push_back(Event::Expanded(id, vec![edge]));
    }

    fn adopt(&mut self, id: VertexId, edges: &[Edge]) -> Result<()> {
        let outputs = edges.iter().map(|edge| self.vertices.result(*edge)).collect::<Result<Vec<_>>>()?;
        self.ran(id, Ran::Outputs(outputs));
        Ok(())
    }

    fn save(&mut self, id: VertexId, known: &[Vec<Known>]) -> Result<()> {
        let vertex = &self.vertices[id];
        let count = u32::try_from(vertex.results.len()).expect("outputs are few");
        let results: Vec<_> = (0..count).map(|output| vertex.results[&output].clone()).collect();
        let keys = cache::save(self.build.store, &vertex.keys, &to_cache(known), &results, now())?;
        self.vertices[id].found.extend((0..).zip(keys.iter().cloned()));
        self.events.push_back(Event::Saved(id, keys));
        Ok(())
    }

    fn spawn(&mut self, lane: Lane, id: VertexId, act: impl FnOnce(&Job<'env>) -> Ended + Send + 'env) {
        let vertex = &self.vertices[id];
        let job = Job { build: self.build, step: vertex.step.clone(), cancel: vertex.cancel.clone() };
        self.lanes.push(lane, Waiting { id, work: Box::new(move || act(&job)) });
        self.start_next(lane);
    }

    fn start_next(&mut self, lane: Lane) {
        while let Some(Waiting { id, work }) = self.lanes.next(lane) {
            if lane != Lane::Compare {
                self.report.started(&self.vertices[id].step);
            }
            self.start_thread(lane, work);
        }
    }

    fn start_thread(&self, lane: Lane, work: Work<'env>) {
        let sender = self.sender.clone();
        self.scope.spawn(move || {
            let ended = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| Ended::Panicked(lane, payload));
            // The receiver outlives the scope.
            let _ = sender.send(ended);
        });
    }
}

/// The scheduler knows nothing of the cache, so it has a type of its own.
fn to_cache(known: &[Vec<Known>]) -> Vec<Vec<cache::Known>> {
    let one = |known: &Known| cache::Known { key: known.key.clone(), content: known.content };
    known.iter().map(|keys| keys.iter().map(one).collect()).collect()
}

/// Milliseconds since the epoch.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
