//! How often the results of vertices are used, and moving those uses elsewhere.

use crate::{Edge, Graph, NodeId};

/// How often each vertex is an input or an output of the graph, and used outside if it came from there. **Shape**: one
/// entry per vertex.
pub(super) fn counts(graph: &Graph) -> Vec<u32> {
    let mut counts: Vec<u32> = graph.nodes.iter().map(|node| u32::from(node.fixed)).collect();
    edges(graph).for_each(|edge| counts[edge.node.0 as usize] += 1);
    counts
}

/// Every edge: inputs of vertices, then outputs of the graph.
pub(super) fn edges(graph: &Graph) -> impl Iterator<Item = Edge> + '_ {
    let inputs = graph.nodes.iter().flat_map(|node| node.inputs.iter().copied());
    inputs.chain(graph.outputs.iter().filter_map(|output| output.edge))
}

/// Edges that became others, while vertices are looked at in their order.
pub(super) struct Forward {
    to: Vec<To>,
}

/// Where the results of a vertex are now.
#[derive(Clone, Copy)]
enum To {
    Itself,
    /// Its only result is this one.
    Edge(Edge),
    /// Another vertex has all of them.
    Node(NodeId),
}

impl Forward {
    pub(super) fn new(graph: &Graph) -> Self {
        Self { to: vec![To::Itself; graph.nodes.len()] }
    }

    /// From now on the only result of a vertex is `edge`, which has been followed already.
    pub(super) fn set(&mut self, node: usize, edge: Edge) {
        self.to[node] = To::Edge(edge);
    }

    /// From now on another vertex, which has been followed already, has all results of a vertex.
    pub(super) fn set_node(&mut self, node: usize, other: usize) {
        self.to[node] = To::Node(id(other));
    }

    /// Where an edge leads now.
    pub(super) fn follow(&self, edge: Edge) -> Edge {
        match self.to[edge.node.0 as usize] {
            To::Itself => edge,
            To::Edge(edge) => edge,
            To::Node(node) => node.output(edge.index),
        }
    }

    /// Moves the inputs of one vertex.
    pub(super) fn inputs(&self, graph: &mut Graph, node: usize) {
        graph.nodes[node].inputs.iter_mut().for_each(|edge| *edge = self.follow(*edge));
    }

    /// Moves what the outputs of the graph lead to.
    pub(super) fn outputs(&self, graph: &mut Graph) {
        graph.outputs.iter_mut().filter_map(|output| output.edge.as_mut()).for_each(|edge| *edge = self.follow(*edge));
    }
}

/// The id of the vertex at an index.
pub(super) fn id(index: usize) -> NodeId {
    NodeId(u32::try_from(index).expect("fewer than 2^32 vertices"))
}
