//! `llbc opt`: LLB in, better LLB out; or what the optimizer did, what it left alone, and why.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ast::Source;
use llb::passes::{self, Change, Entry, Level, Log, PASSES};
use llb::{Graph, NodeId, shape};

use super::compile::Target;
use crate::args::Opt;
use crate::failure::Result;
use crate::settings::{Input, Settings};
use crate::{definition, pipeline, printer};

pub(super) fn run(args: &Opt) -> Result<()> {
    let target = if args.explain || args.text { None } else { Some(Target::new(args.output.as_deref())?) };
    let mut settings = Settings::new(Input::new(&args.file), &args.options)?;
    if args.options.optimize.is_none() {
        settings.passes.level = Level::O1;
    }
    let source = pipeline::source(&mut settings)?;
    let given = graph(&settings, source)?;
    let mut graph = given.clone();
    let log = compiler::optimize::definition(&mut graph, settings.passes);
    match target {
        Some(target) => target.write(&definition::of(&graph)?.to_bytes()),
        None if args.explain => printer::data(explain(&given, &graph, &log, settings.passes.level).as_bytes()),
        None => printer::data(llb::text::print(&graph).as_bytes()),
    }
}

/// Prints the graph as it is given, and after each pass that changes it.
pub(super) fn dump(settings: &Settings, source: Source) -> Result<()> {
    let mut graph = graph(settings, source)?;
    let mut text = format!("; as given\n{}", llb::text::print(&graph));
    let level = if settings.passes.level == Level::O0 { Level::O1 } else { settings.passes.level };
    let mut last = llb::text::print(&graph);
    passes::optimize_watched(&mut graph, passes::Options { level, ..settings.passes }, &mut |pass, graph| {
        let now = llb::text::print(graph);
        if now != last {
            let _ = write!(text, "\n; after {}\n{now}", pass.name);
            last = now;
        }
    });
    printer::data(text.as_bytes())
}

/// The graph of a build file, of an encoded definition, or of LLB as text; what is said of images is in its outputs.
pub(super) fn graph(settings: &Settings, source: Source) -> Result<Graph> {
    if let Some(decoded) = definition::encoded(&source)? {
        return Ok(decoded.graph);
    }
    if let Some(graph) = definition::text(&source)? {
        return Ok(graph);
    }
    let compiled = pipeline::run(settings, source, compiler::compile)?;
    Ok(pipeline::plan(settings, compiled)?.described().graph)
}

/// What was done and what was not, pass by pass; then what it gained.
fn explain(given: &Graph, graph: &Graph, log: &Log, level: Level) -> String {
    let mut text = String::new();
    if level == Level::O0 {
        text.push_str("nothing is changed at -O0; -O1 and -O2 run passes\n\n");
    }
    let (idle, busy): (Vec<_>, Vec<_>) = log.entries().iter().partition(|entry| is_idle(entry));
    busy.into_iter().for_each(|entry| explain_pass(&mut text, given, entry));
    let idle: Vec<&str> = idle.into_iter().map(|entry| entry.pass).collect();
    if !idle.is_empty() {
        let _ = writeln!(text, "nothing to do: {}\n", idle.join(", "));
    }
    let path = |graph: &Graph| shape::critical_path(graph).len();
    let _ = writeln!(
        text,
        "{} vertices, {} after; longest way through them {}, {} after",
        given.nodes.len(),
        graph.nodes.len(),
        path(given),
        path(graph)
    );
    text
}

fn explain_pass(text: &mut String, given: &Graph, entry: &Entry) {
    let about = PASSES.iter().find(|pass| pass.name == entry.pass).map_or("", |pass| pass.about);
    let _ = writeln!(text, "{}: {about}", entry.pass);
    for change in last_words(&entry.changes) {
        let _ = writeln!(text, "  done: {}", change.rewrite);
        name_all(text, given, &change.at);
    }
    for refusal in &entry.refusals {
        let _ = writeln!(text, "  left alone: {}", refusal.why);
        name_all(text, given, &refusal.at);
    }
    text.push('\n');
}

/// Changes without those that another one goes on with: of three vertices that become one, two by two, only all three.
fn last_words(changes: &[Change]) -> impl Iterator<Item = &Change> {
    let mut last: BTreeMap<NodeId, &Change> = BTreeMap::new();
    for change in changes {
        last.extend(change.at.iter().map(|&node| (node, change)));
    }
    let goes_on = move |change: &Change| {
        let later = change.at.first().and_then(|node| last.get(node));
        later.is_some_and(|later| {
            later.at.len() > change.at.len()
                && later.rewrite == change.rewrite
                && change.at.iter().all(|node| later.at.contains(node))
        })
    };
    changes.iter().filter(move |change| !goes_on(change))
}

/// Whether a pass neither did nor left alone anything.
fn is_idle(entry: &Entry) -> bool {
    entry.changes.is_empty() && entry.refusals.is_empty()
}

fn name_all(text: &mut String, given: &Graph, nodes: &[NodeId]) {
    for node in nodes {
        let name = llb::dump::name(&given.nodes[node.0 as usize]);
        let _ = writeln!(text, "    %{} {name}", node.0);
    }
}

#[cfg(test)]
mod tests {
    use llb::passes::Rewrite;

    use super::*;

    #[test]
    fn what_goes_on_is_said_once() {
        let change = |at: &[u32], rewrite| Change { at: at.iter().copied().map(NodeId).collect(), rewrite };
        let changes = [
            change(&[0, 1], Rewrite::Same),
            change(&[3, 4], Rewrite::Same),
            change(&[0, 1, 2], Rewrite::Same),
            change(&[5], Rewrite::Dead),
            change(&[5, 6], Rewrite::Same),
        ];
        let said: Vec<&Change> = last_words(&changes).collect();
        assert_eq!(said, [&changes[1], &changes[2], &changes[3], &changes[4]]);
    }
}
