//! Makes a directory once.
//!
//! ```text
//! mkdir("/app/src", make_parents) mkdir("/app", base=#0)   →   mkdir("/app/src", make_parents)
//! file(%0) mkdir("/", base=0, to=0)                        →   %0
//! ```
//!
//! Sound because making a directory that is there changes nothing, neither its owner nor its mode, and cannot fail. That
//! it is there is only taken from what the same operation made before on the same tree, through whatever links: nothing
//! in a tree that came from elsewhere is known. Files and links made in between take nothing away; a copy may (it replaces
//! a link on the way), and so does a removal. Must not touch directories whose owner is looked up by name, which can fail.
//! Linear in actions, and their paths.

use std::collections::BTreeSet;

use super::uses::Forward;
use super::{Log, Rewrite};
use crate::verify::output_count;
use crate::{Edge, FileAction, FileActionKind, Graph, Op, Owner, UserOpt};

pub(super) fn run(graph: &mut Graph, log: &mut Log) {
    let mut forward = Forward::new(graph);
    for index in 0..graph.nodes.len() {
        forward.inputs(graph, index);
        if graph.nodes[index].fixed {
            continue;
        }
        if let Some(base) = nothing_to_do(graph, log, index) {
            log.done(&[index], Rewrite::NothingLeft);
            log.forget(index);
            forward.set(index, base);
            continue;
        }
        let inputs = graph.nodes[index].inputs.len();
        let Op::File(actions) = &mut graph.nodes[index].op else { continue };
        for path in remove_known(actions, inputs) {
            log.done(&[index], Rewrite::DirectoryMade(path));
        }
    }
    forward.outputs(graph);
}

/// What an operation works on, if it only makes the root of it. Another input, which it does not use, may fail.
fn nothing_to_do(graph: &Graph, log: &Log, index: usize) -> Option<Edge> {
    let node = &graph.nodes[index];
    let Op::File(actions) = &node.op else { return None };
    let ([action], [_]) = (&actions[..], &node.inputs[..]) else { return None };
    let is_root = made(&action.kind).is_some_and(|path| path == "/");
    let base = *node.inputs.get(usize::try_from(action.input).ok()?)?;
    (is_root && output_count(&node.op) == 1 && !log.is_pinned(index)).then_some(base)
}

/// The path of a directory that is made, clean, if nothing in that can fail once it is there.
fn made(kind: &FileActionKind) -> Option<String> {
    let FileActionKind::Mkdir { path, owner, .. } = kind else { return None };
    let by_name = |part: &Option<UserOpt>| matches!(part, Some(UserOpt::Name { .. }));
    let looks_up = |owner: &Owner| by_name(&owner.user) || by_name(&owner.group);
    (!owner.as_ref().is_some_and(looks_up)).then(|| oci::text::clean_path(&format!("/{path}")).to_string())
}

/// Removes actions that make directories which the actions before made; returns their paths.
fn remove_known(actions: &mut Vec<FileAction>, inputs: usize) -> Vec<String> {
    let mut removed = Vec::new();
    // What is known was made by an action before.
    if actions.len() < 2 {
        return removed;
    }
    let mut known: BTreeSet<String> = BTreeSet::new();
    // Where each position is now, in actions that were kept.
    let mut places: Vec<i64> = (0..inputs as i64).collect();
    let mut kept: Vec<FileAction> = Vec::with_capacity(actions.len());
    for mut action in std::mem::take(actions) {
        let follow = |position: i64| usize::try_from(position).map_or(position, |position| places[position]);
        (action.input, action.secondary_input) = (follow(action.input), follow(action.secondary_input));
        let last = (inputs + kept.len()) as i64 - 1;
        if kept.is_empty() || action.input != last {
            known.clear();
        }
        match made(&action.kind) {
            Some(path) if known.contains(&path) && hand_on(&mut kept, &action) => {
                removed.push(path);
                places.push(action.input);
                continue;
            }
            _ => {}
        }
        learn(&mut known, &action.kind);
        places.push((inputs + kept.len()) as i64);
        kept.push(action);
    }
    *actions = kept;
    removed
}

/// Gives the output of an action that goes to the one before it; whether that could be done.
fn hand_on(kept: &mut [FileAction], action: &FileAction) -> bool {
    let Some(last) = kept.last_mut() else { return false };
    if action.output == -1 {
        return true;
    }
    let free = last.output == -1;
    if free {
        last.output = action.output;
    }
    free
}

/// What is there after an action.
fn learn(known: &mut BTreeSet<String>, kind: &FileActionKind) {
    match kind {
        FileActionKind::Mkdir { path, make_parents: true, .. } => {
            let path = oci::text::clean_path(&format!("/{path}")).to_string();
            let parents =
                path.match_indices('/').map(|(end, _)| path[..end].to_owned()).filter(|path| !path.is_empty());
            known.extend(parents);
            known.insert(path);
            known.insert("/".to_owned());
        }
        // Without parents anything may be there already.
        FileActionKind::Mkdir { .. } | FileActionKind::Mkfile { .. } | FileActionKind::Symlink { .. } => {}
        FileActionKind::Copy(_) | FileActionKind::Rm { .. } => known.clear(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, check_with};
    use super::super::{Level, Options};
    use super::run;

    #[test]
    fn what_was_made_is_not_made_again() {
        check(
            run,
            r#"
            %0 = source "local://a"
            %1 = file(%0) mkdir("/a/b", base=0, make_parents) mkfile("/a/f", base=#0) mkdir("a/./b/", base=#1, mode=0o700) mkdir("/a", base=#2, to=0)
            output %1"#,
            r#"
            %0 = source "local://a"
            %1 = file(%0) mkdir("/a/b", base=0, make_parents) mkfile("/a/f", base=#0, to=0)
            output %1"#,
        );
    }

    #[test]
    fn what_may_be_gone_or_is_not_known_is_made() {
        let graph = r#"
            %0 = source "local://a"
            %1 = file(%0) mkdir("/a", base=0, make_parents) copy("/", "/", base=#0, from=0) mkdir("/a", base=#1, make_parents) rm("/a", base=#2) mkdir("/a", base=#3, to=0, make_parents)
            %2 = file(%1) mkdir("/a", base=0, to=0)
            %3 = file(%2) mkdir("/b", base=0) mkdir("/b", base=#0, to=0)
            %4 = file(%3) mkdir("/c", base=0, make_parents) mkdir("/c", base=#0, to=0, owner(user=name("u", 0)))
            output %4"#;
        check(run, graph, graph);
    }

    #[test]
    fn another_tree_is_another_tree() {
        let graph = r#"
            %0 = source "local://a"
            %1 = file(%0) mkdir("/a", base=0, to=0, make_parents) mkdir("/a", base=0, to=1, make_parents)
            %2 = merge(%1, %1.1)
            output %2"#;
        check(run, graph, graph);
    }

    #[test]
    fn each_output_keeps_its_action() {
        let graph = r#"
            %0 = source "local://a"
            %1 = file(%0) mkdir("/a", base=0, to=0, make_parents) mkdir("/a", base=#0, to=1, make_parents)
            %2 = merge(%1, %1.1)
            output %2"#;
        check(run, graph, graph);
    }

    #[test]
    fn an_operation_that_only_makes_the_root_is_none() {
        let graph = r#"
            %0 = source "local://a"
            %1 = file(%0) mkdir("/", base=0, to=0)
            output %1"#;
        check(run, graph, "%0 = source \"local://a\"\noutput %0");
        let options = Options { level: Level::O1, preserve_layers: true };
        check_with(options, run, graph, graph);
        let other = r#"
            %0 = source "local://a"
            %1 = source "local://b"
            %2 = file(%0, %1) mkdir("/", base=0, to=0)
            output %2"#;
        check(run, other, other);
        let nothing = "%0 = file mkdir(\"/\", to=0)\noutput %0";
        check(run, nothing, nothing);
    }

    #[test]
    fn what_came_from_outside_is_left_alone() {
        check(
            run,
            r#"
            %0 = source "local://a" fixed
            %1 = file(%0) mkdir("/", base=0, to=0) fixed
            %2 = file(%1) mkdir("/a/b", base=0, make_parents) mkdir("/a", base=#0, to=0) fixed
            %3 = file(%2) mkdir("/", base=0, to=0)
            output %3"#,
            r#"
            %0 = source "local://a" fixed
            %1 = file(%0) mkdir("/", base=0, to=0) fixed
            %2 = file(%1) mkdir("/a/b", base=0, make_parents) mkdir("/a", base=#0, to=0) fixed
            output %2"#,
        );
    }
}
