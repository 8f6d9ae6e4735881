//! `llbc lock`: writes down what a build takes from outside: image digests, commits, checksums.
//!
//! What the lock file says already stays, unless it is to be asked for anew; what is no longer used goes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ast::{GoalKind, Module, Source};
use compiler::{Facts, Lock};
use executor::registry::Asking;
use executor::session::Session;
use executor::{Cancel, Engine};
use llb::Op;

use super::lookup::{self, Context};
use crate::args::LockArgs;
use crate::failure::{Failure, Result};
use crate::settings::{Input, LOCK, Settings};
use crate::world::Host;
use crate::{files, pipeline, printer};

pub(super) fn run(args: &LockArgs) -> Result<()> {
    let mut settings = settings(args)?;
    let source = pipeline::source(&mut settings)?;
    let path = match (&args.output, settings.input.directory()) {
        (Some(path), _) => path.clone(),
        (None, Some(directory)) => directory.join(LOCK),
        (None, None) => return Err(Failure::usage("the build file has no directory", "pass -o FILE".to_owned())),
    };
    let known = known(&path, &args.update)?;
    let host = Host::with(&settings, known.clone());
    let mut facts = Facts::default();
    let sources = compile_all(&settings, &source, &host, &mut facts)?;
    let mut lock = Lock::default();
    lock.record(&facts);
    let open: Vec<llb::Source> = sources
        .into_values()
        .filter(|source| match known.pin_of(&source.identifier) {
            Some(pin) => {
                lock.record_pin(&source.identifier, pin.to_owned());
                false
            }
            None => true,
        })
        .collect();
    for (source, pin) in pins(&settings, &open)? {
        lock.record_pin(&source, pin);
    }
    files::replace(&path, lock.print().as_bytes())
}

fn settings(args: &LockArgs) -> Result<Settings> {
    let found = match &args.file {
        Some(file) => lookup::find(None, Some(file))?,
        None => lookup::find(Some("."), None)?,
    };
    let mut options = args.options.clone();
    if let Context::Directory(directory) = &found.context {
        options.context_dir.get_or_insert(directory.clone());
    }
    if let Input::Remote(_) = found.input {
        return Err(Failure::unsupported(
            "a lock file for a remote context",
            "get the context, and name its build file",
        ));
    }
    let mut settings = Settings::new(found.input, &options)?;
    // What is written down is looked up by this command alone: some of it is to be asked for anew.
    settings.facts.retain(|path| args.options.facts.contains(path));
    Ok(settings)
}

/// What the lock file says and is not to be asked for anew.
fn known(path: &Path, update: &[String]) -> Result<Lock> {
    let text = match executor::text::file(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Lock::default()),
        Err(error) => return Err(Failure::io("read the lock file", path)(error)),
    };
    let wrong = |error| Failure::message("facts", format!("{}: {error}", path.display()), "remove it and lock anew");
    let mut lock = Lock::parse(&text).map_err(wrong)?;
    for name in update {
        if name.is_empty() {
            return Ok(Lock::default());
        }
        if !lock.forget(name) {
            let text =
                ast::with_suggestion(format!("{name} is not in {}", path.display()), ast::suggest(name, lock.names()));
            let names: Vec<&str> = lock.names().collect();
            return Err(Failure::message("lock", text, format!("it has {}", names.join(", "))));
        }
    }
    Ok(lock)
}

/// Compiles everything that can be built, and gives the remote sources that are not pinned by the text.
fn compile_all(
    settings: &Settings,
    source: &Source,
    host: &Host<'_>,
    facts: &mut Facts,
) -> Result<BTreeMap<String, llb::Source>> {
    let (module, _) = compiler::load(source, &settings.options, facts, host);
    let mut open = BTreeMap::new();
    for name in everything(&module, settings) {
        open.extend(unpinned(compile(settings, source, name, host, facts)?.graph));
    }
    for definition in facts.definitions() {
        let wrong = |error| Failure::message("lock", format!("a filesystem of a module: {error}"), "report this");
        open.extend(unpinned(llb::decode(definition).map_err(wrong)?.graph));
    }
    Ok(open)
}

/// The remote sources of a graph that do not say themselves what they are, by identifier.
fn unpinned(graph: llb::Graph) -> impl Iterator<Item = (String, llb::Source)> {
    let wanted = Lock::default().pin(&mut graph.clone());
    graph.nodes.into_iter().filter_map(move |node| match node.op {
        Op::Source(source) if wanted.contains(&source.identifier) => Some((source.identifier.clone(), source)),
        _ => None,
    })
}

fn compile(
    settings: &Settings,
    source: &Source,
    name: Option<String>,
    host: &Host<'_>,
    facts: &mut Facts,
) -> Result<compiler::Plan> {
    let mut options = settings.options.clone();
    options.opts.extend(name.map(|name| ("target".to_owned(), name)));
    let outcome = compiler::compile(source, &options, std::mem::take(facts), host);
    // Scanners for bills of materials are taken from outside, too.
    let shipment = outcome.plan.as_ref().and_then(|plan| plan.outputs.first()?.shipment.as_deref());
    options.opts = super::build::with_text(options.opts, BTreeSet::new(), shipment)?;
    let outcome = compiler::with_bills(outcome, &options, host);
    *facts = outcome.facts;
    let sources = std::iter::once(source.clone()).chain(outcome.modules).collect();
    let failed = printer::diagnostics(settings.error_format, &sources, &outcome.diagnostics);
    outcome.plan.filter(|_| !failed).ok_or(Failure::Diagnosed)
}

/// What is compiled: the target that is asked for, else every result and every stage; of a program, what it builds.
fn everything(module: &Module, settings: &Settings) -> Vec<Option<String>> {
    if module.dialect.functions || settings.options.opts.contains_key("target") {
        return vec![None];
    }
    let results = module.goals.iter().filter(|goal| matches!(goal.kind, GoalKind::Result(_)));
    let mut names: Vec<Option<String>> = results.map(|goal| Some(goal.name.text.clone())).collect();
    let is_goal = |name: &str| module.goal(name).is_some();
    let stages = module.defs.iter().filter_map(|def| def.name.as_ref()).filter(|name| !is_goal(&name.text));
    names.extend(stages.map(|name| Some(name.text.clone())));
    if module.goals.is_empty() {
        // The last stage may have no name.
        names.push(None);
    }
    names
}

/// What sources are at the moment; all are asked at once.
fn pins(settings: &Settings, sources: &[llb::Source]) -> Result<Vec<(String, String)>> {
    if sources.is_empty() {
        return Ok(Vec::new());
    }
    if settings.offline {
        let text = format!("{} is not known, and nobody is asked", sources[0].identifier);
        return Err(Failure::message("lock", text, "lock without --offline"));
    }
    let engine = Engine::open(settings.store.directory()).map_err(Failure::Build)?;
    let registries = settings.store.client(Asking::Repeatedly).map_err(Failure::Build)?;
    let session = Session { registries, ..Session::default() };
    let ask = |source: &llb::Source| {
        let pin = engine.pin(source, &session, &Cancel::default())?;
        Ok(pin.map(|pin| (source.identifier.clone(), pin)))
    };
    let answers: Vec<executor::Result<Option<(String, String)>>> = std::thread::scope(|scope| {
        let threads: Vec<_> = sources.iter().map(|source| scope.spawn(|| ask(source))).collect();
        threads.into_iter().map(|thread| thread.join().expect("asking does not panic")).collect()
    });
    let answers = answers.into_iter().collect::<executor::Result<Vec<_>>>().map_err(Failure::Build)?;
    Ok(answers.into_iter().flatten().collect())
}
