//! The loop around the planner: plan, ask, plan again.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use ast::{Diagnostic, FileId, Module, Place, Severity, Source, Span};
use frontends::{Included, Input, LANGUAGES, Language, Trigger};
use oci::Digest;

use crate::plan::{self, Captures, Draft, Imported, LoadedModule, Purpose, Request, StepScope};
use crate::{Answer, AskError, Facts, ModuleSource, Options, Plan, Question, World, lint};

/// Rounds of questions after which something is wrong with the answers: bases that bring in triggers that name images
/// need two, and no image can bring in more; modules that import modules need one each, and what they import is mostly
/// there by then.
const MOST_ROUNDS: usize = 64;

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
    /// Texts of imported modules. **Shape**: file 1 first.
    pub modules: Vec<Source>,
    /// What modules import; only of [`imports`].
    pub imports: Vec<Imported>,
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

/// The same with the bills of materials of all results, where the options ask for them: a builder makes them beside those.
pub fn build(source: &Source, options: &Options, facts: Facts, world: &dyn World) -> Outcome {
    with_bills(compile(source, options, facts, world), options, world)
}

/// Adds the bills of materials of all results to what a compilation gave, where options ask for them.
pub fn with_bills(mut outcome: Outcome, options: &Options, world: &dyn World) -> Outcome {
    let Some(scanner) = plan::scanner(options) else { return outcome };
    let Some(mut plan) = outcome.plan.take() else { return outcome };
    let question = scanner.question();
    let ask = || world.answer(std::slice::from_ref(&question)).pop().unwrap_or_else(|| Err(AskError::default()));
    let failed = |message| AskError { message, ..AskError::default() };
    let scanned = match outcome.facts.answers.entry(question.clone()).or_insert_with(ask) {
        Ok(Answer::Image(image)) => scanner.scan(&mut plan, image).map_err(failed),
        Ok(_) => Err(failed("nothing is known of its image".to_owned())),
        Err(error) => Err(error.clone()),
    };
    match scanned {
        Ok(()) => outcome.plan = Some(plan),
        Err(AskError { message, help, .. }) => {
            let message = format!("the scanner for bills of materials: {message}");
            outcome.diagnostics.push(Diagnostic { help, ..Diagnostic::error("sbom", message, None) });
        }
    }
    outcome
}

/// Finds everything that a program imports, and what those modules import, used or not.
pub fn imports(source: &Source, options: &Options, facts: Facts, world: &dyn World) -> Outcome {
    drive(source, options, facts, world, Purpose::Imports)
}

/// Looks at a text as lints do: all stages, unless a target is given, for the build platform.
pub fn check(source: &Source, options: &Options, facts: Facts, world: &dyn World) -> Outcome {
    drive(source, options, facts, world, Purpose::Lint)
}

/// Parses a text with all that it includes, and gives those texts. **Shape**: file 1 first.
pub fn load(source: &Source, options: &Options, facts: &mut Facts, world: &dyn World) -> (Module, Vec<Source>) {
    let language = language(source, options).unwrap_or(&LANGUAGES[0]);
    gather(language, source, options, facts, world)
}

/// Resolves what the options ask for, as far as the text and they say: nobody is asked.
///
/// **Errors**: what is wrong with the options, or with what the text says of the result.
pub fn resolve(
    module: &Module,
    source: &Source,
    included: &[Source],
    options: &Options,
) -> Result<plan::Resolved, Vec<Diagnostic>> {
    with_request(module, source, options, Purpose::Build, |request| plan::resolve(&Request { included, ..*request }))
}

/// Collects what an outline tells of the target.
pub fn survey(source: &Source, options: &Options, facts: Facts, world: &dyn World) -> Outcome {
    drive(source, options, facts, world, Purpose::Outline)
}

/// Parses a text; the language is told by its `# syntax=` line or its name, and is a Dockerfile's when they say nothing.
pub fn parse(source: &Source) -> Module {
    (told(source).parse)(&Input::of(FileId(0), source))
}

/// The edits that put a text in order; `None` if its language knows no order.
pub fn format(source: &Source) -> Option<Vec<ast::Edit>> {
    let format = told(source).format?;
    Some(format(&Input::of(FileId(0), source)))
}

/// The text with its presets written out as plain stages; `None` when its language has none.
///
/// **Errors**: what is wrong with the text.
pub fn expand(source: &Source) -> Option<Result<String, Vec<Diagnostic>>> {
    let expand = told(source).expand?;
    Some(expand(&Input::of(FileId(0), source)))
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

/// What can be said of a text as long as some questions are open.
#[derive(Debug, Default)]
pub struct Glance {
    /// Errors and warnings that are certain, as [`check`] reports them.
    pub diagnostics: Vec<Diagnostic>,
    /// What is not known.
    pub asks: BTreeSet<Question>,
}

/// Looks at a text that is parsed already, with what is known so far, as [`check`] does; asks nobody. `None` when it was
/// stopped. What is wrong with a text that is included is said where that is named.
pub fn glance(
    module: &Module,
    source: &Source,
    options: &Options,
    facts: &Facts,
    stopped: &dyn Fn() -> bool,
) -> Option<Glance> {
    let whole = Whole::known(module, source, options, facts);
    if !whole.open.is_empty() {
        return Some(Glance { diagnostics: module.diagnostics.clone(), asks: whole.open });
    }
    with_request(&whole.module, source, options, Purpose::Lint, |request| {
        let draft = plan::plan(&Request { stopped, included: &whole.included, ..*request }, facts);
        if stopped() {
            return None;
        }
        let asks = draft.asks.clone();
        let mut diagnostics = judge(&whole.module, source, options, draft).0;
        diagnostics.iter_mut().for_each(|found| here(found, module, &whole.included));
        Some(Glance { diagnostics, asks })
    })
}

/// The texts that a text includes, as far as they are known.
pub fn included(module: &Module, source: &Source, options: &Options, facts: &Facts) -> Vec<Source> {
    Whole::known(module, source, options, facts).included
}

/// A text with all that it includes, as far as that is known.
struct Whole<'m> {
    module: Cow<'m, Module>,
    /// The texts that it includes. **Shape**: file 1 first.
    included: Vec<Source>,
    /// What is not known.
    open: BTreeSet<Question>,
}

impl<'m> Whole<'m> {
    fn known(module: &'m Module, source: &Source, options: &Options, facts: &Facts) -> Self {
        let language = LANGUAGES.iter().find(|language| language.id == module.dialect.id);
        let Some(language) = language.filter(|_| !module.includes.is_empty()) else {
            return Self { module: Cow::Borrowed(module), included: Vec::new(), open: BTreeSet::new() };
        };
        let nobody = Nobody::default();
        let (module, included) = gather(language, source, options, &mut facts.clone(), &nobody);
        Self { module: Cow::Owned(module), included, open: nobody.0.into_inner() }
    }
}

/// Answers nothing, and remembers what it was asked.
#[derive(Default)]
struct Nobody(RefCell<BTreeSet<Question>>);

impl World for Nobody {
    fn answer(&self, questions: &[Question]) -> Vec<Result<Answer, AskError>> {
        self.0.borrow_mut().extend(questions.iter().cloned());
        questions.iter().map(|_| Err(AskError::default())).collect()
    }
}

/// Moves what is said of an included text to where the text that everything begins with names it, or what includes it.
fn here(found: &mut Diagnostic, module: &Module, included: &[Source]) {
    let own = |span: &Span| span.file == module.file;
    found.also.retain(|label| own(&label.span));
    let Some(at) = found.at.filter(|at| !own(at)) else { return };
    let text = (at.file.0 as usize).checked_sub(1).and_then(|at| included.get(at));
    let name = text.map(|text| text.name.clone()).unwrap_or_default();
    let names = |include: &&ast::Include| name == include.path || name.ends_with(&format!("/{}", include.path));
    let include = module.includes.iter().find(names).or(module.includes.first());
    found.at = include.map(|include| include.span);
    found.locations = None;
    found.message = format!("in {name}: {}", found.message);
    found.fix = None;
}

/// What the steps of a range see, in the order of planning; asks nobody, and plans only the stages they need. Nothing for
/// a text with errors.
pub fn scopes(module: &Module, source: &Source, options: &Options, facts: &Facts, range: Span) -> Vec<StepScope> {
    with_request(module, source, options, Purpose::Lint, |request| {
        plan::plan(&Request { watch: Some(range), ..*request }, facts).scopes
    })
}

/// The vertices of a build, in the order of their making, each with the lines (first and last, from 1) that it comes from.
/// Asks nobody, and knows nothing as long as a question is open.
pub fn vertices(module: &Module, source: &Source, options: &Options, facts: &Facts) -> Vec<(Digest, (u32, u32))> {
    let whole = Whole::known(module, source, options, facts);
    if !whole.open.is_empty() {
        return Vec::new();
    }
    let draft = with_request(&whole.module, source, options, Purpose::Build, |request| {
        plan::plan(&Request { included: &whole.included, ..*request }, facts)
    });
    let Some(plan) = draft.plan else { return Vec::new() };
    let Ok((_, digests)) = llb::encode_traced(&plan.graph) else { return Vec::new() };
    let place = |(node, digest): (&llb::Node, Option<Digest>)| {
        let has_lines = |location: &&llb::Location| location.source == 0 && !location.ranges.is_empty();
        let ranges = &node.locations.iter().find(has_lines)?.ranges;
        let line = |line: i32| u32::try_from(line).ok();
        Some((digest?, (line(ranges.first()?.start.line)?, line(ranges.last()?.end.line)?)))
    };
    plan.graph.nodes.iter().zip(digests).filter_map(place).collect()
}

fn drive(source: &Source, options: &Options, facts: Facts, world: &dyn World, purpose: Purpose) -> Outcome {
    let (language, unknown) = match language(source, options) {
        Ok(language) => (language, None),
        Err(unknown) => (&LANGUAGES[0], Some(unknown)),
    };
    let mut facts = facts;
    let (module, included) = gather(language, source, options, &mut facts, world);
    if let Some(unknown) = unknown {
        return Outcome {
            module,
            plan: None,
            diagnostics: vec![*unknown],
            facts,
            captures: Captures::default(),
            modules: included,
            imports: Vec::new(),
        };
    }
    let (draft, facts, modules) = with_request(&module, source, options, purpose, |request| {
        answer_all(&Request { included: &included, ..*request }, facts, world)
    });
    let (diagnostics, Draft { plan, captures, imports, .. }) = judge(&module, source, options, draft);
    let plan = plan.filter(|_| !diagnostics.iter().any(is_error));
    let modules = modules.into_values().map(|loaded| (loaded.module.file, loaded.source)).collect::<BTreeMap<_, _>>();
    let modules = included.into_iter().chain(modules.into_values()).collect();
    Outcome { module, plan, diagnostics, facts, captures, modules, imports }
}

/// Rounds of reading what texts include: one for each text in a text, which the language limits.
const MOST_INCLUDES: usize = 64;

/// Parses a text with all that it includes, and gives those texts. **Shape**: file 1 first.
fn gather(
    language: &Language,
    source: &Source,
    options: &Options,
    facts: &mut Facts,
    world: &dyn World,
) -> (Module, Vec<Source>) {
    let input = Input::of(FileId(0), source);
    let mut found: Vec<(String, Option<Source>)> = Vec::new();
    let mut module = (language.parse)(&input);
    for _ in 0..MOST_INCLUDES {
        let (Some(parse), false) = (language.parse_with, module.includes.is_empty()) else { break };
        let questions: Vec<Question> = module.includes.iter().map(|include| beside(options, &include.path)).collect();
        let open: Vec<Question> =
            questions.iter().filter(|asked| !facts.answers.contains_key(asked)).cloned().collect();
        let answers = world.answer(&open);
        facts.answers.extend(open.into_iter().zip(answers));
        for (include, question) in module.includes.iter().zip(&questions) {
            let text = match facts.answers.get(question) {
                Some(Ok(Answer::ContextFile(Some(bytes)))) => {
                    Some(Source::new(shown(source, &include.path), bytes.clone()))
                }
                _ => None,
            };
            found.push((include.path.clone(), text));
        }
        let files: Vec<Included<'_>> = found
            .iter()
            .zip(1..)
            .map(|((path, text), file)| Included {
                path,
                file: FileId(file),
                bytes: text.as_ref().map(|text| &*text.bytes),
            })
            .collect();
        module = parse(&input, &files);
    }
    let none = || Source::new(String::new(), Vec::new());
    (module, found.into_iter().map(|(_, text)| text.unwrap_or_else(none)).collect())
}

/// Asks for a file beside the text.
fn beside(options: &Options, path: &str) -> Question {
    let option = |name: &str| options.opts.get(name).filter(|value| !value.is_empty());
    let directory = option("filename").and_then(|name| Some(name.rsplit_once('/')?.0));
    Question::ContextFile {
        context: option("dockerfilekey").map_or("dockerfile", String::as_str).to_owned(),
        path: directory.map_or_else(|| path.to_owned(), |directory| format!("{directory}/{path}")),
    }
}

/// The name of a file beside the text, as a user would type it.
fn shown(source: &Source, path: &str) -> String {
    source.name.rsplit_once('/').map_or_else(|| path.to_owned(), |(directory, _)| format!("{directory}/{path}"))
}

/// Modules by where they are.
type Modules = BTreeMap<ModuleSource, LoadedModule>;

/// Adds the modules that were answered since.
fn load_modules(modules: &mut Modules, facts: &Facts) {
    for (question, answer) in &facts.answers {
        let (Question::Module { source: origin }, Ok(answer)) = (question, answer) else { continue };
        let (Answer::File(Some(bytes)) | Answer::Kept(Some(bytes))) = answer else { continue };
        if modules.contains_key(origin) {
            continue;
        }
        let name = match origin {
            ModuleSource::File(path) => path.clone(),
            ModuleSource::Imported(file) if matches!(answer, Answer::Kept(_)) => file.vendored_path(),
            ModuleSource::Imported(file) | ModuleSource::Built(file) => file.shown(),
        };
        let file = FileId(modules.len() as u32 + 1);
        let source = Source::new(name, bytes.clone());
        let language = frontends::detect(&source.name).unwrap_or(functional());
        let module = (language.parse)(&Input::of(file, &source));
        modules.insert(origin.clone(), LoadedModule { module, source });
    }
}

/// The language of modules whose name does not tell it.
fn functional() -> &'static Language {
    frontends::detect("module.hlb").unwrap_or(&LANGUAGES[0])
}

fn with_request<T>(
    module: &Module,
    source: &Source,
    options: &Options,
    purpose: Purpose,
    work: impl FnOnce(&Request<'_>) -> T,
) -> T {
    let language = LANGUAGES.iter().find(|language| language.id == module.dialect.id);
    let parse_trigger = language
        .and_then(|language| language.trigger)
        // What images keep for their heirs are instructions of a Dockerfile, whatever language is built on them.
        .or(LANGUAGES[0].trigger)
        .map(|parse| move |bytes: &[u8], at: Span, escape: u8| parse(&Trigger { bytes, at, escape }));
    let trigger = parse_trigger.as_ref().map(|parse| parse as &plan::TriggerParser<'_>);
    let modules = Modules::new();
    let (stopped, included) = (&|| false, &[]);
    let own;
    let options = if module.contexts.is_empty() {
        options
    } else {
        own = with_contexts(module, options);
        &own
    };
    work(&Request { module, source, options, purpose, trigger, watch: None, stopped, included, modules: &modules })
}

/// The options with the contexts that the text has: directories and layouts of the client by their names.
fn with_contexts(module: &Module, options: &Options) -> Options {
    let mut options = options.clone();
    for ast::Beside { name, place } in &module.contexts {
        let value = || match place {
            Place::Directory(_) => format!("local:{}", name.text),
            Place::Layout(place) => format!("oci-layout://{}{}", name.text, oci::layout::split(place).1),
        };
        options.opts.entry(format!("context:{}", name.text)).or_insert_with(value);
    }
    options
}

/// Everything there is to say of a draft; what it found is used up.
fn judge(module: &Module, source: &Source, options: &Options, mut draft: Draft) -> (Vec<Diagnostic>, Draft) {
    let refused = draft.refused.take();
    let diagnostics = match refused.map_or_else(|| lint::settings(module, options), |error| Err(Box::new(error))) {
        Ok(checks) => lint::report(module, source, &checks, &draft.findings),
        Err(error) => vec![*error],
    };
    (diagnostics, draft)
}

/// Plans until nothing is open.
fn answer_all(request: &Request<'_>, mut facts: Facts, world: &dyn World) -> (Draft, Facts, Modules) {
    let mut modules = Modules::new();
    for _ in 0..MOST_ROUNDS {
        load_modules(&mut modules, &facts);
        let mut draft = plan::plan(&Request { modules: &modules, ..*request }, &facts);
        if draft.asks.is_empty() {
            return (draft, facts, modules);
        }
        let questions: Vec<_> = std::mem::take(&mut draft.asks).into_iter().collect();
        let answers = world.answer(&questions);
        facts.answers.extend(questions.into_iter().zip(answers));
    }
    let message = format!("questions are still open after {MOST_ROUNDS} rounds of answers");
    let refused = Some(Diagnostic::error("world", message, None));
    (Draft { refused, ..Draft::default() }, facts, modules)
}

fn is_error(diagnostic: &Diagnostic) -> bool {
    diagnostic.severity == Severity::Error
}
