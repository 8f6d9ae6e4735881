//! The drawing of a definition: a box a vertex, an arrow an input, for `dot -Tsvg`.
//!
//! Nodes, shapes and labels are those of `buildctl debug dump-llb --dot`; the name of the step is added as tooltip.

use std::fmt::Write as _;

use oci::text::quote;

use super::ops;
use crate::proto::{self, file_action::Action, op};
use crate::{DecodeError, Definition};

/// Draws a definition.
///
/// **Errors**: a vertex whose bytes are no operation.
pub fn dot(definition: &Definition) -> Result<String, DecodeError> {
    let ops = ops(definition)?;
    let mut text = "digraph {\n".to_owned();
    for (op, vertex) in &ops {
        let id = quote(vertex.digest.as_str());
        let (label, shape) = look(op, vertex.digest.as_str());
        let name = definition.metadata.get(&vertex.digest).and_then(|meta| meta.description.get("llb.customname"));
        let tooltip = name.map(|name| format!(" tooltip={}", quote(name))).unwrap_or_default();
        let _ = writeln!(text, "  {id} [label={} shape={}{tooltip}];", quote(&label), quote(shape));
    }
    for (op, vertex) in &ops {
        for (position, input) in op.inputs.iter().enumerate() {
            let (from, to) = (quote(&input.digest), quote(vertex.digest.as_str()));
            let _ = writeln!(text, "  {from} -> {to} [label={}];", quote(arrow(op, position)));
        }
    }
    text.push_str("}\n");
    Ok(text)
}

/// Where a process mounts this input; empty for its root and for other operations.
fn arrow(op: &proto::Op, position: usize) -> &str {
    let Some(op::Op::Exec(exec)) = &op.op else { return "" };
    let is_here = |mount: &&proto::Mount| usize::try_from(mount.input) == Ok(position) && mount.dest != "/";
    exec.mounts.iter().rev().find(is_here).map(|mount| mount.dest.as_str()).unwrap_or_default()
}

/// Label and shape of a vertex.
fn look(op: &proto::Op, digest: &str) -> (String, &'static str) {
    match &op.op {
        Some(op::Op::Source(source)) => (source.identifier.clone(), "ellipse"),
        Some(op::Op::Exec(exec)) => (exec.meta.as_ref().map(|meta| meta.args.join(" ")).unwrap_or_default(), "box"),
        Some(op::Op::Build(_)) => ("build".to_owned(), "box3d"),
        Some(op::Op::Merge(_)) => ("merge".to_owned(), "invtriangle"),
        Some(op::Op::Diff(_)) => ("diff".to_owned(), "doublecircle"),
        Some(op::Op::File(file)) => {
            let actions: Vec<String> = file.actions.iter().map(|action| describe(action.action.as_ref())).collect();
            (actions.join(","), "note")
        }
        Some(op::Op::Passthrough(_)) | None => (digest.to_owned(), "plaintext"),
    }
}

fn describe(action: Option<&Action>) -> String {
    match action {
        Some(Action::Copy(copy)) => format!("copy{{src={}, dest={}}}", copy.src, copy.dest),
        Some(Action::Mkfile(file)) => format!("mkfile{{path={}}}", file.path),
        Some(Action::Mkdir(dir)) => format!("mkdir{{path={}}}", dir.path),
        Some(Action::Rm(rm)) => format!("rm{{path={}}}", rm.path),
        Some(Action::Symlink(link)) => format!("symlink{{oldpath={}, newpath={}}}", link.oldpath, link.newpath),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Graph, Node, Op, Output, Source, encode};

    #[test]
    fn a_vertex_an_arrow_and_a_name() {
        let identifier = "docker-image://\"x\"".to_owned();
        let mut graph = Graph::default();
        let mut node = Node::new(Op::Source(Source { identifier, ..Source::default() }), Vec::new());
        node.meta.description.insert("llb.customname", "[1/1] FROM x");
        let edge = Some(graph.add(node).output(0));
        graph.outputs.push(Output { edge, ..Output::default() });
        let definition = encode(&graph).unwrap();
        let [image, terminal] = [&definition.vertices[0].digest, &definition.vertices[1].digest];
        let expected = format!(
            r#"digraph {{
  "{image}" [label="docker-image://\"x\"" shape="ellipse" tooltip="[1/1] FROM x"];
  "{terminal}" [label="{terminal}" shape="plaintext"];
  "{image}" -> "{terminal}" [label=""];
}}
"#
        );
        assert_eq!(dot(&definition), Ok(expected));
    }
}
