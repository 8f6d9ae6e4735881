//! Definitions and graphs for people and scripts: JSON, and a drawing in DOT.
//!
//! The forms of a definition are those that `buildctl debug dump-llb` of BuildKit v0.32 prints, so that what reads its
//! output reads ours. The JSON follows Go's `encoding/json`: defaults are left out, enumerations are numbers, bytes are
//! base64, HTML characters are escaped. The generated messages carry most of that; what is not plain is in `message`.

mod dot;
mod message;
mod protojson;
mod steps;
mod svg;

use std::collections::BTreeMap;

use oci::Digest;
use prost::Message;
use serde::Serialize;

pub use dot::dot;
pub(crate) use message::{base64, base64_list, base64_option, is_default};
pub use steps::{Steps, steps};
pub use svg::{escaped, svg};

use crate::{DecodeError, Definition, FileAction, FileActionKind, Graph, Node, Op, Vertex, VertexProblem, proto};

/// A line of the dump, in the order of its fields.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Line<'d> {
    op: proto::Op,
    digest: &'d Digest,
    op_metadata: proto::OpMetadata,
}

/// One JSON object a line for each vertex: `{"Op":…,"Digest":…,"OpMetadata":…}`.
///
/// **Errors**: a vertex whose bytes are no operation.
pub fn json(definition: &Definition) -> Result<String, DecodeError> {
    let mut lines = String::new();
    for (op, vertex) in ops(definition)? {
        let op_metadata = definition.metadata.get(&vertex.digest).map(message::metadata).unwrap_or_default();
        lines.push_str(&to_json(&Line { op, digest: &vertex.digest, op_metadata }));
        lines.push('\n');
    }
    Ok(lines)
}

/// What BuildKit's request `frontend.convertllb` answers: operations and what is said of them by digest, and the places.
///
/// **Errors**: a vertex whose bytes are no operation.
pub fn converted(definition: &Definition) -> Result<Vec<u8>, DecodeError> {
    #[derive(Serialize)]
    struct Converted<'d> {
        def: BTreeMap<&'d Digest, serde_json::Value>,
        metadata: BTreeMap<&'d Digest, proto::OpMetadata>,
        source: serde_json::Value,
    }
    let mut def = BTreeMap::new();
    for (position, vertex) in definition.vertices.iter().enumerate() {
        let op = protojson::value("Op", &vertex.bytes).map_err(|error| malformed(position, vertex, error))?;
        def.insert(&vertex.digest, op);
    }
    let metadata = definition.metadata.iter().map(|(digest, said)| (digest, message::metadata(said))).collect();
    let whole = protojson::value("Definition", &definition.to_bytes()).expect("what is written can be read");
    let source = whole.get("Source").cloned().unwrap_or_else(|| serde_json::json!({}));
    Ok(oci::json::to_vec_indented(&Converted { def, metadata, source }))
}

/// An encoded definition as one message, as it stands in the details of an error.
///
/// **Errors**: bytes that are no definition.
pub fn message(definition: &[u8]) -> Result<serde_json::Value, prost::DecodeError> {
    let message = proto::Definition::decode(definition)?;
    Ok(serde_json::to_value(message).expect("a message is JSON"))
}

fn malformed(position: usize, vertex: &Vertex, error: prost::DecodeError) -> DecodeError {
    DecodeError::Vertex { position, digest: vertex.digest.clone(), problem: VertexProblem::Malformed(error) }
}

/// A graph as one JSON object: the fields of [`Graph`] by their names, all of them always there, bytes in base64.
pub fn graph_json(graph: &Graph) -> String {
    to_json(graph)
}

/// A vertex for people: the name a frontend gave it, else what it does.
pub fn name(node: &Node) -> String {
    let named = node.meta.description.get("llb.customname").filter(|name| !name.is_empty());
    named.cloned().unwrap_or_else(|| match &node.op {
        Op::Source(source) => source.identifier.clone(),
        Op::Exec(exec) => exec.meta.args.join(" "),
        Op::File(actions) => actions.iter().map(action_name).collect::<Vec<_>>().join(", "),
        Op::Build(_) => "build".to_owned(),
        Op::Merge(_) => "merge".to_owned(),
        Op::Diff(_) => "diff".to_owned(),
        Op::Passthrough(passthrough) => format!("passthrough {}", passthrough.id),
    })
}

fn action_name(action: &FileAction) -> String {
    match &action.kind {
        FileActionKind::Copy(copy) => format!("copy {} {}", copy.src, copy.dest),
        FileActionKind::Mkfile { path, .. } => format!("mkfile {path}"),
        FileActionKind::Mkdir { path, .. } => format!("mkdir {path}"),
        FileActionKind::Rm { path, .. } => format!("rm {path}"),
        FileActionKind::Symlink { newpath, .. } => format!("symlink {newpath}"),
    }
}

/// The text form of what a definition means.
///
/// **Errors**: what [`crate::decode`] refuses.
pub fn text(definition: &Definition) -> Result<String, DecodeError> {
    crate::understand(definition.clone()).map(|decoded| crate::text::print(&decoded.graph))
}

fn to_json<T: Serialize>(value: &T) -> String {
    String::from_utf8(oci::json::to_vec(value)).expect("JSON is UTF-8")
}

/// The vertices with their messages.
fn ops(definition: &Definition) -> Result<Vec<(proto::Op, &Vertex)>, DecodeError> {
    let read = |(position, vertex): (usize, &'_ Vertex)| match proto::Op::decode(vertex.bytes.as_slice()) {
        Ok(op) => Ok(op),
        Err(error) => Err(malformed(position, vertex, error)),
    };
    definition.vertices.iter().enumerate().map(|vertex| Ok((read(vertex)?, vertex.1))).collect()
}
