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

/// Encodes everything that the outputs need, straight to wire bytes: what [`encode`] and [`Definition::to_bytes`] give.
pub fn encode_to_bytes(graph: &Graph) -> Result<Vec<u8>, EncodeError> {
    encode(graph).map(|definition| definition.to_bytes())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Op, decode, text};

    fn encoded(source: &str) -> Result<Definition, EncodeError> {
        encode(&text::parse(source).unwrap_or_else(|error| panic!("{error}\n{source}")))
    }

    /// What the definition of a graph says, in its own order.
    fn check(source: &str, expected: &str) {
        let decoded = decode(&encoded(source).unwrap().to_bytes()).unwrap();
        let strip =
            |text: &str| text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
        assert_eq!(strip(&text::print(&decoded.graph)), strip(expected));
    }

    fn check_error(source: &str, node: Option<u32>, message: &str) {
        let error = encoded(source).unwrap_err();
        assert_eq!((error.node.map(|node| node.0), error.to_string().as_str()), (node, message), "{source}");
    }

    #[test]
    fn only_what_outputs_need_inputs_first() {
        check(
            r#"
            %0 = source "local://unused"
            %1 = source "local://a"
            %2 = source "local://b"
            %3 = merge(%2, %1)
            output %3"#,
            r#"
            %0 = source "local://b"
            %1 = source "local://a"
            %2 = merge(%0, %1)
            output %2
              ! caps=["constraints", "platform"]"#,
        );
    }

    #[test]
    fn file_operations_visit_their_sources_last_to_first() {
        check(
            r#"
            %0 = source "local://a"
            %1 = source "local://b"
            %2 = source "local://base"
            %3 = file(%0, %1, %2) copy("/", "/", base=2, from=0) copy("/", "/", base=#0, from=1) mkdir("/d", base=#1, to=0)
            output %3"#,
            r#"
            %0 = source "local://base"
            %1 = source "local://b"
            %2 = source "local://a"
            %3 = file(%2, %1, %0) copy("/", "/", base=2, from=0) copy("/", "/", base=#0, from=1) mkdir("/d", base=#1, to=0)
            output %3
              ! caps=["constraints", "platform"]"#,
        );
    }

    #[test]
    fn copies_of_action_results_visit_that_chain_before_the_own_one() {
        check(
            r#"
            %0 = source "local://a"
            %1 = source "local://b"
            %2 = source "local://c"
            %3 = file(%0, %1, %2) copy("/", "/", base=0, from=2) mkdir("/d", base=1) copy("/", "/", base=#0, from=#1, to=0)
            output %3"#,
            r#"
            %0 = source "local://a"
            %1 = source "local://b"
            %2 = source "local://c"
            %3 = file(%0, %1, %2) copy("/", "/", base=0, from=2) mkdir("/d", base=1) copy("/", "/", base=#0, from=#1, to=0)
            output %3
              ! caps=["constraints", "platform"]"#,
        );
    }

    #[test]
    fn equal_vertices_are_one_named_after_the_later() {
        check(
            r#"
            text "f"
            %0 = source "local://a"
              ! description={"k": "first", "only": "first"} caps=["a"] group("1", "one")
              @ 0 1
            %1 = source "local://a"
              ! ignore_cache description={"k": "second"} export_cache=false caps=["b"] group("2", "two", weak) resources(memory=1)
              @ 0 2
            %2 = merge(%0, %1)
            output %2"#,
            r#"
            text "f"
            %0 = source "local://a"
              ! ignore_cache description={"k": "second", "only": "first"} export_cache=false caps=["a", "b"] group("2", "two", weak) resources(memory=1)
              @ 0 1
              @ 0 2
            %1 = merge(%0, %0)
            output %1
              ! caps=["constraints", "meta.description", "meta.exportcache", "meta.ignorecache", "platform"]"#,
        );
    }

    #[test]
    fn processes_and_file_operations_name_equal_inputs_once() {
        check(
            r#"
            %0 = source "local://a"
            %1 = source "local://a"
            %2 = exec(%0, %1, %1.1) args=["x"] cwd="/" bind("/", from=0, to=0) bind("/b", from=1) bind("/c", from=2)
            %3 = file(%0, %1, %2) copy("/", "/", base=0, from=1, owner(user=name("u", 1))) copy("/", "/", base=#0, from=2, to=0)
            output %3"#,
            r#"
            %0 = source "local://a"
            %1 = exec(%0, %0.1) args=["x"] cwd="/" bind("/", from=0, to=0) bind("/b", from=0) bind("/c", from=1)
            %2 = file(%0, %1) copy("/", "/", base=0, from=0, owner(user=name("u", 0))) copy("/", "/", base=#0, from=1, to=0)
            output %2
              ! caps=["constraints", "platform"]"#,
        );
    }

    #[test]
    fn repeated_inputs_are_found_among_many() {
        let mounts: String = (0..40).map(|input| format!(" bind(\"/{input}\", from={input})")).collect();
        let sources: String = (0..40).map(|n| format!("%{n} = source \"local://{}\"\n", n % 20)).collect();
        let inputs: Vec<String> = (0..40).map(|n| format!("%{n}")).collect();
        let source = format!("{sources}%40 = exec({}) args=[\"x\"] cwd=\"/\"{mounts}\noutput %40", inputs.join(", "));
        let graph = decode(&encoded(&source).unwrap().to_bytes()).unwrap().graph;
        let exec = &graph.nodes[20];
        assert_eq!(exec.inputs.len(), 20);
        let Op::Exec(exec) = &exec.op else { panic!("the last vertex is the exec") };
        assert!(exec.mounts.iter().map(|mount| mount.input).eq((0..20).chain(0..20)));
    }

    #[test]
    fn texts_are_numbered_by_first_use() {
        check(
            r#"
            text "unused"
            text "b"
            text "a"
            %0 = source "local://a"
              @ 2 1
            %1 = merge(%0, %0)
              @ 1 1
            output %1"#,
            r#"
            text "a"
            text "b"
            %0 = source "local://a"
              @ 0 1
            %1 = merge(%0, %0)
              @ 1 1
            output %1
              ! caps=["constraints", "platform"]"#,
        );
    }

    #[test]
    fn scratch_leaves_no_trace_unless_something_is_said_of_it() {
        assert_eq!(encoded("output scratch").unwrap().to_bytes(), b"");
        check(
            "output scratch\n! description={\"a\": \"b\"}",
            "output scratch\n! description={\"a\": \"b\"} caps=[\"constraints\", \"platform\"]",
        );
    }

    #[test]
    fn several_outputs_are_told_apart_by_platform() {
        let outputs = r#"
            %0 = source "local://a"
            output %0 platform("linux", "amd64")
              ! description={"n": "1"} caps=["platform"]
            output %0 platform("linux", "arm64")
              ! caps=["platform"]
            output scratch platform("linux", "s390x")
              ! caps=["platform"]"#;
        check(outputs, outputs);
        let equal = "two outputs are the same vertex and need platforms to tell them apart";
        check_error(
            "%0 = source \"local://a\"\noutput %0\noutput %0",
            None,
            &format!("failed to marshal LLB definition: {equal}"),
        );
    }

    #[test]
    fn a_terminal_vertex_is_an_input_and_nothing_else() {
        let definition = encoded("%0 = source \"local://a\"\noutput %0.1").unwrap();
        let [source, terminal] = definition.vertices.as_slice() else { panic!("two vertices") };
        assert_eq!(source.bytes, b"\x5a\x00\x1a\x0b\x0a\x09local://a");
        assert_eq!(terminal.bytes, [b"\x0a\x4b\x0a\x47", source.digest.as_str().as_bytes(), b"\x10\x01"].concat());
    }

    #[test]
    fn refusals() {
        let check = |node: &str, message: &str| {
            check_error(
                &format!("%0 = {node}\noutput %0"),
                Some(0),
                &format!("failed to marshal LLB definition: {message}"),
            );
        };
        check("exec cwd=\"/\"", "arguments are required");
        check("exec args=[\"x\"]", "working directory is required");
        check("source \"\"", "source identifier can't be empty");
        check("source \"local://a\" lossy", "string field contains invalid UTF-8");
        check("source \"local://a\"\n@ 0 1", "a location names a source text that does not exist");
        assert!(
            encoded("%0 = exec\n%1 = source \"local://a\"\noutput %1").is_ok(),
            "what nobody needs is not looked at"
        );
    }

    #[test]
    fn bad_edges_are_errors() {
        let mut graph = text::parse("%0 = source \"local://a\"\n%1 = merge(%0)\noutput %1").unwrap();
        graph.nodes[1].inputs[0].node = NodeId(1);
        assert_eq!(encode(&graph).unwrap_err().problem, Problem::Edge);
        graph.outputs[0].edge = Some(NodeId(7).output(0));
        assert_eq!(encode(&graph).unwrap_err().problem, Problem::Edge);
    }

    #[test]
    fn long_chains_and_wide_vertices_fit_the_stack() {
        let mut graph = Graph::default();
        let mut last =
            graph.add(Node::new(text::parse("%0 = source \"local://a\"").unwrap().nodes[0].op.clone(), Vec::new()));
        for _ in 0..100_000 {
            last = graph.add(Node::new(Op::Merge(vec![0, 1]), vec![last.output(0), last.output(0)]));
        }
        let all = (0..graph.nodes.len() as u32).map(|node| NodeId(node).output(0)).collect::<Vec<_>>();
        let edge = Some(graph.add(Node::new(Op::Merge((0..all.len() as i64).collect()), all)).output(0));
        graph.outputs.push(Output { edge, ..Output::default() });
        let (definition, digests) = encode_traced(&graph).unwrap();
        assert_eq!(definition.vertices.len(), graph.nodes.len() + 1);
        assert!(
            digests.iter().flatten().eq(definition.vertices[..graph.nodes.len()].iter().map(|vertex| &vertex.digest))
        );
        let decoded = decode(&definition.to_bytes()).unwrap();
        assert!(decoded.digests.iter().eq(digests.iter().flatten()));
    }
}
