//! Removes outputs of processes that nobody uses.
//!
//! ```text
//! %1 = exec(%0) bind("/", from=0, to=0) bind("/out", to=1)        bind("/", from=0, to=0) bind("/out")
//! output %1                                                  →    output %1
//! ```
//!
//! Sound because a writable mount without an output is a private copy that is thrown away: the process sees the same, and
//! ends the same. Nothing is committed for it. Must not touch the root (BuildKit mounts one that is not kept without a
//! place for changes, and a process that writes there, or an image without `/proc`, fails), caches, and mounts with a
//! content-cache setting, which is only allowed in some places. Linear in edges.

use std::collections::{BTreeMap, BTreeSet};

use super::uses::{edges, id};
use super::{Log, Rewrite};
use crate::verify::output_count;
use crate::{ContentCache, Edge, Exec, Graph, Mount, MountKind, Node, Op};

pub(super) fn run(graph: &mut Graph, log: &mut Log) {
    let several: Vec<bool> = graph.nodes.iter().map(has_several).collect();
    if !several.contains(&true) {
        return;
    }
    let used: BTreeSet<Edge> = edges(graph).filter(|edge| several[edge.node.0 as usize]).collect();
    let mut moved = BTreeMap::new();
    for index in (0..graph.nodes.len()).filter(|&index| several[index]) {
        let is_used = |output: i64| used.contains(&id(index).output(u32::try_from(output).unwrap_or(u32::MAX)));
        // Nobody uses it at all: it goes as a whole.
        if !used.iter().any(|edge| edge.node == id(index)) {
            continue;
        }
        let Op::Exec(exec) = &mut graph.nodes[index].op else { continue };
        for dest in take_outputs(exec, is_used) {
            log.done(&[index], Rewrite::OutputUnused { dest });
        }
        moved.extend(renumber(exec).into_iter().map(|(old, new)| (id(index).output(old), id(index).output(new))));
    }
    let follow = |edge: &mut Edge| *edge = moved.get(edge).copied().unwrap_or(*edge);
    if !moved.is_empty() {
        graph.nodes.iter_mut().flat_map(|node| &mut node.inputs).for_each(follow);
        graph.outputs.iter_mut().filter_map(|output| output.edge.as_mut()).for_each(follow);
    }
}

/// Whether a vertex is a process with several outputs, that may have less.
fn has_several(node: &Node) -> bool {
    matches!(node.op, Op::Exec(_)) && !node.fixed && output_count(&node.op) > 1
}

/// Takes away unused outputs; returns where they were mounted.
fn take_outputs(exec: &mut Exec, is_used: impl Fn(i64) -> bool) -> Vec<String> {
    let may_go = |mount: &&mut Mount| {
        mount.kind == MountKind::Bind
            && mount.output >= 0
            && mount.content_cache == ContentCache::Default
            && mount.dest != "/"
            && !is_used(mount.output)
    };
    let taken = exec.mounts.iter_mut().filter(may_go).map(|mount| {
        mount.output = -1;
        mount.dest.clone()
    });
    taken.collect()
}

/// Numbers the outputs that are left from 0 on; returns old and new numbers of those that changed.
fn renumber(exec: &mut Exec) -> Vec<(u32, u32)> {
    let keeps = |mount: &&mut Mount| {
        mount.output >= 0
            && (mount.kind == MountKind::Bind || matches!(mount.kind, MountKind::Cache { .. }) && mount.input != -1)
    };
    let mut moved = Vec::new();
    for (new, mount) in exec.mounts.iter_mut().filter(keeps).enumerate() {
        let (old, new) = (u32::try_from(mount.output), u32::try_from(new));
        if let (Ok(old), Ok(new)) = (old, new)
            && old != new
        {
            mount.output = i64::from(new);
            moved.push((old, new));
        }
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::run;
    use crate::passes::testing::check;

    #[test]
    fn what_nobody_uses_is_thrown_away() {
        check(
            run,
            r#"
            %0 = source "local://a"
            %1 = exec(%0) args=["x"] cwd="/" bind("/", from=0, to=0) bind("/a", to=1) bind("/b", from=0, to=2) platform("linux", "amd64")
            %2 = merge(%1.2)
            output %2"#,
            r#"
            %0 = source "local://a"
            %1 = exec(%0) args=["x"] cwd="/" bind("/", from=0, to=0) bind("/a") bind("/b", from=0, to=1) platform("linux", "amd64")
            %2 = merge(%1.1)
            output %2"#,
        );
    }

    #[test]
    fn roots_caches_and_content_settings_stay() {
        let graph = r#"
            %0 = source "local://a"
            %1 = exec(%0) args=["x"] cwd="/" bind("/", from=0, to=0) cache("/c", from=0, to=1, id="c") bind("/b", from=0, to=2, content_cache=off) bind("/d", to=3) platform("linux", "amd64")
            output %1.3"#;
        check(run, graph, graph);
    }

    #[test]
    fn what_came_from_outside_is_left_alone() {
        let graph = r#"
            %0 = source "local://a" fixed
            %1 = exec(%0) args=["x"] cwd="/" bind("/", from=0, to=0) bind("/a", to=1) bind("/b", from=0, to=2) platform("linux", "amd64") fixed
            %2 = merge(%1.2)
            output %2"#;
        check(run, graph, graph);
    }
}
