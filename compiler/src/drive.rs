//! The loop around the planner: plan, ask, plan again.

use ast::{Diagnostic, FileId, Module, Severity, Source, Span};
use frontends::{Input, LANGUAGES, Language, Trigger};

use crate::plan::{self, Captures, Draft, Purpose, Request};
use crate::{Facts, Options, Plan, World, lint};

/// Rounds of questions after which something is wrong with the answers: bases that bring in triggers that name images
/// need two, and no image can bring in more.
const MOST_ROUNDS: usize = 16;

/// What a compilation gave.
#[derive(Debug)]
pub struct Outcome {
    /// The text, parsed.
    pub module: Module,
    /// The plan, when there is no error among the diagnostics.
    pub plan: Option<Plan>,
    /// Errors and warnings in the order BuildKit would report them.
    pub diagnostics: Vec<Diagnostic>,
    /// What was asked and answered: a lock file.
    pub facts: Facts,
    /// What an outline tells; empty for other purposes.
    pub captures: Captures,
}

impl Outcome {
    /// Whether there is an error.
    pub fn failed(&self) -> bool {
        self.diagnostics.iter().any(is_error)
    }
}

/// Compiles a text to be built. Spans of the diagnostics are in file 0, which is `source`.
pub fn compile(source: &Source, options: &Options, facts: Facts, world: &dyn World) -> Outcome {
    drive(source, options, facts, world, Purpose::Build)
}

/// Looks at a text as lints do: all stages, unless a target is given, for the build platform.
pub fn check(source: &Source, options: &Options, facts: Facts, world: &dyn World) -> Outcome {
    drive(source, options, facts, world, Purpose::Lint)
}

/// Collects what an outline tells of the target.
pub fn survey(source: &Source, options: &Options, facts: Facts, world: &dyn World) -> Outcome {
    drive(source, options, facts, world, Purpose::Outline)
}

/// Parses a text; the language is told by its `# syntax=` line or its name, and is a Dockerfile's when they say nothing.
pub fn parse(source: &Source) -> Module {
    (told(source).parse)(&Input { file: FileId(0), bytes: &source.bytes })
}

/// The edits that put a text in order; `None` if its language knows no order.
pub fn format(source: &Source) -> Option<Vec<ast::Edit>> {
    let format = told(source).format?;
    Some(format(&Input { file: FileId(0), bytes: &source.bytes }))
}

/// The language a text tells by itself.
fn told(source: &Source) -> &'static Language {
    frontends::choose(&source.name, &source.bytes, None).unwrap_or(&LANGUAGES[0])
}

/// The option that names the language.
const LANGUAGE: &str = "language";

fn language(source: &Source, options: &Options) -> Result<&'static Language, Box<Diagnostic>> {
    let asked = options.opts.get(LANGUAGE).map(String::as_str);
    frontends::choose(&source.name, &source.bytes, asked)
        .map_err(|message| Box::new(Diagnostic::error("option", message, None)))
}

fn drive(source: &Source, options: &Options, facts: Facts, world: &dyn World, purpose: Purpose) -> Outcome {
    let (language, unknown) = match language(source, options) {
        Ok(language) => (language, None),
        Err(unknown) => (&LANGUAGES[0], Some(unknown)),
    };
    let module = (language.parse)(&Input { file: FileId(0), bytes: &source.bytes });
    if let Some(unknown) = unknown {
        return Outcome { module, plan: None, diagnostics: vec![*unknown], facts, captures: Captures::default() };
    }
    let parse_trigger =
        language.trigger.map(|parse| move |bytes: &[u8], at: Span, escape: u8| parse(&Trigger { bytes, at, escape }));
    let trigger = parse_trigger.as_ref().map(|parse| parse as &plan::TriggerParser<'_>);
    let request = Request { module: &module, source, options, purpose, trigger };
    let (draft, facts) = answer_all(&request, facts, world);
    let Draft { plan, refused, findings, captures, .. } = draft;
    let diagnostics = match refused.map_or_else(|| lint::settings(&module, options), |error| Err(Box::new(error))) {
        Ok(checks) => lint::report(&module, source, &checks, &findings),
        Err(error) => vec![*error],
    };
    let plan = plan.filter(|_| !diagnostics.iter().any(is_error));
    Outcome { module, plan, diagnostics, facts, captures }
}

/// Plans until nothing is open.
fn answer_all(request: &Request<'_>, mut facts: Facts, world: &dyn World) -> (Draft, Facts) {
    for _ in 0..MOST_ROUNDS {
        let mut draft = plan::plan(request, &facts);
        if draft.asks.is_empty() {
            return (draft, facts);
        }
        let questions: Vec<_> = std::mem::take(&mut draft.asks).into_iter().collect();
        let answers = world.answer(&questions);
        facts.answers.extend(questions.into_iter().zip(answers));
    }
    let message = format!("questions are still open after {MOST_ROUNDS} rounds of answers");
    let refused = Some(Diagnostic::error("world", message, None));
    (Draft { refused, ..Draft::default() }, facts)
}

fn is_error(diagnostic: &Diagnostic) -> bool {
    diagnostic.severity == Severity::Error
}
