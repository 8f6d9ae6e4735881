//! Removes vertices that no output needs.
//!
//! ```text
//! %0 = source "local://a"        →
//! %1 = source "local://b"        %0 = source "local://b"
//! output %1                      output %0
//! ```
//!
//! Sound because only outputs can be observed, and what they lead to stays as it is: encoding would leave the same
//! vertices out, so that nothing that would have run, or failed, is gone. It keeps other passes and dumps from looking at
//! what does not matter. Linear in edges.

use super::{Log, Rewrite};
use crate::shape::needed;
use crate::{Edge, Graph, NodeId};

pub(super) fn run(graph: &mut Graph, log: &mut Log) {
    for (node, _) in needed(graph).into_iter().enumerate().filter(|(_, needed)| !needed) {
        log.done(&[node], Rewrite::Dead);
    }
    sweep(graph, log);
}

/// Removes what a pass left behind, without a word: the pass has said what it did.
pub(super) fn sweep(graph: &mut Graph, log: &mut Log) {
    let needed = needed(graph);
    if !needed.iter().all(|&needed| needed) {
        log.retain(&needed);
        remove(graph, needed);
    }
}

fn remove(graph: &mut Graph, needed: Vec<bool>) {
    let mut next = 0;
    let moved: Vec<NodeId> = needed
        .iter()
        .map(|&needed| {
            let id = NodeId(next);
            next += u32::from(needed);
            id
        })
        .collect();
    let follow = |edge: &mut Edge| edge.node = moved[edge.node.0 as usize];
    let mut is_needed = needed.into_iter();
    graph.nodes.retain(|_| is_needed.next().unwrap_or_default());
    graph.nodes.iter_mut().flat_map(|node| &mut node.inputs).for_each(follow);
    graph.outputs.iter_mut().filter_map(|output| output.edge.as_mut()).for_each(follow);
}

#[cfg(test)]
mod tests {
    use super::run;
    use crate::passes::testing::check;

    #[test]
    fn what_outputs_need_stays() {
        let graph = r#"
            %0 = source "local://a"
            %1 = diff(%0) lower=-1 upper=0
            output %1"#;
        check(run, graph, graph);
        check(run, "output scratch", "output scratch");
    }

    #[test]
    fn the_rest_goes_with_its_inputs() {
        check(
            run,
            r#"
            %0 = source "local://a"
            %1 = source "local://b"
            %2 = merge(%0, %1)
            %3 = source "local://c"
            %4 = merge(%1, %3)
            output %4 platform("linux", "amd64")
            output %3 platform("linux", "arm64")"#,
            r#"
            %0 = source "local://b"
            %1 = source "local://c"
            %2 = merge(%0, %1)
            output %2 platform("linux", "amd64")
            output %1 platform("linux", "arm64")"#,
        );
    }
}
