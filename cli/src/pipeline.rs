//! From settings to a plan: read the file, compile it with the host as the outside, say what was found.

use ast::{Module, Source, Sources};
use compiler::{Facts, Options, Outcome, Plan, World};

use crate::failure::{Failure, Result};
use crate::settings::{Input, Settings};
use crate::world::{self, Host, Opened};
use crate::{files, printer, remote};

/// A compilation and the text its findings point into.
pub(crate) struct Compiled {
    /// What it gave.
    pub(crate) outcome: Outcome,
    /// The text, as file 0.
    pub(crate) sources: Sources,
    /// What was opened to answer what it asked.
    pub(crate) opened: Opened,
}

impl Compiled {
    /// The text.
    pub(crate) fn source(&self) -> &Source {
        self.sources.get(self.outcome.module.file)
    }
}

/// One of the compiler's doors.
type Door = fn(&Source, &Options, Facts, &dyn World) -> Outcome;

/// Reads the build file. The directories and layouts that it has as contexts are then those of the settings.
pub(crate) fn source(settings: &mut Settings) -> Result<Source> {
    remote::prepare(settings)?;
    let source = match &settings.input {
        Input::Remote(address) => remote::source(settings, address)?,
        input => Source::new(input.name(), world::read(input)?),
    };
    let (module, _) = load(settings, &source)?;
    let directory = settings.input.directory().unwrap_or_default();
    for ast::Beside { name, place } in module.contexts {
        if settings.options.opts.contains_key(&format!("context:{}", name.text)) {
            continue;
        }
        let (known, path) = match &place {
            ast::Place::Directory(path) => (&mut settings.locals, path.as_str()),
            ast::Place::Layout(place) => (&mut settings.layouts, oci::layout::split(place).0),
        };
        known.entry(name.text).or_insert_with(|| directory.join(path));
    }
    Ok(source)
}

/// Parses a text with all that it includes, and gives those texts.
pub(crate) fn load(settings: &Settings, source: &Source) -> Result<(Module, Vec<Source>)> {
    let host = Host::new(settings)?;
    Ok(compiler::load(source, &settings.options, &mut Facts::default(), &host))
}

/// Reads a build file and sends it through a door.
pub(crate) fn read(settings: &mut Settings, door: Door) -> Result<Compiled> {
    let source = source(settings)?;
    run(settings, source, door)
}

/// Sends a text through a door, and writes the lock file if one is asked for.
pub(crate) fn run(settings: &Settings, source: Source, door: Door) -> Result<Compiled> {
    if compiler::parse(&source).dialect.functions {
        // A program may ask for what has to be built, while it is compiled: root, for an ordinary user, as long as there is
        // one thread. What cannot be done without says so by itself.
        let _ = executor::userns::enter();
    }
    let mut host = Host::new(settings)?;
    let mut outcome = door(&source, &settings.options, Facts::default(), &host);
    if let Some(plan) = &mut outcome.plan {
        host.pin(&mut plan.graph)?;
    }
    if let Some(path) = &settings.write_facts {
        files::replace(path, host.record(&outcome.facts).as_bytes())?;
    }
    let sources = std::iter::once(source).chain(outcome.modules.iter().cloned()).collect();
    Ok(Compiled { outcome, sources, opened: host.into_opened() })
}

/// The same as [`plan`], optimized as the settings ask.
pub(crate) fn optimized(settings: &Settings, compiled: Compiled) -> Result<Plan> {
    let mut plan = plan(settings, compiled)?;
    plan.optimize(settings.passes);
    Ok(plan)
}

/// The same as a definition can hold it: one result, or one a platform. What is sent away is no part of it.
pub(crate) fn definition_plan(settings: &Settings, compiled: Compiled) -> Result<Plan> {
    let functions = compiled.outcome.module.dialect.functions;
    let plan = optimized(settings, compiled)?;
    if !functions {
        return Ok(plan);
    }
    if !plan.exports.is_empty() {
        let text = "a definition cannot say what is sent away (push, load, download)";
        return Err(Failure::message("export", text, "`llbc build` does it; or choose another --target"));
    }
    match plan.outputs.len() {
        1 => Ok(plan),
        0 => Err(Failure::message("target", "there is nothing to build", "choose another --target")),
        count => {
            let text = format!("a definition holds one result, and the target has {count}");
            Err(Failure::message("target", text, "choose another --target, or use `llbc build`"))
        }
    }
}

/// Prints what was found and gives the plan when there is no error.
pub(crate) fn plan(settings: &Settings, compiled: Compiled) -> Result<Plan> {
    let failed = printer::diagnostics(settings.error_format, &compiled.sources, &compiled.outcome.diagnostics);
    let plan = compiled.outcome.plan.filter(|_| !failed).ok_or(Failure::Diagnosed)?;
    let Some(platform) = &settings.only_platform else { return Ok(plan) };
    let offered: Vec<String> = plan.outputs.iter().map(|output| output.platform.to_string()).collect();
    plan.only(platform).ok_or_else(|| {
        Failure::usage(format!("--only-platform {platform}: the build is for {}", offered.join(", ")), None)
    })
}
