//! Generated runs: random graphs, wishes that come and go, answers in any order, failures, nested builds. Whatever happens,
//! nothing is done twice or too early, and every job that is not dropped hears exactly once how it ended.

use super::*;

/// Runs there are, each from its number as the seed.
const RUNS: u64 = 3000;
/// More events than any run needs; a run that goes on for ever stops here.
const MAX_EVENTS: usize = 20_000;

/// A number from xorshift: the same for a seed everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

struct Run {
    random: Random,
    scheduler: Scheduler,
    inputs: Vec<Vec<Edge>>,
    pending: Vec<Action>,
    ran: BTreeSet<VertexId>,
    cancelled: BTreeSet<VertexId>,
    open_jobs: BTreeSet<JobId>,
    jobs: u32,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut run = Self {
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            scheduler: Scheduler::default(),
            inputs: Vec::new(),
            pending: Vec::new(),
            ran: BTreeSet::new(),
            cancelled: BTreeSet::new(),
            open_jobs: BTreeSet::new(),
            jobs: 0,
        };
        for _ in 0..2 + run.random.below(14) {
            run.add();
        }
        run
    }

    fn add(&mut self) -> VertexId {
        let count = if self.inputs.is_empty() { 0 } else { self.random.below(4) };
        let inputs: Vec<Edge> = (0..count).map(|_| self.edge()).collect();
        let ignore_cache = self.random.chance(15);
        self.inputs.push(inputs.clone());
        self.scheduler.add(&inputs, ignore_cache)
    }

    fn edge(&mut self) -> Edge {
        let vertex = VertexId(u32::try_from(self.random.below(self.inputs.len())).unwrap());
        Edge { vertex, output: u32::from(self.random.chance(20)) }
    }

    fn send(&mut self, event: Event) {
        let mut actions = Vec::new();
        self.scheduler.on(event, &mut actions);
        actions.into_iter().for_each(|action| self.take(action));
    }

    /// Checks an action, and keeps it to be answered.
    fn take(&mut self, action: Action) {
        let inputs_done =
            |run: &Self, id: VertexId| run.inputs[id.0 as usize].iter().all(|edge| run.scheduler.is_done(*edge));
        match &action {
            Action::Cancel(id) => {
                assert!(
                    self.pending.iter().any(|pending| task_of(pending).is_some_and(|(busy, _)| busy == *id)),
                    "{id:?} has nothing to cancel"
                );
                self.cancelled.insert(*id);
                return;
            }
            Action::Finish(job, _) => {
                assert!(self.open_jobs.remove(job), "{job:?} ended twice, or was dropped");
                return;
            }
            Action::Run(id) => {
                assert!(inputs_done(self, *id), "{id:?} runs before its inputs are done");
                assert!(!self.ran.contains(id), "{id:?} runs again");
            }
            Action::Content(id, input) => {
                assert!(
                    self.scheduler.is_done(self.inputs[id.0 as usize][*input]),
                    "{id:?} compares what is not there"
                );
            }
            Action::Adopt(_, edges) => assert!(edges.iter().all(|edge| self.scheduler.is_done(*edge))),
            Action::Query(edge, _) => {
                let is_open = |pending: &Action| matches!(pending, Action::Query(other, _) if other == edge);
                assert!(!self.pending.iter().any(is_open), "{edge:?} is asked for twice at once");
            }
            Action::Key(..) | Action::Load(_) | Action::Save(..) => {}
        }
        if let Some(task) = task_of(&action) {
            assert!(
                self.pending.iter().all(|pending| task_of(pending) != Some(task)),
                "{action:?} is done twice at once"
            );
        }
        self.pending.push(action);
    }

    /// What has no thread of its own is answered in its order and first; of the rest anything may end next.
    fn answer(&mut self) {
        let quick = |action: &Action| {
            matches!(action, Action::Query(..) | Action::Load(_) | Action::Save(..) | Action::Adopt(..))
        };
        let next = self.pending.iter().position(quick).unwrap_or_else(|| self.random.below(self.pending.len()));
        let action = self.pending.remove(next);
        let event = self.event(action);
        self.send(event);
    }

    fn event(&mut self, action: Action) -> Event {
        if let Some((id, task)) = task_of(&action) {
            let cancelled = self.cancelled.contains(&id);
            let others = self.pending.iter().any(|pending| task_of(pending).is_some_and(|(busy, _)| busy == id));
            if !others {
                self.cancelled.remove(&id);
            }
            if !matches!(action, Action::Adopt(..)) && self.random.chance(if cancelled { 80 } else { 3 }) {
                return Event::Failed(id, task);
            }
        }
        match action {
            Action::Key(vertex, index) => {
                let inputs = self.inputs[vertex.0 as usize].len();
                let content = (0..inputs).map(|_| self.random.chance(40)).collect();
                let more = inputs == 0 && index < 2 && self.random.chance(30);
                let same = self
                    .random
                    .chance(60)
                    .then(|| Same { key: format!("m{}", self.random.below(2)).into(), selectors: vec![None; inputs] });
                Event::Keyed { vertex, content, more, same: same.filter(|_| inputs > 0) }
            }
            Action::Query(edge, known) => {
                let hit = self.random.chance(30);
                let keys = if hit { vec![key_of(edge)] } else { Vec::new() };
                let loadable = hit && self.random.chance(60);
                let missed = known.iter().map(|_| !hit && self.random.chance(50)).collect();
                Event::Matched { edge, keys, loadable, missed }
            }
            // Contents are often equal.
            Action::Content(vertex, input) => {
                Event::Content { vertex, input, key: format!("c{}", self.random.below(3)).into() }
            }
            Action::Load(edge) => Event::Loaded { edge, found: self.random.chance(80) },
            Action::Run(vertex) if self.random.chance(5) => {
                // A nested build is made of what is new: the driver refuses one that contains itself.
                Event::Expanded(vertex, vec![Edge { vertex: self.lone(), output: 0 }])
            }
            Action::Run(vertex) | Action::Adopt(vertex, _) => {
                self.ran.insert(vertex);
                Event::Ran(vertex)
            }
            Action::Save(vertex, _) => {
                let keys = (0..2).map(|output| vec![key_of(Edge { vertex, output })]).collect();
                Event::Saved(vertex, keys)
            }
            Action::Cancel(_) | Action::Finish(..) => unreachable!("they are not answered"),
        }
    }

    /// A new vertex without inputs.
    fn lone(&mut self) -> VertexId {
        self.inputs.push(Vec::new());
        self.scheduler.add(&[], false)
    }

    fn want(&mut self) {
        let job = JobId(self.jobs);
        self.jobs += 1;
        self.open_jobs.insert(job);
        let edges = (0..1 + self.random.below(2)).map(|_| self.edge()).collect();
        self.send(Event::Want(job, edges));
    }

    fn play(&mut self) {
        self.want();
        for _ in 0..MAX_EVENTS {
            if self.jobs < 6 && self.random.chance(5) {
                self.want();
            }
            if self.random.chance(2)
                && let Some(job) = self.open_jobs.pop_first()
            {
                self.send(Event::Drop(job));
            }
            if self.pending.is_empty() {
                return;
            }
            self.answer();
        }
        panic!("no end: {:?}", self.pending);
    }
}

fn key_of(edge: Edge) -> Key {
    format!("k{}.{}", edge.vertex.0, edge.output).into()
}

/// The task that an action begins.
fn task_of(action: &Action) -> Option<(VertexId, Task)> {
    match action {
        Action::Key(id, _) => Some((*id, Task::Key)),
        Action::Content(id, input) => Some((*id, Task::Content(*input))),
        Action::Run(id) | Action::Adopt(id, _) => Some((*id, Task::Run)),
        Action::Query(..) | Action::Load(_) | Action::Save(..) | Action::Cancel(_) | Action::Finish(..) => None,
    }
}

#[test]
fn every_job_ends_once_whatever_happens() {
    for seed in 0..RUNS {
        let ended = std::panic::catch_unwind(|| {
            let mut run = Run::new(seed);
            run.play();
            assert!(run.open_jobs.is_empty(), "nothing is left to do, and {:?} have heard nothing", run.open_jobs);
            assert!(run.scheduler.in_flight.is_empty(), "{:?} are said to go on", run.scheduler.in_flight);
            assert!(run.scheduler.running.is_empty(), "{:?} are said to run", run.scheduler.running);
        });
        assert!(ended.is_ok(), "seed {seed}");
    }
}
