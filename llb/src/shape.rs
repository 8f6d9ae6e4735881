//! The shape of a graph: how far each vertex is from the sources, and the longest way through it.

use crate::{Edge, Graph, NodeId};

/// How many vertices must be done before each one, on the longest way to it. **Shape**: one entry per vertex.
pub fn depths(graph: &Graph) -> Vec<u32> {
    let mut depths: Vec<u32> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let above = |edge: &Edge| depths.get(edge.node.0 as usize).map_or(0, |depth| depth + 1);
        depths.push(node.inputs.iter().map(above).max().unwrap_or_default());
    }
    depths
}

/// Whether an output needs each vertex. **Shape**: one entry per vertex.
pub fn needed(graph: &Graph) -> Vec<bool> {
    let mut needed = vec![false; graph.nodes.len()];
    for edge in graph.outputs.iter().filter_map(|output| output.edge) {
        needed[edge.node.0 as usize] = true;
    }
    // Edges lead to smaller indices: from the last node back, whoever needs a node has been seen before it.
    for (index, node) in graph.nodes.iter().enumerate().rev() {
        if needed[index] {
            node.inputs.iter().for_each(|edge| needed[edge.node.0 as usize] = true);
        }
    }
    needed
}

/// The longest way through what the outputs need, first vertex first: no build can be faster than it, however many
/// vertices run at once.
pub fn critical_path(graph: &Graph) -> Vec<NodeId> {
    let depths = depths(graph);
    let depth = |edge: &Edge| depths[edge.node.0 as usize];
    // Of several longest ways the one through the lowest numbers.
    let deepest = |edges: &mut dyn Iterator<Item = Edge>| {
        edges.max_by(|a, b| depth(a).cmp(&depth(b)).then_with(|| b.node.cmp(&a.node)))
    };
    let mut next = deepest(&mut graph.outputs.iter().filter_map(|output| output.edge));
    let mut path = Vec::new();
    while let Some(edge) = next {
        path.push(edge.node);
        next = deepest(&mut graph.nodes[edge.node.0 as usize].inputs.iter().copied());
    }
    path.reverse();
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_way() {
        let text = r#"
            %0 = source "local://a"
            %1 = source "local://b"
            %2 = merge(%0, %1)
            %3 = merge(%1)
            %4 = merge(%3, %2)
            %5 = merge(%4)
            output %4
            output %1 platform("linux", "arm64")"#;
        let graph = crate::text::parse(text).unwrap();
        assert_eq!(depths(&graph), [0, 0, 1, 1, 2, 3]);
        assert_eq!(critical_path(&graph).iter().map(|node| node.0).collect::<Vec<_>>(), [0, 2, 4]);
        assert_eq!(critical_path(&Graph::default()), []);
    }
}
