//! Optimizing what a compilation made: the graph by `llb`'s passes, and the histories of the images after it.
//!
//! A history has an entry for each layer. Where vertices became one, so did their layers: the last entry keeps the layer,
//! the earlier ones say that they have none of their own, as entries do that only change the config. So the image stays
//! valid, and each instruction stays in its history.

use std::collections::BTreeMap;

use llb::passes::{self, Log};
use llb::{Edge, Graph, NodeId, Op};
use oci::ImageConfig;
use oci::json::RawObject;

use crate::Plan;
use crate::output::CONFIG;

impl Plan {
    /// Runs the optimizer.
    pub fn optimize(&mut self, options: passes::Options) -> Log {
        let count = self.outputs.len();
        let (edges, images) = self.outputs.iter().map(|output| (output.edge, output.image.clone())).unzip();
        let (log, images) = optimize(&mut self.graph, options, edges, images);
        for ((output, image), result) in self.outputs.iter_mut().zip(images).zip(&self.graph.outputs) {
            output.edge = result.edge;
            output.image = image;
        }
        let bills = self.outputs.iter_mut().filter(|output| output.bill.is_some());
        bills.zip(&self.graph.outputs[count..]).for_each(|(output, bill)| output.bill = bill.edge);
        log
    }
}

/// Optimizes a graph that came as a definition; image configs are those written on its results.
pub fn definition(graph: &mut Graph, options: passes::Options) -> Log {
    let config = |output: &llb::Output| output.meta.description.get(CONFIG).cloned().unwrap_or_default().into_bytes();
    let edges = graph.outputs.iter().map(|output| output.edge).collect();
    let images = graph.outputs.iter().map(config).collect();
    let (log, images) = optimize(graph, options, edges, images);
    for (output, image) in graph.outputs.iter_mut().zip(images).filter(|(_, image)| !image.is_empty()) {
        output.meta.description.insert(CONFIG.to_owned(), String::from_utf8_lossy(&image).into_owned());
    }
    log
}

/// Optimizes a graph; `edges` and `images` are of its outputs, in their order.
fn optimize(
    graph: &mut Graph,
    options: passes::Options,
    edges: Vec<Option<Edge>>,
    images: Vec<Vec<u8>>,
) -> (Log, Vec<Vec<u8>>) {
    let before: Vec<_> = edges.iter().map(|edge| new_layers(graph, *edge)).collect();
    let log = passes::optimize(graph, options);
    let after = graph.outputs.iter().map(|output| new_layers(graph, output.edge));
    let images = images.into_iter().zip(before).zip(after).map(|((image, before), after)| {
        let merged = before.zip(after).and_then(|(before, after)| gone(&before, &after, &log));
        merged.and_then(|gone| with_history(&image, &gone)).unwrap_or(image)
    });
    let images = images.collect();
    (log, images)
}

/// The vertices that each make one layer on top of a base; `None` when it is not known how many each makes.
fn new_layers(graph: &Graph, edge: Option<Edge>) -> Option<Vec<NodeId>> {
    let mut layers = edge.map(|edge| passes::layers(graph, edge)).unwrap_or_default();
    let makes_one = |node: &NodeId| matches!(graph.nodes[node.0 as usize].op, Op::File(_) | Op::Exec(_));
    if layers.first().is_some_and(|base| !makes_one(base)) {
        layers.remove(0);
    }
    layers.iter().all(makes_one).then_some(layers)
}

/// For each layer there was whether it is part of a later one now, or gone. `None` when nothing changed, or the layers
/// there are now are not those of the history any more.
fn gone(before: &[NodeId], after: &[NodeId], log: &Log) -> Option<Vec<bool>> {
    let does = after
        .iter()
        .enumerate()
        .flat_map(|(layer, node)| log.origins(*node).iter().map(move |origin| (*origin, layer)));
    let does: BTreeMap<NodeId, usize> = does.collect();
    let now: Vec<Option<usize>> = before.iter().map(|node| does.get(node).copied()).collect();
    let last = |at: usize| now[at].is_some() && !now[at + 1..].contains(&now[at]);
    let kept = (0..now.len()).filter(|&at| last(at)).count();
    let gone: Vec<bool> = (0..now.len()).map(|at| !last(at)).collect();
    (kept == after.len() && kept < before.len()).then_some(gone)
}

/// A config whose newest entries with a layer have none where it is gone.
fn with_history(image: &[u8], gone: &[bool]) -> Option<Vec<u8>> {
    let mut object = RawObject::parse(image).ok()?;
    let mut history = ImageConfig::from_json(image).ok()?.history;
    let mut made = history.iter_mut().rev().filter(|entry| !entry.empty_layer);
    for gone in gone.iter().rev() {
        made.next()?.empty_layer = *gone;
    }
    object.set_history(&history);
    Some(object.to_vec())
}

#[cfg(test)]
mod tests {
    use llb::passes::{Level, Options};

    use super::*;

    /// Optimizes a text whose result has a history of these instructions; `-` before one says that it has no layer.
    fn check(graph: &str, history: &[&str], preserve_layers: bool, expected: &[&str]) {
        let mut graph = llb::text::parse(graph).unwrap();
        let entry = |text: &&str| match text.strip_prefix('-') {
            Some(text) => format!(r#"{{"created_by":"{text}","empty_layer":true}}"#),
            None => format!(r#"{{"created_by":"{text}"}}"#),
        };
        let entries: Vec<String> = history.iter().map(entry).collect();
        let config = format!(r#"{{"x":1,"history":[{}]}}"#, entries.join(","));
        graph.outputs[0].meta.description.insert(CONFIG.to_owned(), config);
        definition(&mut graph, Options { level: Level::O2, preserve_layers });
        let config = &graph.outputs[0].meta.description[CONFIG];
        assert!(config.contains("\"x\":1"), "{config}");
        let history = ImageConfig::from_json(config.as_bytes()).unwrap().history;
        let shown =
            history.iter().map(|entry| format!("{}{}", if entry.empty_layer { "-" } else { "" }, entry.created_by));
        assert_eq!(shown.collect::<Vec<_>>(), expected);
    }

    const CHAIN: &str = r#"
        %0 = source "docker-image://a" platform("linux", "amd64")
        %1 = file(%0) mkdir("/a", base=0, to=0)
        %2 = file(%1) mkdir("/b", base=0, to=0)
        %3 = exec(%2) args=["x"] cwd="/" bind("/", from=0, to=0) platform("linux", "amd64")
        %4 = file(%3) mkdir("/", base=0, to=0)
        output %4"#;

    #[test]
    fn entries_whose_layer_became_part_of_another_have_none() {
        let history = ["base", "a", "-env", "b", "run", "root"];
        check(CHAIN, &history, false, &["base", "-a", "-env", "b", "run", "-root"]);
        check(CHAIN, &history, true, &history);
    }

    #[test]
    fn a_history_that_is_too_short_stays() {
        check(CHAIN, &["a"], false, &["a"]);
    }
}
