//! Whether what came from outside is still as it came: a check of the passes, which must leave it alone.

use std::collections::BTreeMap;

use super::Log;
use super::uses::id;
use crate::{Graph, NodeId, encode_traced};
use oci::Digest;

/// Digests of the vertices that stay as they are, by their numbers in the given graph.
pub(super) struct Fixed(BTreeMap<NodeId, Digest>);

impl Fixed {
    pub(super) fn new(graph: &Graph) -> Self {
        let digests = digests(graph).into_iter().enumerate();
        Self(digests.filter_map(|(index, digest)| Some((id(index), digest?))).collect())
    }

    /// The first vertex that does the work of one of them, and is not that one.
    pub(super) fn changed(&self, graph: &Graph, log: &Log) -> Option<NodeId> {
        if self.0.is_empty() {
            return None;
        }
        let digests = digests(graph);
        let is_changed = |node: &NodeId| {
            let digest = digests.get(node.0 as usize).and_then(Option::as_ref);
            log.origins(*node).iter().filter_map(|given| self.0.get(given)).any(|given| Some(given) != digest)
        };
        (0..graph.nodes.len()).map(id).find(is_changed)
    }
}

/// The digest of each vertex that stays as it is and is needed; none if the graph cannot be encoded anyway.
fn digests(graph: &Graph) -> Vec<Option<Digest>> {
    if !graph.nodes.iter().any(|node| node.fixed) {
        return Vec::new();
    }
    let digests = encode_traced(graph).map(|(_, digests)| digests).unwrap_or_default();
    digests.into_iter().zip(&graph.nodes).map(|(digest, node)| digest.filter(|_| node.fixed)).collect()
}
