//! `Graph` → `Definition`, with the bytes, digests and order that BuildKit's client gives.
//!
//! Vertices are written inputs first, in the order in which each vertex visits its inputs (`order`). Vertices that
//! come out with equal bytes are one: written where the first of them stands, with what is said of all of them. The
//! walk keeps its own stack, since a chain of steps may be longer than ours; it costs one SHA-256 a vertex.
//!
//! Mirrors `State.Marshal` and the `Marshal` methods of BuildKit v0.32 (`client/llb`).

mod finish;
mod op;
mod order;
mod position;
mod walk;

use std::fmt;

use oci::Digest;

use crate::{Definition, Graph, NodeId};
use walk::Encoding;

pub(crate) use finish::merge as merge_metadata;

/// In which order the fields of a vertex stand. Digests are over bytes, so that a vertex is only the same to a builder as
/// one of its own clients when it is written in the same order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldOrder {
    /// The operation, a oneof, after everything else: what Go's own protobuf does, and with it BuildKit v0.32.
    #[default]
    OperationLast,
    /// By number: what gogo's protobuf did, and with it BuildKit before v0.17.
    Ascending,
}

/// Encodes everything that the outputs need.
///
/// **Errors**: what BuildKit refuses to marshal, and edges that point nowhere.
pub fn encode(graph: &Graph) -> Result<Definition, EncodeError> {
    encode_traced(graph).map(|(definition, _)| definition)
}

/// Encodes everything that the outputs need, straight to wire bytes: the same as [`encode`] and
/// [`Definition::to_bytes`], without a copy of what is said of the vertices.
pub fn encode_to_bytes(graph: &Graph) -> Result<Vec<u8>, EncodeError> {
    Encoding::of(graph, FieldOrder::default(), true)?.into_bytes()
}

/// Encodes a graph and tells the digest of each node. **Shape**: one entry per node, `None` where no output needs it.
pub fn encode_traced(graph: &Graph) -> Result<(Definition, Vec<Option<Digest>>), EncodeError> {
    encode_ordered(graph, FieldOrder::default())
}

/// The same as [`encode_traced`], for a builder whose clients write fields in another order.
pub fn encode_ordered(graph: &Graph, fields: FieldOrder) -> Result<(Definition, Vec<Option<Digest>>), EncodeError> {
    let encoding = Encoding::of(graph, fields, false)?;
    let digests = encoding.digests();
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
            Problem::SourceIndex => "a location names a source text that does not exist",
        })
    }
}

impl std::error::Error for EncodeError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Node, Op, Output, decode, text};

    fn encoded(source: &str) -> Result<Definition, EncodeError> {
        encode(&text::parse(source).unwrap_or_else(|error| panic!("{error}\n{source}")))
    }

    /// What the definition of a graph says, in its own order.
    fn check(source: &str, expected: &str) {
        let bytes = encoded(source).unwrap().to_bytes();
        assert!(encode_to_bytes(&text::parse(source).unwrap()).unwrap() == bytes, "both ways give the same bytes");
        let decoded = decode(&bytes).unwrap();
        let strip =
            |text: &str| text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
        assert_eq!(strip(&text::print(&decoded.graph)), strip(expected));
    }

    fn check_error(source: &str, node: Option<u32>, message: &str) {
        let error = encoded(source).unwrap_err();
        assert_eq!((error.node.map(|node| node.0), error.to_string().as_str()), (node, message), "{source}");
    }

    #[test]
    fn fields_in_the_order_of_old_builders() {
        // The digest is the one that Docker's engine 20.10 showed.
        let graph = r#"
            %0 = source "http://build-context-1o6f8ks6q1yh1f7rjx671p7xc" attrs={"http.filename": "context"}
            output %0"#;
        let graph = text::parse(graph).unwrap();
        let digest = |fields| encode_ordered(&graph, fields).unwrap().1[0].clone().unwrap().to_string();
        assert!(digest(FieldOrder::Ascending).starts_with("sha256:ee320c1b05b6f7aa8c6a26d5a3d0aecb"));
        assert!(digest(FieldOrder::OperationLast).starts_with("sha256:24f3a80d904617e5ad52c6d5d94bdd2a"));
        let (old, _) = encode_ordered(&graph, FieldOrder::Ascending).unwrap();
        assert_eq!(
            decode(&old.to_bytes()).unwrap().graph.nodes,
            decode(&encode(&graph).unwrap().to_bytes()).unwrap().graph.nodes
        );
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
    fn equal_texts_are_one() {
        check(
            r#"
            text "f" data="FROM a"
            text "f" data="FROM b"
            text "f" data="FROM a" definition {
              %0 = source "local://t"
              output %0
            }
            %0 = source "local://a"
              @ 0 1
            %1 = source "local://b"
              @ 1 1
            %2 = source "local://c"
              @ 2 1
            %3 = merge(%0, %1, %2)
            output %3"#,
            r#"
            text "f" data="FROM a"
            text "f" data="FROM b"
            %0 = source "local://a"
              @ 0 1
            %1 = source "local://b"
              @ 1 1
            %2 = source "local://c"
              @ 0 1
            %3 = merge(%0, %1, %2)
            output %3
              ! caps=["constraints", "platform"]"#,
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
    }

    #[test]
    fn equal_results_of_which_something_else_is_said() {
        let outputs = r#"
            %0 = source "local://a"
            output %0
              ! description={"n": "1"} caps=["a"]
            output %0
              ! description={"n": "2"} caps=["a"]
            output %0
              ! description={"n": "1"} caps=["a"]
            output scratch
              ! caps=["a"]
            output scratch
              ! caps=["a"]"#;
        check(outputs, outputs);
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
