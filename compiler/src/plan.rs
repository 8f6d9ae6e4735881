//! The planner: a module, options and facts in; a graph with image configs, or open questions, out.
//!
//! A pure function. Steps fold over a `state::State`; what is not known is asked for as data, and everything that does
//! not depend on it is planned all the same, so that one run finds every question it can. What it notices on the way it
//! writes down as [`Note`]s; judging them is the lints' business. Mirrors `dockerfile2llb` and `dockerui` of BuildKit
//! v0.32 in what it accepts, builds and says; it must never know a language's syntax or the outside world.
//!
//! The order of phases is that of errors: options, context, arguments, `FROM`, target, connections, bases, steps.

mod base;
mod build;
mod captures;
mod context;
mod dispatch;
mod entry;
mod environment;
mod epoch;
mod expand;
mod finish;
mod from;
mod functions;
mod git;
mod globals;
mod go;
mod goals;
mod history;
mod image;
mod named;
mod naming;
mod notes;
mod onbuild;
mod path;
mod paths;
mod planner;
mod platform;
mod scan;
mod scopes;
mod settings;
mod stages;
mod state;
mod steps;
mod stop;
mod url;
mod wrong;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ast::{Diagnostic, FileId, Module, Severity, Source, Span, Step};
use llb::SourceInfo;
use oci::Platform;

pub use captures::{ArgCapture, Captures, MountCapture, StageCapture};
pub use context::{WEB_FILE, is_archive};
pub use entry::{Entry, Found, context_path, entry, file_source};
pub(crate) use functions::IGNORE_CACHE;
pub use notes::{Finding, Note, NoteKind};
pub(crate) use platform::is_platform_argument;
pub use scan::scanner;
pub use scopes::StepScope;
pub use settings::{CacheImport, Scanner, UnsupportedCap, cache_imports, unsupported_cap};

use context::{ContextPlan, MainContext};
use globals::Globals;
use paths::UsedPaths;
use planner::{Planner, Shared, Target};
use platform::Predefined;
use settings::Settings;
use stages::{Names, StageId};
use stop::{Done, Stop};
use wrong::Wrong;

use crate::{Answer, Facts, ModuleSource, Options, Output, Plan, Question, Shipment};

/// Parses an instruction kept for heirs: its text, where the instruction that brings it in stands, and the escape
/// character of that file's words.
pub type TriggerParser<'a> = dyn Fn(&[u8], Span, u8) -> Result<Step, Box<Diagnostic>> + 'a;

/// What to plan.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The text, parsed.
    pub module: &'a Module,
    /// The text.
    pub source: &'a Source,
    /// Options.
    pub options: &'a Options,
    /// What for.
    pub purpose: Purpose,
    /// Parses kept instructions, if the language has such.
    pub trigger: Option<&'a TriggerParser<'a>>,
    /// The range whose steps' scopes are wanted, for an editor.
    pub watch: Option<Span>,
    /// Whether nobody wants the plan any more. It is asked now and then; once it is so, what is found is of no use.
    pub stopped: &'a dyn Fn() -> bool,
    /// Texts that the text includes; their files count from 1.
    pub included: &'a [Source],
    /// Modules that the text imports, as far as they were asked for and found; their files count from 1.
    pub modules: &'a BTreeMap<ModuleSource, LoadedModule>,
}

/// A module that another one imports.
#[derive(Clone, Debug)]
pub struct LoadedModule {
    /// It, parsed.
    pub module: Module,
    /// Its text.
    pub source: Source,
}

/// What a plan is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// To be built.
    #[default]
    Build,
    /// To tell what it takes. The platform option does not count.
    Outline,
    /// To know what a program imports.
    Imports,
    /// To be looked at by rules: all stages, unless a target is given. The platform option does not count.
    Lint,
}

/// What planning gave.
#[derive(Debug, Default)]
pub struct Draft {
    /// The plan, when nothing is open and nothing is wrong; none for [`Purpose::Lint`].
    pub plan: Option<Plan>,
    /// What is not known.
    pub asks: BTreeSet<Question>,
    /// What is wrong with the options or the context: found before the text is even looked at.
    pub refused: Option<Diagnostic>,
    /// What was found in the text.
    pub findings: Vec<Finding>,
    /// What an outline tells; empty for other purposes.
    pub captures: Captures,
    /// What the watched steps see, in the order of planning.
    pub scopes: Vec<StepScope>,
    /// What modules import; only for [`Purpose::Imports`].
    pub imports: Vec<Imported>,
}

/// An import of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The module that imports.
    pub importer: FileId,
    /// What it calls what it imports.
    pub name: String,
    /// What it imports.
    pub module: FileId,
    /// Where that is.
    pub source: ModuleSource,
}

/// Plans a module. Deterministic; the same question is never asked twice.
pub fn plan(request: &Request<'_>, facts: &Facts) -> Draft {
    let mut draft = Draft::default();
    let mut settings = match settings::parse(request.options) {
        Ok(settings) => settings,
        Err(error) => return Draft { refused: Some(*error), ..draft },
    };
    if request.module.dialect.functions {
        let failed = request.module.diagnostics.iter().any(|found| found.severity == Severity::Error);
        // What is not built is checked by itself: names and types were when the text was parsed.
        if failed || request.purpose == Purpose::Lint {
            return draft;
        }
        if request.purpose == Purpose::Outline {
            return functions::outline(request, &settings);
        }
        if request.purpose == Purpose::Imports {
            return functions::imports(request, facts, &settings);
        }
        return functions::plan(request, facts, &settings);
    }
    let goal = match goals::choose(request.module, request.purpose, &mut settings) {
        Ok(goal) => goal,
        Err(error) => return Draft { refused: Some(*error), ..draft },
    };
    let mut ask = |question: Question| match facts.answers.get(&question) {
        Some(answer) => answer.as_ref().ok().cloned(),
        None => {
            draft.asks.insert(question);
            None::<Answer>
        }
    };
    let context = match ContextPlan::read(&settings, &mut ask) {
        Ok(context) => context,
        Err(error) => return Draft { refused: Some(*error), ..draft },
    };
    let wrong = match Wrong::of(request.module) {
        Some(wrong) => wrong,
        None => return draft,
    };
    let mut shared = Shared { asks: draft.asks, ..Shared::default() };
    let has_graph = request.purpose != Purpose::Lint;
    shared.graph.sources.extend(has_graph.then(|| text_info(request, &settings, &context)));
    for included in request.included.iter().filter(|_| has_graph) {
        let info = SourceInfo {
            filename: included.name.clone(),
            data: included.bytes.clone(),
            ..text_info(request, &settings, &context)
        };
        shared.graph.sources.push(info);
    }
    shared.wrong = wrong;
    let of = Of { request, settings: &settings, context: &context, goal };
    let (outputs, captures) = plan_platforms(of, facts, &mut shared);
    let complete = shared.asks.is_empty() && shared.findings.iter().all(|finding| matches!(finding, Finding::Note(_)));
    let plan = outputs.filter(|_| complete && has_graph).map(|outputs| Plan::new(shared.graph, outputs));
    let Shared { asks, findings, scopes, .. } = shared;
    Draft { plan, asks, findings, captures, scopes, ..draft }
}

/// What is built when something is asked for, as far as the text and the options say: nobody is asked.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The definition; nothing where the last is meant.
    pub def: String,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// Platforms; none is that of the builder.
    pub platforms: Vec<Platform>,
    /// Where it goes, if the text says so.
    pub shipment: Option<Box<Shipment>>,
}

/// Resolves what is asked for.
///
/// **Errors**: what is wrong with the options, or with a text of the shipment.
pub fn resolve(request: &Request<'_>) -> Result<Resolved, Vec<Diagnostic>> {
    let one = |error: Box<Diagnostic>| vec![*error];
    let mut settings = settings::parse(request.options).map_err(one)?;
    let goal = goals::choose(request.module, request.purpose, &mut settings).map_err(one)?;
    let facts = Facts::default();
    let mut nobody = |_: Question| None::<Answer>;
    let context = ContextPlan::read(&settings, &mut nobody).map_err(one)?;
    let mut shared = Shared::default();
    let platform = settings.target_platforms.first();
    let mut planner =
        planner(Of { request, settings: &settings, context: &context, goal }, &facts, &mut shared, platform);
    let shipment = planner.set_globals().and_then(|()| planner.shipment());
    let shipment = shipment.map_err(|stop| {
        planner.report(stop);
        let errors = planner.shared.findings.iter();
        errors
            .filter_map(|found| if let Finding::Error(error) = found { Some((**error).clone()) } else { None })
            .collect::<Vec<_>>()
    })?;
    let owned = |(key, value): (&&str, &&str)| ((*key).to_owned(), (*value).to_owned());
    Ok(Resolved {
        def: settings.target.to_owned(),
        args: settings.build_args.iter().map(owned).collect(),
        platforms: settings.target_platforms.clone(),
        shipment,
    })
}

fn text_info(request: &Request<'_>, settings: &Settings<'_>, context: &ContextPlan) -> SourceInfo {
    SourceInfo {
        filename: context.filename.clone(),
        data: request.source.bytes.clone(),
        definition: Some(Box::new(context.text_source(settings))),
        language: request.module.dialect.id.to_owned(),
    }
}

/// What is planned for each platform.
#[derive(Clone, Copy)]
struct Of<'a> {
    request: &'a Request<'a>,
    settings: &'a Settings<'a>,
    context: &'a ContextPlan,
    goal: Option<&'a ast::Goal>,
}

fn plan_platforms(of: Of<'_>, facts: &Facts, shared: &mut Shared) -> (Option<Vec<Output>>, Captures) {
    let targets: Vec<Option<&Platform>> = match (of.request.purpose, &of.settings.target_platforms[..]) {
        // One that is asked for twice is built once.
        (Purpose::Build, platforms @ [_, ..]) => platforms
            .iter()
            .enumerate()
            .filter(|(at, platform)| !platforms[..*at].contains(platform))
            .map(|(_, platform)| Some(platform))
            .collect(),
        _ => vec![None],
    };
    let mut outputs = Vec::with_capacity(targets.len());
    let mut captures = Captures::default();
    for (at, target) in targets.iter().enumerate() {
        let mut planner = planner(of, facts, shared, *target);
        planner.noting = at == 0;
        let errors = planner.errors();
        let output = planner.plan();
        captures = std::mem::take(&mut planner.captures);
        // What fails for one platform fails for the others, mostly with the same words.
        if planner.errors() > errors {
            return (None, captures);
        }
        outputs.extend(output);
    }
    let complete = outputs.len() == targets.len();
    (complete.then_some(outputs), captures)
}

fn planner<'a>(of: Of<'a>, facts: &'a Facts, shared: &'a mut Shared, target: Option<&'a Platform>) -> Planner<'a> {
    let Of { request, settings, context, goal } = of;
    let mut paths = UsedPaths::default();
    let context_paths = paths.add_set();
    let build = &settings.build_platforms[0];
    let stage = match settings.target {
        "" => request.module.defs.last().and_then(|def| def.name.as_ref()).map_or("", |name| name.text.as_str()),
        target => target,
    };
    Planner {
        request,
        settings,
        goal,
        facts,
        escape: escape_of(request.module),
        target: Target { platform: Arc::new(target.unwrap_or(build).clone()), implicit: target.is_none() },
        shared,
        noting: true,
        build_args: settings.build_args.iter().map(|(key, value)| (*key, (*value).into())).collect(),
        scratch: None,
        bases: Vec::new(),
        globals: Globals::new(Predefined::new(build, target.unwrap_or(build), stage), &settings.build_args),
        scan_args: None,
        declared: BTreeSet::new(),
        epoch: None,
        stages: Vec::new(),
        names: Names::default(),
        context_plan: context,
        context: MainContext::new(context_paths),
        paths,
        locals: Vec::new(),
        captures: Captures::new(request.purpose == Purpose::Outline),
        answers: 0,
        grown: 0,
    }
}

/// The escape character of a text: that of its words.
pub(crate) fn escape_of(module: &Module) -> u8 {
    let from = module.defs.iter().find_map(|def| match &def.body.steps().first()?.op {
        ast::Op::From(ast::Str { kind: ast::StrKind::Word { escape, .. }, .. }) => Some(*escape),
        _ => None,
    });
    from.unwrap_or(b'\\')
}

impl Planner<'_> {
    fn plan(&mut self) -> Option<Output> {
        match self.plan_target() {
            Ok(target) => {
                let scan = self.scan(target);
                self.complete_context();
                self.complete_locals();
                self.capture_connections(target);
                self.output(target, scan)
            }
            Err(stop) => {
                self.report(stop);
                None
            }
        }
    }

    fn plan_target(&mut self) -> Done<StageId> {
        self.set_globals()?;
        self.note_scan_args();
        if let Err(stop) = self.set_epoch() {
            self.report(stop);
        }
        self.add_stages();
        let target = match self.find_target() {
            Ok(target) => target,
            Err(stop) => {
                self.report_unless_guessing(stop);
                // Whatever was meant, the last stage has mistakes of its own to tell.
                self.stages.len().checked_sub(1).ok_or(Stop::Unknown)?
            }
        };
        self.connect_stages()?;
        let needed = self.resolve(target);
        self.dispatch(&needed, target);
        Ok(target)
    }

    fn find_target(&self) -> Done<StageId> {
        let name = self.settings.target;
        if name.is_empty() {
            return self
                .stages
                .len()
                .checked_sub(1)
                .ok_or_else(|| Stop::error("dockerfile contains no stages to build"));
        }
        self.find_stage(name).ok_or_else(|| {
            let message = format!("target stage {} could not be found", ast::quote(name.as_bytes()));
            let named = self.stages.iter().map(|stage| stage.name).filter(|name| !name.is_empty());
            let named: Vec<&str> = named.collect();
            let stop = Stop::error(message).suggest(ast::suggest(name, self.stage_names())).nowhere(None);
            if named.is_empty() { stop } else { stop.help(format!("stages are {}", named.join(", "))) }
        })
    }

    fn capture_connections(&mut self, target: StageId) {
        self.captures.target = target;
        for id in 0..self.stages.len() {
            let stage = &self.stages[id];
            self.captures.connect(id, stage.base, stage.deps.iter().map(|(dep, _)| *dep));
        }
    }

    fn errors(&self) -> usize {
        self.shared.findings.iter().filter(|finding| matches!(finding, Finding::Error(_))).count()
    }
}
