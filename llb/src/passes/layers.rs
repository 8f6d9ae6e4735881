//! The layers of a tree: which vertices it is a stack of.

use crate::{Diff, Edge, Graph, Mount, MountKind, NodeId, Op};

/// The vertices that the layers of a tree come from, lowest first. A source stands for all its layers; a difference that
/// must be computed for its one.
pub fn layers(graph: &Graph, edge: Edge) -> Vec<NodeId> {
    let mut found = Vec::new();
    let mut stack = vec![Some(edge)];
    while let Some(next) = stack.pop() {
        let Some(edge) = next else { continue };
        let Some(node) = graph.nodes.get(edge.node.0 as usize) else { continue };
        match &node.op {
            // Upper ones last: `found` is turned at the end, so upper ones are taken off the stack first.
            Op::Merge(positions) => stack.extend(positions.iter().map(|&position| node_input(node, position))),
            Op::Passthrough(passthrough) => {
                let position = passthrough.outputs.get(edge.index as usize).copied().unwrap_or(-1);
                stack.push(node_input(node, position));
            }
            Op::Diff(Diff { lower: Some(-1), upper: Some(upper) }) => stack.push(node_input(node, *upper)),
            _ => {
                found.push(edge.node);
                stack.push(base(graph, edge));
            }
        }
        // A definition from elsewhere may share trees so often that the stack of layers is longer than anything real.
        if found.len() > MOST || stack.len() > MOST {
            break;
        }
    }
    found.reverse();
    found
}

/// Layers after which nobody counts any more; overlays take 500.
const MOST: usize = 100_000;

/// The tree that a result lies on as its topmost layer.
pub(super) fn base(graph: &Graph, edge: Edge) -> Option<Edge> {
    let node = &graph.nodes[edge.node.0 as usize];
    match &node.op {
        Op::File(actions) => {
            let mut position = actions.iter().position(|action| action.output == i64::from(edge.index))?;
            // Actions lead to earlier ones.
            loop {
                let input = usize::try_from(actions[position].input).ok()?;
                match input.checked_sub(node.inputs.len()) {
                    None => return Some(node.inputs[input]),
                    Some(earlier) if earlier < position => position = earlier,
                    Some(_) => return None,
                }
            }
        }
        Op::Exec(exec) => {
            // The number on secrets and agents means nothing.
            let keeps = |kind: &MountKind| matches!(kind, MountKind::Bind | MountKind::Cache { .. });
            let of_edge = |mount: &&Mount| mount.output == i64::from(edge.index) && keeps(&mount.kind);
            node_input(node, exec.mounts.iter().find(of_edge)?.input)
        }
        Op::Source(_) | Op::Build(_) | Op::Merge(_) | Op::Diff(_) | Op::Passthrough(_) => None,
    }
}

/// Whether each vertex is, or lies below, a tree that a merge or a difference looks into layer by layer. **Shape**: one
/// entry per vertex.
pub(super) fn merged(graph: &Graph) -> Vec<bool> {
    let mut merged = vec![false; graph.nodes.len()];
    for (index, node) in graph.nodes.iter().enumerate().rev() {
        let all = matches!(node.op, Op::Merge(_) | Op::Diff(_)) || merged[index];
        match &node.op {
            _ if !all => {}
            // What a file operation copies from is only read.
            Op::File(actions) => {
                let count = node.inputs.len();
                let bases = actions.iter().filter_map(|action| usize::try_from(action.input).ok());
                bases.filter(|&base| base < count).for_each(|base| merged[node.inputs[base].node.0 as usize] = true);
            }
            _ => node.inputs.iter().for_each(|edge| merged[edge.node.0 as usize] = true),
        }
    }
    merged
}

fn node_input(node: &crate::Node, position: i64) -> Option<Edge> {
    node.inputs.get(usize::try_from(position).ok()?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[u32]) {
        let graph = crate::text::parse(text).unwrap();
        let found: Vec<u32> = layers(&graph, graph.outputs[0].edge.unwrap()).iter().map(|node| node.0).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn chains_and_merges() {
        check(
            r#"
            %0 = source "local://a"
            %1 = exec(%0) args=["x"] cwd="/" bind("/", from=0, to=0)
            %2 = file(%1) mkdir("/a", base=0) mkdir("/b", base=#0, to=0)
            %3 = file mkdir("/c", to=0)
            %4 = file(%3) mkdir("/d", base=0, to=0)
            %5 = merge(%2, %4)
            %6 = diff(%5) lower=-1 upper=0
            %7 = passthrough(%6) id="p" outputs=[0]
            output %7"#,
            &[0, 1, 2, 3, 4],
        );
    }

    #[test]
    fn a_mount_lies_on_its_own_input() {
        check(
            r#"
            %0 = source "local://a"
            %1 = source "local://b"
            %2 = exec(%0, %1) args=["x"] cwd="/" bind("/", from=0, to=0) bind("/b", from=1, to=1)
            output %2.1"#,
            &[1, 2],
        );
    }
}
