//! The stages of a build: those of the text, and the anonymous ones that `--from=image` and mounts bring in.
//!
//! Anonymous stages are numbered on after the text's, and count wherever BuildKit v0.32 counts its states: in
//! `--from=N`, and in the question whether there is only one stage, so that step names can do without its name.

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;

use ast::number;
use ast::word::Mode;
use ast::{Op, OptKind, Span, Step, Str};
use indexmap::IndexMap;
use llb::Edge;
use oci::Platform;
use smallvec::SmallVec;

use super::environment::Nothing;
use super::expand::{self, Expanded, Uses};
use super::go;
use super::named::NamedContext;
use super::paths::PathsId;
use super::planner::Planner;
use super::scan;
use super::state::State;
use super::stop::{Done, Stop};

/// The name of nothing.
pub(super) const SCRATCH: &str = "scratch";

/// Index of a stage.
pub(super) type StageId = usize;

/// Stages by their names in lower case, as they are looked up; the later of two equal names.
pub(super) type Names<'a> = IndexMap<Cow<'a, str>, StageId, foldhash::fast::RandomState>;

/// A stage.
pub(super) struct Stage<'a> {
    /// Its name; empty when it has none.
    pub(super) name: &'a str,
    /// Its name in step names and messages: `stage-0` when it has none; empty for anonymous stages.
    pub(super) label: Cow<'a, str>,
    /// What it is built on: the expanded words of `FROM`, later the canonical reference.
    pub(super) base_name: Cow<'a, str>,
    /// The stage it is built on.
    pub(super) base: Option<StageId>,
    /// The context that takes its place.
    pub(super) named: Option<Box<NamedContext>>,
    /// Its platform, as far as known.
    pub(super) platform: Option<Arc<Platform>>,
    /// The instruction that brings it in; mounts have none.
    pub(super) span: Option<Span>,
    /// That instruction as its language prints it; empty for anonymous stages.
    pub(super) text: Option<&'a Step>,
    /// Its steps.
    pub(super) commands: Vec<Command<'a>>,
    /// Stages its steps read from, each once, in their order, with where the last command that does stands.
    pub(super) deps: SmallVec<[(StageId, Span); 1]>,
    /// Whether its `FROM` is wrong: nothing is known of it.
    pub(super) broken: bool,
    /// Whether the text does not define it.
    pub(super) anonymous: bool,
    /// How many steps its names count; 0: names are not numbered.
    pub(super) total: usize,
    /// How many have been named.
    pub(super) index: usize,
    /// Whether its cache is not asked.
    pub(super) ignore_cache: bool,
    /// What it asks to have scanned.
    pub(super) scanned: scan::Asked,
    /// Whether its base was resolved as something that is needed.
    pub(super) resolved: bool,
    /// Whether its result can be used.
    pub(super) dispatched: bool,
    /// Whether the triggers of its base were added.
    pub(super) triggered: bool,
    /// What of it is used, if it is a local directory.
    pub(super) paths: PathsId,
    /// How many stages still start from its result.
    pub(super) heirs: usize,
    /// Its filesystem so far; `None` is scratch, or not known.
    pub(super) root: Option<Edge>,
    /// Its result so far; `None` before it starts, when its last heir took it, and where nobody inherits it. Boxed:
    /// most stages of a large build are mere places to mount from, and they are moved as their list grows.
    pub(super) state: Option<Box<State>>,
}

/// A step of a stage.
pub(super) struct Command<'a> {
    /// It.
    pub(super) step: StepRef<'a>,
    /// The stages it reads from: one for `COPY --from`, one for each mount of `RUN`.
    pub(super) sources: SmallVec<[StageId; 2]>,
    /// Whether the base brought it in.
    pub(super) trigger: bool,
}

/// A step of the text, or one that a base image brings in.
pub(super) enum StepRef<'a> {
    /// Of the text.
    Text(&'a Step),
    /// Of a base.
    Trigger(Box<Step>),
}

impl Deref for StepRef<'_> {
    type Target = Step;

    fn deref(&self) -> &Step {
        match self {
            Self::Text(step) => step,
            Self::Trigger(step) => step,
        }
    }
}

impl Command<'_> {
    /// Where it stands.
    pub(super) fn span(&self) -> Span {
        self.step.span
    }
}

/// Some of the stages. **Shape**: an entry for each stage, whether it is one of them.
pub(super) struct StageSet(Vec<bool>);

impl StageSet {
    /// None of so many stages.
    pub(super) fn none_of(stages: usize) -> Self {
        Self(vec![false; stages])
    }

    /// Adds a stage; whether it was not there.
    pub(super) fn insert(&mut self, id: StageId) -> bool {
        !std::mem::replace(&mut self.0[id], true)
    }

    /// Whether a stage is one of them. Those that came later are not.
    pub(super) fn contains(&self, id: StageId) -> bool {
        self.0.get(id).is_some_and(|is_in| *is_in)
    }

    /// The stages, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = StageId> {
        self.0.iter().enumerate().filter(|(_, is_in)| **is_in).map(|(id, _)| id)
    }
}

impl<'a> Planner<'a> {
    /// A stage without anything.
    pub(super) fn new_stage(&mut self, base_name: Cow<'a, str>, span: Option<Span>) -> Stage<'a> {
        Stage {
            name: "",
            label: Cow::Borrowed(""),
            base_name,
            base: None,
            named: None,
            platform: None,
            span,
            text: None,
            commands: Vec::new(),
            deps: SmallVec::new(),
            broken: false,
            anonymous: false,
            total: 0,
            index: 0,
            ignore_cache: false,
            scanned: scan::Asked::default(),
            resolved: false,
            dispatched: false,
            triggered: false,
            paths: self.paths.add_set(),
            heirs: 0,
            root: None,
            state: None,
        }
    }

    /// Sets the result of a stage.
    pub(super) fn set_state(&mut self, id: StageId, state: Box<State>) {
        self.stages[id].root = state.root;
        self.stages[id].state = Some(state);
    }

    /// Adds a stage; it is built on the stage its base names, and found by its own name from now on.
    pub(super) fn add_stage(&mut self, mut stage: Stage<'a>) -> StageId {
        stage.base = self.base_stage(&stage.base_name);
        let id = self.stages.len();
        if !stage.name.is_empty() {
            self.names.insert(go::to_lower(stage.name), id);
        }
        self.stages.push(stage);
        id
    }

    /// The stage of a name, in any case.
    pub(super) fn find_stage(&self, name: &str) -> Option<StageId> {
        self.names.get(&*go::to_lower(name)).copied()
    }

    /// The stage that a base names: only one in lower case is that of a stage.
    pub(super) fn base_stage(&self, name: &str) -> Option<StageId> {
        self.names.get(name).copied()
    }

    /// Names of stages, for suggestions.
    pub(super) fn stage_names(&self) -> impl Iterator<Item = &str> {
        self.stages.iter().map(|stage| &*stage.label).filter(|label| !label.is_empty())
    }

    /// Adds a command to a stage, with the stages it reads from; `None` when it cannot be.
    pub(super) fn connect(&mut self, step: StepRef<'a>, trigger: bool) -> Done<Command<'a>> {
        let mut options = step.opts.iter();
        let sources = match &step.op {
            Op::Copy(_) => {
                match options.find_map(|opt| if let OptKind::From(from) = &opt.kind { Some(from) } else { None }) {
                    Some(from) if !from.raw().is_empty() => [self.copy_source(from, step.span)?].into_iter().collect(),
                    _ => SmallVec::new(),
                }
            }
            Op::Run(_) => self.mount_sources(&step),
            _ => SmallVec::new(),
        };
        Ok(Command { step, sources, trigger })
    }

    /// `COPY --from`: a number, the name of a stage, or something outside.
    fn copy_source(&mut self, from: &Str, span: Span) -> Done<StageId> {
        let written = ast::word::decode(from.raw());
        let value = expand::expand(from.raw(), self.escape, Mode::Word, &Nothing, &mut Uses::ignored())?;
        if value != Expanded::Known(written.clone()) {
            return Err(Stop::error(
                "variable expansion is not supported for --from, define a new stage with FROM using ARG from global \
                 scope as a workaround",
            )
            .point(from.span));
        }
        if let Some(index) = number::atoi(&written) {
            if self.is_guessing() {
                return Err(Stop::Unknown);
            }
            let found = usize::try_from(index).ok().filter(|index| *index < self.stages.len());
            return found.ok_or_else(|| {
                let count = self.stages.len();
                Stop::error(format!("invalid stage index {index}"))
                    .help(format!("stages are numbered from 0; the last is {}", count - 1))
                    .point(from.span)
            });
        }
        Ok(self.find_stage(&written).unwrap_or_else(|| self.add_anonymous(written.into_owned().into(), Some(span))))
    }

    /// A stage for every mount. parity: one without `from` mounts from `scratch`, which is a stage like any other.
    fn mount_sources(&mut self, step: &Step) -> SmallVec<[StageId; 2]> {
        let mounts = step.opts.iter().filter_map(|opt| if let OptKind::Mount(m) = &opt.kind { Some(m) } else { None });
        let source_of = |mount: &ast::Mount| {
            let mut named = mount.fields.iter().rev().filter(|field| field.key.eq_ignore_ascii_case("from"));
            let value = named.find_map(|field| field.value.as_ref()).map(|value| value.raw().lossy());
            match value.filter(|value| !value.is_empty() && value != SCRATCH) {
                Some(name) => {
                    self.find_stage(&name).unwrap_or_else(|| self.add_anonymous(name.into_owned().into(), None))
                }
                None => self.find_stage(SCRATCH).unwrap_or_else(|| self.add_anonymous(SCRATCH.into(), None)),
            }
        };
        mounts.map(source_of).collect()
    }

    fn add_anonymous(&mut self, base_name: Cow<'a, str>, span: Option<Span>) -> StageId {
        let stage = self.new_stage(base_name, span);
        self.add_stage(Stage { anonymous: true, ..stage })
    }

    /// Adds commands to a stage; those of its base come first.
    pub(super) fn add_commands(&mut self, id: StageId, commands: Vec<Command<'a>>, first: bool) {
        let stage = &mut self.stages[id];
        for command in &commands {
            stage.deps.extend(command.sources.iter().map(|source| (*source, command.span())));
        }
        stage.deps.sort_by_key(|(id, _)| *id);
        stage.deps.dedup_by(|(later, span), (id, kept)| {
            let same = later == id;
            *kept = if same { *span } else { *kept };
            same
        });
        if stage.commands.is_empty() {
            stage.commands = commands;
            return;
        }
        let at = if first { 0 } else { stage.commands.len() };
        stage.commands.splice(at..at, commands);
    }

    /// All stages that some stages need, themselves included.
    pub(super) fn reachable(&self, from: impl IntoIterator<Item = StageId>) -> StageSet {
        let mut reachable = StageSet::none_of(self.stages.len());
        let mut open: Vec<StageId> = from.into_iter().collect();
        while let Some(id) = open.pop() {
            if reachable.insert(id) {
                let stage = &self.stages[id];
                open.extend(stage.base);
                open.extend(stage.deps.iter().map(|(id, _)| *id));
            }
        }
        reachable
    }

    /// Refuses stages whose steps read from each other in a circle. Bases cannot: they come before.
    pub(super) fn check_cycles(&self) -> Done {
        #[derive(Clone, Copy, PartialEq)]
        enum Mark {
            New,
            Open,
            Done,
        }
        let mut marks = vec![Mark::New; self.stages.len()];
        // The way down: stages with the dependencies still to look at, and the steps that lead from one to the next.
        let (mut way, mut steps) = (Vec::new(), Vec::new());
        for root in 0..self.stages.len() {
            if marks[root] != Mark::New {
                continue;
            }
            way.push((root, self.stages[root].deps.iter()));
            marks[root] = Mark::Open;
            while let Some((id, rest)) = way.last_mut() {
                let Some(&(dep, span)) = rest.next() else {
                    marks[*id] = Mark::Done;
                    way.pop();
                    steps.pop();
                    continue;
                };
                match marks[dep] {
                    Mark::Open => return Err(self.cycle(root, steps.into_iter().chain([span]))),
                    Mark::New => {
                        marks[dep] = Mark::Open;
                        way.push((dep, self.stages[dep].deps.iter()));
                        steps.push(span);
                    }
                    Mark::Done => {}
                }
            }
        }
        Ok(())
    }

    fn cycle(&self, root: StageId, steps: impl Iterator<Item = Span>) -> Stop {
        let message = format!("circular dependency detected on stage: {}", self.stages[root].label);
        let help = "a stage can only copy from stages that do not need it: move what both need into a third";
        steps.fold(Stop::error(message).help(help), |stop, span| self.at(stop, Some(span)))
    }
}
