//! The walk over the graph: every vertex that an output needs, written once, inputs first.

use std::borrow::Cow;
use std::ops::Range;

use indexmap::map::Entry;
use oci::Digest;

use super::op::{self, Input};
use super::order::visit_order;
use super::position::{Positions, may_repeat};
use super::{EncodeError, FieldOrder, Problem, finish};
use crate::definition::{write_locations, write_metadata};
use crate::hash::DigestMap;
use crate::wire::Writer;
use crate::{Edge, Graph, Location, Metadata, Node, NodeId, Output, SourceInfo};

/// A graph on its way to the wire: what is said of vertices is still borrowed.
pub(super) struct Encoding<'g> {
    pub(super) graph: &'g Graph,
    fields: FieldOrder,
    /// In the order of the definition.
    pub(super) vertices: DigestMap<Encoded<'g>>,
    pub(super) texts: Texts,
    /// The definition so far: its vertices.
    pub(super) bytes: Vec<u8>,
    /// What is said of the vertices, as it is written, if it is to be: see [`Written`].
    pub(super) said: Option<Vec<u8>>,
    /// Place of each node among the vertices.
    places: Vec<Option<usize>>,
    /// The vertex being written.
    buffer: Vec<u8>,
}

/// A vertex and what all nodes that are this vertex say of it.
pub(super) struct Encoded<'g> {
    /// Where its bytes stand in the definition.
    pub(super) bytes: Range<usize>,
    pub(super) meta: Cow<'g, Metadata>,
    /// `None` for terminal vertices.
    pub(super) locations: Option<Cow<'g, [Location]>>,
    /// The same, written already.
    pub(super) written: Option<Written>,
}

/// Where in [`Encoding::said`] that stands which is said of a vertex.
///
/// It follows the vertices in the order of digests. In a large build it takes longer to write it then, from nodes all over
/// the memory, than to write it while the node is at hand and to move it to its place.
pub(super) struct Written {
    /// The entry of its metadata.
    pub(super) meta: Range<usize>,
    /// The entry of its locations.
    pub(super) locations: Range<usize>,
}

/// Source texts by first use: only those that locations point into are written.
pub(super) struct Texts {
    /// New index of each text.
    moved: Vec<Option<u32>>,
    /// Old indices in the new order.
    pub(super) used: Vec<usize>,
}

/// Bytes of a vertex with what is said of it, beside what it says of its source text, roughly: room to start with.
const TYPICAL_VERTEX: usize = 768;

/// Bytes of what is said of a vertex, roughly.
const TYPICAL_SAID: usize = 384;

/// How often a definition repeats its source texts: as such, in operations, and in names and descriptions of vertices.
const REPEATS: usize = 4;

/// How many vertices follow one another in most builds, and how many inputs most vertices have at most: room to start with.
const TYPICAL_DEPTH: usize = 32;
const TYPICAL_INPUTS: usize = 4;

/// What is left to do on the walk.
enum Visit {
    Enter(usize),
    Leave(usize),
}

impl<'g> Encoding<'g> {
    /// Encodes what outputs need. `writes`: for [`Self::into_bytes`].
    pub(super) fn of(graph: &'g Graph, fields: FieldOrder, writes: bool) -> Result<Self, EncodeError> {
        let texts = graph.sources.iter().map(|source| source.data.len()).sum::<usize>();
        let mut encoding = Self {
            graph,
            fields,
            vertices: DigestMap::with_capacity_and_hasher(graph.nodes.len() + graph.outputs.len(), Default::default()),
            texts: Texts { moved: vec![None; graph.sources.len()], used: Vec::new() },
            bytes: Vec::with_capacity(graph.nodes.len() * TYPICAL_VERTEX + texts * REPEATS),
            said: writes.then(|| Vec::with_capacity(graph.nodes.len() * TYPICAL_SAID)),
            places: vec![None; graph.nodes.len()],
            buffer: Vec::with_capacity(4 * TYPICAL_VERTEX),
        };
        for output in &graph.outputs {
            encoding.add_output(output)?;
        }
        finish::complete_terminals(&mut encoding.vertices);
        Ok(encoding)
    }

    /// The digest of each node that is encoded.
    pub(super) fn digests(&self) -> Vec<Option<Digest>> {
        let digest = |place: &Option<usize>| self.vertices.get_index((*place)?).map(|(digest, _)| digest.clone());
        self.places.iter().map(digest).collect()
    }

    fn add_output(&mut self, output: &'g Output) -> Result<(), EncodeError> {
        if let Some(edge) = output.edge {
            self.add_needed(edge.node)?;
        } else if self.graph.outputs.len() == 1 && output.platform.is_none() && output.meta == Metadata::default() {
            // parity: scratch of which nothing is said leaves no trace.
            return Ok(());
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        for again in 0.. {
            buffer.clear();
            let input = output.edge.map(|edge| self.name(self.input(edge)));
            op::write_terminal(&mut Writer(&mut buffer), input, output.platform.as_ref(), again);
            if self.graph.outputs.len() == 1 || !self.vertices.contains_key(&Digest::sha256(&buffer)) {
                break;
            }
        }
        self.push(&buffer, &output.meta, None);
        self.buffer = buffer;
        Ok(())
    }

    /// Encodes a node after all it depends on.
    fn add_needed(&mut self, node: NodeId) -> Result<(), EncodeError> {
        let graph = self.graph;
        let (mut stack, mut order) = (Vec::with_capacity(TYPICAL_DEPTH), Vec::with_capacity(TYPICAL_INPUTS));
        stack.push(Visit::Enter(node.0 as usize));
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
            visit_order(node, &mut order);
            for &position in order.iter().rev() {
                let input = node.inputs[position].node.0 as usize;
                if input >= index {
                    return Err(at(index, Problem::Edge));
                }
                if self.places[input].is_none() {
                    stack.push(Visit::Enter(input));
                }
            }
        }
        Ok(())
    }

    /// Encodes a node whose inputs are encoded.
    fn add_node(&mut self, index: usize) -> Result<(), EncodeError> {
        let node = &self.graph.nodes[index];
        op::validate(node).map_err(|problem| at(index, problem))?;
        if !node.locations.iter().all(|location| self.texts.uses(location.source, &self.graph.sources)) {
            return Err(at(index, Problem::SourceIndex));
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        self.write(node, &mut buffer);
        let (place, _) = self.push(&buffer, &node.meta, Some(&node.locations));
        self.places[index] = Some(place);
        self.buffer = buffer;
        Ok(())
    }

    /// Adds a vertex, or what is said of it if it is there already. Gives its place and whether it was there.
    fn push(&mut self, op: &[u8], meta: &'g Metadata, locations: Option<&'g [Location]>) -> (usize, bool) {
        match self.vertices.entry(Digest::sha256(op)) {
            Entry::Vacant(entry) => {
                Writer(&mut self.bytes).bytes_always(1, op);
                let bytes = self.bytes.len() - op.len()..self.bytes.len();
                let place = entry.index();
                // What is said of terminal vertices is not complete yet.
                let written = self.said.as_mut().zip(locations).map(|(said, locations)| {
                    let start = said.len();
                    write_metadata(&mut Writer(said), entry.key(), meta);
                    let middle = said.len();
                    let texts = &self.texts;
                    write_locations(&mut Writer(said), entry.key(), locations, |source| texts.new_index(source));
                    Written { meta: start..middle, locations: middle..said.len() }
                });
                let locations = locations.map(Cow::Borrowed);
                entry.insert(Encoded { bytes, meta: Cow::Borrowed(meta), locations, written });
                (place, false)
            }
            Entry::Occupied(entry) => {
                let place = entry.index();
                let known = entry.into_mut();
                known.written = None;
                finish::merge(known.meta.to_mut(), meta);
                if let (Some(known), Some(more)) = (&mut known.locations, locations) {
                    known.to_mut().extend_from_slice(more);
                }
                (place, true)
            }
        }
    }

    fn write(&self, node: &Node, buffer: &mut Vec<u8>) {
        let writer = &mut Writer(buffer);
        let inputs = node.inputs.iter().map(|&edge| self.input(edge));
        if !may_repeat(node) {
            return op::write(writer, node, inputs.map(|input| self.name(input)), &Positions::Same, self.fields);
        }
        let inputs: Vec<(usize, u32)> = inputs.collect();
        let positions = Positions::new(&inputs);
        match &positions {
            Positions::Same => {
                op::write(writer, node, inputs.into_iter().map(|input| self.name(input)), &positions, self.fields);
            }
            Positions::Moved { firsts, .. } => {
                let inputs = firsts.iter().map(|&first| self.name(inputs[first]));
                op::write(writer, node, inputs, &positions, self.fields);
            }
        }
    }

    /// Place and output of the vertex at the other end of an edge.
    fn input(&self, edge: Edge) -> (usize, u32) {
        (self.places[edge.node.0 as usize].expect("the walk encodes inputs first"), edge.index)
    }

    /// An input as the wire names it.
    fn name(&self, (place, index): (usize, u32)) -> Input<'_> {
        let (digest, _) = self.vertices.get_index(place).expect("places are indices of vertices");
        Input { digest: digest.as_str(), index }
    }
}

impl Texts {
    /// Notes that a text is used; whether it is there. A text that came with an input, too, is written once.
    fn uses(&mut self, source: u32, texts: &[SourceInfo]) -> bool {
        let Some(moved) = self.moved.get_mut(source as usize) else { return false };
        if moved.is_none() {
            let text = &texts[source as usize];
            let same = self.used.iter().position(|&used| is_same_text(&texts[used], text));
            *moved = Some(same.unwrap_or(self.used.len()) as u32);
            self.used.extend(same.is_none().then_some(source as usize));
        }
        true
    }

    /// The new index of a text that is used.
    pub(super) fn new_index(&self, source: u32) -> u32 {
        self.moved[source as usize].expect("locations of encoded vertices are noted")
    }
}

/// parity: where a text was read from makes no difference.
fn is_same_text(left: &SourceInfo, right: &SourceInfo) -> bool {
    (&left.filename, &left.language, &left.data) == (&right.filename, &right.language, &right.data)
}

fn at(node: usize, problem: Problem) -> EncodeError {
    EncodeError { node: u32::try_from(node).ok().map(NodeId), problem }
}
