//! Builds of several results: images, files, tests. All are one graph, so what they share is built once.
//!
//! What is required is built with the rest; nothing goes anywhere unless everything could be built and is as expected.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use ast::{Delivery, Diagnostic, GoalKind, Module, Source, Sources};
use compiler::{Answer, AskError, Destination, Facts, Plan, Question, Shipment, World};
use executor::cli::Settings as RunSettings;
use executor::exporters::Kind;
use executor::{Attest, Expectation, Output, Part};

use super::attest;
use crate::args::Build;
use crate::failure::{Failure, Result};
use crate::settings::Settings;
use crate::world::Host;
use crate::{definition, files, printer};

/// Results of one call, at the most: as many as a matrix may have, and some more.
const MAX_RESULTS: usize = 1024;

/// What was asked for, and what that requires.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// Names of goals and definitions; an empty one is the default.
    pub(super) names: Vec<String>,
    /// Those that only must succeed.
    pub(super) required: Vec<String>,
}

impl Asked {
    /// Whether it takes no more than the build of one definition.
    pub(super) fn is_plain(&self, module: &Module) -> bool {
        self.required.is_empty() && self.names.len() == 1 && module.goals.is_empty()
    }
}

/// What names mean: groups are taken apart, and without names it is the group `default`, else the default result.
pub(super) fn asked(module: &Module, names: &[String]) -> Result<Asked> {
    let mut asked = Asked::default();
    let default = [module.goal("default").map_or_else(String::new, |goal| goal.name.text.clone())];
    for name in if names.is_empty() { &default } else { names } {
        add(module, name, &mut asked.names, &mut Vec::new());
    }
    let mut at = 0;
    let mut all: Vec<String> = asked.names.clone();
    while at < all.len() {
        for required in requires(module, &all[at]) {
            add(module, &required, &mut all, &mut Vec::new());
        }
        at += 1;
    }
    asked.required = all.split_off(asked.names.len());
    if all.len() + asked.required.len() > MAX_RESULTS {
        let text = format!("{} results are more than one call builds", all.len() + asked.required.len());
        return Err(Failure::message("target", text, format!("name fewer of them; {MAX_RESULTS} is the most")));
    }
    Ok(asked)
}

/// Adds what a name means, each result once. Groups do not hold each other in a circle, or the text is wrong.
fn add(module: &Module, name: &str, into: &mut Vec<String>, open: &mut Vec<String>) {
    match module.goal(name).map(|goal| &goal.kind) {
        Some(GoalKind::Group(members)) if !open.iter().any(|known| known == name) => {
            open.push(name.to_owned());
            members.iter().for_each(|member| add(module, &member.text, into, open));
            open.pop();
        }
        _ if into.iter().any(|known| known == name) => {}
        _ => into.push(name.to_owned()),
    }
}

fn requires(module: &Module, name: &str) -> Vec<String> {
    let goal = if name.is_empty() {
        module.defs.last().and_then(|def| module.goal(&def.name.as_ref()?.text))
    } else {
        module.goal(name)
    };
    match goal.map(|goal| &goal.kind) {
        Some(GoalKind::Result(wanted)) => wanted.requires.iter().map(|name| name.text.clone()).collect(),
        _ => Vec::new(),
    }
}

/// All tests of a text.
pub(super) fn tests(module: &Module) -> Vec<String> {
    let is_test = |kind: &GoalKind| matches!(kind, GoalKind::Result(wanted) if wanted.delivery == Delivery::Test);
    module.goals.iter().filter(|goal| is_test(&goal.kind)).map(|goal| goal.name.text.clone()).collect()
}

/// A result with its place among all results of the graph.
struct Planned {
    name: String,
    results: Range<usize>,
    epoch: Option<i64>,
    shipment: Option<Box<Shipment>>,
    is_required_only: bool,
    /// Its options, with what the text says of attestations.
    opts: BTreeMap<String, String>,
    /// What was answered for it.
    facts: Facts,
}

impl Planned {
    fn goes_somewhere(&self) -> bool {
        goes_somewhere(self.shipment.as_deref(), self.is_required_only)
    }
}

/// Builds what was asked for.
pub(super) fn run(args: &Build, settings: Settings, source: &Source, asked: &Asked) -> Result<()> {
    let (plan, planned) = plan(args, &settings, source, asked)?;
    let mut run = super::run_settings(args, None)?;
    (run.outputs, run.expected) = deliveries(args, &settings, &planned)?;
    run.attest = attestations(&settings, source, &planned)?;
    run.attached = attest::attached(&plan);
    super::lend(settings, &mut run);
    executor::cli::run(definition::encode(plan)?, run).map_err(Failure::Build)
}

/// What was answered before, and whoever knows the rest.
struct Known<'a> {
    facts: &'a Facts,
    host: &'a Host<'a>,
}

impl World for Known<'_> {
    fn answer(&self, questions: &[Question]) -> Vec<std::result::Result<Answer, AskError>> {
        let known = |question: &Question| self.facts.answers.get(question).cloned();
        let open: Vec<Question> = questions.iter().filter(|question| known(question).is_none()).cloned().collect();
        let mut answers = if open.is_empty() { Vec::new() } else { self.host.answer(&open) }.into_iter();
        let answered = questions.iter().map(|question| known(question).or_else(|| answers.next()));
        answered.map(|answer| answer.unwrap_or_else(|| Err(AskError::default()))).collect()
    }
}

/// One graph of all results. What was answered for one is not asked for another.
fn plan(args: &Build, settings: &Settings, source: &Source, asked: &Asked) -> Result<(Plan, Vec<Planned>)> {
    let mut host = Host::new(settings)?;
    let said = executor::cli::attested(&args.run).map_err(Failure::Build)?;
    let mut facts = Facts::default();
    let (mut plans, mut planned, mut count) = (Vec::new(), Vec::new(), 0);
    let mut told: Vec<Diagnostic> = Vec::new();
    let mut sources = Sources::default();
    let mut failed = false;
    for (at, name) in asked.names.iter().chain(&asked.required).enumerate() {
        let mut options = settings.options.clone();
        if !name.is_empty() {
            options.opts.insert("target".to_owned(), name.clone());
        }
        let known = Known { facts: &facts, host: &host };
        let mut outcome = compiler::compile(source, &options, Facts::default(), &known);
        let shipment = outcome.plan.as_ref().and_then(|plan| plan.outputs.first()?.shipment.clone());
        let is_required_only = at >= asked.names.len();
        if goes_somewhere(shipment.as_deref(), is_required_only) {
            options.opts = attest::with_text(options.opts, said.clone(), shipment.as_deref())?;
            outcome = compiler::with_bills(outcome, &options, &known);
        }
        let own = outcome.facts;
        facts.answers.extend(own.answers.clone());
        if at == 0 {
            sources = std::iter::once(source.clone()).chain(outcome.modules).collect();
        }
        let fresh: Vec<Diagnostic> = outcome.diagnostics.into_iter().filter(|found| !told.contains(found)).collect();
        failed |= printer::diagnostics(settings.error_format, &sources, &fresh);
        told.extend(fresh);
        let Some(mut plan) = outcome.plan else {
            failed = true;
            continue;
        };
        host.pin(&mut plan.graph)?;
        let results = count..count + plan.outputs.len();
        count = results.end;
        let first = plan.outputs.first();
        planned.push(Planned {
            name: name.clone(),
            results,
            epoch: first.and_then(|output| output.epoch),
            shipment,
            is_required_only,
            opts: options.opts,
            facts: own,
        });
        plans.push(plan);
    }
    if let Some(path) = &settings.write_facts {
        files::replace(path, host.record(&facts).as_bytes())?;
    }
    if failed {
        return Err(Failure::Diagnosed);
    }
    let mut plan = Plan::together(plans);
    plan.optimize(settings.passes);
    Ok((plan, planned))
}

/// Where everything goes, and what it must be like before.
fn deliveries(args: &Build, settings: &Settings, planned: &[Planned]) -> Result<(Vec<Output>, Vec<Expectation>)> {
    let delivered: Vec<&Planned> = planned.iter().filter(|planned| planned.goes_somewhere()).collect();
    check_flags(args, &delivered)?;
    let mut outputs = Vec::new();
    for planned in &delivered {
        let part = Some(part(planned, delivered.len()));
        let own = outputs_of(args, settings, planned)?;
        outputs.extend(own.into_iter().map(|output| Output { part: part.clone(), ..output }));
    }
    check_names(&outputs)?;
    let expected = planned.iter().filter_map(expectation).collect();
    Ok((outputs, expected))
}

/// Its results, of so many that go somewhere.
fn part(planned: &Planned, count: usize) -> Part {
    Part { name: (count > 1).then(|| planned.name.clone()), results: planned.results.clone() }
}

/// What is to be said of how each was made.
fn attestations(settings: &Settings, source: &Source, planned: &[Planned]) -> Result<Vec<Attest>> {
    let delivered: Vec<&Planned> = planned.iter().filter(|planned| planned.goes_somewhere()).collect();
    let mut told = Vec::new();
    for planned in &delivered {
        let asked = attest::of(settings, (source, &planned.facts), planned.opts.clone())?;
        let part = Some(part(planned, delivered.len()));
        told.extend(asked.map(|asked| Attest { asked: asked.into(), part }));
    }
    Ok(told)
}

fn goes_somewhere(shipment: Option<&Shipment>, is_required_only: bool) -> bool {
    let is_nowhere = shipment.is_some_and(|shipment| shipment.destination == Destination::Nowhere);
    !is_required_only && !is_nowhere
}

/// Refuses what means something for one result only, and what is not there.
fn check_flags(args: &Build, delivered: &[&Planned]) -> Result<()> {
    let several = delivered.len() > 1;
    let given = [
        ("-t", !args.run.tags.is_empty(), "write `tags` of each image"),
        ("-o", !args.run.outputs.is_empty(), "build one after another, each with -o"),
        ("--iidfile", args.run.iidfile.is_some(), "--metadata-file FILE has the ids of all of them"),
    ];
    if let Some((flag, _, instead)) = given.iter().find(|(_, given, _)| *given && several) {
        return Err(Failure::usage(
            format!("{flag} is for one result, and there are {}", delivered.len()),
            (*instead).to_owned(),
        ));
    }
    let mut epochs = delivered.iter().map(|planned| planned.epoch);
    if let Some(first) = epochs.next()
        && epochs.any(|epoch| epoch != first)
    {
        return Err(Failure::unsupported("several times (epoch) in one build", "build one after another"));
    }
    Ok(())
}

/// The outputs of one result: those of the flags, else what the text says, else the image store.
fn outputs_of(args: &Build, settings: &Settings, planned: &Planned) -> Result<Vec<Output>> {
    let destination = planned.shipment.as_ref().map(|shipment| &shipment.destination);
    let mut run = args.run.clone();
    match destination {
        Some(Destination::Files { to }) if run.outputs.is_empty() => {
            return Ok(vec![Output { kind: Kind::Local, dest: Some(beside(settings, to)?), ..Output::default() }]);
        }
        Some(Destination::Image { tags, annotations, .. }) => {
            if run.tags.is_empty() {
                run.tags.clone_from(tags);
            }
            run.annotations.extend(annotations.iter().map(|(key, value)| format!("{key}={value}")));
        }
        _ => {}
    }
    Ok(RunSettings::new(&run, &args.options.store)?.outputs)
}

/// A directory beside the build file. What variables made of it may not lead out of there.
fn beside(settings: &Settings, to: &str) -> Result<PathBuf> {
    let path = Path::new(to);
    let leaves = path.components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir));
    if leaves {
        let text = format!("the files would leave the directory of the spec: {to}");
        return Err(Failure::message("files", text, "pass -o DIRECTORY to put them elsewhere"));
    }
    Ok(settings.input.directory().unwrap_or_else(|| ".".into()).join(path))
}

/// Two images cannot have one name, nor two results one directory.
pub(super) fn check_names(outputs: &[Output]) -> Result<()> {
    let mut seen = BTreeSet::new();
    let names = outputs.iter().filter(|output| output.part.as_ref().is_some_and(|part| part.name.is_some())).flat_map(
        |output| {
            let tags = output.attrs.get("name").map(String::as_str).unwrap_or_default();
            let dest = output.dest.as_ref().map(|dest| dest.display().to_string());
            tags.split(',')
                .filter(|tag| !tag.is_empty())
                .map(|tag| format!("{:?} {tag}", output.kind))
                .chain(dest)
                .collect::<Vec<_>>()
        },
    );
    for name in names {
        if !seen.insert(name.clone()) {
            let name = name.rsplit(' ').next().unwrap_or_default().to_owned();
            let text = format!("two results would be {name}");
            return Err(Failure::message("target", text, "put the variables they differ in into it: ${var.NAME}"));
        }
    }
    Ok(())
}

fn expectation(planned: &Planned) -> Option<Expectation> {
    let shipment = planned.shipment.as_ref().filter(|shipment| !shipment.expected.is_empty())?;
    let expected = shipment.expected.clone();
    Some(Expectation {
        name: shipment.goal.clone(),
        results: planned.results.clone(),
        max_bytes: expected.max_bytes,
        max_layers: expected.max_layers,
        absent: expected.absent,
        present: expected.present,
        env_absent: expected.env_absent,
        not_root: expected.not_root,
        user: expected.user,
        no_setuid: expected.no_setuid,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: &str = "[var.e]\n[image.a]\nfrom = \"x\"\nrequire = [\"test.t\"]\n[image.b]\nfrom = \"x\"\n[test.t]\nfrom = \"x\"\n\
                        [matrix.b]\nvar.e = [1, 2]\n[group]\ndefault = [\"a\", \"b\"]\n";

    fn check(spec: &str, names: &[&str], expected: &[&str], required: &[&str]) {
        let module = compiler::parse(&Source::new("build.toml", spec.as_bytes().to_vec()));
        assert!(module.diagnostics.is_empty(), "{:?}", module.diagnostics);
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let asked = asked(&module, &names).unwrap();
        assert_eq!((asked.names, asked.required), (owned(expected), owned(required)));
    }

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn groups_are_taken_apart_and_requirements_added() {
        check(SPEC, &[], &["a", "b-1", "b-2"], &["test.t"]);
        check(SPEC, &["b"], &["b-1", "b-2"], &[]);
        check(SPEC, &["b-2", "b"], &["b-2", "b-1"], &[]);
        check("[image.a]\nfrom = \"x\"\n", &[], &[""], &[]);
    }
}
