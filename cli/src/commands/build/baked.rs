//! `llbc build -f docker-bake.hcl`: each target is a build with flags of its own; together they are one graph.

mod together;

use std::collections::BTreeMap;
use std::io::Write as _;

use clap::ValueEnum as _;
use serde_json::Value;

use super::start;
use crate::args::Build;
use crate::bake::{self, Bake, CMD_CONTEXT, LOCAL_PLATFORM, Target, based_on, context, dockerfile, list, pairs, shown};
use crate::failure::{Failure, Result};
use crate::{pipeline, printer, world};
use together::Unit;

/// Builds the targets that the words name.
pub(super) fn run(args: &Build, file: &str) -> Result<()> {
    let bytes = world::read(&crate::settings::Input::new(file))?;
    let text = String::from_utf8_lossy(&bytes);
    let mut set = args.frontend.set.clone();
    if args.frontend.print {
        set.extend(said_of_all(args));
    }
    let bake = Bake::read_with(file, &text, &variable, &set)?;
    for name in &bake.misplaced {
        printer::note(&format!(
            "target {name}: `targets` means nothing in a target, and is passed over: groups have it"
        ));
    }
    let targets = bake.chosen(&args.words)?;
    if args.frontend.print {
        return print(&bake, args, &targets);
    }
    // First of all, while there is one thread.
    executor::userns::enter().map_err(Failure::Build)?;
    let mut units = Vec::new();
    for target in bake.needed(&targets)? {
        let wanted = targets.iter().any(|known| known.name == target.name);
        units.push(unit(args, target, wanted)?);
    }
    if let Some(apart) = units.iter().position(is_apart) {
        return one_by_one(units, apart);
    }
    together::run(args, units)
}

/// What flags say of all targets, as `--set` does: that is how bake shows it.
fn said_of_all(args: &Build) -> impl Iterator<Item = String> {
    let flags = [
        ("push", args.run.push),
        ("load", args.run.load),
        ("no-cache", args.run.no_cache),
        ("pull", args.frontend.pull),
    ];
    flags.into_iter().filter(|(_, given)| *given).map(|(key, _)| format!("*.{key}=true"))
}

/// A variable of the environment, or one that is always there.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().or_else(|| usual(name))
}

/// A variable that is always there.
pub(in crate::commands) fn usual(name: &str) -> Option<String> {
    match name {
        LOCAL_PLATFORM => Some(executor::host_platform().to_string()),
        CMD_CONTEXT => Some("cwd://".to_owned()),
        _ => None,
    }
}

fn unit<'b>(args: &Build, target: &'b Target, wanted: bool) -> Result<Unit<'b>> {
    let (build, inline) = build(args, target)?;
    let words = super::words::read(&build)?;
    let mut settings = super::compile_settings(&build, words.context.as_deref())?;
    let source = pipeline::source(&mut settings)?;
    Ok(Unit { target, wanted, build, settings, source, based_on: based_on(target), _inline: inline })
}

/// Whether a target is built by a frontend from an image, or is of a language whose texts say what is built: it is then a
/// build by itself.
fn is_apart(unit: &Unit<'_>) -> bool {
    let language = || frontends::choose(&unit.source.name, &unit.source.bytes, None).ok();
    super::other_frontend(&unit.settings, &unit.source).is_some()
        || unit.build.frontend.check
        || language().is_none_or(|language| language.id != "Dockerfile")
}

fn one_by_one(units: Vec<Unit<'_>>, apart: usize) -> Result<()> {
    if units.iter().any(|unit| !unit.based_on.is_empty()) {
        let what = "a build file that is no Dockerfile, where others are contexts of a target";
        return Err(unsupported(units[apart].target, what, "build it alone"));
    }
    for unit in &units {
        printer::note(&format!("target {}", unit.target.name));
        start(&unit.build, &|_, names| names)?;
    }
    Ok(())
}

/// A file that is there as long as its build.
type Inline = Option<tempfile::NamedTempFile>;

/// The build of a target. What the command line says of results and of speed holds for all.
fn build(args: &Build, target: &Target) -> Result<(Build, Inline)> {
    let mut build = args.clone();
    build.file = Some(bake::file(target));
    build.words = vec![context(target)];
    let mut inline = None;
    for (key, value) in &target.keys {
        let one = || shown(value);
        match key.as_str() {
            "context" | "dockerfile" | "description" | "entitlements" => {}
            "dockerfile-inline" => {
                let failed = |error| Failure::io("write", "the build file of the target")(error);
                let mut file = tempfile::Builder::new().prefix("Dockerfile.").tempfile().map_err(failed)?;
                file.write_all(one().as_bytes()).map_err(failed)?;
                build.file = Some(file.path().display().to_string());
                inline = Some(file);
            }
            "args" => build.options.build_args.extend(pairs(value)),
            "labels" => build.options.labels.extend(pairs(value)),
            "contexts" => {
                let others = bake::contexts(target).into_iter().filter(|(_, value)| !value.starts_with("target:"));
                build.options.build_contexts.extend(others.map(|(name, value)| format!("{name}={value}")));
            }
            "target" => build.options.target = Some(one()),
            "platforms" if build.options.platforms.is_empty() => build.options.platforms = list(value),
            "tags" if build.run.tags.is_empty() => build.run.tags = list(value),
            "output" if build.run.outputs.is_empty() && !build.run.push && !build.run.load => {
                build.run.outputs = list(value)
            }
            "platforms" | "tags" | "output" => {}
            "annotations" => build.run.annotations.extend(list(value)),
            "secret" => build.run.secrets.extend(list(value)),
            "ssh" => build.run.ssh.extend(bake::agents(value)),
            "no-cache" => build.run.no_cache |= value == true,
            "no-cache-filter" => build.frontend.no_cache_filter.extend(list(value)),
            "pull" => build.frontend.pull |= value == true,
            "shm-size" => build.frontend.shm_size = Some(one()),
            "ulimits" => build.frontend.ulimits.extend(list(value)),
            "extra-hosts" => build.frontend.add_hosts.extend(pairs(value)),
            "network" => {
                let wrong = |_| unsupported(target, &format!("network {}", one()), "it is default, none or host");
                build.frontend.network = executor::cli::Network::from_str(&one(), false).map_err(wrong)?;
            }
            "cache-from" => build.run.cache_from.extend(list(value)),
            "cache-to" => build.run.cache_to.extend(list(value)),
            "call" if one() == "build" => {}
            "attest" => build.run.attest.extend(attestations(args, value)?),
            key => return Err(unsupported(target, key, "take it out, or pass the flag of `llbc build` that does it")),
        }
    }
    Ok((build, inline))
}

/// What a target asks for, but for the types that flags say something of.
fn attestations(args: &Build, value: &Value) -> Result<Vec<String>> {
    let said = executor::cli::attested(&args.run).map_err(Failure::Build)?;
    let mut open = Vec::new();
    for text in list(value) {
        let (kind, _) = executor::cli::parse_attestation(&text).map_err(Failure::Build)?;
        if !said.contains(&kind) {
            open.push(text);
        }
    }
    Ok(open)
}

fn unsupported(target: &Target, what: &str, help: &str) -> Failure {
    Failure::unsupported(&format!("target {}: {what}", target.name), help)
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(serde_json::Map::is_empty)
}

/// As `docker buildx bake --print` shows it: a bake file that means the same.
fn print(bake: &Bake, args: &Build, targets: &[&Target]) -> Result<()> {
    let mut shown = serde_json::Map::new();
    for target in &bake.needed(targets)? {
        let mut keys = serde_json::Map::new();
        // These come first, whether the file says them or not.
        keys.insert("context".to_owned(), context(target).into());
        keys.insert("dockerfile".to_owned(), dockerfile(target).into());
        let said = target.keys.iter().filter(|(_, value)| !is_empty(value));
        keys.extend(said.map(|(key, value)| (key.clone(), bake::literal(&bake::as_maps(key, value)))));
        keys.insert("context".to_owned(), context(target).into());
        shown.insert(target.name.clone(), keys.into());
    }
    let default = ["default".to_owned()];
    let asked = if args.words.is_empty() { &default[..] } else { &args.words };
    let mut groups: BTreeMap<&String, Vec<&String>> = BTreeMap::new();
    let mut open: Vec<&String> = asked.iter().collect();
    while let Some(name) = open.pop() {
        let group = bake.groups.iter().find(|(known, _)| known == name).filter(|_| !groups.contains_key(name));
        if let Some((name, members)) = group {
            groups.insert(name, members.iter().collect());
            open.extend(members);
        }
    }
    // What was asked for is the default of what is shown.
    let has_default = groups.contains_key(&default[0]);
    let named = asked.iter().filter(|name| **name != default[0] || !has_default);
    let all = groups.entry(&default[0]).or_default();
    all.extend(named);
    all.sort();
    all.dedup();
    let groups: serde_json::Map<String, Value> =
        groups.into_iter().map(|(name, members)| (name.clone(), serde_json::json!({ "targets": members }))).collect();
    let whole = serde_json::json!({ "group": groups, "target": shown });
    let text = serde_json::to_string_pretty(&whole).unwrap_or_default() + "\n";
    printer::data(text.as_bytes())
}
