//! What passes keep: random graphs make the same trees, or fail, before and after, and parts from outside stay as they are.
//!
//! The graphs are evaluated in memory (`tests/support`); the executor's tests hold the evaluator against the executor. That
//! these tests would notice is tested too: passes that ignore one of their conditions are found out.

#[path = "../../tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;

use super::{Level, Log, Options, PASSES, Why, run_all};
use crate::Graph;
use support::eval::listings;
use support::random;
use support::tree::Failed;

const GRAPHS: u64 = 10_000;

/// A graph before and after, and what came of both.
struct Case {
    given: Graph,
    graph: Graph,
    log: Log,
    before: Result<Vec<String>, Failed>,
    after: Result<Vec<String>, Failed>,
}

impl Case {
    fn new(seed: u64, overruled: Option<(&'static str, Why)>) -> Self {
        let level = if seed.is_multiple_of(3) { Level::O1 } else { Level::O2 };
        let mut given = random::graph(seed, true);
        // Of some graphs what comes first, and with it all that it works on, came from outside.
        if seed.is_multiple_of(5) {
            let fixed = seed as usize / 5 % (given.nodes.len() + 1);
            given.nodes[..fixed].iter_mut().for_each(|node| node.fixed = true);
        }
        let mut graph = given.clone();
        let mut log = Log::new(&graph, Options { level, preserve_layers: seed.is_multiple_of(7) });
        log.overruled = overruled;
        run_all(&mut graph, &mut log, &mut |_, _| {});
        let sources = random::sources();
        let (before, after) = (listings(&given, &sources), listings(&graph, &sources));
        Self { given, graph, log, before, after }
    }

    /// Whether the trees are the same, or both builds fail, on whatever.
    fn is_equal(&self) -> bool {
        self.before.as_ref().ok() == self.after.as_ref().ok()
    }

    fn show(&self) -> String {
        let [given, graph] = [&self.given, &self.graph].map(crate::text::print);
        format!("{given}\nmakes {:#?}\n\n{graph}\nmakes {:#?}", self.before, self.after)
    }
}

#[test]
fn random_graphs_make_the_same_trees() {
    let (mut made, mut changed) = (0, BTreeMap::<&str, usize>::new());
    for seed in 0..GRAPHS {
        let case = Case::new(seed, None);
        assert!(case.is_equal(), "seed {seed}\n{}", case.show());
        made += u64::from(case.before.is_ok());
        for entry in case.log.entries().iter().filter(|entry| !entry.changes.is_empty()) {
            *changed.entry(entry.pass).or_default() += 1;
        }
    }
    // The graphs must be worth it: some can be built and some cannot, and every pass finds work.
    assert!((GRAPHS / 4..GRAPHS - 100).contains(&made), "{made} of {GRAPHS} can be built");
    for pass in PASSES.iter().filter(|pass| pass.name != "images") {
        assert!(changed.get(pass.name).is_some_and(|count| *count >= 20), "{}: {changed:?}", pass.name);
    }
}

/// A pass that ignores a condition is found out by some graph.
#[track_caller]
fn check_found(pass: &'static str, why: Why) {
    let found = (0..GRAPHS).find(|&seed| !Case::new(seed, Some((pass, why.clone()))).is_equal());
    assert!(found.is_some(), "nothing depends on {why:?} in {pass}");
}

#[test]
fn fusing_layers_that_are_merged_later_is_found_out() {
    check_found("fuse", Why::MergedLater);
}

#[test]
fn writing_through_hard_links_is_found_out() {
    check_found("fuse", Why::MayWriteThroughLink);
}

#[test]
fn changing_a_stack_that_is_looked_into_is_found_out() {
    check_found("algebra", Why::MergedLater);
}

#[test]
fn copying_directly_what_changes_on_the_way_is_found_out() {
    check_found("direct", Why::ChangedOnTheWay);
}

#[test]
fn copying_directly_what_gets_another_name_is_found_out() {
    check_found("direct", Why::NamedOnTheWay);
}

#[test]
fn copying_directly_a_part_that_a_link_leads_to_is_found_out() {
    check_found("direct", Why::PartOnTheWay);
}
