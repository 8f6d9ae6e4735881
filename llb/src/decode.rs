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
use crate::{
    Definition, Edge, Graph, Location, Locations, Node, NodeId, Op, Output, SourceInfo, SourceMap, Vertex, proto,
};

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
        let platform = platform.map(Into::into);
        let node = Node { op, inputs, platform, constraints, meta, locations, lossy: false, fixed: false };
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
fn locations(source: Option<&SourceMap>, digest: &Digest) -> Locations {
    let Some(source) = source else { return Locations::new() };
    let known = |location: &&Location| (location.source as usize) < source.texts.len();
    source.locations.get(digest).map(|all| all.iter().filter(known).cloned().collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Writer;
    use crate::{encode_to_bytes, text};

    fn definition(source: &str) -> Vec<u8> {
        encode_to_bytes(&text::parse(source).unwrap()).unwrap()
    }

    /// A definition of these vertices.
    fn of(ops: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        ops.iter().for_each(|op| Writer(&mut bytes).bytes_always(1, op));
        bytes
    }

    /// The bytes of an operation on another one.
    fn on(input: &[u8], index: i64, rest: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        Writer(&mut bytes).message(1, |w| {
            w.string(1, Digest::sha256(input).as_str());
            w.int(2, index);
        });
        bytes.extend_from_slice(rest);
        bytes
    }

    const SOURCE: &[u8] = b"\x1a\x0b\x0a\x09local://a";

    fn check_error(bytes: &[u8], expected: &str) {
        let message = decode(bytes).map(|decoded| text::print(&decoded.graph)).unwrap_err().to_string();
        let digest = |position: usize| {
            let message = proto::Definition::decode(bytes).unwrap();
            Digest::sha256(&message.def[position])
        };
        let expected = match expected.strip_prefix("vertex ") {
            Some(rest) => format!("vertex {} ({}){}", &rest[..1], digest(rest[..1].parse().unwrap()), &rest[1..]),
            None => expected.to_owned(),
        };
        assert_eq!(message, expected);
    }

    #[test]
    fn nothing_is_scratch() {
        assert_eq!(text::print(&decode(b"").unwrap().graph), "output scratch\n");
    }

    #[test]
    fn what_is_no_definition() {
        check_error(b"FROM alpine\nRUN true\n", "not an LLB definition, or a damaged one");
        check_error(b"\x0a", "not an LLB definition, or a damaged one");
        check_error(
            &vec![0; MAX_BYTES + 1],
            &format!("definition of {} bytes is above the limit of {MAX_BYTES}", MAX_BYTES + 1),
        );
        let many = b"\x0a\x00".repeat(MAX_VERTICES + 1);
        check_error(
            &many,
            &format!("definition with {} vertices is above the limit of {MAX_VERTICES}", MAX_VERTICES + 1),
        );
    }

    #[test]
    fn what_is_cut_off() {
        let cut_off = "the definition ends too early: was it cut off on the way?";
        check_error(&of(&[SOURCE]), cut_off);
        let whole = definition("%0 = source \"local://a\"\n%1 = merge(%0)\noutput %1\n! description={\"a\": \"b\"}");
        for end in 0..whole.len() {
            // Between two fields the beginning of a definition is a definition.
            let Ok(message) = proto::Definition::decode(&whole[..end]) else { continue };
            match (message.def.len(), message.metadata.len()) {
                (0, _) => {}
                (3, 0 | 3) => assert!(decode(&whole[..end]).is_ok(), "no metadata or no source map is sound"),
                _ => check_error(&whole[..end], cut_off),
            }
        }
    }

    #[test]
    fn inputs_that_are_not_there() {
        let missing = on(b"x", 0, b"");
        let name = Digest::sha256(b"x");
        check_error(&of(&[SOURCE, &missing]), &format!("vertex 1: input {name} is not in the definition"));
        let terminal = on(SOURCE, 0, b"");
        let beyond = on(&terminal, 0, b"");
        let name = Digest::sha256(&terminal);
        check_error(
            &of(&[SOURCE, &terminal, &beyond]),
            &format!("vertex 2: input {name} is a vertex without an operation"),
        );
        check_error(&of(&[SOURCE, &on(SOURCE, -1, b"")]), "vertex 1: invalid output number -1 of an input");
        check_error(
            &of(&[SOURCE, &on(SOURCE, 1 << 32, b"")]),
            "vertex 1: invalid output number 4294967296 of an input",
        );
        let two = [on(SOURCE, 0, b""), on(SOURCE, 1, b"")].concat();
        check_error(&of(&[SOURCE, &two]), "vertex 1: no operation, but 2 inputs: a terminal vertex has one");
    }

    #[test]
    fn operations_that_are_not_known() {
        let check =
            |op: &[u8], message: &str| check_error(&of(&[op, &on(op, 0, b"")]), &format!("vertex 0: {message}"));
        check(b"\x4a\x00", "unknown operation (field 9): the definition needs a newer executor");
        check(b"\x62\x01\x00", "unknown operation (field 12): the definition needs a newer executor");
        check(b"\x12\x00", "process of an exec missing");
        check(b"\x12\x04\x0a\x00\x18\x03", "invalid network mode 3");
        check(b"\x12\x04\x0a\x00\x20\x02", "invalid security mode 2");
        check(b"\x12\x06\x0a\x00\x12\x02\x30\x05", "invalid mount type 5");
        check(b"\x12\x06\x0a\x00\x12\x02\x30\x01", "options of a secret mount missing");
        check(b"\x12\x06\x0a\x00\x12\x02\x30\x02", "options of an ssh mount missing");
        check(b"\x12\x06\x0a\x00\x12\x02\x30\x03", "options of a cache mount missing");
        check(b"\x12\x0b\x0a\x00\x12\x07\x30\x03\xa2\x01\x02\x10\x03", "invalid cache sharing mode 3");
        check(b"\x12\x07\x0a\x00\x12\x03\xc0\x01\x03", "invalid content cache setting 3");
        check(b"\x22\x02\x12\x00", "operation of a file action missing");
    }

    #[test]
    fn order_does_not_matter_and_repetition_neither() {
        let merge = on(SOURCE, 0, b"\x32\x02\x0a\x00");
        let terminal = on(&merge, 0, b"");
        let decoded = decode(&of(&[&merge, SOURCE, &merge, SOURCE, &terminal])).unwrap();
        let expected = "%0 = source \"local://a\" unconstrained\n%1 = merge(%0) unconstrained\noutput %1\n";
        assert_eq!(text::print(&decoded.graph), expected);
        assert_eq!(decoded.digests, [Digest::sha256(SOURCE), Digest::sha256(&merge)]);
        assert_eq!(decoded.definition.vertices.len(), 3);
    }

    #[test]
    fn what_is_said_of_nothing_is_tolerated() {
        let mut bytes = definition("text \"f\"\n%0 = source \"local://a\"\n@ 0 1\noutput %0");
        let before = decode(&bytes).unwrap().graph;
        // Metadata of a vertex that is not there, of something that is no digest, and a location in a text that is not.
        let (other, known) = (Digest::sha256(b"x"), decode(&bytes).unwrap().digests[0].clone());
        for key in [other.as_str(), "no digest"] {
            Writer(&mut bytes).message(2, |w| {
                w.string(1, key);
                w.message(2, |w| w.bool(1, true));
            });
        }
        Writer(&mut bytes).message(3, |w| {
            w.message(1, |w| {
                w.string(1, known.as_str());
                w.message(2, |w| w.message(1, |w| w.int(1, 7)));
            });
        });
        let after = decode(&bytes).unwrap().graph;
        assert_eq!(after.nodes[0].locations[..], []);
        assert_eq!((after.nodes[0].meta.clone(), after.outputs), (before.nodes[0].meta.clone(), before.outputs));
    }

    #[test]
    fn unknown_fields_change_no_digest() {
        let source = [SOURCE, b"\xfa\x01\x03abc"].concat();
        let decoded = decode(&of(&[&source, &on(&source, 0, b"")])).unwrap();
        assert_eq!(decoded.digests, [Digest::sha256(&source)]);
        assert_eq!(decoded.definition.vertices[0].bytes, source);
    }

    #[test]
    fn nested_definitions_are_read_and_kept() {
        let inner = definition("%0 = source \"local://inner\"\noutput %0");
        let encoded = oci::base64::encode(&inner);
        let source = format!(
            "%0 = source \"local://a\"\n%1 = build(%0) builder=-1 input(\"a\", 0) def=base64\"{encoded}\"\noutput %1\n"
        );
        let bytes = definition(&source);
        let decoded = decode(&bytes).unwrap();
        assert!(text::print(&decoded.graph).starts_with(source.trim_end()));
        assert!(encode_to_bytes(&decoded.graph).unwrap() == bytes);
    }
}
