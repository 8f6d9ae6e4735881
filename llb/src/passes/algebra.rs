//! Simplifies merges and differences.
//!
//! ```text
//! merge(merge(a, b), c)   →  merge(a, b, c)        when nobody else uses the inner one
//! merge(a, b, a)          →  merge(b, a)
//! merge(x, diff(x, y))    →  y                     when y grew out of x
//! merge(a)                →  a
//! diff(nothing, a)        →  a
//! ```
//!
//! A tree is a stack of layers, a merge appends stacks, and the difference from a tree to one that grew out of it is the
//! layers on top. So the first is associativity; in the second all that the lower `a` says the upper one says again; the
//! third puts the same layers in the same order; the rest are neutral elements. The second alone makes another stack of the
//! same tree: it is not done where a difference or another merge looks into the stack later. Whatever had to be made before
//! is still made, so what failed fails. Must not touch the difference of a tree to itself (which is nothing, but needs the tree to
//! be made) nor one that must be computed. Linear in edges; how `y` grew is followed for at most [`FAR`] steps.

use super::layers::{base, merged};
use super::uses::{Forward, counts};
use super::{Log, Rewrite, Why};
use crate::{Diff, Edge, Graph, Node, Op};

/// How many steps back the origin of a tree is looked for.
const FAR: usize = 64;

pub(super) fn run(graph: &mut Graph, log: &mut Log) {
    if !graph.nodes.iter().any(|node| matches!(node.op, Op::Merge(_) | Op::Diff(_))) {
        return;
    }
    let mut forward = Forward::new(graph);
    let mut counts = counts(graph);
    let merged = merged(graph);
    for (index, merged) in merged.into_iter().enumerate() {
        forward.inputs(graph, index);
        if graph.nodes[index].fixed || !uses_all_inputs(&graph.nodes[index]) {
            continue;
        }
        match &graph.nodes[index].op {
            Op::Merge(positions) if !positions.is_empty() => {
                merge(graph, log, &mut counts, &mut forward, (index, merged));
            }
            Op::Diff(Diff { lower: Some(-1), upper: Some(upper) }) => {
                let upper =
                    usize::try_from(*upper).ok().and_then(|upper| graph.nodes[index].inputs.get(upper).copied());
                if let Some(upper) = upper {
                    replace(log, &mut forward, index, upper, Rewrite::DifferenceToNothing);
                }
            }
            _ => {}
        }
    }
    forward.outputs(graph);
}

/// Whether a merge or difference looks at each of its inputs: one that it does not look at may still fail.
fn uses_all_inputs(node: &Node) -> bool {
    let is_used = |position: usize| match &node.op {
        Op::Merge(positions) => positions.contains(&(position as i64)),
        Op::Diff(diff) => [diff.lower, diff.upper].contains(&Some(position as i64)),
        _ => true,
    };
    match &node.op {
        // The rule, and no search.
        Op::Merge(positions) if positions.iter().copied().eq(0..node.inputs.len() as i64) => true,
        _ => (0..node.inputs.len()).all(is_used),
    }
}

/// A vertex is another's result from now on.
fn replace(log: &mut Log, forward: &mut Forward, node: usize, by: Edge, rewrite: Rewrite) {
    log.done(&[node], rewrite);
    log.forget(node);
    forward.set(node, by);
}

fn merge(graph: &mut Graph, log: &mut Log, counts: &mut [u32], forward: &mut Forward, (index, merged): (usize, bool)) {
    let trees = trees(graph, index);
    let flat = flattened(graph, log, counts, index, &trees);
    let flat = without_repeats(log, index, merged, flat);
    let flat = undone(graph, log, index, flat);
    if let [only] = flat[..] {
        counts[only.node.0 as usize] += counts[index].saturating_sub(1);
        return replace(log, forward, index, only, Rewrite::MergeOfOne);
    }
    if flat != trees {
        let node = &mut graph.nodes[index];
        node.op = Op::Merge((0..flat.len() as i64).collect());
        node.inputs = flat.into();
    }
}

/// What a merge lays on each other, lowest first.
fn trees(graph: &Graph, index: usize) -> Vec<Edge> {
    let node = &graph.nodes[index];
    let Op::Merge(positions) = &node.op else { return Vec::new() };
    positions.iter().filter_map(|&position| node.inputs.get(usize::try_from(position).ok()?).copied()).collect()
}

fn flattened(graph: &mut Graph, log: &mut Log, counts: &[u32], index: usize, list: &[Edge]) -> Vec<Edge> {
    let mut flat = Vec::with_capacity(list.len());
    for &edge in list {
        let inner = edge.node.0 as usize;
        if counts[inner] != 1 || !is_whole_merge(&graph.nodes[inner]) {
            flat.push(edge);
            continue;
        }
        log.done(&[inner, index], Rewrite::MergeFlattened);
        log.absorb(index, inner);
        flat.extend(trees(graph, inner));
    }
    flat
}

fn is_whole_merge(node: &Node) -> bool {
    matches!(&node.op, Op::Merge(positions) if !positions.is_empty()) && uses_all_inputs(node)
}

/// Keeps the topmost of equal trees. Layers that must be preserved are, even when they are there twice.
fn without_repeats(log: &mut Log, index: usize, merged: bool, list: Vec<Edge>) -> Vec<Edge> {
    let mut seen = std::collections::BTreeSet::new();
    let mut kept: Vec<Edge> = list.iter().rev().copied().filter(|edge| seen.insert(*edge)).collect();
    if kept.len() == list.len() || log.options.preserve_layers {
        return list;
    }
    if let Err(why) = log.heed(if merged { Err(Why::MergedLater) } else { Ok(()) }) {
        log.refuse(&[index], why);
        return list;
    }
    kept.reverse();
    log.done(&[index], Rewrite::MergedTwice);
    kept
}

/// Replaces a tree and what changed in it by the changed tree.
fn undone(graph: &Graph, log: &mut Log, index: usize, list: Vec<Edge>) -> Vec<Edge> {
    let mut kept: Vec<Edge> = Vec::with_capacity(list.len());
    for edge in list {
        match kept.last().and_then(|&below| changed(graph, below, edge)) {
            None => kept.push(edge),
            Some(tree) => {
                log.done(&[edge.node.0 as usize, index], Rewrite::DifferenceUndone);
                kept.pop();
                kept.push(tree);
            }
        }
    }
    kept
}

/// The tree that grew out of `below` when `edge` is the difference between them.
fn changed(graph: &Graph, below: Edge, edge: Edge) -> Option<Edge> {
    let node = &graph.nodes[edge.node.0 as usize];
    let Op::Diff(Diff { lower: Some(lower), upper: Some(upper) }) = node.op else { return None };
    if !uses_all_inputs(node) {
        return None;
    }
    let side = |position: i64| node.inputs.get(usize::try_from(position).ok()?).copied();
    let (lower, upper) = (side(lower)?, side(upper)?);
    let grew = std::iter::successors(base(graph, upper), |&edge| base(graph, edge)).take(FAR).any(|tree| tree == lower);
    (lower == below && grew).then_some(upper)
}

#[cfg(test)]
mod tests {
    use super::run;
    use crate::passes::testing::check;

    const SOURCES: &str = "%0 = source \"local://a\"\n%1 = source \"local://b\"\n%2 = source \"local://c\"\n";

    fn check_merge(before: &str, after: &str) {
        check(run, &format!("{SOURCES}{before}"), &format!("{SOURCES}{after}"));
    }

    #[test]
    fn merges_are_associative() {
        check_merge("%3 = merge(%0, %1)\n%4 = merge(%3, %2)\noutput %4", "%3 = merge(%0, %1, %2)\noutput %3");
        let shared = "%3 = merge(%0, %1)\n%4 = merge(%3, %2)\n%5 = merge(%2, %3)\n%6 = passthrough(%4, %5) id=\"p\" outputs=[0, 1]\noutput %6";
        check_merge(shared, shared);
    }

    #[test]
    fn what_comes_again_on_top_is_not_needed_below() {
        check_merge("%3 = merge(%0, %1, %2, %0)\noutput %3", "%3 = merge(%1, %2, %0)\noutput %3");
    }

    #[test]
    fn a_stack_that_is_looked_into_keeps_its_layers() {
        let graph = "%3 = merge(%0, %1, %0)\n%4 = file(%3) mkdir(\"/a\", base=0, to=0)\n%5 = diff(%2, %4) lower=0 upper=1\noutput %5";
        check_merge(graph, &format!("{graph}\n;; %3: the tree is merged or compared later, layer by layer"));
    }

    #[test]
    fn neutral_elements() {
        check(
            run,
            "%0 = source \"local://a\"\n%1 = merge(%0)\n%2 = diff(%1) lower=-1 upper=0\noutput %2",
            "%0 = source \"local://a\"\noutput %0",
        );
        let itself = "%0 = source \"local://a\"\n%1 = diff(%0, %0) lower=0 upper=1\noutput %1";
        check(run, itself, itself);
        check(run, "%0 = merge\noutput %0", "%0 = merge\noutput %0");
    }

    #[test]
    fn a_difference_on_its_own_base_is_undone() {
        check(
            run,
            r#"
            %0 = source "local://a"
            %1 = exec(%0) args=["x"] cwd="/" bind("/", from=0, to=0) platform("linux", "amd64")
            %2 = file(%1) mkdir("/d", base=0, to=0)
            %3 = diff(%0, %2) lower=0 upper=1
            %4 = merge(%0, %3)
            output %4"#,
            r#"
            %0 = source "local://a"
            %1 = exec(%0) args=["x"] cwd="/" bind("/", from=0, to=0) platform("linux", "amd64")
            %2 = file(%1) mkdir("/d", base=0, to=0)
            output %2"#,
        );
        let elsewhere = r#"
            %0 = source "local://a"
            %1 = source "local://b"
            %2 = diff(%0, %1) lower=0 upper=1
            %3 = merge(%0, %2)
            output %3"#;
        check(run, elsewhere, elsewhere);
    }

    #[test]
    fn what_came_from_outside_is_left_alone() {
        let fixed = r#"
            %0 = source "local://a" fixed
            %1 = source "local://b" fixed
            %2 = merge(%0) fixed
            %3 = diff(%2) lower=-1 upper=0 fixed
            %4 = merge(%3, %1, %0) fixed
            %5 = merge(%4, %1) fixed
            output %5"#;
        check(run, fixed, fixed);
        let on_it = "%0 = source \"local://a\" fixed\n%1 = merge(%0, %0) fixed\n%2 = source \"local://b\"\n%3 = merge(%1, %2)\noutput %3";
        check(run, on_it, on_it);
    }

    #[test]
    fn what_works_on_what_came_from_outside_is_simpler() {
        check(
            run,
            r#"
            %0 = source "local://a" fixed
            %1 = file(%0) mkdir("/d", base=0, to=0) fixed
            %2 = diff(%0, %1) lower=0 upper=1 fixed
            %3 = merge(%0, %2)
            %4 = merge(%3)
            output %4"#,
            r#"
            %0 = source "local://a" fixed
            %1 = file(%0) mkdir("/d", base=0, to=0) fixed
            output %1"#,
        );
    }
}
