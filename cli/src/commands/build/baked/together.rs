//! Targets of a bake file as one graph: what they share is built once, and one may be built on another (`target:NAME`).
//!
//! Each target has a context of its own, so directories that are called alike get other names where they are not the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use ast::{Source, Sources};
use compiler::{Facts, Plan};
use executor::provenance::Asked;
use executor::{Attest, CacheOutput, Output, Part};
use llb::Graph;

use super::super::{attest, goals};
use super::{Inline, unsupported};
use crate::args::Build;
use crate::bake::{Target, circle};
use crate::failure::{Failure, Result};
use crate::settings::Settings;
use crate::world::Host;
use crate::{definition, printer};

/// A target, ready to be compiled.
pub(super) struct Unit<'b> {
    pub(super) target: &'b Target,
    /// Whether it was asked for; else others are built on it.
    pub(super) wanted: bool,
    pub(super) build: Build,
    pub(super) settings: Settings,
    pub(super) source: Source,
    /// What its named contexts are: a name, and a target.
    pub(super) based_on: Vec<(String, String)>,
    /// A file that is there as long as its build.
    pub(super) _inline: Inline,
}

/// Builds all of them.
pub(super) fn run(args: &Build, mut units: Vec<Unit<'_>>) -> Result<()> {
    let names = directories(&units);
    let mut plans: BTreeMap<String, Plan> = BTreeMap::new();
    let mut asked: BTreeMap<String, Asked> = BTreeMap::new();
    for at in order(&units)? {
        let unit = &units[at];
        let (mut plan, facts) = planned(unit, &plans)?.ok_or(Failure::Diagnosed)?;
        if unit.wanted {
            let of_it = attest::asked(&unit.settings, &unit.source, &facts)?;
            asked.extend(of_it.map(|asked| (unit.target.name.clone(), asked)));
        }
        rename(&mut plan.graph, &unit.settings, &names);
        plans.insert(unit.target.name.clone(), plan);
    }
    let mut run = super::super::run_settings(&with_all_given(args, &units)?, None)?;
    let parts = parts(&units, &plans);
    (run.outputs, run.cache_to) = outputs(&units, &plans, &parts)?;
    run.attest = parts
        .into_iter()
        .filter_map(|(name, part)| Some(Attest { asked: asked.remove(&name)?.into(), part: Some(part) }))
        .collect();
    for unit in &mut units {
        let locals = std::mem::take(&mut unit.settings.locals);
        run.session.locals.extend(locals.into_iter().map(|(name, path)| (renamed(&name, &path, &names), path)));
        for (name, path) in std::mem::take(&mut unit.settings.layouts) {
            let known = run.session.oci_layouts.insert(name.clone(), path.clone());
            if known.is_some_and(|known| known != path) {
                let what = format!("another OCI layout called {name} than that of a target before");
                return Err(unsupported(unit.target, &what, "give it another name"));
            }
        }
    }
    let wanted = units.iter().filter(|unit| unit.wanted);
    let mut plan = Plan::together(wanted.filter_map(|unit| plans.remove(&unit.target.name)).collect());
    run.attached = attest::attached(&plan);
    plan.optimize(units.first().map(|unit| unit.settings.passes).unwrap_or_default());
    executor::cli::run(definition::encode(plan)?, run).map_err(Failure::Build)
}

/// Targets after those that they are built on. **Errors**: a circle.
fn order(units: &[Unit<'_>]) -> Result<Vec<usize>> {
    let mut order: Vec<usize> = Vec::new();
    while order.len() < units.len() {
        let is_done = |name: &String| order.iter().any(|at| units[*at].target.name == *name);
        let is_ready = |unit: &Unit<'_>| unit.based_on.iter().all(|(_, target)| is_done(target));
        let next = (0..units.len()).find(|at| !order.contains(at) && is_ready(&units[*at]));
        let Some(next) = next else {
            let open = units.iter().enumerate().filter(|(at, _)| !order.contains(at));
            let open: Vec<&str> = open.map(|(_, unit)| unit.target.name.as_str()).collect();
            return Err(circle(&open));
        };
        order.push(next);
    }
    Ok(order)
}

/// The plan of a target, and what was answered for it; nothing if it is wrong, which is said.
fn planned(unit: &Unit<'_>, plans: &BTreeMap<String, Plan>) -> Result<Option<(Plan, Facts)>> {
    let mut options = unit.settings.options.clone();
    for (context, target) in &unit.based_on {
        if let Some(plan) = plans.get(target) {
            options.lend(context, target, plan);
        }
    }
    let host = Host::new(&unit.settings)?;
    let compile = if unit.wanted { compiler::build } else { compiler::compile };
    let outcome = compile(&unit.source, &options, Facts::default(), &host);
    let sources: Sources = std::iter::once(unit.source.clone()).chain(outcome.modules).collect();
    if printer::diagnostics(unit.settings.error_format, &sources, &outcome.diagnostics) {
        return Ok(None);
    }
    let Some(mut plan) = outcome.plan else { return Ok(None) };
    host.pin(&mut plan.graph)?;
    Ok(Some((plan, outcome.facts)))
}

/// What directories are called: names that only one has stay.
type Names = BTreeMap<String, Vec<PathBuf>>;

fn directories(units: &[Unit<'_>]) -> Names {
    let mut names = Names::new();
    for (name, path) in units.iter().flat_map(|unit| &unit.settings.locals) {
        let known = names.entry(name.clone()).or_default();
        if !known.contains(path) {
            known.push(path.clone());
        }
    }
    names
}

fn renamed(name: &str, path: &PathBuf, names: &Names) -> String {
    match names.get(name).map(Vec::as_slice) {
        Some([_, _, ..]) => {
            let at = names[name].iter().position(|known| known == path).unwrap_or_default();
            format!("{name}-{}", at + 1)
        }
        _ => name.to_owned(),
    }
}

/// Gives the directories in a graph their names. Those of targets that it is based on have theirs.
fn rename(graph: &mut Graph, settings: &Settings, names: &Names) {
    for node in &mut graph.nodes {
        let llb::Op::Source(source) = &mut node.op else { continue };
        let Some(name) = source.identifier.strip_prefix("local://") else { continue };
        if let Some(path) = settings.locals.get(name) {
            source.identifier = format!("local://{}", renamed(name, path, names));
        }
    }
}

/// The flags with the secrets, agents and caches of all targets. **Errors**: two secrets or agents of one name.
fn with_all_given(args: &Build, units: &[Unit<'_>]) -> Result<Build> {
    let mut all = args.clone();
    for unit in units {
        for (into, more, what) in [
            (&mut all.run.secrets, &unit.build.run.secrets, "secret"),
            (&mut all.run.ssh, &unit.build.run.ssh, "agent"),
        ] {
            for text in more.iter().filter(|text| !into.contains(text)).collect::<Vec<_>>() {
                if into.iter().any(|known| id(known) == id(text)) {
                    let what = format!("another {what} called {} than that of a target before", id(text));
                    return Err(unsupported(unit.target, &what, "give it another id"));
                }
                into.push(text.clone());
            }
        }
        all.run.allow.extend(unit.build.run.allow.iter().cloned());
        let known = &mut all.run.cache_from;
        let more: Vec<_> = unit.build.run.cache_from.iter().filter(|text| !known.contains(text)).cloned().collect();
        known.extend(more);
    }
    Ok(all)
}

/// The id in the text of a flag.
fn id(text: &str) -> &str {
    let field = text.split(',').find_map(|field| field.strip_prefix("id="));
    field.unwrap_or_else(|| text.split('=').next().unwrap_or(text))
}

/// Which of the results are those of a target, by its name.
type Parts = BTreeMap<String, Part>;

fn parts(units: &[Unit<'_>], plans: &BTreeMap<String, Plan>) -> Parts {
    let wanted: Vec<&Unit<'_>> = units.iter().filter(|unit| unit.wanted).collect();
    let mut parts = Parts::new();
    let mut count = 0;
    for unit in &wanted {
        let Some(plan) = plans.get(&unit.target.name) else { continue };
        let results = count..count + plan.outputs.len();
        count = results.end;
        let name = (wanted.len() > 1).then(|| unit.target.name.clone());
        parts.insert(unit.target.name.clone(), Part { name, results });
    }
    parts
}

/// Where the results go, and their caches, in the order of the targets.
fn outputs(
    units: &[Unit<'_>],
    plans: &BTreeMap<String, Plan>,
    parts: &Parts,
) -> Result<(Vec<Output>, Vec<CacheOutput>)> {
    let (mut outputs, mut caches) = (Vec::new(), Vec::new());
    let mut epochs = BTreeSet::new();
    for unit in units.iter().filter(|unit| unit.wanted) {
        let Some(plan) = plans.get(&unit.target.name) else { continue };
        epochs.extend(plan.outputs.iter().map(|output| output.epoch));
        let part = parts.get(&unit.target.name).cloned();
        let own = super::super::run_settings(&unit.build, None)?;
        outputs.extend(own.outputs.into_iter().map(|output| Output { part: part.clone(), ..output }));
        caches.extend(own.cache_to.into_iter().map(|cache| CacheOutput { part: part.clone(), ..cache }));
    }
    if epochs.len() > 1 {
        return Err(Failure::unsupported("several times (SOURCE_DATE_EPOCH) in one build", "build one after another"));
    }
    goals::check_names(&outputs)?;
    Ok((outputs, caches))
}
