//! Copies directly what was only copied on the way.
//!
//! ```text
//! %1 = file(%0) copy("/out", "/", from=0, to=0)
//! %3 = file(%2, %1) copy("/", "/usr/", base=0, from=1, to=0)
//!    →
//! %3 = file(%2, %0) copy("/out", "/usr/", base=0, from=1, to=0)
//! ```
//!
//! A stage that only collects something (`FROM scratch AS artifacts`) is a tree that is written, stored and read again.
//! Sound where the second copy takes exactly what the first made, and that is what the first took:
//!
//! - the first is all that is in between, on nothing, so that nothing is there but its work;
//! - it changes no owner, mode or time that the second keeps, and neither unpacks, replaces or picks by patterns;
//! - it took the root as a whole to the root: then every path is the same in both trees. Or it copied into a directory, or
//!   to one path, and the second takes just that. What is copied may be a file or a directory, nobody knows: into a
//!   directory, so copies the second then; and to one path it must have the name that it had, by which a file would go.
//!
//! The directory that contents are copied into is made like any other, whatever the one they come from is like. A copy that
//! fails on the way fails directly, as its source is the same. Must not touch what others use, or what lies on an image,
//! where a link may lead elsewhere. Linear in actions.

use super::constants::{agree, is_only_read};
use super::uses::{counts, id};
use super::{Log, Rewrite, Why};
use crate::verify::output_count;
use crate::{CopyAction, Edge, FileAction, FileActionKind, Graph, Node, Op};

/// Characters that mean something in a path of a copy.
const SPECIAL: [char; 4] = ['*', '?', '[', '\\'];

pub(super) fn run(graph: &mut Graph, log: &mut Log) {
    let ways: Vec<bool> = graph.nodes.iter().map(|node| only_copy(node).is_some()).collect();
    if !ways.contains(&true) {
        return;
    }
    let counts = counts(graph);
    for index in 0..graph.nodes.len() {
        if graph.nodes[index].fixed || !matches!(graph.nodes[index].op, Op::File(_)) {
            continue;
        }
        let inputs = graph.nodes[index].inputs.iter().map(|edge| edge.node.0 as usize);
        for between in inputs.filter(|&input| ways[input]).collect::<Vec<_>>() {
            let (node, way) = (&graph.nodes[index], &graph.nodes[between]);
            let Some((first, _)) = only_copy(way) else { continue };
            let copies = copies_from(node, between);
            if copies.is_empty() || !is_only_read(node, between) {
                continue;
            }
            let found = if counts[between] != 1 {
                Err(Why::UsedElsewhere)
            } else if !agree(way, node) {
                Err(Why::SaidDifferently)
            } else {
                copies.into_iter().try_for_each(|second| log.heed(check(first, second)))
            };
            match found {
                Err(why) => log.refuse(&[between, index], why),
                Ok(()) => {
                    log.done(&[between, index], Rewrite::Direct);
                    log.forget(between);
                    direct(graph, between, index);
                }
            }
        }
    }
}

/// The copy that is all that a vertex does, on nothing, and where it copies from.
fn only_copy(node: &Node) -> Option<(&CopyAction, Edge)> {
    let Op::File(actions) = &node.op else { return None };
    let ([FileAction { input: -1, secondary_input, kind: FileActionKind::Copy(copy), .. }], [from]) =
        (&actions[..], &node.inputs[..])
    else {
        return None;
    };
    (*secondary_input == 0 && output_count(&node.op) == 1).then_some((copy, *from))
}

/// What a vertex copies from a tree.
fn copies_from(node: &Node, tree: usize) -> Vec<&CopyAction> {
    let Op::File(actions) = &node.op else { return Vec::new() };
    let position = node.inputs.iter().position(|edge| edge.node == id(tree)).map(|position| position as i64);
    let of_tree = actions.iter().filter(|action| Some(action.secondary_input) == position);
    let copies = of_tree.filter_map(|action| match &action.kind {
        FileActionKind::Copy(copy) => Some(&**copy),
        _ => None,
    });
    copies.collect()
}

/// Whether the second copy makes the same where it takes what the first took.
fn check(first: &CopyAction, second: &CopyAction) -> Result<(), Why> {
    if !keeps(first, second) || !takes_all(first) || !second.dir_copy_contents {
        return Err(Why::ChangedOnTheWay);
    }
    if is_everything(first) {
        return Ok(());
    }
    if !takes_all(second) {
        return Err(Why::ChangedOnTheWay);
    }
    let to = clean(&first.dest);
    if is_into(&first.dest) {
        return if clean(&second.src) == to { Ok(()) } else { Err(Why::PartOnTheWay) };
    }
    if second.src != to {
        return Err(Why::PartOnTheWay);
    }
    let from = clean(&first.src);
    if from == "/" || (name(&from) == name(&to) && !is_into(&first.src)) { Ok(()) } else { Err(Why::NamedOnTheWay) }
}

/// Whether what the first copy says of files is not seen, or said again by the second.
fn keeps(first: &CopyAction, second: &CopyAction) -> bool {
    first.owner.is_none()
        && first.mode == -1
        && first.mode_str.is_empty()
        && (first.timestamp == -1 || second.timestamp != -1)
}

/// Whether all that is at one path is copied, as it is.
fn takes_all(copy: &CopyAction) -> bool {
    let picks =
        [&copy.include_patterns, &copy.exclude_patterns, &copy.required_paths].iter().any(|list| !list.is_empty());
    !picks
        && !copy.src.contains(SPECIAL)
        && !copy.attempt_unpack
        && !copy.always_replace_existing_dest_paths
        && copy.follow_symlink
        && copy.dir_copy_contents
        && copy.create_dest_path
}

/// Whether a tree is copied as a whole, each path to itself.
fn is_everything(copy: &CopyAction) -> bool {
    clean(&copy.src) == "/" && clean(&copy.dest) == "/"
}

/// Whether a path is that of a directory by its end.
fn is_into(path: &str) -> bool {
    path.ends_with('/') || path.ends_with("/.") || clean(path) == "/"
}

fn clean(path: &str) -> String {
    oci::text::clean_path(&format!("/{path}"))
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// Makes a vertex copy from where the one in between did, which is left without actions, for nobody to use.
fn direct(graph: &mut Graph, between: usize, index: usize) {
    let (head, tail) = graph.nodes.split_at_mut(index);
    let (way, node) = (&mut head[between], &mut tail[0]);
    let Some((first, from)) = only_copy(way).map(|(copy, from)| (copy.clone(), from)) else { return };
    let Some(gone) = node.inputs.iter().position(|edge| edge.node == id(between)) else { return };
    let Op::File(actions) = &mut node.op else { return };
    let copies = actions.iter_mut().filter(|action| action.secondary_input == gone as i64);
    for copy in copies.filter_map(|action| match &mut action.kind {
        FileActionKind::Copy(copy) => Some(copy),
        _ => None,
    }) {
        take_from(copy, &first);
    }
    // One input for one tree.
    match node.inputs.iter().position(|edge| *edge == from) {
        None => node.inputs[gone] = from,
        Some(known) => {
            node.inputs.remove(gone);
            let of_node = |position: i64| match position {
                position if position == gone as i64 => (known - usize::from(known > gone)) as i64,
                position if position > gone as i64 => position - 1,
                position => position,
            };
            actions.iter_mut().for_each(|action| super::fuse::renumber(action, &of_node));
        }
    }
    super::constants::say_of(way, node);
}

fn take_from(copy: &mut CopyAction, first: &CopyAction) {
    if is_everything(first) {
        return;
    }
    if is_into(&first.dest) && !is_into(&copy.dest) {
        copy.dest.push('/');
    }
    copy.src.clone_from(&first.src);
}

#[cfg(test)]
mod tests {
    use super::run;
    use crate::passes::testing::check;

    const SOURCES: &str = "%0 = source \"local://base\"\n%1 = source \"local://made\"\n";
    const PLAIN: &str = "follow_symlink, dir_copy_contents, create_dest_path";

    /// Two copies, of which the second goes on `%0`; each written without what every `COPY` says. What the first says behind
    /// its paths is behind a bar.
    fn graph(first: &str, second: &str) -> String {
        let (first, more) = first.split_once(" | ").unwrap_or((first, ""));
        format!(
            "{SOURCES}%2 = file(%1) copy({first}, from=0, to=0{more}, {PLAIN})\n\
             %3 = file(%0, %2) copy({second}, base=0, from=1, to=0, {PLAIN})\noutput %3"
        )
    }

    #[track_caller]
    fn check_direct(first: &str, second: &str, direct: &str) {
        let after = format!("{SOURCES}%2 = file(%0, %1) copy({direct}, base=0, from=1, to=0, {PLAIN})\noutput %2");
        check(run, &graph(first, second), &after);
    }

    #[track_caller]
    fn check_left(first: &str, second: &str, why: &str) {
        let graph = graph(first, second);
        check(run, &graph, &format!("{graph}\n;; %2, %3: {why}"));
    }

    #[test]
    fn what_was_collected_is_copied_from_where_it_was_made() {
        check_direct("\"/out\", \"/\"", "\"/\", \"/usr/\"", "\"/out\", \"/usr/\"");
    }

    #[test]
    fn what_may_be_a_file_still_goes_into_a_directory() {
        check_direct("\"/out\", \"/x/\"", "\"/x\", \"/usr\"", "\"/out\", \"/usr/\"");
    }

    #[test]
    fn a_path_keeps_its_name() {
        check_direct("\"/out/app\", \"/app\"", "\"/app\", \"/bin/\"", "\"/out/app\", \"/bin/\"");
        check_left(
            "\"/out/app\", \"/tool\"",
            "\"/tool\", \"/bin/\"",
            "a file would be copied under the name that it has in between",
        );
    }

    #[test]
    fn every_path_of_a_whole_tree_is_where_it_was() {
        check_direct("\"/\", \"/\"", "\"/a/b*\", \"/bin/\"", "\"/a/b*\", \"/bin/\"");
    }

    #[test]
    fn a_part_may_come_from_anywhere() {
        check_left(
            "\"/out\", \"/\"",
            "\"/bin\", \"/bin\"",
            "it takes a part of what was copied, and links may lead to that",
        );
    }

    #[test]
    fn what_is_changed_on_the_way_stays() {
        let changed = ["mode=0o700", "timestamp=1", "owner(user=1)"];
        let changed = changed.map(|more| format!("\"/out\", \"/\" | , {more}"));
        let picks = ["\"/o*\", \"/\"".to_owned()];
        for first in changed.iter().chain(&picks) {
            check_left(
                first,
                "\"/\", \"/usr/\"",
                "the first copy changes owners, modes or times, or one takes only some files",
            );
        }
    }

    #[test]
    fn an_input_is_there_once() {
        check(
            run,
            &format!(
                "{SOURCES}%2 = file(%1) copy(\"/out\", \"/\", from=0, to=0, {PLAIN})\n\
                 %3 = file(%2, %1, %0) mkdir(\"/d\", base=2, owner(user=name(\"u\", 2))) copy(\"/\", \"/usr/\", base=#0, from=0, {PLAIN}) copy(\"/x\", \"/x\", base=#1, from=1, to=0)\noutput %3"
            ),
            &format!(
                "{SOURCES}%2 = file(%1, %0) mkdir(\"/d\", base=1, owner(user=name(\"u\", 1))) copy(\"/out\", \"/usr/\", base=#0, from=0, {PLAIN}) copy(\"/x\", \"/x\", base=#1, from=0, to=0)\noutput %2"
            ),
        );
    }

    #[test]
    fn what_others_use_stays() {
        let graph = format!("{}\noutput %2 platform(\"o\", \"o\")", graph("\"/out\", \"/\"", "\"/\", \"/usr/\""));
        check(run, &graph, &format!("{graph}\n;; %2, %3: what the first makes is used elsewhere too"));
    }

    #[test]
    fn what_came_from_outside_is_left_alone() {
        let copies = |fixed: [&str; 2]| {
            format!(
                r#"
                %0 = source "local://a" {0}
                %1 = file(%0) copy("/", "/", from=0, to=0, follow_symlink, dir_copy_contents, create_dest_path) {0}
                %2 = file(%1) copy("/", "/b", from=0, to=0, follow_symlink, dir_copy_contents, create_dest_path) {1}
                output %2"#,
                fixed[0], fixed[1]
            )
        };
        let fixed = copies(["fixed", "fixed"]);
        check(run, &fixed, &fixed);
        let ours = copies(["fixed", ""]);
        check(run, &ours, &format!("{ours}\n;; %1, %2: what the first makes is used elsewhere too"));
    }
}
