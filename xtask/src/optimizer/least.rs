//! How few vertices could run again after a change, whatever a pass does.
//!
//! Three kinds of vertices must, in every graph that does the same:
//!
//! - the local directories: whether something changed is known when they were looked at;
//! - each process that depends on the changed file: what it does with it only it knows;
//! - for each tree that such a process or an output takes, and that depends on the changed file and is no process's own
//!   result, what makes it.
//!
//! A vertex makes one tree, unless it is a file operation with several results. Those would be one vertex where two were,
//! and no less work: each tree is still made, and each waits for what the other is made from. So the trees are counted
//! [one by one](Least::one_by_one); [at once](Least::at_once) is what is left if that did not matter: a tree that depends,
//! through a process, on another is made by another vertex in any case.

use std::collections::BTreeSet;

use llb::{Edge, Graph, Op, shape};

use super::again::{is_local, run_again};

/// Vertices that must run again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Least {
    locals: usize,
    processes: usize,
    /// Trees that must be made again.
    trees: usize,
    /// The most of them that wait for each other.
    levels: usize,
}

impl Least {
    /// Where a vertex makes one tree.
    pub(super) fn one_by_one(&self) -> usize {
        self.locals + self.processes + self.trees
    }

    /// Where a vertex makes all trees that do not wait for each other.
    pub(super) fn at_once(&self) -> usize {
        self.locals + self.processes + self.levels
    }
}

/// What must run again after a file of the context changed.
pub(super) fn least(graph: &Graph, changed: Option<&str>) -> Least {
    let Some(path) = changed else { return Least::default() };
    let needed = shape::needed(graph);
    let again: Vec<bool> =
        run_again(graph, path).into_iter().zip(needed).map(|(again, needed)| again && needed).collect();
    let is_process = |index: usize| matches!(graph.nodes[index].op, Op::Exec(_));
    let processes: Vec<usize> = (0..graph.nodes.len()).filter(|&index| again[index] && is_process(index)).collect();
    let taken = processes.iter().flat_map(|&index| graph.nodes[index].inputs.iter().copied());
    let taken = taken.chain(graph.outputs.iter().filter_map(|output| output.edge));
    let is_made = |edge: &Edge| {
        let index = edge.node.0 as usize;
        again[index] && !is_process(index) && !is_local(&graph.nodes[index])
    };
    let trees: BTreeSet<Edge> = taken.filter(is_made).collect();
    let locals = graph.nodes.iter().zip(&again).filter(|(node, again)| **again && is_local(node)).count();
    Least { locals, processes: processes.len(), levels: levels(graph, &trees), trees: trees.len() }
}

/// How many of the trees wait for each other at most: one for another that a process behind it took.
fn levels(graph: &Graph, trees: &BTreeSet<Edge>) -> usize {
    // For each vertex, the trees that wait for each other up to where a process last took one.
    let mut taken: Vec<usize> = Vec::with_capacity(graph.nodes.len());
    let level = |taken: &[usize], edge: &Edge| taken[edge.node.0 as usize] + usize::from(trees.contains(edge));
    for node in &graph.nodes {
        let before = |edge: &Edge| match node.op {
            Op::Exec(_) => level(&taken, edge),
            _ => taken[edge.node.0 as usize],
        };
        taken.push(node.inputs.iter().map(before).max().unwrap_or_default());
    }
    trees.iter().map(|edge| level(&taken, edge)).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two stages of the same sources, and an image with what both make.
    const GRAPH: &str = r#"
        %0 = source "local://context"
        %1 = source "docker-image://base" platform("linux", "amd64")
        %2 = file(%1, %0) copy("/src", "/src", base=0, from=1, to=0)
        %3 = file(%1, %0) copy("/src", "/other", base=0, from=1, to=0)
        %4 = exec(%2) args=["make"] cwd="/" bind("/", from=0, to=0)
        %5 = exec(%4) args=["make", "test"] cwd="/" bind("/", from=0, to=0)
        %6 = exec(%3) args=["make"] cwd="/" bind("/", from=0, to=0)
        %7 = file(%1, %5) copy("/out", "/", base=0, from=1, to=0)
        %8 = file(%7, %6) copy("/out", "/", base=0, from=1, to=0)
        output %8"#;

    #[test]
    fn directories_processes_and_the_trees_that_they_take_run_again() {
        let graph = llb::text::parse(GRAPH).unwrap();
        let least = least(&graph, Some("/src/main"));
        assert_eq!(least, Least { locals: 1, processes: 3, trees: 3, levels: 2 });
        assert_eq!((least.one_by_one(), least.at_once()), (7, 6));
    }

    #[test]
    fn what_does_not_depend_on_the_file_does_not() {
        let graph = llb::text::parse(GRAPH).unwrap();
        let least = least(&graph, Some("/doc/main"));
        assert_eq!(least, Least { locals: 1, ..Least::default() });
    }
}
