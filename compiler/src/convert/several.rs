//! Builds of several texts, each with its flags, as one spec: what a bake file says.

use std::collections::BTreeMap;

use ast::{Diagnostic, FileId, Module, Severity, Source, Span};
use frontends::spec::several::{self, Kind, Named, Several, Stages, Wanted};

use super::compare::{Directories, built};
use super::construct::{self, Text};
use super::{NAMELESS, NO_EQUAL, StandIns, Written, judged, left_out, named};
use crate::{Options, Plan, World};

/// Builds by name.
#[derive(Debug, Default)]
pub struct Builds {
    /// Their texts. **Shape**: file 1 first; file 0 is the text that names the builds.
    pub texts: Vec<Source>,
    /// The builds; one on which others are based comes before them.
    pub builds: Vec<Build>,
    /// Variables with their defaults.
    pub vars: Vec<(String, String)>,
    /// Directories that are contexts of their own: a name, and the directory.
    pub directories: Vec<(String, String)>,
    /// Groups with their members.
    pub groups: Vec<(String, Vec<String>)>,
    /// Whether the spec says what processes see as other languages do.
    pub exporting: bool,
    /// Values of variables to compare with, beside their defaults. **Shape**: one entry a further [`Build::told`].
    pub rounds: Vec<BTreeMap<String, String>>,
}

/// A build.
#[derive(Debug)]
pub struct Build {
    /// What it is asked for by.
    pub name: String,
    /// What it is for.
    pub comment: Option<String>,
    /// Where it is named.
    pub at: Span,
    /// Its text, among the texts.
    pub text: usize,
    /// Arguments with their values, which may have references to variables in them.
    pub args: BTreeMap<String, String>,
    /// The directory it is built in, if that is not the one of the spec.
    pub context: Option<String>,
    /// What takes the place of images and stages, by their names in lower case.
    pub contexts: BTreeMap<String, Named>,
    /// What becomes of it.
    pub kind: Kind,
    /// Platforms it is built for.
    pub platforms: Vec<String>,
    /// What it is told, but for contexts that are other builds: with the defaults of variables, and with each other value.
    pub told: Vec<Options>,
}

/// The builds as a spec. With `lossy`, what that has no word for is left out and named; where nothing is, what is built
/// otherwise is named.
///
/// **Errors**: what is wrong with the texts; everything that a spec has no word for, each with its place; and builds that
/// would be others.
pub fn several(builds: &Builds, lossy: bool, files: &dyn World) -> Result<Written, Vec<Diagnostic>> {
    let world = StandIns::beside(files);
    let modules: Vec<Module> = builds.texts.iter().zip(1..).map(|(text, file)| parsed(text, FileId(file))).collect();
    let is_error = |found: &&Diagnostic| found.severity == Severity::Error;
    let errors: Vec<Diagnostic> =
        modules.iter().flat_map(|module| &module.diagnostics).filter(is_error).cloned().collect();
    if !errors.is_empty() {
        return Err(errors);
    }
    let spec = frontends::by_id("TOML").expect("the language is there");
    let (whole, mut wrong) = whole(builds, &modules);
    let text = several::spec(&whole, false).or_else(|unsaid| {
        wrong.extend(named(unsaid, spec));
        if lossy { several::spec(&whole, true).map_err(|more| named(more, spec)) } else { Ok(String::new()) }
    })?;
    if !wrong.is_empty() {
        let left_out = wrong.iter().cloned().map(left_out).collect();
        return if lossy { Ok(Written { text, left_out, included: Vec::new() }) } else { Err(wrong) };
    }
    let written = Source::new("build.toml", text.clone().into_bytes());
    let found = differences(builds, &modules, &written, &world);
    judged(text, found, lossy)
}

fn parsed(text: &Source, file: FileId) -> Module {
    let language = frontends::choose(&text.name, &text.bytes, None).unwrap_or(&frontends::LANGUAGES[0]);
    (language.parse)(&frontends::Input::of(file, text))
}

/// The builds by their texts: those that tell a text the same have its stages together. And what is wrong: builds of stages
/// that are not there are left out, and members of groups that are nothing.
fn whole<'m>(builds: &Builds, modules: &'m [Module]) -> (Several<'m>, Vec<Diagnostic>) {
    let mut all: Vec<(usize, Stages<'m>)> = Vec::new();
    let mut errors = Vec::new();
    for build in &builds.builds {
        let module = &modules[build.text];
        let Some(stage) = stage(module, build) else {
            let target = target(build);
            let message = format!("{} has no stage {target}", builds.texts[build.text].name);
            errors.push(Diagnostic::error(NO_EQUAL, message, Some(build.at)).help("`target` names one of its stages"));
            continue;
        };
        let wanted = Wanted {
            name: build.name.clone(),
            comment: build.comment.clone(),
            stage,
            kind: build.kind.clone(),
            platforms: build.platforms.clone(),
        };
        let is_alike = |text: usize, stages: &Stages<'_>| {
            text == build.text
                && stages.args == build.args
                && stages.context == build.context
                && stages.contexts == build.contexts
        };
        match all.iter_mut().find(|(text, stages)| is_alike(*text, stages)) {
            Some((_, stages)) => stages.results.push(wanted),
            None => {
                let stages = Stages {
                    module,
                    args: build.args.clone(),
                    context: build.context.clone(),
                    contexts: build.contexts.clone(),
                    results: vec![wanted],
                };
                all.push((build.text, stages));
            }
        }
    }
    let stages: Vec<Stages<'m>> = all.into_iter().map(|(_, stages)| stages).collect();
    let is_result = |name: &String| stages.iter().flat_map(|stages| &stages.results).any(|result| result.name == *name);
    let mut groups = builds.groups.clone();
    for (group, members) in &mut groups {
        members.retain(|member| {
            let is_there = is_result(member) || builds.groups.iter().any(|(known, _)| known == member);
            if !is_there && !builds.builds.iter().any(|build| build.name == *member) {
                let message = format!("group {group} has a member that is nothing: {member}");
                let error = Diagnostic::error(NO_EQUAL, message, Some(Span::new(FileId(0), 0, 0)));
                errors.push(error.help("take it out, or say what it is"));
            }
            is_there
        });
    }
    let whole = Several {
        vars: builds.vars.clone(),
        directories: builds.directories.clone(),
        stages,
        groups,
        exporting: builds.exporting,
    };
    (whole, errors)
}

fn target(build: &Build) -> &str {
    build.told.first().and_then(|told| told.opts.get("target")).map_or("", String::as_str)
}

/// The stage that a build is of.
fn stage(module: &Module, build: &Build) -> Option<usize> {
    let target = target(build);
    if target.is_empty() {
        return module.defs.len().checked_sub(1);
    }
    let is_named = |def: &ast::Def| def.name.as_ref().is_some_and(|name| name.text.eq_ignore_ascii_case(target));
    module.defs.iter().rposition(is_named).or_else(|| target.parse().ok().filter(|at| *at < module.defs.len()))
}

/// What the spec builds differently, at the builds.
fn differences(builds: &Builds, modules: &[Module], written: &Source, world: &StandIns<'_>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let usual = BTreeMap::new();
    for (round, values) in std::iter::once(&usual).chain(&builds.rounds).enumerate() {
        let mut plans: BTreeMap<&str, Plan> = BTreeMap::new();
        for build in &builds.builds {
            let fresh = difference((builds, modules), build, (round, values), written, &mut plans, world);
            found.extend(fresh.filter(|fresh| !found.contains(fresh)));
        }
        if !found.is_empty() {
            break;
        }
    }
    found
}

fn difference<'b>(
    (builds, modules): (&'b Builds, &[Module]),
    build: &'b Build,
    (round, values): (usize, &BTreeMap<String, String>),
    written: &Source,
    plans: &mut BTreeMap<&'b str, Plan>,
    world: &StandIns<'_>,
) -> Option<Diagnostic> {
    let text = &builds.texts[build.text];
    let mut options = build.told.get(round)?.clone();
    for (context, named) in &build.contexts {
        if let Named::Result(name) = named
            && let Some(plan) = plans.get(name.as_str())
        {
            options.lend(context, name, plan);
        }
    }
    let own = build.context.as_deref().unwrap_or_default();
    let path = |name: &str| builds.directories.iter().find(|(known, _)| known == name).map(|(_, path)| path.clone());
    let context = ("context".to_owned(), path(own).unwrap_or_default());
    let of_contexts = build.contexts.iter().filter_map(|(name, named)| match named {
        Named::Directory(source) => Some((name.clone(), path(source)?)),
        _ => None,
    });
    let first: Directories = of_contexts.chain([context]).collect();
    let second: Directories =
        builds.directories.iter().cloned().chain([("context".to_owned(), String::new())]).collect();
    // What cannot be built as it is is no measure.
    let (wanted, plan) = built(text, &options, &first, world).ok()?;
    plans.insert(&build.name, plan);
    let mut options = Options::default();
    options.opts.insert("target".to_owned(), build.name.clone());
    options.opts.extend(values.iter().map(|(name, value)| (format!("build-arg:{name}"), value.clone())));
    match built(written, &options, &second, world) {
        Err(message) => {
            let message = format!("a build spec of {} is refused: {message}", build.name);
            Some(Diagnostic::error(NAMELESS, message, Some(build.at)).help(construct::LEAVE))
        }
        Ok((got, _)) => {
            let (part, place) = wanted.unlike(&got)?;
            let module = &modules[build.text];
            let def = stage(module, build).map(|at| &module.defs[at]);
            let refusal = Text { source: text, module, def }.refusal(&part, place, "a build spec");
            Some(refusal.also(build.at, format!("as {} is built", build.name)))
        }
    }
}
