//! Graphs for measurements: as big as asked for, in the proportions of real builds, the same every time.

use crate::{
    CopyAction, Edge, Exec, ExecMeta, FileAction, FileActionKind, Graph, Location, Mount, Node, Op, Output, Position,
    Range, Source, SourceInfo,
};

/// A build of about `vertices` vertices: stages of a base image and eighteen steps, each a process or a copy from the
/// context or an earlier stage, all copied together at the end.
pub fn build(vertices: usize) -> Graph {
    const STAGE: usize = 20;
    let mut graph = Graph::default();
    let text = SourceInfo { filename: "Dockerfile".into(), language: "Dockerfile".into(), ..SourceInfo::default() };
    graph.sources.push(text);
    let context = add(&mut graph, source("local://context"), Vec::new(), "[internal] load build context", 0);
    let mut stages: Vec<Edge> = Vec::new();
    for stage in 0..vertices.div_ceil(STAGE) {
        let identifier = format!("docker-image://docker.io/library/base-{stage}:1.0@sha256:{stage:064x}");
        let mut last = add(&mut graph, source(&identifier), Vec::new(), "FROM base", stage * STAGE);
        for step in 1..STAGE - 1 {
            let name = format!("[stage-{stage} {step}/{STAGE}] step {step} of a build that has a name as long as this");
            let line = stage * STAGE + step;
            last = match (step % 3, stages.last()) {
                (0, _) => add(&mut graph, copy(step), vec![last, context], &name, line),
                (1, Some(&earlier)) => add(&mut graph, copy(step), vec![last, earlier], &name, line),
                _ => add(&mut graph, run(stage, step), vec![last], &name, line),
            };
        }
        stages.push(last);
    }
    let actions = (1..stages.len()).map(|stage| FileAction {
        input: if stage == 1 { 0 } else { (stages.len() + stage - 2) as i64 },
        secondary_input: stage as i64,
        output: if stage + 1 == stages.len() { 0 } else { -1 },
        kind: copy_kind(stage),
    });
    let edge = match actions.len() {
        0 => stages.first().copied(),
        _ => {
            let actions = Op::File(actions.collect());
            Some(add(&mut graph, actions, stages, "collect", 0))
        }
    };
    graph.outputs.push(Output { edge, ..Output::default() });
    graph
}

fn add(graph: &mut Graph, op: Op, inputs: Vec<Edge>, name: &str, line: usize) -> Edge {
    let mut node = Node::new(op, inputs);
    node.platform = matches!(node.op, Op::Exec(_)).then(|| oci::Platform::new("linux", "amd64").into());
    node.meta.description.insert("llb.customname", name);
    node.meta.description.insert("com.docker.dockerfile.v1.command", format!("RUN {name}"));
    node.meta.caps.extend(["exec.meta.base", "exec.meta.setsdefaultpath", "exec.mount.bind"]);
    let position = Position { line: line as i32 + 1, character: 0 };
    node.locations.push(Location { source: 0, ranges: [Range { start: position, end: position }].into() });
    graph.add(node).output(0)
}

fn source(identifier: &str) -> Op {
    Op::Source(Source { identifier: identifier.into(), ..Source::default() })
}

fn run(stage: usize, step: usize) -> Op {
    let command = format!("set -e; make -C /src/{stage} target-{step} && install -m 755 out/{step} /usr/local/bin/");
    Op::Exec(Box::new(Exec {
        meta: ExecMeta {
            args: vec!["/bin/sh".into(), "-c".into(), command],
            env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into(), "LANG=C.UTF-8".into()]
                .into(),
            cwd: "/src".into(),
            remove_mount_stubs_recursive: true,
            ..ExecMeta::default()
        },
        mounts: vec![Mount { dest: "/".into(), ..Mount::default() }],
        ..Exec::default()
    }))
}

fn copy(step: usize) -> Op {
    Op::File(vec![FileAction { input: 0, secondary_input: 1, output: 0, kind: copy_kind(step) }])
}

fn copy_kind(step: usize) -> FileActionKind {
    FileActionKind::Copy(Box::new(CopyAction {
        src: format!("/src/module-{step}/package.json"),
        dest: format!("/src/module-{step}/"),
        mode: -1,
        follow_symlink: true,
        dir_copy_contents: true,
        create_dest_path: true,
        allow_wildcard: true,
        allow_empty_wildcard: true,
        timestamp: -1,
        ..CopyAction::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_sound_and_of_the_size_asked_for() {
        for vertices in [1, 20, 40, 1000] {
            let graph = build(vertices);
            assert_eq!(crate::verify::verify(&graph).iter().filter(|finding| finding.flaw.is_fatal()).count(), 0);
            let encoded = crate::encode(&graph).unwrap();
            assert!(encoded.vertices.len().abs_diff(vertices) <= 21 + vertices / 10, "{}", encoded.vertices.len());
        }
    }
}
