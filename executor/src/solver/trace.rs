//! What went into a result, and what each of its steps gave.
//!
//! parity: `captureProvenance` of BuildKit v0.32 (`solver/llbsolver/provenance.go`), which goes through the same vertices.

use std::collections::HashSet;

use llb::{Exec, MountKind, NetMode, Op};
use oci::Platform;

use super::scheduler::Edge;
use super::vertices::{Vertex, Vertices};
use crate::cache;
use crate::exporters::{Gave, Given};
use crate::provenance::Capture;
use crate::store::Store;
use crate::{Result, sources};

/// A result and all that led to it.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// What went in.
    pub capture: Capture,
    /// What the steps gave.
    pub gave: Vec<Gave>,
}

/// Goes from a result to the sources.
pub(super) fn of(edge: Edge, vertices: &Vertices, host: &Platform, store: &Store) -> Result<Trace> {
    let mut trace = Trace::default();
    let (mut open, mut edges, mut seen) = (vec![edge], HashSet::new(), HashSet::new());
    while let Some(edge) = open.pop() {
        if !edges.insert(edge) {
            continue;
        }
        let vertex = &vertices[edge.vertex];
        trace.gave.extend(gave(vertex, edge.output, store)?);
        if seen.insert(edge.vertex) {
            add(&mut trace.capture, vertex, host)?;
            open.extend(vertex.step.inputs.iter().copied().chain(vertex.expanded));
        }
    }
    Ok(trace)
}

fn add(capture: &mut Capture, vertex: &Vertex, host: &Platform) -> Result<()> {
    match &vertex.step.node.op {
        Op::Source(source) => {
            let platform = vertex.step.node.platform.as_deref().unwrap_or(host);
            let material = match &vertex.pinned {
                Some(pinned) => sources::material(source, platform, &pinned.pin())?,
                None => None,
            };
            match material {
                Some(material) => capture.add(material),
                None => capture.is_incomplete = true,
            }
        }
        Op::Exec(exec) => add_process(capture, exec),
        // parity: what the definition that is built was made from is not told.
        Op::Build(_) => capture.is_incomplete = true,
        Op::File(_) | Op::Merge(_) | Op::Diff(_) | Op::Passthrough(_) => {}
    }
    Ok(())
}

fn add_process(capture: &mut Capture, exec: &Exec) {
    for mount in &exec.mounts {
        match &mount.kind {
            MountKind::Secret(secret) => capture.add_secret(secret.id.clone(), secret.optional),
            MountKind::Ssh(agent) => capture.add_ssh(agent.id.clone(), agent.optional),
            MountKind::Bind | MountKind::Cache { .. } | MountKind::Tmpfs { .. } => {}
        }
    }
    exec.secret_env.iter().for_each(|secret| capture.add_secret(secret.id.clone(), secret.optional));
    capture.network |= exec.network != NetMode::None;
}

/// What a step gave: of an image its blobs, of others the tree that this build has or the cache knows.
fn gave(vertex: &Vertex, output: u32, store: &Store) -> Result<Option<Gave>> {
    let blobs = vertex.pinned.as_ref().and_then(|pinned| {
        let remotes = pinned.layers().into_iter();
        remotes.map(|remote| remote.map(|remote| remote.blob)).collect::<Option<Vec<_>>>()
    });
    let given = match (blobs, vertex.results.get(&output), vertex.found.get(&output)) {
        (Some(blobs), ..) => Given::Blobs(blobs),
        (None, Some(tree), _) => Given::Tree(tree.clone()),
        (None, None, Some(keys)) => match cache::results(store, keys)?.into_iter().next() {
            Some((_, tree)) => Given::Tree(tree),
            None => return Ok(None),
        },
        (None, None, None) => return Ok(None),
    };
    Ok(Some(Gave { step: vertex.step.digest.clone(), output, given }))
}
