//! `llbc diff`: what changed between two builds, in which field, and what runs again because of it.

use std::fmt::Write as _;

use llb::compare::{Changed, Comparison, Field, compare};
use llb::{Graph, NodeId};
use serde_json::Value;

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
    section(
        "changed in the image, without anything run again:",
        compared.images.iter().map(|field| shown_field(field, "  ")).collect(),
    );
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
    changed.fields.iter().for_each(|field| text += &shown_field(field, "    "));
    text
}

fn shown_field(Field { path, before, after }: &Field, indent: &str) -> String {
    let shown = |value: &Option<Value>| value.as_ref().map_or("nothing".to_owned(), |value| shown_value(path, value));
    format!("{indent}{path}: {} → {}\n", shown(before), shown(after))
}

/// A value as JSON; what is new in one piece without all that says nothing. Modes are octal.
fn shown_value(path: &str, value: &Value) -> String {
    match value.as_i64() {
        Some(UNSET) => "unset".to_owned(),
        Some(mode) if path.ends_with("mode") => format!("0o{mode:o}"),
        _ => said(value).to_string(),
    }
}

/// The number that stands for no choice in modes, times and inputs.
const UNSET: i64 = -1;

/// A value without the fields that are as they are where nothing is said.
fn said(value: &Value) -> Value {
    let Value::Object(fields) = value else { return value.clone() };
    let is_said = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::Number(number) => number.as_i64() != Some(UNSET),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(_) | Value::Bool(true) => true,
    };
    let fields = fields.iter().filter(|(_, value)| is_said(value)).map(|(name, value)| (name.clone(), said(value)));
    Value::Object(fields.collect())
}

fn names<'a>(graph: &Graph, nodes: impl Iterator<Item = &'a NodeId>) -> Vec<String> {
    nodes.map(|&node| line(graph, node)).collect()
}

fn line(graph: &Graph, node: NodeId) -> String {
    let name = llb::dump::name(&graph.nodes[node.0 as usize]);
    format!("  {}\n", name.replace('\n', " "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_say_what_was_chosen() {
        // In the order of the alphabet, in which maps may be kept.
        let copy = json!({"dir": true, "mode": -1, "of": [], "owner": null, "src": "/a", "unpack": false});
        let copy = json!({"kind": {"copy": copy}, "output": 0});
        for (path, value, expected) in [
            ("file[1]", copy, r#"{"kind":{"copy":{"dir":true,"src":"/a"}},"output":0}"#),
            ("file[0].kind.copy.mode", json!(0o644), "0o644"),
            ("file[0].kind.copy.mode", json!(-1), "unset"),
            ("exec.meta.args[0]", json!("make"), r#""make""#),
        ] {
            assert_eq!(shown_value(path, &value), expected);
        }
    }
}
