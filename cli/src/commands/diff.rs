//! `llbc diff`: what changed between two builds, in which field, and what runs again because of it.

use std::fmt::Write as _;

use llb::compare::{Changed, Comparison, Field, compare};
use llb::{Graph, NodeId};

use super::opt;
use crate::args::Diff;
use crate::failure::{Failure, Result};
use crate::settings::{Input, Settings};
use crate::{pipeline, printer};

pub(super) fn run(args: &Diff) -> Result<()> {
    let [first, second] = [&args.first, &args.second].map(|file| load(file, args));
    let (first, second) = (first?, second?);
    let compared = compare(&first, &second);
    let compared =
        compared.map_err(|error| Failure::message("diff", error.to_string(), "mend it and compare again"))?;
    printer::data(text(&first, &second, &compared).as_bytes())
}

fn load(file: &str, args: &Diff) -> Result<Graph> {
    let mut settings = Settings::new(Input::new(file), &args.options)?;
    let source = pipeline::source(&mut settings)?;
    let mut graph = opt::graph(&settings, source)?;
    compiler::optimize::definition(&mut graph, settings.passes);
    Ok(graph)
}

fn text(first: &Graph, second: &Graph, compared: &Comparison) -> String {
    let mut text = String::new();
    let mut section = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            let _ = writeln!(text, "{title}\n{}", lines.concat());
        }
    };
    section("changed:", compared.changed.iter().map(|changed| shown(second, changed)).collect());
    section("removed:", names(first, compared.removed.iter()));
    section("added:", names(second, compared.added.iter()));
    section("run again because of it:", names(second, compared.invalidated.iter().map(|(_, new)| new)));
    let _ = writeln!(
        text,
        "{} the same, {} changed, {} removed, {} added, {} run again",
        compared.same.len(),
        compared.changed.len(),
        compared.removed.len(),
        compared.added.len(),
        compared.invalidated.len()
    );
    text
}

fn shown(graph: &Graph, changed: &Changed) -> String {
    let mut text = line(graph, changed.pair.1);
    for Field { path, before, after } in &changed.fields {
        let value =
            |value: &Option<serde_json::Value>| value.as_ref().map_or("nothing".to_owned(), ToString::to_string);
        let _ = writeln!(text, "    {path}: {} → {}", value(before), value(after));
    }
    text
}

fn names<'a>(graph: &Graph, nodes: impl Iterator<Item = &'a NodeId>) -> Vec<String> {
    nodes.map(|&node| line(graph, node)).collect()
}

fn line(graph: &Graph, node: NodeId) -> String {
    let name = llb::dump::name(&graph.nodes[node.0 as usize]);
    format!("  {}\n", name.replace('\n', " "))
}
