//! Names of vertices for people, in BuildKit's words, because users search their logs for them.

use llb::{FileAction, FileActionKind, Node, Op};

use crate::progress::visible;
use crate::url;

/// Key of the description that overrides the name.
const CUSTOM: &str = "llb.customname";

/// Longest name that is made of other names, in bytes: more than a terminal's line.
const MAX: usize = 500;

/// The same of what is said of layers, which no terminal shows: a long script still fits.
const MAX_OF_LAYERS: usize = 16 << 10;

/// The name of a vertex, fit for a terminal.
pub(super) fn of_node(node: &Node, input_names: &[&str]) -> String {
    let name = match node.meta.description.get(CUSTOM) {
        Some(name) => name.clone(),
        None => of_op(&node.op, input_names),
    };
    visible(&url::redact_all(&name)).into_owned()
}

/// What the layers of an output are called that a vertex of this name made: the history of an image says so where nobody
/// says more. parity: descriptions of BuildKit's cache records.
pub(super) fn of_layers(node: &Node, name: &str, output: u32) -> String {
    let text = match &node.op {
        Op::Exec(exec) => {
            let mount = exec.mounts.iter().find(|mount| mount.output == i64::from(output));
            format!("mount {} from exec {}", mount.map_or("/", |mount| &mount.dest), exec.meta.args.join(" "))
        }
        Op::Source(source) => of_source(&source.identifier),
        _ => name.to_owned(),
    };
    shorten(text, MAX_OF_LAYERS)
}

fn of_source(identifier: &str) -> String {
    let identifier = &*url::redact(identifier);
    match identifier.split_once("://") {
        Some(("docker-image" | "oci-layout", name)) => format!("pulled from {name}"),
        Some(("docker-image+blob" | "oci-layout+blob", name)) => format!("blob {name}"),
        Some(("http" | "https", _)) => format!("http url {identifier}"),
        Some(("local", name)) => format!("local source for {name}"),
        Some(("git", remote)) => format!("git snapshot for {remote}"),
        _ => identifier.to_owned(),
    }
}

fn of_op(op: &Op, inputs: &[&str]) -> String {
    let input = |position: i64| usize::try_from(position).ok().and_then(|position| inputs.get(position)).copied();
    match op {
        Op::Source(source) => url::redact(&source.identifier).into_owned(),
        Op::Exec(exec) => exec.meta.args.join(" "),
        Op::File(actions) => actions.iter().map(of_action).collect::<Vec<_>>().join(", "),
        Op::Build(_) => "build".into(),
        Op::Merge(positions) => {
            let names: Vec<_> = positions.iter().filter_map(|position| input(*position)).collect();
            shorten(format!("merge ({})", names.join(", ")), MAX)
        }
        Op::Diff(diff) => {
            let side = |position: Option<i64>| match position.and_then(input) {
                Some(name) => format!("({name})"),
                None => "scratch".into(),
            };
            shorten(format!("diff {} -> {}", side(diff.lower), side(diff.upper)), MAX)
        }
        Op::Passthrough(passthrough) => format!("passthrough {}", passthrough.id),
    }
}

/// Names hold names of inputs, which double with every level.
fn shorten(mut name: String, max: usize) -> String {
    if name.len() > max {
        name.truncate(name.floor_char_boundary(max));
        name.push('…');
    }
    name
}

fn of_action(action: &FileAction) -> String {
    match &action.kind {
        FileActionKind::Copy(copy) => format!("copy {} {}", copy.src, copy.dest),
        FileActionKind::Mkfile { path, .. } => format!("mkfile {path}"),
        FileActionKind::Mkdir { path, .. } => format!("mkdir {path}"),
        FileActionKind::Rm { path, .. } => format!("rm {path}"),
        FileActionKind::Symlink { oldpath, newpath, .. } => format!("symlink {newpath} -> {oldpath}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let name = |op| of_node(&Node::new(op, Vec::new()), &["base", "run"]);
        let mkdir =
            FileActionKind::Mkdir { path: "/a".into(), mode: 0, make_parents: false, owner: None, timestamp: -1 };
        let rm = FileActionKind::Rm { path: "/b".into(), allow_not_found: false, allow_wildcard: false };
        let action = |kind| FileAction { input: 0, secondary_input: -1, output: 0, kind };
        assert_eq!(name(Op::File(vec![action(mkdir), action(rm)])), "mkdir /a, rm /b");
        assert_eq!(name(Op::Merge(vec![0, 1])), "merge (base, run)");
        assert_eq!(name(Op::Diff(llb::Diff { lower: Some(0), upper: Some(-1) })), "diff (base) -> scratch");
        let mut node = Node::new(Op::Merge(vec![]), Vec::new());
        node.meta.description.insert(CUSTOM, "[1/2] FROM x");
        assert_eq!(of_node(&node, &[]), "[1/2] FROM x");
        node.meta.description.insert(CUSTOM, "ADD http://u:p@h/x /");
        assert_eq!(of_node(&node, &[]), "ADD http://u:xxxxx@h/x /");
    }
}
