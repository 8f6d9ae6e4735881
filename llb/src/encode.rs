//! `Graph` → `Definition`, with the bytes, digests and order that BuildKit's client gives.
//!
//! Vertices are written inputs first, in the order in which each vertex visits its inputs ([`order`]). Vertices that
//! come out with equal bytes are one: written where the first of them stands, with what is said of all of them. The
//! walk keeps its own stack, since a chain of steps may be longer than ours; it costs one SHA-256 a vertex.
//!
//! Mirrors `State.Marshal` and the `Marshal` methods of BuildKit v0.32 (`client/llb`).

mod op;
mod order;
mod position;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};

use indexmap::IndexMap;
use indexmap::map::Entry;
use oci::Digest;

use crate::definition::{Definition, SourceMap, SourceText, Vertex};
use crate::wire::Writer;
use crate::{Edge, Graph, Location, Metadata, Node, NodeId, Output, SourceInfo};
use op::Input;
use position::Positions;

/// Encodes everything that the outputs need.
///
/// **Errors**: what BuildKit refuses to marshal, and edges that point nowhere.
pub fn encode(graph: &Graph) -> Result<Definition, EncodeError> {
    encode_traced(graph).map(|(definition, _)| definition)
}

/// Encodes a graph and tells the digest of each node. **Shape**: one entry per node, `None` where no output needs it.
pub fn encode_traced(graph: &Graph) -> Result<(Definition, Vec<Option<Digest>>), EncodeError> {
    let encoding = Encoding::of(graph)?;
    let digest = |place: &Option<usize>| encoding.vertices.get_index((*place)?).map(|(digest, _)| digest.clone());
    let digests = encoding.places.iter().map(digest).collect();
    Ok((encoding.into_definition()?, digests))
}

/// Why a graph cannot be encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodeError {
    /// The node at fault; `None` when it is an output.
    pub node: Option<NodeId>,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a node or output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// A text is not UTF-8.
    InvalidUtf8,
    /// An exec has no arguments.
    NoArguments,
    /// An exec has no working directory.
    NoWorkingDirectory,
    /// A source has no identifier.
    NoIdentifier,
    /// An edge does not point to an earlier node.
    Edge,
    /// Two outputs with different metadata come out as one terminal vertex: they need platforms.
    EqualOutputs,
    /// A location names a source text that is not there.
    SourceIndex,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed to marshal LLB definition: ")?;
        f.write_str(match self.problem {
            Problem::InvalidUtf8 => "string field contains invalid UTF-8",
            Problem::NoArguments => "arguments are required",
            Problem::NoWorkingDirectory => "working directory is required",
            Problem::NoIdentifier => "source identifier can't be empty",
            Problem::Edge => "an edge does not point to an earlier vertex",
            Problem::EqualOutputs => "two outputs are the same vertex and need platforms to tell them apart",
            Problem::SourceIndex => "a location names a source text that does not exist",
        })
    }
}

impl std::error::Error for EncodeError {}

/// A graph on its way to the wire: what is said of vertices is still borrowed.
struct Encoding<'g> {
    graph: &'g Graph,
    /// Place of each node among the vertices.
    places: Vec<Option<usize>>,
    /// In the order of the definition.
    vertices: IndexMap<Digest, Encoded<'g>, BuildHasherDefault<DigestHasher>>,
    texts: Texts,
    /// The vertex being written.
    buffer: Vec<u8>,
}

/// A vertex and what all nodes that are this vertex say of it.
struct Encoded<'g> {
    bytes: Vec<u8>,
    meta: Cow<'g, Metadata>,
    /// `None` for terminal vertices.
    locations: Option<Vec<Location>>,
}

/// Source texts by first use: only those that locations point into are written.
struct Texts {
    /// New index of each text.
    moved: Vec<Option<u32>>,
    /// Old indices in the new order.
    used: Vec<usize>,
}

/// What is left to do on the walk.
enum Visit {
    Enter(usize),
    Leave(usize),
}

impl<'g> Encoding<'g> {
    fn of(graph: &'g Graph) -> Result<Self, EncodeError> {
        let mut encoding = Self {
            graph,
            places: vec![None; graph.nodes.len()],
            vertices: IndexMap::default(),
            texts: Texts { moved: vec![None; graph.sources.len()], used: Vec::new() },
            buffer: Vec::new(),
        };
        for output in &graph.outputs {
            encoding.add_output(output)?;
        }
        encoding.complete_terminals();
        Ok(encoding)
    }

    fn add_output(&mut self, output: &'g Output) -> Result<(), EncodeError> {
        if let Some(edge) = output.edge {
            self.add_needed(edge.node)?;
        } else if output.platform.is_none() && output.meta == Metadata::default() {
            // parity: scratch of which nothing is said leaves no trace.
            return Ok(());
        }
        let input = output.edge.map(|edge| self.input(edge)).transpose()?;
        let mut bytes = Vec::new();
        op::write_terminal(&mut Writer(&mut bytes), input, output.platform.as_ref());
        match self.vertices.entry(Digest::sha256(&bytes)) {
            Entry::Occupied(_) => Err(EncodeError { node: None, problem: Problem::EqualOutputs }),
            Entry::Vacant(entry) => {
                entry.insert(Encoded { bytes, meta: Cow::Borrowed(&output.meta), locations: None });
                Ok(())
            }
        }
    }

    /// Encodes a node after all it depends on.
    fn add_needed(&mut self, node: NodeId) -> Result<(), EncodeError> {
        let graph = self.graph;
        let mut stack = vec![Visit::Enter(node.0 as usize)];
        let mut order = Vec::new();
        while let Some(visit) = stack.pop() {
            let index = match visit {
                Visit::Enter(index) => index,
                Visit::Leave(index) => {
                    self.add_node(index)?;
                    continue;
                }
            };
            let Some(node) = graph.nodes.get(index) else { return Err(at(index, Problem::Edge)) };
            if self.places[index].is_some() {
                continue;
            }
            stack.push(Visit::Leave(index));
            order.clear();
            order::visit_order(node, &mut order);
            for &position in order.iter().rev() {
                let input = node.inputs[position].node.0 as usize;
                if input >= index {
                    return Err(at(index, Problem::Edge));
                }
                stack.push(Visit::Enter(input));
            }
        }
        Ok(())
    }

    /// Encodes a node whose inputs are encoded.
    fn add_node(&mut self, index: usize) -> Result<(), EncodeError> {
        let node = &self.graph.nodes[index];
        op::validate(node).map_err(|problem| at(index, problem))?;
        let locations = self.texts.renumber(&node.locations).ok_or(at(index, Problem::SourceIndex))?;
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        self.write(node, &mut buffer)?;
        let (place, known) = match self.vertices.entry(Digest::sha256(&buffer)) {
            Entry::Occupied(entry) => (entry.index(), Some(entry.into_mut())),
            Entry::Vacant(entry) => {
                let place = entry.index();
                let bytes = buffer.as_slice().to_vec();
                entry.insert(Encoded { bytes, meta: Cow::Borrowed(&node.meta), locations: Some(locations.clone()) });
                (place, None)
            }
        };
        if let Some(known) = known {
            merge(known.meta.to_mut(), &node.meta);
            known.locations.get_or_insert_default().extend(locations);
        }
        self.places[index] = Some(place);
        self.buffer = buffer;
        Ok(())
    }

    fn write(&self, node: &Node, buffer: &mut Vec<u8>) -> Result<(), EncodeError> {
        let inputs = node.inputs.iter().map(|&edge| self.input(edge)).collect::<Result<Vec<_>, _>>()?;
        let positions = Positions::new(node, &inputs);
        let writer = &mut Writer(buffer);
        match &positions {
            Positions::Same => op::write(writer, node, inputs.into_iter(), &positions),
            Positions::Moved { firsts, .. } => {
                op::write(writer, node, firsts.iter().map(|&first| inputs[first]), &positions);
            }
        }
        Ok(())
    }

    /// An edge as the wire names it; its node is encoded.
    fn input(&self, edge: Edge) -> Result<Input<'_>, EncodeError> {
        let node = edge.node.0 as usize;
        let place = self.places.get(node).copied().flatten().ok_or(at(node, Problem::Edge))?;
        let (digest, _) = self.vertices.get_index(place).expect("places are indices of vertices");
        Ok(Input { digest: digest.as_str(), index: edge.index })
    }

    /// Gives terminal vertices that do not name their capabilities those that the definition needs.
    fn complete_terminals(&mut self) {
        let caps = capabilities(self.vertices.values());
        for vertex in self.vertices.values_mut() {
            if vertex.locations.is_none() && vertex.meta.caps.is_empty() {
                vertex.meta.to_mut().caps.clone_from(&caps);
            }
        }
    }

    fn into_definition(self) -> Result<Definition, EncodeError> {
        let texts = self.texts.used.iter().map(|&index| text(&self.graph.sources[index])).collect::<Result<_, _>>()?;
        let mut definition = Definition::default();
        let mut metadata = Vec::with_capacity(self.vertices.len());
        let mut locations = Vec::with_capacity(self.vertices.len());
        for (digest, encoded) in self.vertices {
            metadata.push((digest.clone(), encoded.meta.into_owned()));
            locations.extend(encoded.locations.map(|locations| (digest.clone(), locations)));
            definition.vertices.push(Vertex { digest, bytes: encoded.bytes });
        }
        if !definition.vertices.is_empty() {
            definition.source = Some(SourceMap { texts, locations: locations.into_iter().collect() });
        }
        definition.metadata = metadata.into_iter().collect();
        Ok(definition)
    }
}

impl Texts {
    /// The locations with new indices of texts; `None` if one names no text.
    fn renumber(&mut self, locations: &[Location]) -> Option<Vec<Location>> {
        locations
            .iter()
            .map(|location| Some(Location { source: self.index(location.source)?, ..location.clone() }))
            .collect()
    }

    fn index(&mut self, source: u32) -> Option<u32> {
        let moved = self.moved.get_mut(source as usize)?;
        Some(*moved.get_or_insert_with(|| {
            self.used.push(source as usize);
            self.used.len() as u32 - 1
        }))
    }
}

fn at(node: usize, problem: Problem) -> EncodeError {
    EncodeError { node: u32::try_from(node).ok().map(NodeId), problem }
}

fn text(source: &SourceInfo) -> Result<SourceText, EncodeError> {
    Ok(SourceText {
        filename: source.filename.clone(),
        data: source.data.clone(),
        definition: source.definition.as_deref().map(encode).transpose()?.map(Box::new),
        language: source.language.clone(),
    })
}

/// Adds what a later node says of the same vertex.
fn merge(meta: &mut Metadata, later: &Metadata) {
    meta.ignore_cache |= later.ignore_cache;
    meta.description.extend(later.description.iter().map(|(key, value)| (key.clone(), value.clone())));
    meta.export_cache = later.export_cache.or(meta.export_cache);
    meta.caps.extend(later.caps.iter().cloned());
    if later.progress_group.is_some() {
        meta.progress_group.clone_from(&later.progress_group);
    }
    if later.linux_resources.is_some() {
        meta.linux_resources.clone_from(&later.linux_resources);
    }
}

/// What a daemon must support to read the metadata of these vertices.
fn capabilities<'v>(vertices: impl Iterator<Item = &'v Encoded<'v>>) -> BTreeSet<String> {
    let mut caps = BTreeSet::from(["constraints".to_owned(), "platform".to_owned()]);
    let (mut ignores, mut describes, mut exports) = (false, false, false);
    for Encoded { meta, .. } in vertices.filter(|vertex| vertex.locations.is_some()) {
        ignores |= meta.ignore_cache;
        describes |= !meta.description.is_empty();
        exports |= meta.export_cache.is_some();
    }
    let used = [(ignores, "meta.ignorecache"), (describes, "meta.description"), (exports, "meta.exportcache")];
    caps.extend(used.into_iter().filter(|(used, _)| *used).map(|(_, cap)| cap.to_owned()));
    caps
}

/// Hashes digests, which are random already: a multiplication spreads their hexadecimal digits over the word.
#[derive(Default)]
struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = (self.0.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(SPREAD);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
