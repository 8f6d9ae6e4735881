//! Makes copies to separate places side by side, and merges them: `COPY --link`, where nothing says that it matters.
//!
//! ```text
//! %3 = file(%0) copy("/a", "/a", from=0, to=0)               %3 = file(%0) copy("/a", "/a", from=0, to=0)
//! %4 = file(%3, %1) copy("/b", "/b", base=0, from=1, to=0)   %4 = file(%1) copy("/b", "/b", from=0, to=0)
//! %5 = file(%4, %2) copy("/c", "/c", base=0, from=1, to=0) → %5 = file(%2) copy("/c", "/c", from=0, to=0)
//!                                                            %6 = merge(%3, %4, %5)
//! ```
//!
//! No copy waits for another's source, and a change of one repeats that one and the merge. Sound only where what each copy
//! finds is the same without those before it:
//!
//! - the chain starts from nothing, so that no link of an image can lead a copy elsewhere;
//! - each only copies, to a place of its own: none is in or above another's, so no copy sees, replaces or goes through what
//!   another made (a copy to the root can land anywhere);
//! - the directories above the places, which several may make, are made alike: same owner, mode and time;
//! - nothing is unpacked, replaced, or looked up in the tree that changes.
//!
//! Then every copy makes the layer that it made before, and the merge stacks them in the same order. From three vertices on,
//! because the merge is one more. Must not touch chains on images. Linear, but for the sorting of places.

use std::collections::BTreeMap;

use super::uses::{counts, id};
use super::{Log, Rewrite, Why};
use crate::verify::output_count;
use crate::{CopyAction, Edge, FileAction, FileActionKind, Graph, Node, Op, UserOpt};

/// Vertices from which on a merge pays.
const LEAST: usize = 3;

pub(super) fn run(graph: &mut Graph, log: &mut Log) {
    let counts = counts(graph);
    let mut is_seen = vec![false; graph.nodes.len()];
    let mut chains = Vec::new();
    for top in (0..graph.nodes.len()).rev().filter(|&top| matches!(graph.nodes[top].op, Op::File(_))) {
        let is_on_file = |base: Edge| matches!(graph.nodes[base.node.0 as usize].op, Op::File(_));
        if is_seen[top] || !base(&graph.nodes[top]).is_some_and(is_on_file) {
            continue;
        }
        let (chain, from_nothing) = chain(graph, &counts, top);
        chain.iter().for_each(|&node| is_seen[node] = true);
        if chain.len() < LEAST {
            continue;
        }
        let checked = if from_nothing { check(graph, &chain) } else { Err(Why::BaseUnknown) };
        match checked {
            Err(why) => log.refuse(&chain, why),
            Ok(()) => chains.push(chain),
        }
    }
    if chains.is_empty() {
        return;
    }
    for chain in &chains {
        log.done(chain, Rewrite::Linked { trees: chain.len() });
        chain[1..].iter().for_each(|&node| put_on_nothing(&mut graph.nodes[node]));
    }
    merge(graph, log, &chains);
}

/// File operations on each other's only results, lowest first, and whether the lowest starts from nothing.
fn chain(graph: &Graph, counts: &[u32], top: usize) -> (Vec<usize>, bool) {
    let mut chain = vec![top];
    loop {
        let node = &graph.nodes[chain[chain.len() - 1]];
        let Some(base) = base(node) else { break };
        let below = base.node.0 as usize;
        let is_link = matches!(graph.nodes[below].op, Op::File(_))
            && output_count(&graph.nodes[below].op) == 1
            && counts[below] == 1;
        if !is_link {
            chain.reverse();
            return (chain, false);
        }
        chain.push(below);
    }
    chain.reverse();
    (chain, true)
}

fn actions(node: &Node) -> &[FileAction] {
    match &node.op {
        Op::File(actions) => actions,
        _ => &[],
    }
}

/// The tree that an operation changes; `None` is nothing.
fn base(node: &Node) -> Option<Edge> {
    actions(node).iter().find_map(|action| node.inputs.get(usize::try_from(action.input).ok()?).copied())
}

/// Whether each vertex of a chain makes the same on nothing as on the one before.
fn check(graph: &Graph, chain: &[usize]) -> Result<(), Why> {
    let mut places: BTreeMap<Vec<String>, usize> = BTreeMap::new();
    let mut made: BTreeMap<String, (&CopyAction, usize)> = BTreeMap::new();
    for &index in chain {
        let node = &graph.nodes[index];
        if output_count(&node.op) != 1 {
            return Err(Why::SeveralOutputs);
        }
        for copy in copies(node)? {
            let place = place(copy)?;
            // Who makes directories in the root makes them as all do who share them.
            if let [top, _, ..] = &place[..]
                && let Some((other, by)) = made.insert(top.clone(), (copy, index))
                && by != index
                && !make_alike(copy, other)
            {
                return Err(Why::PlacesOverlap);
            }
            if places.insert(place, index).is_some_and(|other| other != index) {
                return Err(Why::PlacesOverlap);
            }
        }
    }
    // In this order what is in another place stands right behind it, or behind others in it.
    let places: Vec<_> = places.into_iter().collect();
    let is_in = |pair: &[(Vec<String>, usize)]| pair[1].0.starts_with(&pair[0].0) && pair[0].1 != pair[1].1;
    if places.windows(2).any(is_in) { Err(Why::PlacesOverlap) } else { Ok(()) }
}

/// The copies of an operation that only copies, one after the other, from elsewhere.
fn copies(node: &Node) -> Result<Vec<&CopyAction>, Why> {
    let (all, inputs) = (actions(node), node.inputs.len() as i64);
    let base = base(node).and_then(|base| node.inputs.iter().position(|&edge| edge == base)).map(|base| base as i64);
    let mut last = base.unwrap_or(-1);
    let mut copies: Vec<&CopyAction> = Vec::with_capacity(all.len());
    for (action, result) in all.iter().zip(inputs..) {
        let FileActionKind::Copy(copy) = &action.kind else { return Err(Why::PlaceUnknown) };
        let reads_base = Some(action.secondary_input) == base || action.secondary_input >= inputs;
        let owner = copy.owner.iter().flat_map(|owner| [&owner.user, &owner.group]).flatten();
        let by_name = owner.into_iter().any(|part| matches!(part, UserOpt::Name { .. }));
        if action.input != last || reads_base || by_name {
            return Err(if by_name { Why::OwnerByName } else { Why::ReadsWhatItChanges });
        }
        if copy.attempt_unpack || copy.always_replace_existing_dest_paths || !copy.create_dest_path {
            return Err(Why::PlaceUnknown);
        }
        last = result;
        copies.push(copy);
    }
    Ok(copies)
}

/// Where a copy lands: everything that it makes is there or below.
fn place(copy: &CopyAction) -> Result<Vec<String>, Why> {
    let dest = oci::text::clean_path(&format!("/{}", copy.dest)).to_string();
    let parts: Vec<String> = dest.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    if parts.is_empty() { Err(Why::PlacesOverlap) } else { Ok(parts) }
}

/// Whether two copies make directories on the way alike.
fn make_alike(a: &CopyAction, b: &CopyAction) -> bool {
    (&a.owner, a.mode, &a.mode_str, a.timestamp) == (&b.owner, b.mode, &b.mode_str, b.timestamp)
}

/// Takes away the tree that an operation changes.
fn put_on_nothing(node: &mut Node) {
    let Some(base) = base(node).and_then(|base| node.inputs.iter().position(|&edge| edge == base)) else { return };
    node.inputs.remove(base);
    let base = base as i64;
    let moved = |position: i64| match position {
        position if position == base => -1,
        position if position > base => position - 1,
        position => position,
    };
    let Op::File(actions) = &mut node.op else { return };
    actions.iter_mut().for_each(|action| super::fuse::renumber(action, &moved));
}

/// Puts a merge behind the top of each chain, which everybody uses from then on.
fn merge(graph: &mut Graph, log: &mut Log, chains: &[Vec<usize>]) {
    let tops: BTreeMap<usize, &Vec<usize>> = chains.iter().map(|chain| (chain[chain.len() - 1], chain)).collect();
    let old = std::mem::take(&mut graph.nodes);
    // Where each vertex is now, and where its results are.
    let (mut moved, mut results, mut new): (Vec<usize>, Vec<usize>, Vec<usize>) = Default::default();
    for (index, mut node) in old.into_iter().enumerate() {
        node.inputs.iter_mut().for_each(|edge| edge.node = id(results[edge.node.0 as usize]));
        let merged = tops.get(&index).map(|chain| {
            moved.push(graph.nodes.len());
            let inputs = chain.iter().map(|&node| id(moved[node]).output(0)).collect();
            moved.pop();
            merge_of(&node, inputs)
        });
        moved.push(graph.nodes.len());
        graph.nodes.push(node);
        if let Some(merge) = merged {
            new.push(graph.nodes.len());
            graph.nodes.push(merge);
        }
        results.push(graph.nodes.len() - 1);
    }
    log.insert(&new);
    let follow = |edge: &mut Edge| edge.node = id(results[edge.node.0 as usize]);
    graph.outputs.iter_mut().filter_map(|output| output.edge.as_mut()).for_each(follow);
}

fn merge_of(top: &Node, inputs: Vec<Edge>) -> Node {
    let mut merge = Node::new(Op::Merge((0..inputs.len() as i64).collect()), inputs);
    merge.constraints.clone_from(&top.constraints);
    merge.meta.export_cache = top.meta.export_cache;
    merge.meta.caps.insert("mergeop");
    merge.locations.clone_from(&top.locations);
    merge
}

#[cfg(test)]
mod tests {
    use super::run;
    use crate::passes::testing::check;

    const SOURCES: &str = "%0 = source \"local://a\"\n%1 = source \"local://b\"\n%2 = source \"local://c\"\n";

    #[track_caller]
    fn check_chain(places: [&str; 3], after: &str) {
        let flags = "create_dest_path, dir_copy_contents";
        let [a, b, c] = places;
        let graph = format!(
            "{SOURCES}%3 = file(%0) copy(\"/a\", {a}, from=0, to=0, {flags})\n\
             %4 = file(%3, %1) copy(\"/b\", {b}, base=0, from=1, to=0, {flags})\n\
             %5 = file(%2, %4) copy(\"/c\", {c}, base=1, from=0, to=0, {flags})\noutput %5"
        );
        let after = match after {
            "" => format!(
                "{SOURCES}%3 = file(%0) copy(\"/a\", {a}, from=0, to=0, {flags})\n\
                 %4 = file(%1) copy(\"/b\", {b}, from=0, to=0, {flags})\n\
                 %5 = file(%2) copy(\"/c\", {c}, from=0, to=0, {flags})\n\
                 %6 = merge(%3, %4, %5)\n! caps=[\"mergeop\"]\noutput %6"
            ),
            why => format!("{graph}\n;; %3, %4, %5: {why}"),
        };
        let order =
            |text: &str| text.replace("create_dest_path, dir_copy_contents", "dir_copy_contents, create_dest_path");
        check(run, &order(&graph), &order(&after));
    }

    const OVERLAP: &str = "they copy to places within each other";

    #[test]
    fn separate_places_are_made_side_by_side() {
        check_chain(["\"/a\"", "\"/b/\"", "\"/b-c\""], "");
        check_chain(["\"/usr/bin/a\"", "\"/usr/bin/b\"", "\"/usr/lib\""], "");
    }

    #[test]
    fn places_in_each_other_stay_in_a_row() {
        check_chain(["\"/a\"", "\"/b\"", "\"/a\""], OVERLAP);
        check_chain(["\"/a/b\"", "\"/c\"", "\"/a\""], OVERLAP);
        check_chain(["\"/a\"", "\"/b\"", "\"/\""], OVERLAP);
    }

    #[test]
    fn shared_directories_are_made_alike() {
        let flags = "dir_copy_contents, create_dest_path";
        let graph = format!(
            "{SOURCES}%3 = file(%0) copy(\"/a\", \"/d/a\", from=0, to=0, {flags})\n\
             %4 = file(%3, %1) copy(\"/b\", \"/d/b\", base=0, from=1, to=0, owner(user=1), {flags})\n\
             %5 = file(%4, %2) copy(\"/c\", \"/c\", base=0, from=1, to=0, {flags})\noutput %5"
        );
        check(run, &graph, &format!("{graph}\n;; %3, %4, %5: {OVERLAP}"));
    }

    #[test]
    fn what_is_below_must_be_known() {
        let flags = "create_dest_path";
        let graph = format!(
            "{SOURCES}%3 = file(%0, %1) copy(\"/a\", \"/a\", base=0, from=1, to=0, {flags})\n\
             %4 = file(%3, %1) copy(\"/b\", \"/b\", base=0, from=1, to=0, {flags})\n\
             %5 = file(%4, %2) copy(\"/c\", \"/c\", base=0, from=1, to=0, {flags})\noutput %5"
        );
        let why = "the tree below is not known, and may hold links; COPY --link says that it does not matter";
        check(run, &graph, &format!("{graph}\n;; %3, %4, %5: {why}"));
    }

    #[test]
    fn what_came_from_outside_is_left_alone() {
        let chain = |from: usize| {
            let fixed = |index| if index < from { "fixed" } else { "" };
            format!(
                r#"
                %0 = source "local://a" fixed
                %1 = source "local://b" fixed
                %2 = source "local://c" fixed
                %3 = file(%0) copy("/a", "/a", from=0, to=0, dir_copy_contents, create_dest_path) {}
                %4 = file(%3, %1) copy("/b", "/b", base=0, from=1, to=0, dir_copy_contents, create_dest_path) {}
                %5 = file(%4, %2) copy("/c", "/c", base=0, from=1, to=0, dir_copy_contents, create_dest_path) {}
                %6 = file(%5, %2) copy("/d", "/d", base=0, from=1, to=0, dir_copy_contents, create_dest_path) {}
                output %6"#,
                fixed(3),
                fixed(4),
                fixed(5),
                fixed(6)
            )
        };
        check(run, &chain(7), &chain(7));
        let why = "the tree below is not known, and may hold links; COPY --link says that it does not matter";
        check(run, &chain(4), &format!("{}\n;; %4, %5, %6: {why}", chain(4)));
    }
}
