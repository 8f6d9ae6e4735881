//! What planning for one platform works on, and the few things every step does: expand, note, report, locate.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use ast::{Diagnostic, Goal, LineIndex, Severity, Span, Str};
use llb::{Graph, Location, Position, Range};
use oci::Platform;

use super::context::{ContextPlan, MainContext};
use super::environment::{Assignments, Environment, Lookup, Scope, Value};
use super::expand::{self, Expanded, Uses};
use super::from::InFrom;
use super::globals::Globals;
use super::history::History;
use super::named::PendingLocal;
use super::notes::{Finding, Note, NoteKind};
use super::paths::UsedPaths;
use super::scopes::StepScope;
use super::settings::Settings;
use super::stages::{Command, Names, Stage};
use super::state::State;
use super::stop::{Done, Stop};
use super::wrong::Wrong;
use super::{Purpose, Request, captures::Captures};
use crate::{Answer, AskError, Facts, Question};

/// How many bytes the values of variables may come to, in all steps together. What is written once is bounded by the text;
/// this is a hundred times what a daemon takes as a definition.
const MAX_GROWTH: usize = 1 << 30;

/// Whether an argument is never a variable of processes.
pub(super) fn is_hidden_arg(key: &str) -> bool {
    super::scan::ARGS.contains(&key)
}

/// What all platforms of a build add to.
#[derive(Default)]
pub(super) struct Shared {
    /// All vertices.
    pub(super) graph: Graph,
    /// What is not known.
    pub(super) asks: BTreeSet<Question>,
    /// What could not be asked since it was last reported.
    pub(super) unreachable: Vec<AskError>,
    /// What was found.
    pub(super) findings: Vec<Finding>,
    /// History of all stages.
    pub(super) history: History,
    /// How many groups of vertices shown as one there are.
    pub(super) groups: u32,
    /// What watched steps see.
    pub(super) scopes: Vec<StepScope>,
    /// Instructions that are wrong.
    pub(super) wrong: Wrong,
    /// Whether stages need each other in a circle.
    pub(super) circular: bool,
}

/// The platform a build is for.
pub(super) struct Target {
    /// It.
    pub(super) platform: Arc<Platform>,
    /// Whether nobody asked for it: then images keep theirs.
    pub(super) implicit: bool,
}

/// Planning for one platform.
pub(super) struct Planner<'a> {
    pub(super) request: &'a Request<'a>,
    pub(super) settings: &'a Settings<'a>,
    pub(super) facts: &'a Facts,
    /// What was asked for, if the text has a name for it.
    pub(super) goal: Option<&'a Goal>,
    /// The escape character of the text.
    pub(super) escape: u8,
    pub(super) target: Target,
    /// What stages start with that start from nothing.
    pub(super) scratch: Option<State>,
    pub(super) shared: &'a mut Shared,
    /// Whether notes are wanted: those of one platform are enough.
    pub(super) noting: bool,
    /// Build arguments; the epoch may be replaced.
    pub(super) build_args: BTreeMap<&'a str, Rc<str>>,
    /// Arguments of the module and those that are always there.
    pub(super) globals: Globals<'a>,
    /// What the bases of stages come to with them, until the stages are added.
    pub(super) bases: Vec<InFrom<'a>>,
    /// Values of [`super::scan::ARGS`] among them, if there is any.
    pub(super) scan_args: Option<[Value; 2]>,
    /// Names that `FROM` may use: `globals`, and arguments without a value.
    pub(super) declared: BTreeSet<&'a str>,
    /// Seconds since the epoch that times are set to.
    pub(super) epoch: Option<i64>,
    pub(super) stages: Vec<Stage<'a>>,
    pub(super) names: Names<'a>,
    pub(super) context_plan: &'a ContextPlan,
    pub(super) context: MainContext,
    pub(super) paths: UsedPaths,
    /// Local contexts whose vertices are completed last.
    pub(super) locals: Vec<PendingLocal>,
    pub(super) captures: Captures,
    /// How many answers were used.
    pub(super) answers: usize,
    /// Bytes that words have grown by when they were expanded.
    pub(super) grown: usize,
}

impl<'a> Planner<'a> {
    /// The answer to a question; asks it when there is none yet.
    pub(super) fn ask(&mut self, question: Question) -> Done<Result<&'a Answer, &'a AskError>> {
        match self.facts.answers.get(&question) {
            Some(Err(error)) if error.unreachable && self.request.purpose == Purpose::Lint => {
                self.shared.unreachable.push(error.clone());
                Err(Stop::Unknown)
            }
            Some(answer) => {
                self.answers += 1;
                Ok(answer.as_ref())
            }
            None if self.is_guessing() => Err(Stop::Unknown),
            None => {
                self.shared.asks.insert(question);
                Err(Stop::Unknown)
            }
        }
    }

    /// Whether the graph and the histories are wanted. Who looks for mistakes has no use for them, and they are most of the
    /// work: what finds a mistake comes before what draws a vertex.
    pub(super) fn draws(&self) -> bool {
        self.request.purpose != Purpose::Lint
    }

    /// Records an error unless something is merely unknown.
    pub(super) fn report(&mut self, stop: Stop) {
        let Stop::Error(mut diagnostic) = stop else { return };
        // Where BuildKit reports the very lines of the mistake, saying so once is enough.
        let lines = diagnostic.at.map(|at| vec![vec![self.lines_of(at)]]);
        diagnostic.locations = diagnostic.locations.filter(|locations| Some(locations) != lines.as_ref());
        self.shared.findings.push(Finding::Error(diagnostic));
    }

    /// Records what could not be asked for a stage that is built on `base`, which may be a mistyped name of another.
    pub(super) fn report_unreachable(&mut self, span: Option<Span>, base: &str) {
        for error in std::mem::take(&mut self.shared.unreachable) {
            let meant = ast::suggest(base, self.stage_names());
            let known = ast::with_suggestion(error.message, meant);
            let message = format!("{known}; what depends on it is not looked at");
            let mut info = Diagnostic::warning("unknown", message, span);
            info.severity = Severity::Info;
            info.help = error.help;
            self.shared.findings.push(Finding::Unknown(Box::new(info)));
        }
    }

    /// Records what a rule may look at, at an instruction of the text.
    pub(super) fn note(&mut self, at: Span, kind: NoteKind) {
        self.note_for(at, Some(at), kind);
    }

    /// Records what a rule may look at, at a command.
    pub(super) fn note_at(&mut self, command: &Command<'_>, kind: NoteKind) {
        self.note_for(command.span(), (!command.trigger).then(|| command.span()), kind);
    }

    /// Records what a rule may look at, shown at one instruction, with the comments of another.
    pub(super) fn note_for(&mut self, at: Span, step: Option<Span>, kind: NoteKind) {
        if self.noting {
            self.shared.findings.push(Finding::Note(Note { kind, at, step }));
        }
    }

    /// First and last line.
    pub(super) fn lines_of(&self, span: Span) -> (u32, u32) {
        self.lines(span).lines_of(span)
    }

    /// The lines of the text that a span is in: the text's own, or one that it includes.
    fn lines(&self, span: Span) -> &'a LineIndex {
        let included = (span.file.0 as usize).checked_sub(1).and_then(|at| self.request.included.get(at));
        &included.unwrap_or(self.request.source).lines
    }

    /// An error with the lines of its instruction, whatever its exact place; BuildKit may report several.
    pub(super) fn at(&self, stop: Stop, span: Option<Span>) -> Stop {
        let Stop::Error(mut diagnostic) = stop else { return stop };
        diagnostic.at = diagnostic.at.or(span);
        let lines = span.map(|span| self.lines_of(span)).into_iter().collect();
        diagnostic.locations.get_or_insert_default().push(lines);
        Stop::Error(diagnostic)
    }

    /// The lines of an instruction as a vertex names them; without a span, a place without lines.
    pub(super) fn location(&self, span: Option<Span>) -> Location {
        let Some(span) = span else { return Location::default() };
        let range = |line: u32| {
            let position = Position { line: line as i32, character: 0 };
            Range { start: position, end: position }
        };
        let (first, last) = self.lines_of(span);
        let source = span.file.0.min(self.request.included.len() as u32);
        Location { source, ranges: (first..=last).map(range).collect() }
    }

    /// Expands a template in the scope of a command, noting variables that are set nowhere.
    pub(super) fn expand<'t>(&mut self, text: &'t Str, scope: CommandScope<'_, '_>) -> Done<Expanded<'t>> {
        let mut uses = Uses::of_unset();
        let value = expand::string(text, scope.env, &mut uses);
        self.note_unmatched(&uses.unmatched, scope);
        let value = value.map_err(|fault| Stop::from(fault).point(text.span))?;
        if let Expanded::Known(value) = &value {
            self.grow(value.len().saturating_sub(text.raw().len())).map_err(|stop| stop.point(text.span))?;
        }
        Ok(value)
    }

    /// Counts what values are longer than the words they are of, and whatever else steps hold beside their text.
    pub(super) fn grow(&mut self, by: usize) -> Done {
        self.grown = self.grown.saturating_add(by);
        if self.grown <= MAX_GROWTH {
            return Ok(());
        }
        let message = format!("the values of variables come to more than {} MiB", MAX_GROWTH >> 20);
        Err(Stop::error(message).help("a variable is put into others, over and over: keep long texts in files"))
    }

    /// The value of a template; stops where it is unknown.
    pub(super) fn text(&mut self, text: &Str, scope: CommandScope<'_, '_>) -> Done<String> {
        match self.expand(text, scope)? {
            Expanded::Known(value) => Ok(value.into_owned()),
            Expanded::Unknown => Err(Stop::Unknown),
        }
    }

    /// The value of a template that may be unknown.
    pub(super) fn value(&mut self, text: &Str, scope: CommandScope<'_, '_>) -> Done<Option<Rc<str>>> {
        Ok(match self.expand(text, scope)? {
            Expanded::Known(value) => Some(Rc::from(&*value)),
            Expanded::Unknown => None,
        })
    }

    /// Notes variables that are neither set nor declared.
    pub(super) fn note_unmatched(&mut self, unmatched: &[String], scope: CommandScope<'_, '_>) {
        if !self.noting {
            return;
        }
        for name in unmatched.iter().filter(|name| scope.args.get(name).is_none() && !is_hidden_arg(name)) {
            let suggestion = ast::suggest(name, scope.env.names()).map(str::to_owned);
            let kind = NoteKind::UndefinedVariable { name: name.clone(), suggestion };
            self.note_at(scope.command, kind);
        }
    }
}

/// Where the words of a command are expanded.
#[derive(Clone, Copy)]
pub(super) struct CommandScope<'s, 'a> {
    /// The variables it sees.
    pub(super) env: &'s Environment,
    /// Arguments declared so far, with or without a value.
    pub(super) args: &'s Assignments<Value>,
    /// The command.
    pub(super) command: &'s Command<'a>,
}

/// Variables over other variables.
pub(super) struct Overlay<'s> {
    /// Looked up first.
    pub(super) over: &'s Environment,
    /// Looked up then.
    pub(super) base: &'s dyn Scope,
}

impl<'s> Overlay<'s> {
    /// What `name` is.
    pub(super) fn look_up(&self, name: &str) -> Lookup<'s> {
        match self.over.get(name) {
            Lookup::Unset => self.base.get(name),
            found => found,
        }
    }
}

impl Scope for Overlay<'_> {
    fn get(&self, name: &str) -> Lookup<'_> {
        self.look_up(name)
    }
}
