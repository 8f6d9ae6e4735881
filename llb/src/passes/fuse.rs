//! Makes file operations in a row one.
//!
//! ```text
//! %1 = file(%0) mkdir("/app", base=0, to=0)
//! %3 = file(%1, %2) copy("/a", "/app/", base=0, from=1, to=0)
//!    →
//! %3 = file(%0, %2) mkdir("/app", base=0) copy("/a", "/app/", base=#0, from=1, to=0)
//! ```
//!
//! A snapshot less is prepared, committed, hashed and (as a layer) sent for each. Sound because the actions of a file
//! operation work on one writable tree one after the other: the same actions run in the same order on the same tree, only
//! without a commit in between. What a commit changes is ruled out:
//!
//! - a commit makes files immutable, so that writing to one of several hard links afterwards breaks the link: nothing is
//!   written into a file after a copy, which alone makes links (copies replace files, they do not write into them);
//! - a commit decides which layer holds what, which merges and differences can see: trees that are merged or compared
//!   later are left alone, but for those made from nothing without removing anything;
//! - names of owners are looked up in the tree before the operation, so the second must not look them up there.
//!
//! What is in between must be used nowhere else. Two vertices are not made one where that would make more work: both
//! copying, they must copy from the same trees, or one copy would wait for the source of the other; and then they are only
//! made one at `-O2`, because both are copied (and as a layer sent) again when one changes. Linear in actions: an operation
//! has at most [`MOST`] when it takes up more.

use std::collections::BTreeSet;

use super::layers::merged;
use super::uses::{counts, id};
use super::{Level, Log, Rewrite, Why};
use crate::encode::merge_metadata;
use crate::verify::output_count;
use crate::{Edge, FileAction, FileActionKind, Graph, Location, Locations, Metadata, Node, Op, Owner, UserOpt};

/// Actions that a vertex may have.
const MOST: usize = 256;

/// Descriptions that are texts for people: both are kept.
const TEXTS: [&str; 2] = ["llb.customname", "com.docker.dockerfile.v1.command"];

pub(super) fn run(graph: &mut Graph, log: &mut Log) {
    let counts = counts(graph);
    for (second, merged) in merged(graph).into_iter().enumerate() {
        let Some(first) = below(graph, second).filter(|_| !graph.nodes[second].fixed) else { continue };
        let pair = Pair { first: &graph.nodes[first], second: &graph.nodes[second], below: id(first).output(0) };
        let found = if counts[first] != 1 {
            Err(Why::UsedElsewhere)
        } else {
            pair.check(merged).and_then(|()| pair.check_gain(log, first, second))
        };
        match log.heed(found) {
            Err(why) => log.refuse(&[first, second], why),
            Ok(()) => {
                log.done(&[first, second], Rewrite::Fused);
                log.absorb(second, first);
                fuse(graph, first, second);
            }
        }
    }
}

/// The file operation whose result a file operation changes.
fn below(graph: &Graph, second: usize) -> Option<usize> {
    let actions = file(&graph.nodes[second])?;
    let inputs = &graph.nodes[second].inputs;
    let bases = actions.iter().filter_map(|action| inputs.get(usize::try_from(action.input).ok()?));
    let mut files = bases.filter(|edge| file(&graph.nodes[edge.node.0 as usize]).is_some());
    files.next().map(|edge| edge.node.0 as usize)
}

fn file(node: &Node) -> Option<&[FileAction]> {
    match &node.op {
        Op::File(actions) => Some(actions),
        _ => None,
    }
}

struct Pair<'g> {
    first: &'g Node,
    second: &'g Node,
    /// The result of the first.
    below: Edge,
}

impl Pair<'_> {
    fn first_actions(&self) -> &[FileAction] {
        file(self.first).unwrap_or_default()
    }

    fn second_actions(&self) -> &[FileAction] {
        file(self.second).unwrap_or_default()
    }

    /// Whether one vertex does the same as the two.
    fn check(&self, merged: bool) -> Result<(), Why> {
        let (first, second) = (self.first_actions(), self.second_actions());
        let position = self.second.inputs.iter().position(|&edge| edge == self.below).map(|position| position as i64);
        let reads = |action: &FileAction| Some(action.secondary_input) == position;
        let looks_up = |action: &FileAction| owner(&action.kind).is_some_and(|owner| names(owner, position));
        let bases = second.iter().filter(|action| Some(action.input) == position).count();
        if output_count(&self.first.op) != 1 || self.result_is_read() {
            return Err(Why::SeveralOutputs);
        }
        if second.iter().any(reads) || bases != 1 {
            return Err(Why::ReadsWhatItChanges);
        }
        if second.iter().any(looks_up) {
            return Err(Why::OwnerByName);
        }
        if first.iter().any(is_copy) && self.writes_below(position) {
            return Err(Why::MayWriteThroughLink);
        }
        let takes_away = first.iter().chain(second).any(takes_away);
        if merged && (takes_away || !self.starts_from_nothing()) {
            return Err(Why::MergedLater);
        }
        self.check_said()
    }

    /// Whether the second writes files into the tree of the first, not only into others that it copies from.
    fn writes_below(&self, position: Option<i64>) -> bool {
        let (actions, count) = (self.second_actions(), self.second.inputs.len());
        let mut below: Vec<bool> = Vec::with_capacity(actions.len());
        for action in actions {
            let on_earlier = usize::try_from(action.input).ok().and_then(|input| below.get(input.checked_sub(count)?));
            below.push(Some(action.input) == position || on_earlier.copied().unwrap_or_default());
        }
        let writes = |action: &FileAction| matches!(action.kind, FileActionKind::Mkfile { .. });
        actions.iter().zip(below).any(|(action, below)| below && writes(action))
    }

    /// Whether an action of the first works on its result.
    fn result_is_read(&self) -> bool {
        let actions = self.first_actions();
        let Some(result) = actions.iter().position(|action| action.output == 0) else { return true };
        let result = (self.first.inputs.len() + result) as i64;
        actions.iter().any(|action| action.input == result || action.secondary_input == result)
    }

    fn starts_from_nothing(&self) -> bool {
        self.first_actions().iter().all(|action| action.input == -1 || action.input >= self.first.inputs.len() as i64)
    }

    fn check_said(&self) -> Result<(), Why> {
        let (first, second) = (self.first, self.second);
        let of = |meta: &Metadata| (meta.export_cache, meta.progress_group.clone(), meta.linux_resources.clone());
        let same = of(&first.meta) == of(&second.meta)
            && first.platform == second.platform
            && first.constraints == second.constraints
            && !first.lossy
            && !second.lossy;
        if same { Ok(()) } else { Err(Why::SaidDifferently) }
    }

    /// Whether one vertex is better than the two.
    fn check_gain(&self, log: &Log, first: usize, second: usize) -> Result<(), Why> {
        if log.is_pinned(first) || log.is_pinned(second) {
            return Err(Why::LayersPreserved);
        }
        if self.first_actions().len() + self.second_actions().len() > MOST {
            return Err(Why::TooManyActions);
        }
        let (earlier, later) = (sources(self.first), sources(self.second));
        if earlier.is_empty() || later.is_empty() {
            return Ok(());
        }
        if !later.is_subset(&earlier) {
            return Err(Why::DifferentSources);
        }
        if log.options.level < Level::O2 {
            return Err(Why::CopiedTogether);
        }
        Ok(())
    }
}

fn is_copy(action: &FileAction) -> bool {
    matches!(action.kind, FileActionKind::Copy(_))
}

/// Whether an action may remove something, or put something of another type in its place.
fn takes_away(action: &FileAction) -> bool {
    match &action.kind {
        FileActionKind::Rm { .. } => true,
        FileActionKind::Copy(copy) => copy.always_replace_existing_dest_paths || copy.attempt_unpack,
        _ => false,
    }
}

/// The trees that an operation copies from.
fn sources(node: &Node) -> BTreeSet<Edge> {
    let positions = file(node).unwrap_or_default().iter().map(|action| action.secondary_input);
    positions.filter_map(|position| node.inputs.get(usize::try_from(position).ok()?).copied()).collect()
}

pub(super) fn owner(kind: &FileActionKind) -> Option<&Owner> {
    match kind {
        FileActionKind::Copy(copy) => copy.owner.as_ref(),
        FileActionKind::Mkfile { owner, .. }
        | FileActionKind::Mkdir { owner, .. }
        | FileActionKind::Symlink { owner, .. } => owner.as_ref(),
        FileActionKind::Rm { .. } => None,
    }
}

fn owner_mut(kind: &mut FileActionKind) -> Option<&mut Owner> {
    match kind {
        FileActionKind::Copy(copy) => copy.owner.as_mut(),
        FileActionKind::Mkfile { owner, .. }
        | FileActionKind::Mkdir { owner, .. }
        | FileActionKind::Symlink { owner, .. } => owner.as_mut(),
        FileActionKind::Rm { .. } => None,
    }
}

/// Whether a name is looked up in an input.
fn names(owner: &Owner, position: Option<i64>) -> bool {
    let looked_up =
        |part: &Option<UserOpt>| matches!(part, Some(UserOpt::Name { input, .. }) if Some(*input) == position);
    looked_up(&owner.user) || looked_up(&owner.group)
}

/// Puts the actions of the first before those of the second. The first is left without actions, for nobody to use.
fn fuse(graph: &mut Graph, first: usize, second: usize) {
    let below = id(first).output(0);
    let (head, tail) = graph.nodes.split_at_mut(second);
    let (first, second) = (&mut head[first], &mut tail[0]);
    let (Op::File(earlier), Op::File(later)) = (&mut first.op, &mut second.op) else { return };
    let mut actions = std::mem::take(earlier);
    let mut inputs = std::mem::take(&mut first.inputs);
    let count = inputs.len();
    // Where each input of the second is now; the result of the first is no input any more.
    let places: Vec<Option<usize>> = second
        .inputs
        .iter()
        .map(|&edge| {
            (edge != below).then(|| {
                inputs.iter().position(|&known| known == edge).unwrap_or_else(|| {
                    inputs.push(edge);
                    inputs.len() - 1
                })
            })
        })
        .collect();
    let shift = (inputs.len() - count) as i64;
    if shift > 0 {
        let of_first = |position: i64| if position >= count as i64 { position + shift } else { position };
        actions.iter_mut().for_each(|action| renumber(action, &of_first));
    }
    let result = actions.iter().position(|action| action.output == 0).unwrap_or_default();
    actions[result].output = -1;
    let (result, length) = ((inputs.len() + result) as i64, (inputs.len() + actions.len()) as i64);
    let of_second = |position: i64| match usize::try_from(position) {
        Err(_) => position,
        Ok(position) => match places.get(position) {
            Some(Some(place)) => *place as i64,
            Some(None) => result,
            None => length + (position - places.len()) as i64,
        },
    };
    later.iter_mut().for_each(|action| renumber(action, &of_second));
    actions.append(later);
    *later = actions;
    second.inputs = inputs;
    say_both(first, second);
}

pub(super) fn renumber(action: &mut FileAction, moved: &dyn Fn(i64) -> i64) {
    action.input = moved(action.input);
    action.secondary_input = moved(action.secondary_input);
    let owner = owner_mut(&mut action.kind);
    for part in owner.into_iter().flat_map(|owner| [&mut owner.user, &mut owner.group]).flatten() {
        if let UserOpt::Name { input, .. } = part {
            *input = moved(*input);
        }
    }
}

/// What is said of the first is said of the second, too; texts stand in the order of the work.
fn say_both(first: &mut Node, second: &mut Node) {
    let (mut earlier, later) = (std::mem::take(&mut first.meta), std::mem::take(&mut second.meta));
    let both = |key: &str| Some(format!("{}; {}", earlier.description.get(key)?, later.description.get(key)?));
    let texts: Vec<_> = TEXTS.into_iter().filter_map(|key| Some((key.to_owned(), both(key)?))).collect();
    merge_metadata(&mut earlier, &later);
    earlier.description.extend(texts);
    second.meta = earlier;
    let mut locations = std::mem::take(&mut first.locations);
    std::mem::take(&mut second.locations).into_iter().for_each(|location| add_location(&mut locations, location));
    second.locations = locations;
}

/// Adds a place; ranges of one text are one place, so that an error marks all of them.
pub(super) fn add_location(locations: &mut Locations, location: Location) {
    match locations.iter_mut().find(|known| known.source == location.source) {
        Some(known) => {
            let new = location.ranges.into_iter().filter(|range| !known.ranges.contains(range)).collect::<Vec<_>>();
            known.ranges.extend(new);
        }
        None => locations.push(location),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, check_with};
    use super::super::{Level, Options};
    use super::run;

    const SOURCES: &str = "%0 = source \"local://base\"\n%1 = source \"local://a\"\n%2 = source \"local://b\"\n";

    /// Actions on `%0`, `%1`, … of [`SOURCES`].
    #[track_caller]
    fn check_on_sources(before: &str, after: &str) {
        let used =
            "output %0 platform(\"o\", \"o\")\noutput %1 platform(\"a\", \"a\")\noutput %2 platform(\"b\", \"b\")";
        check(run, &format!("{SOURCES}{before}\n{used}"), &format!("{SOURCES}{after}\n{used}"));
    }

    /// The two operations stay as they are, for this reason.
    #[track_caller]
    fn check_left(graph: &str, why: &str) {
        check_on_sources(graph, &format!("{graph}\n;; %3, %4: {why}"));
    }

    #[test]
    fn directories_and_copies_are_one_vertex() {
        check_on_sources(
            r#"
            %3 = file(%0) mkdir("/app", base=0, to=0)
            %4 = file(%3, %1) copy("/a", "/app/", base=0, from=1, to=0)
            %5 = file(%4) symlink("a", "/app/l", base=0, to=0)
            output %5"#,
            r#"
            %3 = file(%0, %1) mkdir("/app", base=0) copy("/a", "/app/", base=#0, from=1) symlink("a", "/app/l", base=#1, to=0)
            output %3"#,
        );
    }

    #[test]
    fn positions_follow_their_inputs_whatever_their_order() {
        check_on_sources(
            r#"
            %3 = file(%1, %0) copy("/a", "/a", base=1, from=0, owner(user=name("u", 1))) mkdir("/d", base=#0, to=0)
            %4 = file(%2, %1, %3) mkdir("/e", base=2, owner(group=name("g", 0))) mkdir("/f", base=#0, to=0, owner(user=name("u", 1)))
            output %4"#,
            r#"
            %3 = file(%1, %0, %2) copy("/a", "/a", base=1, from=0, owner(user=name("u", 1))) mkdir("/d", base=#0) mkdir("/e", base=#1, owner(group=name("g", 2))) mkdir("/f", base=#2, to=0, owner(user=name("u", 0)))
            output %3"#,
        );
    }

    #[test]
    fn copies_from_one_tree_are_one_vertex_at_the_second_level() {
        let chain = r#"
            %3 = file(%0, %1) copy("/a", "/a", base=0, from=1, to=0)
            %4 = file(%3, %1) copy("/b", "/b", base=0, from=1, to=0)
            output %4"#;
        check_left(chain, "both would be copied again when one changes; -O2 does it");
        let one = "%3 = file(%0, %1) copy(\"/a\", \"/a\", base=0, from=1) copy(\"/b\", \"/b\", base=#0, from=1, to=0)\noutput %3";
        let o2 = Options { level: Level::O2, ..Options::default() };
        let used = "output %2 platform(\"b\", \"b\")";
        check_with(o2, run, &format!("{SOURCES}{chain}\n{used}"), &format!("{SOURCES}{one}\n{used}"));
    }

    #[test]
    fn layers_can_be_preserved() {
        let graph = r#"
            %0 = source "local://a"
            %1 = file(%0) mkdir("/a", base=0, to=0)
            %2 = file(%1) mkdir("/b", base=0, to=0)
            output %2"#;
        let options = Options { level: Level::O2, preserve_layers: true };
        check_with(options, run, graph, &format!("{graph}\n;; %1, %2: layers are preserved"));
        check(
            run,
            graph,
            "%0 = source \"local://a\"\n%1 = file(%0) mkdir(\"/a\", base=0) mkdir(\"/b\", base=#0, to=0)\noutput %1",
        );
    }

    #[test]
    fn what_is_used_elsewhere_stays() {
        check_left(
            r#"
            %3 = file(%0) mkdir("/a", base=0, to=0)
            %4 = file(%3) mkdir("/b", base=0, to=0)
            output %4
            output %3"#,
            "what the first makes is used elsewhere too",
        );
        check_left(
            r#"
            %3 = file(%0) mkdir("/a", base=0, to=0) mkdir("/c", base=#0, to=1)
            %4 = file(%3) mkdir("/b", base=0, to=0)
            output %4"#,
            "the first has several results",
        );
    }

    #[test]
    fn what_reads_the_tree_between_stays() {
        check_left(
            r#"
            %3 = file(%0) mkdir("/a", base=0, to=0)
            %4 = file(%3) mkdir("/b", base=0) copy("/a", "/c", base=#0, from=0, to=0)
            output %4"#,
            "it copies from the tree that it changes",
        );
        check_left(
            r#"
            %3 = file(%0) mkdir("/a", base=0, to=0)
            %4 = file(%3) mkdir("/b", base=0, to=0, owner(user=name("u", 0)))
            output %4"#,
            "an owner is looked up by name in the tree that changes; a number would do",
        );
    }

    #[test]
    fn no_copy_waits_for_anothers_source() {
        check_left(
            r#"
            %3 = file(%0, %1) copy("/a", "/a", base=0, from=1, to=0)
            %4 = file(%3, %2) copy("/b", "/b", base=0, from=1, to=0)
            output %4"#,
            "they copy from different trees: one copy would wait for, and be repeated with, the other",
        );
    }

    #[test]
    fn no_file_is_written_through_a_hard_link() {
        check_left(
            r#"
            %3 = file(%0, %1) copy("/a", "/a", base=0, from=1, to=0)
            %4 = file(%3) mkfile("/a/f", base=0, to=0)
            output %4"#,
            "a file is written where a copy may have made a hard link",
        );
    }

    #[test]
    fn a_file_that_is_written_elsewhere_is_no_danger() {
        check_on_sources(
            r#"
            %3 = file(%0, %1) copy("/a", "/a", base=0, from=1, to=0)
            %4 = file(%3) mkfile("/f") copy("/f", "/a/f", base=0, from=#0, to=0)
            output %4"#,
            r#"
            %3 = file(%0, %1) copy("/a", "/a", base=0, from=1) mkfile("/f") copy("/f", "/a/f", base=#0, from=#1, to=0)
            output %3"#,
        );
    }

    #[test]
    fn trees_that_are_merged_later_keep_their_layers() {
        check_left(
            r#"
            %3 = file(%0) mkdir("/a", base=0, to=0)
            %4 = file(%3) mkdir("/b", base=0, to=0)
            %5 = merge(%2, %4)
            output %5"#,
            "the tree is merged or compared later, layer by layer",
        );
        check_left(
            r#"
            %3 = file mkdir("/a", to=0)
            %4 = file(%3) rm("/a", base=0, to=0)
            %5 = merge(%2, %4)
            output %5"#,
            "the tree is merged or compared later, layer by layer",
        );
        check_on_sources(
            r#"
            %3 = file mkdir("/a", to=0)
            %4 = file(%3) mkdir("/b", base=0, to=0)
            %5 = merge(%2, %4)
            output %5"#,
            r#"
            %3 = file mkdir("/a") mkdir("/b", base=#0, to=0)
            %4 = merge(%2, %3)
            output %4"#,
        );
    }

    #[test]
    fn what_is_said_of_both_is_said_of_the_one() {
        check(
            run,
            r#"
            text "Dockerfile"
            %0 = source "local://a"
            %1 = file(%0) mkdir("/a", base=0, to=0)
              ! ignore_cache description={"llb.customname": "one", "x": "1"} caps=["a"]
              @ 0 1
            %2 = file(%1) mkdir("/b", base=0, to=0)
              ! description={"llb.customname": "two", "x": "2"} caps=["b"]
              @ 0 2
            %3 = file(%2) mkdir("/c", base=0, to=0)
              ! export_cache=false
            output %3"#,
            r#"
            text "Dockerfile"
            %0 = source "local://a"
            %1 = file(%0) mkdir("/a", base=0) mkdir("/b", base=#0, to=0)
            ! ignore_cache description={"llb.customname": "one; two", "x": "2"} caps=["a", "b"]
            @ 0 1 2
            %2 = file(%1) mkdir("/c", base=0, to=0)
            ! export_cache=false
            output %2
            ;; %1, %2, %3: worker constraints, cache export or progress groups differ"#,
        );
    }

    #[test]
    fn what_came_from_outside_is_left_alone() {
        let steps = |fixed: [&str; 3]| {
            format!(
                r#"
                %0 = source "local://a" {0}
                %1 = file(%0) mkdir("/a", base=0, to=0) {0}
                %2 = file(%1) mkdir("/b", base=0, to=0) {1}
                %3 = file(%2) mkdir("/c", base=0, to=0) {2}
                output %3"#,
                fixed[0], fixed[1], fixed[2]
            )
        };
        let fixed = steps(["fixed", "fixed", "fixed"]);
        check(run, &fixed, &fixed);
        let ours = steps(["fixed", "fixed", ""]);
        check(run, &ours, &format!("{ours}\n;; %2, %3: what the first makes is used elsewhere too"));
        check(
            run,
            &steps(["fixed", "", ""]),
            r#"
            %0 = source "local://a" fixed
            %1 = file(%0) mkdir("/a", base=0, to=0) fixed
            %2 = file(%1) mkdir("/b", base=0) mkdir("/c", base=#0, to=0)
            output %2
            ;; %1, %2: what the first makes is used elsewhere too"#,
        );
    }
}
