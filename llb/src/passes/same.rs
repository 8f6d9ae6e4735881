//! Makes equal vertices one.
//!
//! ```text
//! %0 = source "local://a"        %0 = source "local://a"
//! %1 = source "local://a"   →    %1 = merge(%0, %0)
//! %2 = merge(%0, %1)
//! ```
//!
//! Sound because equal vertices have equal digests: encoding writes them once, and what is said of both is merged in the
//! same way. The gain is that later passes see all uses of a result. Vertices that a later rewrite makes equal (stages of
//! several platforms that do not depend on the platform, two names of one image) are computed once for all. Linear in
//! the size of the graph: each operation is hashed once, and compared with one other at most.

use std::hash::{Hash, Hasher};

use indexmap::map::Entry;

use super::uses::Forward;
use super::{Log, Rewrite};
use crate::encode::merge_metadata;
use crate::hash::{Numbers, WordHasher};
use crate::{Graph, Node};

pub(super) fn run(graph: &mut Graph, log: &mut Log) {
    let mut forward = Forward::new(graph);
    let mut known: Numbers<usize> = Numbers::with_capacity_and_hasher(graph.nodes.len(), Default::default());
    for index in 0..graph.nodes.len() {
        forward.inputs(graph, index);
        let first = match known.entry(hash(&graph.nodes[index])) {
            Entry::Vacant(free) => {
                free.insert(index);
                continue;
            }
            Entry::Occupied(taken) => *taken.get(),
        };
        // Others with the same hash are left as they are.
        if are_equal(&graph.nodes[first], &graph.nodes[index]) {
            log.done(&[first, index], Rewrite::Same);
            log.absorb(first, index);
            forward.set_node(index, first);
            say_both(graph, first, index);
        }
    }
    forward.outputs(graph);
}

fn hash(node: &Node) -> u64 {
    let mut hasher = WordHasher::default();
    (&node.op, &node.inputs, &node.platform, &node.constraints).hash(&mut hasher);
    hasher.finish()
}

fn are_equal(a: &Node, b: &Node) -> bool {
    let key = |node: &Node| (node.lossy, node.inputs.len());
    key(a) == key(b)
        && a.op == b.op
        && a.inputs == b.inputs
        && a.platform == b.platform
        && a.constraints == b.constraints
}

/// What is said of the second vertex is said of the first, and that it came from outside.
fn say_both(graph: &mut Graph, first: usize, second: usize) {
    let (head, tail) = graph.nodes.split_at_mut(second);
    let (first, second) = (&mut head[first], &mut tail[0]);
    // What it works on is equal, too, and has become so before.
    first.fixed |= second.fixed;
    merge_metadata(&mut first.meta, &second.meta);
    first.locations.append(&mut second.locations);
}

#[cfg(test)]
mod tests {
    use super::run;
    use crate::passes::testing::check;

    #[test]
    fn chains_become_one_and_everything_is_said_of_it() {
        check(
            run,
            r#"
            text "Dockerfile"
            %0 = source "local://a"
            %1 = file(%0) mkdir("/d", base=0, to=0)
              ! description={"llb.customname": "one"} caps=["a"]
              @ 0 1
            %2 = source "local://a"
            %3 = file(%2) mkdir("/d", base=0, to=0)
              ! ignore_cache description={"llb.customname": "two"} caps=["b"]
              @ 0 2
            %4 = merge(%1, %3)
            output %4"#,
            r#"
            text "Dockerfile"
            %0 = source "local://a"
            %1 = file(%0) mkdir("/d", base=0, to=0)
            ! ignore_cache description={"llb.customname": "two"} caps=["a", "b"]
            @ 0 1
            @ 0 2
            %2 = merge(%1, %1)
            output %2"#,
        );
    }

    #[test]
    fn platforms_and_constraints_tell_apart() {
        let graph = r#"
            %0 = source "docker-image://x" platform("linux", "amd64")
            %1 = source "docker-image://x" platform("linux", "arm64")
            %2 = source "docker-image://x" platform("linux", "arm64") constraints=["a==b"]
            %3 = merge(%0, %1, %2)
            output %3"#;
        check(run, graph, graph);
    }

    #[test]
    fn what_equals_what_came_from_outside_stays_as_it_is() {
        check(
            run,
            r#"
            %0 = source "local://a"
            %1 = file(%0) mkdir("/d", base=0, to=0)
            %2 = source "local://a" fixed
            %3 = file(%2) mkdir("/d", base=0, to=0) fixed
            %4 = file(%3) mkdir("/e", base=0, to=0) fixed
            %5 = merge(%1, %4)
            output %5"#,
            r#"
            %0 = source "local://a" fixed
            %1 = file(%0) mkdir("/d", base=0, to=0) fixed
            %2 = file(%1) mkdir("/e", base=0, to=0) fixed
            %3 = merge(%1, %2)
            output %3"#,
        );
    }
}
