//! Functions: the second way in which a plan is made. Where a stage's words are expanded in the environment of a step, a
//! function's names are looked up where they stand, and its statements fold over typed values.
//!
//! The rest is the same planner: one graph, one place where vertices are made ([`super::build`]), one way to ask. A function
//! called as a statement goes on from the value of its caller; as an argument it starts from nothing. Nothing is done while
//! planning: what a program wants from its host is asked for, what it sends away is an [`crate::Export`] of the plan.
//!
//! Mirrors openllb/hlb at 8955839 (`codegen`), which pins BuildKit v0.15.

mod applied;
mod call;
mod dockerfile;
mod export;
mod files;
mod fill;
mod layout;
mod local;
mod meta;
mod modules;
mod mounts;
mod printf;
mod process;
mod shell_words;
mod source;
mod strings;
mod time;
mod value;

pub(crate) use process::IGNORE_CACHE;
use std::collections::{BTreeMap, BTreeSet};

use ast::{Def, Diagnostic, Label, Span};
use llb::{Location, Position, Range, SourceInfo};
use oci::Platform;

use super::build::Said;
use super::notes::Finding;
use super::planner::Shared;
use super::settings::Settings;
use super::stop::{Done, Stop};
use super::{Draft, Request as Asked};
use crate::output::{Export, Order};
use crate::{Answer, AskError, Facts, Output, Plan, Question};

use modules::Loaded;
use value::{Fs, Request, Trace, Value};

/// The function that is built when none is asked for.
const DEFAULT_TARGET: &str = "default";

/// How many calls a program may come to. A function may call another twice, and that again: without a bound, forty lines
/// would outlast the reader.
const MOST_CALLS: u32 = 200_000;

/// How deep calls may be nested: far more than people write, less than the stack holds.
const MOST_DEPTH: u32 = 100;

/// How many bytes strings may come to, all together.
const MOST_TEXT: usize = 1 << 28;

/// Plans the functions that are asked for.
pub(super) fn plan<'a>(asked: &Asked<'a>, facts: &'a Facts, settings: &Settings<'_>) -> Draft {
    let platforms = platforms(settings);
    let mut evaluator = Evaluator::new(asked, facts, platforms[0].clone());
    let sources = evaluator.modules.iter().map(|loaded| source_info(loaded, asked.module.dialect.id));
    evaluator.shared.graph.sources = sources.collect();
    let targets: Vec<&str> = settings.target.split(',').filter(|name| !name.is_empty()).collect();
    let targets = if targets.is_empty() { vec![DEFAULT_TARGET] } else { targets };
    let variants = platforms.into_iter().map(|platform| {
        evaluator.platform = platform;
        let requests: Vec<Request> = targets.iter().filter_map(|name| evaluator.target(name, settings)).collect();
        Variant { request: Request::parallel(requests), exports: std::mem::take(&mut evaluator.exports) }
    });
    let variants: Vec<Variant> = variants.collect();
    evaluator.draft(variants)
}

/// Finds what the program and its modules import.
pub(super) fn imports<'a>(asked: &Asked<'a>, facts: &'a Facts, settings: &Settings<'_>) -> Draft {
    let mut evaluator = Evaluator::new(asked, facts, platforms(settings).swap_remove(0));
    let imports = evaluator.imports();
    let Shared { asks, findings, .. } = evaluator.shared;
    Draft { asks, findings, imports, ..Draft::default() }
}

/// What is built for, each once.
fn platforms(settings: &Settings<'_>) -> Vec<Platform> {
    let mut platforms = settings.target_platforms.clone();
    if platforms.is_empty() {
        platforms.push(settings.build_platforms[0].clone());
    }
    // One that is asked for twice is built once.
    let mut seen = BTreeSet::new();
    platforms.retain(|platform| seen.insert(platform.clone()));
    platforms
}

/// What a program comes to for one platform.
struct Variant {
    request: Request,
    exports: Vec<export::Sent>,
}

/// Tells which function is built.
pub(super) fn outline(asked: &Asked<'_>, settings: &Settings<'_>) -> Draft {
    let wanted = if settings.target.is_empty() { DEFAULT_TARGET } else { settings.target };
    let is_wanted = |def: &Def| def.name.as_ref().is_some_and(|name| name.text == wanted);
    let found = asked.module.defs.iter().position(is_wanted);
    let Some(target) = found else {
        let message = format!("target {} is not defined in {}", ast::quote(wanted.as_bytes()), asked.source.name);
        let names: Vec<&str> =
            asked.module.defs.iter().filter_map(|def| def.name.as_ref()).map(|name| name.text.as_str()).collect();
        let mut error = Diagnostic::error(super::stop::CODE, message, None);
        error.help = (!names.is_empty()).then(|| format!("choose one with --target: {}", names.join(", ")));
        return Draft { findings: vec![Finding::Error(Box::new(error))], ..Draft::default() };
    };
    Draft { captures: super::Captures::of(target), ..Draft::default() }
}

fn source_info(loaded: &Loaded<'_>, language: &str) -> SourceInfo {
    SourceInfo {
        filename: loaded.source.name.clone(),
        data: loaded.source.bytes.clone(),
        definition: None,
        language: language.to_owned(),
    }
}

/// What evaluation works on.
struct Evaluator<'a> {
    asked: Asked<'a>,
    facts: &'a Facts,
    /// What is built for when nothing says otherwise.
    platform: Platform,
    /// **Shape**: the module that was asked for, then those that it imports, by file.
    modules: Vec<Loaded<'a>>,
    shared: Shared,
    /// Imports whose uses were checked: the module and the name.
    checked: BTreeSet<(usize, &'a str)>,
    /// The functions that are being evaluated.
    active: Vec<Span>,
    exports: Vec<export::Sent>,
    depth: u32,
    /// How many texts were wanted that nobody had before.
    nonces: u32,
    calls: u32,
    /// Bytes of strings made so far.
    text: usize,
}

/// Where something is evaluated: a function of a module, with its arguments.
#[derive(Clone)]
struct Frame<'a, 'f> {
    module: usize,
    def: Option<&'a Def>,
    args: &'f [Arg],
    /// The bound name whose effect is wanted, by its place.
    selected: Option<Span>,
    /// The calls on the way here.
    trace: Trace,
}

/// An argument: its value or why it has none, which matters only if somebody uses it.
struct Arg {
    value: Result<Value, Fault>,
}

/// Why there is no value; may be said several times.
#[derive(Clone)]
struct Fault(Option<Box<Diagnostic>>);

impl From<Stop> for Fault {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Unknown => Self(None),
            Stop::Error(diagnostic) => Self(Some(diagnostic)),
        }
    }
}

impl From<&Fault> for Stop {
    fn from(fault: &Fault) -> Self {
        fault.0.clone().map_or(Self::Unknown, Self::Error)
    }
}

impl<'a> Evaluator<'a> {
    fn new(asked: &Asked<'a>, facts: &'a Facts, platform: Platform) -> Self {
        Self {
            asked: *asked,
            facts,
            platform,
            modules: modules::all(asked),
            shared: Shared::default(),
            checked: BTreeSet::new(),
            active: Vec::new(),
            exports: Vec::new(),
            depth: 0,
            nonces: 0,
            calls: 0,
            text: 0,
        }
    }

    /// The answer to a question; asks it when there is none yet.
    fn ask(&mut self, question: Question) -> Done<Result<&'a Answer, &'a AskError>> {
        match self.facts.answers.get(&question) {
            Some(answer) => Ok(answer.as_ref()),
            None => {
                self.shared.asks.insert(question);
                Err(Stop::Unknown)
            }
        }
    }

    /// The answer to a question that an argument asks; no answer is an error there.
    fn need(&mut self, question: Question, at: Span) -> Done<&'a Answer> {
        self.ask(question)?.map_err(|error| {
            let stop = Stop::error(error.message.clone()).point(at);
            error.help.iter().fold(stop, |stop, help| stop.help(help.clone()))
        })
    }

    fn target(&mut self, name: &str, settings: &Settings<'_>) -> Option<Request> {
        let scope = &self.modules[0].scope;
        let found = scope.find(name).filter(|object| object.is_callable());
        let value = match found {
            Some(object) => self.run_target(object, settings),
            None => Err(self.no_target(name)),
        };
        match value {
            Ok(value) => Some(value.request()),
            Err(stop) => {
                self.report(stop);
                None
            }
        }
    }

    fn no_target(&self, name: &str) -> Stop {
        let module = &self.modules[0];
        let message = format!("target {} is not defined in {}", ast::quote(name.as_bytes()), module.source.name);
        let names = module.module.defs.iter().filter(|def| def.params.is_empty()).filter_map(|def| def.name.as_ref());
        let names: Vec<&str> = names.map(|name| name.text.as_str()).collect();
        let stop = Stop::error(message).suggest(None);
        if names.is_empty() { stop } else { stop.help(format!("choose one with --target: {}", names.join(", "))) }
    }

    fn report(&mut self, stop: Stop) {
        if let Stop::Error(error) = stop {
            // Several targets may fail for the same reason.
            let known = |finding: &Finding| matches!(finding, Finding::Error(known) if *known == error);
            if !self.shared.findings.iter().any(known) {
                self.shared.findings.push(Finding::Error(error));
            }
        }
    }

    /// What is said of a vertex that a call makes.
    fn said(&self, trace: &Trace) -> Said {
        trace.spans().fold(Said::default(), |said, span| said.at(self.location(span)))
    }

    fn location(&self, span: Span) -> Location {
        let source = &self.modules[span.file.0 as usize].source;
        let position = |offset: u32| {
            let line = source.lines.line(offset);
            let start = source.lines.start_of(line).unwrap_or_default() as usize;
            let text = String::from_utf8_lossy(&source.bytes[start..offset as usize]);
            Position { line: line as i32, character: text.encode_utf16().count() as i32 }
        };
        let range = Range { start: position(span.start), end: position(span.end) };
        Location { source: span.file.0, ranges: [range].into() }
    }

    fn draft(mut self, variants: Vec<Variant>) -> Draft {
        let failed = self.shared.findings.iter().any(|finding| matches!(finding, Finding::Error(_)));
        let complete = self.shared.asks.is_empty() && !failed;
        let count = variants.len();
        let joined = complete.then(|| join(variants)).flatten();
        if complete && joined.is_none() {
            let stop = Stop::error("the program builds or sends away other things for one platform than for another");
            self.report(stop.help("build each platform by itself: one --platform at a time"));
        }
        let plan = joined.map(|joined| {
            let Joined { outputs, order, exports } = joined;
            Plan::ordered(std::mem::take(&mut self.shared.graph), outputs, count, order, exports)
        });
        Draft { plan, asks: self.shared.asks, findings: self.shared.findings, ..Draft::default() }
    }
}

/// What a program comes to for all platforms.
struct Joined {
    /// **Shape**: the outputs of one result after the other, one for each platform.
    outputs: Vec<Output>,
    order: Order,
    exports: Vec<Export>,
}

/// Makes one result of what is the same for every platform; `None` where it is not the same.
fn join(variants: Vec<Variant>) -> Option<Joined> {
    let count = variants.len();
    let (requests, sent): (Vec<_>, Vec<_>) =
        variants.into_iter().map(|variant| (variant.request, variant.exports)).unzip();
    let mut outputs = Vec::new();
    let order = order(requests, &mut outputs)?;
    let mut exports = Vec::new();
    for same in transposed(sent)? {
        if same.iter().any(|sent| sent.kind != same[0].kind) {
            return None;
        }
        // What was sent for one platform is sent again with the others.
        let done = count == 1 && same[0].done;
        let kind = same[0].kind.clone();
        outputs.extend(same.into_iter().map(|sent| output(*sent.fs)));
        exports.push(Export { output: outputs.len() / count - 1, kind, done });
    }
    Some(Joined { outputs, order, exports })
}

fn order(requests: Vec<Request>, outputs: &mut Vec<Output>) -> Option<Order> {
    let count = requests.len();
    let (mut nothing, mut single, mut parallel, mut sequence) = (0, Vec::new(), Vec::new(), Vec::new());
    for request in requests {
        match request {
            Request::Nothing => nothing += 1,
            Request::One(fs) => single.push(fs),
            Request::Parallel(all) => parallel.push(all),
            Request::Sequence(all) => sequence.push(all),
        }
    }
    let mut all = |lists| transposed(lists)?.into_iter().map(|same| order(same, outputs)).collect::<Option<Vec<_>>>();
    if nothing == count {
        Some(Order::Nothing)
    } else if parallel.len() == count {
        all(parallel).map(Order::Parallel)
    } else if sequence.len() == count {
        all(sequence).map(Order::Sequence)
    } else if single.len() == count {
        outputs.extend(single.into_iter().map(|fs| output(*fs)));
        Some(Order::Output(outputs.len() / count - 1))
    } else {
        None
    }
}

/// The first of all lists, the second of all, …; `None` if the lists are not equally long.
fn transposed<T>(lists: Vec<Vec<T>>) -> Option<Vec<Vec<T>>> {
    let length = lists.first().map_or(0, Vec::len);
    if lists.iter().any(|list| list.len() != length) {
        return None;
    }
    let mut rows: Vec<Vec<T>> = (0..length).map(|_| Vec::with_capacity(lists.len())).collect();
    for list in lists {
        rows.iter_mut().zip(list).for_each(|(row, item)| row.push(item));
    }
    Some(rows)
}

fn output(fs: Fs) -> Output {
    let mut image = std::rc::Rc::unwrap_or_clone(fs.image);
    if image.platform.os.is_empty() {
        image.platform = fs.platform.clone();
    }
    Output {
        platform: fs.platform,
        edge: fs.edge,
        image: image.to_json(),
        base_image: None,
        listed: false,
        epoch: None,
        scan: crate::Scan::default(),
        bill: None,
        exports: fs.exports.into_iter().collect(),
        needs: fs.needs,
        shipment: None,
    }
}

/// The same with the calls that led there.
fn traced(stop: Stop, trace: &Trace) -> Stop {
    let Stop::Error(mut diagnostic) = stop else { return stop };
    if diagnostic.at.is_none() || !diagnostic.also.iter().any(|label| label.message == IN_CALL) {
        let known = diagnostic.at;
        let mut spans: Vec<Span> = trace.spans().collect();
        diagnostic.at = known.or_else(|| spans.first().copied());
        spans.retain(|span| Some(*span) != diagnostic.at);
        diagnostic.also.extend(spans.into_iter().map(|span| Label { span, message: IN_CALL.to_owned() }));
    }
    Stop::Error(diagnostic)
}

/// What is said at a call on the way to an error.
const IN_CALL: &str = "in this call";

/// Texts of a kind by name; for those that take several.
type Named = BTreeMap<String, String>;
