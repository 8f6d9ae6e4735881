//! Wire bytes → [`Definition`] and [`Graph`]; refuses what is no whole, sound definition.
//!
//! The bytes of each vertex are kept as received, so that digests never change, and the graph is a view of them. What
//! BuildKit tolerates is tolerated: vertices in any order, repeated ones, unneeded ones, metadata of vertices that are
//! not there. A definition cut off between two fields is still well-formed protobuf; it is noticed when no terminal
//! vertex ends it, or when it says something of some vertices only and has no source map.

mod definition;
mod error;
mod op;
mod order;

use oci::Digest;
use prost::Message;

pub use error::{DecodeError, VertexProblem};

use crate::hash::{DigestMap, Text};
use crate::{Definition, Edge, Graph, Location, Node, NodeId, Op, Output, SourceInfo, SourceMap, Vertex, proto};

/// Largest definition that is read, in bytes. A vertex takes half a kilobyte, so there is room for half a million;
/// BuildKit itself takes no message above 16 MiB.
pub const MAX_BYTES: usize = 256 << 20;

/// Most vertices that are read. Far above what any build has, low enough that a crafted file cannot exhaust memory.
pub const MAX_VERTICES: usize = 1_000_000;

/// A definition and its meaning.
#[derive(Clone, Debug, Default)]
pub struct Decoded {
    /// The vertices as received, without repeated ones.
    pub definition: Definition,
    /// What they mean. Vertices keep their order where it has inputs first.
    pub graph: Graph,
    /// **Shape**: the digest of each node of the graph.
    pub digests: Vec<Digest>,
}

/// Reads a definition.
///
/// No bytes at all are a definition too, of scratch; a caller that reads from a pipe may want to refuse them first.
pub fn decode(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    if bytes.len() > MAX_BYTES {
        return Err(DecodeError::TooLarge { bytes: bytes.len() });
    }
    let message = proto::Definition::decode(bytes).map_err(DecodeError::NotLlb)?;
    understand(definition::read(message)?)
}

/// Finds out what a definition means.
pub fn understand(definition: Definition) -> Result<Decoded, DecodeError> {
    if is_cut_off(&definition) {
        return Err(DecodeError::CutOff);
    }
    let parsed = definition.vertices.iter().enumerate().map(parse).collect::<Result<Vec<_>, _>>()?;
    let edges = resolve(&definition, &parsed)?;
    let ranks = order::ranks(&edges, |vertex| parsed[vertex].op.is_some()).ok_or(DecodeError::Cycle)?;

    let sources = match &definition.source {
        Some(source) => source.texts.iter().map(source_info).collect::<Result<Vec<_>, _>>()?,
        None => Vec::new(),
    };
    let mut graph = Graph { nodes: Vec::new(), outputs: Vec::new(), sources };
    let mut nodes: Vec<Option<(Node, Digest)>> = vec![None; definition.vertices.len()];
    for (position, (parsed, inputs)) in parsed.into_iter().zip(edges).enumerate() {
        let Vertex { digest, .. } = &definition.vertices[position];
        let meta = definition.metadata.get(digest).cloned().unwrap_or_default();
        let edge = |(input, index): (usize, u32)| Edge { node: NodeId(ranks[input]), index };
        let Some(op) = parsed.op else {
            let edge = inputs.first().copied().map(edge);
            graph.outputs.push(Output { edge, platform: parsed.platform, meta });
            continue;
        };
        let inputs = inputs.into_iter().map(edge).collect();
        let locations = locations(definition.source.as_ref(), digest);
        let Parsed { platform, constraints, .. } = parsed;
        let node = Node { op, inputs, platform, constraints, meta, locations, lossy: false };
        nodes[ranks[position] as usize] = Some((node, digest.clone()));
    }
    if definition.vertices.is_empty() {
        graph.outputs.push(Output::default());
    }
    let digests;
    (graph.nodes, digests) = nodes.into_iter().flatten().unzip();
    Ok(Decoded { definition, graph, digests })
}

/// A vertex by itself.
struct Parsed {
    /// `None` in a terminal vertex.
    op: Option<Op>,
    inputs: Vec<proto::Input>,
    platform: Option<oci::Platform>,
    constraints: Option<Vec<String>>,
}

/// Inputs of a vertex: position of the other vertex in the definition, and number of its output.
type Inputs = Vec<(usize, u32)>;

fn parse((position, vertex): (usize, &Vertex)) -> Result<Parsed, DecodeError> {
    op::parse(&vertex.bytes).map_err(|problem| at(position, vertex, problem))
}

fn at(position: usize, vertex: &Vertex, problem: VertexProblem) -> DecodeError {
    DecodeError::Vertex { position, digest: vertex.digest.clone(), problem }
}

/// Finds the vertices that inputs name.
fn resolve(definition: &Definition, parsed: &[Parsed]) -> Result<Vec<Inputs>, DecodeError> {
    let positions: DigestMap<usize> =
        definition.vertices.iter().enumerate().map(|(position, vertex)| (vertex.digest.clone(), position)).collect();
    let find = |input: &proto::Input| {
        let Some(&found) = positions.get(&Text(&input.digest)) else {
            return Err(VertexProblem::MissingInput { digest: input.digest.clone() });
        };
        if parsed[found].op.is_none() {
            return Err(VertexProblem::NoOperation { digest: input.digest.clone() });
        }
        let index = u32::try_from(input.index).map_err(|_| VertexProblem::InputIndex { index: input.index })?;
        Ok((found, index))
    };
    let resolve_one = |(position, parsed): (usize, &Parsed)| {
        if parsed.op.is_none() && parsed.inputs.len() > 1 {
            let problem = VertexProblem::TerminalInputs { count: parsed.inputs.len() };
            return Err(at(position, &definition.vertices[position], problem));
        }
        let inputs = parsed.inputs.iter().map(find).collect::<Result<Inputs, _>>();
        inputs.map_err(|problem| at(position, &definition.vertices[position], problem))
    };
    let edges = parsed.iter().enumerate().map(resolve_one).collect::<Result<Vec<_>, _>>()?;
    match parsed.last() {
        Some(last) if last.op.is_some() => Err(DecodeError::CutOff),
        _ => Ok(edges),
    }
}

/// Whether something is said of some vertices but not of all, and the source map that ends a definition is missing.
fn is_cut_off(definition: &Definition) -> bool {
    definition.source.is_none()
        && !definition.metadata.is_empty()
        && definition.vertices.iter().any(|vertex| !definition.metadata.contains_key(&vertex.digest))
}

fn source_info(text: &crate::SourceText) -> Result<SourceInfo, DecodeError> {
    let definition = text.definition.as_deref().map(|nested| understand(nested.clone())).transpose()?;
    Ok(SourceInfo {
        filename: text.filename.clone(),
        data: text.data.clone(),
        definition: definition.map(|decoded| Box::new(decoded.graph)),
        language: text.language.clone(),
    })
}

/// The places of a vertex in texts that are there.
fn locations(source: Option<&SourceMap>, digest: &Digest) -> Vec<Location> {
    let Some(source) = source else { return Vec::new() };
    let known = |location: &&Location| (location.source as usize) < source.texts.len();
    source.locations.get(digest).map(|all| all.iter().filter(known).cloned().collect()).unwrap_or_default()
}
