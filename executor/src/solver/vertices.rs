//! What is known of each vertex of a build beside the scheduler's state.

use std::collections::HashMap;
use std::sync::Arc;

use llb::Decoded;
use oci::Digest;

use super::names;
use super::scheduler::{self, Scheduler, VertexId};
use crate::cache::VertexKey;
use crate::snapshot::Committed;
use crate::sources::Pinned;
use crate::{Cancel, Error, Result};

/// A vertex as threads see it.
pub(super) struct Step {
    pub(super) id: VertexId,
    /// Digest of its wire form.
    pub(super) digest: Digest,
    /// Name for people.
    pub(super) name: String,
    /// What it does; its platform is in normal form.
    pub(super) node: llb::Node,
    /// Its inputs in this build.
    pub(super) inputs: Vec<scheduler::Edge>,
}

/// A vertex as the driver sees it.
pub(super) struct Vertex {
    pub(super) step: Arc<Step>,
    /// Its keys so far: several for a source.
    pub(super) keys: Vec<VertexKey>,
    /// What a source is pinned to.
    pub(super) pinned: Option<Arc<dyn Pinned>>,
    /// Keys that the cache has for each output: found, or saved.
    pub(super) found: HashMap<u32, Vec<crate::cache::Key>>,
    /// Results by output.
    pub(super) results: HashMap<u32, Committed>,
    /// Stops what is being done for it.
    pub(super) cancel: Cancel,
    /// Why it failed.
    pub(super) error: Option<Error>,
    /// How many nested builds it is in.
    pub(super) depth: u32,
    /// What stands for it, when it is a nested build.
    pub(super) expanded: Option<scheduler::Edge>,
}

/// The vertices of a build. Equal vertices of several definitions are one.
#[derive(Default)]
pub(super) struct Vertices {
    all: Vec<Vertex>,
    by_digest: HashMap<(Digest, bool), VertexId>,
}

impl Vertices {
    /// Adds a definition's graph; returns the edges of its outputs (`None` is scratch) and the vertices that are new.
    pub(super) fn add(
        &mut self,
        decoded: Decoded,
        no_cache: bool,
        depth: u32,
        scheduler: &mut Scheduler,
    ) -> (Vec<Option<scheduler::Edge>>, Vec<VertexId>) {
        let mut ids: Vec<VertexId> = Vec::with_capacity(decoded.graph.nodes.len());
        let mut new = Vec::new();
        for (mut node, digest) in decoded.graph.nodes.into_iter().zip(decoded.digests) {
            let ignore_cache = no_cache || node.meta.ignore_cache;
            node.meta.ignore_cache = ignore_cache;
            let known = self.by_digest.get(&(digest.clone(), ignore_cache)).copied();
            let id = known.unwrap_or_else(|| {
                let inputs: Vec<_> = node.inputs.iter().map(|input| edge(*input, &ids)).collect();
                let id = scheduler.add(&inputs, ignore_cache);
                self.by_digest.insert((digest.clone(), ignore_cache), id);
                self.push(id, digest, node, inputs);
                self[id].depth = depth;
                new.push(id);
                id
            });
            ids.push(id);
        }
        let outputs = decoded.graph.outputs.iter().map(|output| Some(edge(output.edge?, &ids))).collect();
        (outputs, new)
    }

    fn push(&mut self, id: VertexId, digest: Digest, mut node: llb::Node, inputs: Vec<scheduler::Edge>) {
        let input_names: Vec<_> = inputs.iter().map(|input| self[input.vertex].step.name.as_str()).collect();
        let name = names::of_node(&node, &input_names);
        node.platform = node.platform.map(|platform| platform.normalize().into());
        self.all.push(Vertex {
            step: Arc::new(Step { id, digest, name, node, inputs }),
            keys: Vec::new(),
            pinned: None,
            found: HashMap::new(),
            results: HashMap::new(),
            cancel: Cancel::default(),
            error: None,
            depth: 0,
            expanded: None,
        });
    }

    /// The result of an edge that is done.
    pub(super) fn result(&self, edge: scheduler::Edge) -> Result<Committed> {
        let found = self[edge.vertex].results.get(&edge.output);
        found.cloned().ok_or_else(|| {
            let name = &self[edge.vertex].step.name;
            Error::Definition(format!("output {} of {name}, which does not have it", edge.output))
        })
    }

    /// Whether a vertex needs another, through inputs and nested builds.
    pub(super) fn needs(&self, id: VertexId, wanted: VertexId) -> bool {
        let (mut open, mut seen) = (vec![id], std::collections::HashSet::from([id]));
        while let Some(id) = open.pop() {
            if id == wanted {
                return true;
            }
            let vertex = &self[id];
            let next =
                vertex.step.inputs.iter().map(|input| input.vertex).chain(vertex.expanded.map(|edge| edge.vertex));
            open.extend(next.filter(|next| seen.insert(*next)));
        }
        false
    }

    /// The vertices, inputs first.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Vertex> {
        self.all.iter()
    }
}

fn edge(edge: llb::Edge, ids: &[VertexId]) -> scheduler::Edge {
    scheduler::Edge { vertex: ids[edge.node.0 as usize], output: edge.index }
}

impl std::ops::Index<VertexId> for Vertices {
    type Output = Vertex;

    fn index(&self, id: VertexId) -> &Vertex {
        &self.all[id.0 as usize]
    }
}

impl std::ops::IndexMut<VertexId> for Vertices {
    fn index_mut(&mut self, id: VertexId) -> &mut Vertex {
        &mut self.all[id.0 as usize]
    }
}
