//! Makes constant trees where they are copied.
//!
//! ```text
//! %1 = file mkfile("/EOF", to=0, data="hi")
//! %2 = file(%0, %1) copy("/EOF", "/etc/motd", base=0, from=1, to=0)
//!    →
//! %2 = file(%0) mkfile("/EOF", data="hi") copy("/EOF", "/etc/motd", base=0, from=#0, to=0)
//! ```
//!
//! A tree without inputs, as a heredoc makes it, is part of the definition already: a vertex of its own is only waiting.
//! Sound because the same actions make the same tree from nothing, and it is only read. What it changes is that the tree is
//! made again whenever what it is copied to is, which costs as much as reading the definition; so trees that copy (they
//! would copy from themselves) and trees that others use too stay. Must not touch trees that are changed, which `fuse`
//! looks at, and layers. Linear in actions.

use super::uses::{counts, id};
use super::{Log, Rewrite, Why};
use crate::encode::merge_metadata;
use crate::verify::output_count;
use crate::{FileAction, FileActionKind, Graph, Node, Op, UserOpt};

pub(super) fn run(graph: &mut Graph, log: &mut Log) {
    let constants: Vec<bool> = graph.nodes.iter().map(is_constant).collect();
    if !constants.contains(&true) {
        return;
    }
    let counts = counts(graph);
    for index in 0..graph.nodes.len() {
        if graph.nodes[index].fixed || !matches!(graph.nodes[index].op, Op::File(_)) {
            continue;
        }
        let inputs = graph.nodes[index].inputs.iter().map(|edge| edge.node.0 as usize);
        for constant in inputs.filter(|&input| constants[input]).collect::<Vec<_>>() {
            if !is_only_read(&graph.nodes[index], constant) {
                continue;
            }
            if counts[constant] != 1 {
                log.refuse(&[constant, index], Why::UsedElsewhere);
            } else if !agree(&graph.nodes[constant], &graph.nodes[index]) {
                log.refuse(&[constant, index], Why::SaidDifferently);
            } else {
                log.done(&[constant, index], Rewrite::Inlined);
                log.forget(constant);
                inline(graph, constant, index);
            }
        }
    }
}

/// Whether a vertex makes one tree from nothing, and only from what the definition says.
pub(super) fn is_constant(node: &Node) -> bool {
    let Op::File(actions) = &node.op else { return false };
    let copies = actions.iter().any(|action| matches!(action.kind, FileActionKind::Copy(_)));
    node.inputs.is_empty() && !copies && output_count(&node.op) == 1
}

/// Whether a vertex copies from a tree, and neither changes it nor looks up owners in it.
pub(super) fn is_only_read(node: &Node, tree: usize) -> bool {
    let Op::File(actions) = &node.op else { return false };
    let position = node.inputs.iter().position(|edge| edge.node == id(tree)).map(|position| position as i64);
    let looks_up = |kind: &FileActionKind| {
        let owner = super::fuse::owner(kind);
        let parts = owner.into_iter().flat_map(|owner| [&owner.user, &owner.group]).flatten();
        parts.into_iter().any(|part| matches!(part, UserOpt::Name { input, .. } if Some(*input) == position))
    };
    !actions.iter().any(|action| Some(action.input) == position || looks_up(&action.kind))
}

/// Whether one vertex can do the work of both.
pub(super) fn agree(a: &Node, b: &Node) -> bool {
    let of = |node: &Node| (node.meta.export_cache, node.platform.clone(), node.constraints.clone(), node.lossy);
    of(a) == of(b)
}

/// Puts the actions of a constant tree before those of the vertex that copies from it.
fn inline(graph: &mut Graph, constant: usize, index: usize) {
    let (head, tail) = graph.nodes.split_at_mut(index);
    let (constant_node, node) = (&mut head[constant], &mut tail[0]);
    let (Op::File(first), Op::File(second)) = (&mut constant_node.op, &mut node.op) else { return };
    let Some(gone) = node.inputs.iter().position(|edge| edge.node == id(constant)) else { return };
    node.inputs.remove(gone);
    let (gone, inputs, length) = (gone as i64, node.inputs.len() as i64, first.len() as i64);
    let result = inputs + first.iter().position(|action| action.output == 0).unwrap_or_default() as i64;
    // Without inputs the positions of the constant's actions begin at 0.
    let of_constant = |position: i64| if position < 0 { position } else { position + inputs };
    let of_vertex = |position: i64| match position {
        position if position == gone => result,
        position if position > inputs => position - 1 + length,
        position if position > gone => position - 1,
        position => position,
    };
    let mut actions: Vec<FileAction> = std::mem::take(first);
    for action in &mut actions {
        super::fuse::renumber(action, &of_constant);
        action.output = -1;
    }
    second.iter_mut().for_each(|action| super::fuse::renumber(action, &of_vertex));
    actions.append(second);
    *second = actions;
    say_of(constant_node, node);
}

/// Says of a vertex what was said of one whose tree it copied. The name is that of the step; of the other only what the daemon
/// must support, and whether it may be cached, matters.
pub(super) fn say_of(copied: &mut Node, node: &mut Node) {
    let mut meta = std::mem::take(&mut copied.meta);
    meta.progress_group = None;
    merge_metadata(&mut meta, &node.meta);
    node.meta = meta;
    for location in std::mem::take(&mut copied.locations) {
        super::fuse::add_location(&mut node.locations, location);
    }
}

#[cfg(test)]
mod tests {
    use super::run;
    use crate::passes::testing::check;

    #[test]
    fn a_heredoc_is_made_where_it_is_copied() {
        check(
            run,
            r#"
            %0 = source "local://a"
            %1 = file mkdir("/d") mkfile("/d/EOF", base=#0, to=0, data="hi")
              ! caps=["a"]
            %2 = file(%1, %0) mkdir("/etc", base=1) copy("/d/EOF", "/etc/motd", base=#0, from=0, to=0, owner(user=name("u", 1)))
              ! description={"llb.customname": "COPY <<EOF"} caps=["b"]
            output %2"#,
            r#"
            %0 = source "local://a"
            %1 = file(%0) mkdir("/d") mkfile("/d/EOF", base=#0, data="hi") mkdir("/etc", base=0) copy("/d/EOF", "/etc/motd", base=#2, from=#1, to=0, owner(user=name("u", 0)))
            ! description={"llb.customname": "COPY <<EOF"} caps=["a", "b"]
            output %1"#,
        );
    }

    #[test]
    fn trees_that_others_use_or_that_are_changed_stay() {
        let graph = r#"
            %0 = file mkfile("/a", to=0)
            %1 = file mkfile("/b", to=0)
            %2 = file(%0, %1) copy("/b", "/c", base=0, from=1, to=0)
            %3 = file(%2, %1) copy("/b", "/d", base=0, from=1, to=0, owner(user=name("u", 1)))
            output %3"#;
        check(run, graph, &format!("{graph}\n;; %1, %2: what the first makes is used elsewhere too"));
    }

    #[test]
    fn what_came_from_outside_is_left_alone() {
        let fixed = r#"
            %0 = source "local://a" fixed
            %1 = file mkfile("/f", to=0) fixed
            %2 = file(%0, %1) copy("/f", "/", base=0, from=1, to=0) fixed
            output %2"#;
        check(run, fixed, fixed);
        let ours = r#"
            %0 = source "local://a"
            %1 = file mkfile("/f", to=0) fixed
            %2 = file(%0, %1) copy("/f", "/", base=0, from=1, to=0)
            output %2"#;
        check(run, ours, &format!("{ours}\n;; %1, %2: what the first makes is used elsewhere too"));
    }
}
