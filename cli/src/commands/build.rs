//! `llbc build`: compile and run in one process, with the flags of `docker build`.

mod attest;
mod baked;
mod goals;
mod print;
mod words;

pub(super) use attest::with_text;
pub(super) use baked::usual;

use std::collections::BTreeMap;
use std::sync::Arc;

use ast::{Module, Source};
use executor::Attest;
use executor::cli::{Network, RunArgs, Settings as RunSettings};
use executor::runtime::Runtime;

use super::check;
use super::lookup::{self, Context};
use super::program;
use crate::args::{Build, BuildFlags, FailOn};
use crate::failure::{Failure, Result};
use crate::settings::{self, Settings};
use crate::{bake, definition, pipeline};

/// How much is optimized where nobody says it: all that never repeats work.
const OPTIMIZE: &str = "1";

pub(super) fn run(args: &Build) -> Result<()> {
    if let Some(file) = args.file.as_deref().filter(|file| bake::is_bake(file)) {
        return baked::run(args, file);
    }
    if let Some(set) = args.frontend.set.first() {
        let help =
            "it changes targets of bake files: say -f docker-bake.hcl, or the flag itself (--build-arg, --tag, …)";
        return Err(Failure::unsupported(&format!("--set {set} of this build file"), help));
    }
    start(args, &|_, names| names)
}

/// `llbc test`: the same, of tests.
pub(super) fn test(args: &Build) -> Result<()> {
    start(args, &|module, names| if names.is_empty() { goals::tests(module) } else { names })
}

/// Builds what a choice makes of the names that were given.
fn start(args: &Build, choose: &dyn Fn(&Module, Vec<String>) -> Vec<String>) -> Result<()> {
    // First of all, while there is one thread.
    executor::userns::enter().map_err(Failure::Build)?;
    let words = words::read(args)?;
    let mut settings = compile_settings(args, words.context.as_deref())?;
    if args.frontend.check {
        // parity: `docker build --check` fails on warnings too.
        return check::settings(&mut settings, FailOn::Warning);
    }
    let source = pipeline::source(&mut settings)?;
    if let Some((image, command)) = other_frontend(&settings, &source) {
        return by_frontend(args, settings, &image, command);
    }
    let (module, included) = pipeline::load(&settings, &source)?;
    let given = if words.names.is_empty() { args.options.target.iter().cloned().collect() } else { words.names };
    let names = choose(&module, given);
    let asked = goals::asked(&module, &names)?;
    if args.frontend.print {
        return print::run(&settings, &module, &source, &included, &names);
    }
    match &names[..] {
        _ if asked.is_plain(&module) => {}
        [_, _, ..] if module.dialect.functions => {
            return Err(Failure::unsupported(
                "several targets of a program",
                "make a pipeline of them, or build one after another",
            ));
        }
        _ if module.dialect.functions => {}
        _ => return goals::run(args, settings, &source, &asked),
    }
    one(args, settings, source, names.first())
}

/// Builds one definition, or what a program does.
fn one(args: &Build, mut settings: Settings, source: Source, name: Option<&String>) -> Result<()> {
    let runtime = begun(args, &source)?;
    settings.options.opts.extend(name.map(|name| ("target".to_owned(), name.clone())));
    let mut compiled = pipeline::run(&settings, source, compiler::build)?;
    let asked = attest::asked(&settings, compiled.source(), &compiled.outcome.facts)?;
    if compiled.outcome.plan.as_ref().is_some_and(program::is_program) {
        if asked.is_some() || compiled.outcome.plan.iter().any(|plan| plan.bills().next().is_some()) {
            return Err(Failure::unsupported(
                "an attestation of a program that sends results away, or reads what is the client's",
                "it is several builds; ask for a target that is one, with --target, and -t or -o",
            ));
        }
        let plan = pipeline::plan(&settings, compiled)?;
        return program::run(&plan, settings.passes, &|output| run_settings(args, output));
    }
    let opened = std::mem::take(&mut compiled.opened);
    let plan = pipeline::optimized(&settings, compiled)?;
    let mut run = run_settings(args, None)?;
    run.attest.extend(asked.map(|asked| Attest { asked: asked.into(), part: None }));
    run.attached = attest::attached(&plan);
    run.store = opened.store;
    run.runtime = runtime;
    // One whose certificate is not to be checked has a client of its own.
    if let Some(registries) = opened.registries.filter(|_| run.cache_from.iter().all(|from| from.insecure().is_none()))
    {
        run.session.registries = registries;
    }
    lend(settings, &mut run);
    executor::cli::run(definition::encode(plan)?, run).map_err(Failure::Build)
}

/// What runs steps, at work already where they cannot come from the cache. A text without the word has none, but for what
/// it includes, which begins with the first step.
fn begun(args: &Build, source: &Source) -> Result<Option<Arc<dyn Runtime>>> {
    if !source.bytes.windows(3).any(|word| word.eq_ignore_ascii_case(b"run")) {
        return Ok(None);
    }
    Ok(executor::cli::begun(&args.run, &args.options.store, args.frontend.network)?)
}

/// What a build may read of the user's.
fn lend(settings: Settings, run: &mut RunSettings) {
    run.stdin_is_taken = settings.input.is_stdin() || !settings.uploads.is_empty();
    run.session.locals = settings.locals;
    run.session.oci_layouts.extend(settings.layouts);
    run.session.uploads = settings.uploads;
}

/// The image of the frontend that compiles a text, and how it is called, unless it is compiled here: named by an option,
/// or by the text where that is of no language that is known here.
fn other_frontend(settings: &Settings, source: &Source) -> Option<(String, String)> {
    let opts = &settings.options.opts;
    if opts.contains_key("cmdline") || opts.contains_key("language") {
        return None;
    }
    if let Some(command) = opts.get("build-arg:BUILDKIT_SYNTAX") {
        let image = command.trim().split(' ').next().unwrap_or_default();
        return Some((image.to_owned(), command.clone()));
    }
    let syntax = frontends::syntax(&source.bytes)?;
    let known = frontends::of_frontend(&syntax.reference.text).is_some();
    (!known).then_some((syntax.reference.text, syntax.command))
}

/// Builds with a frontend from an image.
fn by_frontend(args: &Build, settings: Settings, image: &str, command: String) -> Result<()> {
    if settings.input.is_stdin() {
        return Err(Failure::unsupported(
            &format!("a build file from standard input for the frontend {image}"),
            "name the file, with -f: the frontend reads it from its directory",
        ));
    }
    let mut opts = settings.options.opts.clone();
    opts.extend([("cmdline".to_owned(), command), ("source".to_owned(), image.to_owned())]);
    let mut run = run_settings(args, None)?;
    lend(settings, &mut run);
    executor::cli::run_frontend(image, opts, run).map_err(Failure::Build)
}

fn compile_settings(args: &Build, context: Option<&str>) -> Result<Settings> {
    let found = lookup::find(context, args.file.as_deref())?;
    let mut options = args.options.clone();
    if let Context::Directory(directory) = &found.context {
        options.context_dir.get_or_insert(directory.clone());
    }
    options.optimize.get_or_insert_with(|| OPTIMIZE.to_owned());
    let mut settings = Settings::new(found.input, &options)?;
    match found.context {
        Context::Directory(_) => {}
        Context::Remote { address, file } => {
            settings.options.opts.insert("context".to_owned(), address);
            settings.options.opts.extend(file.map(|file| ("filename".to_owned(), file)));
        }
        Context::Archive { upload, file } => {
            settings.options.opts.insert("context".to_owned(), upload.address.clone());
            settings.options.opts.extend(file.map(|file| ("filename".to_owned(), file)));
            settings.uploads.insert(upload.address, upload.file);
        }
        Context::Empty => {
            let empty = args.options.store.empty_directory().map_err(Failure::Build)?;
            settings.locals.extend([("context".to_owned(), empty)]);
        }
    }
    settings.options.opts.extend(frontend_options(&args.frontend, &args.run)?);
    settings.options.opts.extend(executor::cli::attestations(&args.run).map_err(Failure::Build)?);
    settings.run = Some(args.run.clone());
    Ok(settings)
}

/// What the engine is told; `output` takes the place of where the user wants results.
fn run_settings(args: &Build, output: Option<String>) -> Result<RunSettings> {
    let mut run = args.run.clone();
    if let Some(output) = output {
        run.outputs = vec![output];
        run.tags.clear();
        return Ok(RunSettings::new(&run, &args.options.store)?);
    }
    // What the build file may not take from the cache is said in the definition, vertex by vertex.
    run.no_cache = false;
    if holds_cache(&args.options.build_args) {
        run.cache_to.push("type=inline".to_owned());
    }
    let mut settings = RunSettings::new(&run, &args.options.store)?;
    settings.network = args.frontend.network.mode(&run.allow)?;
    Ok(settings)
}

/// Whether build arguments ask for images that hold their cache. parity: what buildx takes for true.
fn holds_cache(build_args: &[String]) -> bool {
    let given = |arg: &String| settings::build_arg(arg, arg).filter(|(name, _)| name == "BUILDKIT_INLINE_CACHE");
    let asked = build_args.iter().rev().find_map(given);
    asked.is_some_and(|(_, value)| ["1", "t", "T", "true", "TRUE", "True"].contains(&value.as_str()))
}

/// Flags as the frontend options that clients of BuildKit make of them.
fn frontend_options(flags: &BuildFlags, run: &RunArgs) -> Result<BTreeMap<String, String>> {
    let hosts = flags.add_hosts.iter().map(|host| add_host(host)).collect::<Result<Vec<_>>>()?;
    let no_cache = (run.no_cache || !flags.no_cache_filter.is_empty()).then(|| flags.no_cache_filter.join(","));
    let network = match flags.network {
        // Not part of the definition: where the build runs decides.
        Network::Default | Network::Sandbox => None,
        Network::Host => Some("host".to_owned()),
        Network::None => Some("none".to_owned()),
    };
    let options = [
        ("add-hosts", joined(&hosts)),
        ("cgroup-parent", flags.cgroup_parent.clone()),
        ("force-network-mode", network),
        ("image-resolve-mode", flags.pull.then(|| "pull".to_owned())),
        ("no-cache", no_cache),
        ("shm-size", flags.shm_size.as_deref().map(bytes).transpose()?.map(|size| size.to_string())),
        ("ulimit", joined(&flags.ulimits)),
    ];
    Ok(options.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect())
}

fn joined(values: &[String]) -> Option<String> {
    (!values.is_empty()).then(|| values.join(","))
}

/// `NAME:ADDRESS` or `NAME=ADDRESS`; an address in brackets is one of IPv6.
fn add_host(text: &str) -> Result<String> {
    let split = text.split_once('=').or_else(|| text.split_once(':'));
    let Some((host, address)) = split.filter(|(host, address)| !host.is_empty() && !address.is_empty()) else {
        return Err(Failure::usage(format!("--add-host {text}: expected NAME:ADDRESS"), None));
    };
    let address = address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(address);
    Ok(format!("{host}={address}"))
}

/// A number of bytes with an optional unit (`b`, `k`, `m`, `g`, `t`; powers of 1024).
fn bytes(text: &str) -> Result<u64> {
    let lower = text.to_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match &lower[digits.len()..] {
        "" | "b" => Some(0),
        "k" | "kb" => Some(10),
        "m" | "mb" => Some(20),
        "g" | "gb" => Some(30),
        "t" | "tb" => Some(40),
        _ => None,
    };
    let size = digits.parse::<u64>().ok().zip(shift).and_then(|(number, shift)| number.checked_mul(1 << shift));
    size.ok_or_else(|| Failure::usage(format!("{text} is not a size"), "write a number and a unit: 64m".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown<T: std::fmt::Debug>(result: Result<T>) -> String {
        match result {
            Ok(value) => format!("{value:?}"),
            Err(Failure::Message(message)) => message.text,
            Err(other) => format!("{other:?}"),
        }
    }

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("64m", "67108864"),
            ("1GB", "1073741824"),
            ("12", "12"),
            ("m", "m is not a size"),
            ("1x", "1x is not a size"),
            ("99999999999g", "99999999999g is not a size"),
        ] {
            assert_eq!(shown(bytes(text)), expected);
        }
    }

    #[test]
    fn hosts() {
        for (text, expected) in [
            ("a:1.2.3.4", "\"a=1.2.3.4\""),
            ("a=::1", "\"a=::1\""),
            ("a:[::1]", "\"a=::1\""),
            ("a", "--add-host a: expected NAME:ADDRESS"),
        ] {
            assert_eq!(shown(add_host(text)), expected);
        }
    }
}
