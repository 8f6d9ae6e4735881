//! Random valid graphs of file operations, merges, differences and (imagined) processes on two small directories that hold
//! links, hard links, users and directories with unusual modes. The same seed gives the same graph everywhere.

use std::rc::Rc;

use llb::{
    CopyAction, Diff, Edge, Exec, ExecMeta, FileAction, FileActionKind, Graph, Mount, Node, NodeId, Op, Output, Owner,
    Source, UserOpt,
};

use super::eval::Sources;
use super::tree::{Entry, Layer};

/// Numbers that look random.
pub struct Random {
    state: u64,
    /// The path that most of a graph is about: what happens to one place twice is what rewrites get wrong.
    subject: &'static str,
}

impl Random {
    pub fn new(seed: u64) -> Self {
        let mut random = Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, subject: "" };
        random.subject = SUBJECTS[random.below(SUBJECTS.len())];
        random
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 16) as usize % end
    }

    /// Whether something happens that does in one of `of` cases.
    pub fn once_in(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// The directories that graphs start from: `base` is changed, `context` copied from.
pub fn sources() -> Sources {
    let file = |mode, owner, data: &str, inode| Entry::File {
        mode,
        owner,
        data: Rc::new(data.as_bytes().to_vec()),
        time: 1_600_000_000_000_000_000,
        inode,
    };
    let dir = |mode, owner| Entry::Dir { mode, owner };
    let link = |text: &str| Entry::Link { text: text.into(), owner: (0, 0) };
    let layer = |entries: Vec<(&str, Entry)>| -> Layer {
        entries.into_iter().map(|(path, entry)| (path.to_owned(), entry)).collect()
    };
    // What a client sends of its directories belongs to root.
    let base = layer(vec![
        ("/etc", dir(0o755, (0, 0))),
        ("/etc/passwd", file(0o644, (0, 0), "u:x:5:6::/:/bin/sh\n", 1)),
        ("/etc/group", file(0o644, (0, 0), "g:x:7:\n", 2)),
        ("/a", dir(0o700, (0, 0))),
        ("/a/f", file(0o600, (0, 0), "base f", 3)),
        ("/l", link("/a")),
        ("/gone", link("d/new")),
        ("/d", dir(0o1777, (0, 0))),
        ("/d/x", file(0o644, (0, 0), "base x", 4)),
    ]);
    let context = layer(vec![
        ("/a", dir(0o750, (0, 0))),
        ("/a/f", file(0o644, (0, 0), "context f", 1)),
        ("/a/g", file(0o644, (0, 0), "context f", 1)),
        ("/a/s", link("f")),
        ("/d", dir(0o755, (0, 0))),
        ("/d/x", file(0o755, (0, 0), "base x", 2)),
        ("/d/y", dir(0o711, (0, 0))),
        ("/d/y/z", file(0o644, (0, 0), "z", 3)),
        ("/f", file(0o640, (0, 0), "f", 4)),
        ("/l", link("d")),
    ]);
    [("base".to_owned(), base), ("context".to_owned(), context)].into()
}

const SUBJECTS: &[&str] = &["/a", "/d", "/l", "/n"];
/// Behind the subject.
const BELOW: &[&str] = &["", "/", "/f", "/g", "/n", "/x"];
const DIRECTORIES: &[&str] = &["/", "/a", "/d", "/d/y", "/l", "/l/n", "/n", "/n", "/n/m", "/gone", "/gone/m"];
const FILES: &[&str] = &["/a/f", "/a/g", "/f", "/f", "/d/x", "/n", "/l", "/gone", "/n/f", "/new", "/l/new", "/a", "/d"];
const LINKS: &[&str] = &["/s", "/t", "/n", "/d/s", "/gone", "/a/s", "/l/n"];
/// The last ones are not there, or not always.
const SOURCES: &[&str] = &["/", "/a", "/a/f", "/a/g", "/d", "/d/y", "/f", "/l", "/a/*", "/*", "/d/x", "/n"];
const DESTS: &[&str] = &["/", "/a", "/a/", "/d/", "/n/", "/n/m/", "/l/", "/l/n", "/gone/", "/new", "/f", "/d/x", "/s/"];

/// A graph of a few vertices. Processes are for evaluation only: nobody can run them.
pub fn graph(seed: u64, processes: bool) -> Graph {
    let random = &mut Random::new(seed);
    let mut graph = Graph::default();
    for name in ["base", "context"] {
        let source = Source { identifier: format!("local://{name}"), ..Source::default() };
        graph.add(Node::new(Op::Source(source), Vec::new()));
    }
    let mut trees: Vec<Edge> = vec![NodeId(0).output(0), NodeId(1).output(0)];
    for _ in 0..3 + random.below(7) {
        // Builds say the same thing twice.
        let node =
            if random.once_in(12) { random.pick(&graph.nodes).clone() } else { vertex(random, &trees, processes) };
        if random.once_in(12) {
            let last = twice(random, &mut graph, &trees);
            trees.push(last);
        }
        if random.once_in(16) {
            let last = chain(random, &mut graph, &trees);
            trees.push(last);
        }
        if random.once_in(16) {
            let last = relay(random, &mut graph, &trees);
            trees.push(last);
        }
        let outputs = llb::verify::output_count(&node.op);
        let id = graph.add(node);
        trees.extend((0..outputs as u32).map(|index| id.output(index)));
    }
    let last = *trees.last().unwrap();
    graph.outputs.push(Output {
        edge: Some(last),
        platform: Some(oci::Platform::new("linux", "amd64")),
        ..Output::default()
    });
    if random.once_in(3) {
        let edge = Some(*random.pick(&trees));
        graph.outputs.push(Output { edge, platform: Some(oci::Platform::new("linux", "arm64")), ..Output::default() });
    }
    graph
}

/// Mostly the newest tree: real graphs are chains.
fn tree(random: &mut Random, trees: &[Edge]) -> Edge {
    if random.below(4) > 0 { *trees.last().unwrap() } else { *random.pick(trees) }
}

fn vertex(random: &mut Random, trees: &[Edge], processes: bool) -> Node {
    let mut node = match random.below(12) {
        0 | 1 => {
            // What was made last goes on top of something else.
            let below = (0..random.below(3)).map(|_| *random.pick(trees));
            let inputs: Vec<Edge> = below.collect::<Vec<_>>().into_iter().chain([tree(random, trees)]).collect();
            Node::new(Op::Merge((0..inputs.len() as i64).collect()), inputs)
        }
        2 => {
            let (lower, upper) = (*random.pick(trees), tree(random, trees));
            let lower = if random.once_in(3) { None } else { Some(lower) };
            let inputs: Vec<Edge> = lower.into_iter().chain([upper]).collect();
            let position = inputs.len() as i64 - 1;
            Node::new(Op::Diff(Diff { lower: Some(position - 1), upper: Some(position) }), inputs)
        }
        3 if processes => process(random, trees),
        _ => file(random, trees),
    };
    node.meta.ignore_cache = random.once_in(9);
    node
}

/// A copy of a directory with hard links in it, a change at one of its places, and perhaps all of that on something.
fn twice(random: &mut Random, graph: &mut Graph, trees: &[Edge]) -> Edge {
    let (base, subject) = (if random.once_in(2) { None } else { Some(tree(random, trees)) }, random.subject);
    let context = NodeId(1).output(0);
    let inputs: Vec<Edge> = std::iter::once(context).chain(base.filter(|&base| base != context)).collect();
    let input = base.map_or(-1, |base| i64::from(base != context));
    let copy = CopyAction {
        src: "/a".into(),
        dest: subject.into(),
        mode: -1,
        dir_copy_contents: true,
        create_dest_path: true,
        timestamp: -1,
        always_replace_existing_dest_paths: true,
        ..CopyAction::default()
    };
    let kind = FileActionKind::Copy(Box::new(copy));
    let first = graph.add(Node::new(Op::File(vec![FileAction { input, secondary_input: 0, output: 0, kind }]), inputs));
    let path = format!("{subject}/{}", ["f", "g"][random.below(2)]);
    let kind = match random.below(2) {
        0 => FileActionKind::Mkfile { path, mode: 0o600, data: b"second".to_vec(), owner: None, timestamp: -1 },
        _ => FileActionKind::Rm { path, allow_not_found: true, allow_wildcard: false },
    };
    let action = FileAction { input: 0, secondary_input: -1, output: 0, kind };
    let last = graph.add(Node::new(Op::File(vec![action]), vec![first.output(0)])).output(0);
    if random.once_in(2) {
        return last;
    }
    graph.add(Node::new(Op::Merge(vec![0, 1]), vec![*random.pick(trees), last])).output(0)
}

/// Copies on nothing, one vertex each, as a last stage on scratch has them.
fn chain(random: &mut Random, graph: &mut Graph, trees: &[Edge]) -> Edge {
    const PLACES: &[&str] = &["/p/a", "/p/b", "/p/c/", "/q", "/r", "/s/", "/p", "/q/x", "/"];
    let mut below: Option<Edge> = None;
    let owner = owner(random, 0);
    for _ in 0..3 + random.below(3) {
        let mut inputs = vec![*random.pick(trees)];
        let same = Some(inputs[0]) == below;
        inputs.extend(below.filter(|_| !same));
        // The root seldom: with it nothing is separate.
        let places = PLACES.len() - usize::from(!random.once_in(4));
        let copy = CopyAction {
            src: SOURCES[random.below(SOURCES.len() - 1)].to_owned(),
            dest: PLACES[random.below(places)].to_owned(),
            owner: if random.once_in(9) { self::owner(random, 0) } else { owner.clone() },
            mode: if random.once_in(9) { 0o700 } else { -1 },
            follow_symlink: true,
            dir_copy_contents: true,
            create_dest_path: true,
            allow_wildcard: true,
            allow_empty_wildcard: true,
            timestamp: -1,
            ..CopyAction::default()
        };
        let (input, kind) = (below.map_or(-1, |_| 1 - i64::from(same)), FileActionKind::Copy(Box::new(copy)));
        let action = FileAction { input, secondary_input: 0, output: 0, kind };
        below = Some(graph.add(Node::new(Op::File(vec![action]), inputs)).output(0));
    }
    below.unwrap_or(trees[0])
}

/// A copy on nothing, and a copy of what it made: a stage that only collects something.
fn relay(random: &mut Random, graph: &mut Graph, trees: &[Edge]) -> Edge {
    const PLACES: &[&str] = &["/", "/", "/a", "/a/", "/f", "/p", "/p/", "/d/x"];
    let copy = |random: &mut Random, src: &str, dest: &str| {
        FileActionKind::Copy(Box::new(CopyAction {
            src: src.to_owned(),
            dest: dest.to_owned(),
            owner: if random.once_in(9) { owner(random, 0) } else { None },
            mode: if random.once_in(9) { 0o711 } else { -1 },
            follow_symlink: !random.once_in(9),
            dir_copy_contents: true,
            create_dest_path: true,
            timestamp: if random.once_in(6) { 1_700_000_000_000_000_000 } else { -1 },
            ..CopyAction::default()
        }))
    };
    let (place, src) = (*random.pick(PLACES), SOURCES[random.below(SOURCES.len())]);
    let src = if random.once_in(3) { "/" } else { src };
    let kind = copy(random, src, place);
    let action = FileAction { input: -1, secondary_input: 0, output: 0, kind };
    let between = graph.add(Node::new(Op::File(vec![action]), vec![*random.pick(trees)])).output(0);
    let base = if random.once_in(4) { None } else { Some(tree(random, trees)) };
    let src = if random.once_in(4) { SOURCES[random.below(SOURCES.len())] } else { place };
    let dest = *random.pick(DESTS);
    let kind = copy(random, src, dest);
    let action = FileAction { input: base.map_or(-1, |_| 1), secondary_input: 0, output: 0, kind };
    let inputs: Vec<_> = std::iter::once(between).chain(base).collect();
    graph.add(Node::new(Op::File(vec![action]), inputs)).output(0)
}

fn process(random: &mut Random, trees: &[Edge]) -> Node {
    let inputs = vec![tree(random, trees), *random.pick(trees)];
    let mount = |dest: &str, input, output| Mount { dest: dest.into(), input, output, ..Mount::default() };
    let second = if random.once_in(2) { 1 } else { -1 };
    let mounts = vec![mount("/", 0, 0), mount("/m", 1, second)];
    let meta = ExecMeta { args: vec![format!("run {}", random.below(3))], cwd: "/".into(), ..ExecMeta::default() };
    let mut node = Node::new(Op::Exec(Box::new(Exec { meta, mounts, ..Exec::default() })), inputs);
    node.platform = Some(oci::Platform::new("linux", "amd64").into());
    node
}

fn file(random: &mut Random, trees: &[Edge]) -> Node {
    let base = if random.once_in(4) { None } else { Some(tree(random, trees)) };
    let mut inputs: Vec<Edge> = base.into_iter().collect();
    let source = if random.once_in(3) { *random.pick(trees) } else { NodeId(1).output(0) };
    let source = (Some(source) != base && !random.once_in(4)).then(|| {
        inputs.push(source);
        inputs.len() as i64 - 1
    });
    let count = if random.once_in(2) { 1 } else { 1 + random.below(3) };
    let several = count > 1 && random.once_in(10);
    let mut input = if base.is_some() { 0 } else { -1 };
    let mut actions = Vec::new();
    for index in 0..count {
        let kind = action(random, source.is_some(), inputs.len());
        let secondary_input = if matches!(kind, FileActionKind::Copy(_)) { source.unwrap_or(-1) } else { -1 };
        let output = match (several, index + 1 == count) {
            (true, _) => index as i64,
            (false, true) => 0,
            (false, false) => -1,
        };
        actions.push(FileAction { input, secondary_input, output, kind });
        input = (inputs.len() + index) as i64;
    }
    Node::new(Op::File(actions), inputs)
}

fn action(random: &mut Random, may_copy: bool, inputs: usize) -> FileActionKind {
    let owner = owner(random, inputs);
    let timestamp = if random.once_in(2) { -1 } else { 1_700_000_000_000_000_000 };
    let name = |random: &mut Random, of: &[&str]| match random.below(3) {
        0 => (*random.pick(of)).to_owned(),
        _ => random.subject.to_owned() + BELOW[random.below(BELOW.len())],
    };
    match random.below(10) {
        0..=4 if may_copy => FileActionKind::Copy(Box::new(CopyAction {
            src: name(random, SOURCES),
            dest: name(random, DESTS),
            owner,
            mode: if random.once_in(6) { 0o711 } else { -1 },
            follow_symlink: !random.once_in(4),
            dir_copy_contents: !random.once_in(4),
            create_dest_path: !random.once_in(12),
            allow_wildcard: true,
            allow_empty_wildcard: true,
            timestamp,
            always_replace_existing_dest_paths: random.once_in(2),
            ..CopyAction::default()
        })),
        5 | 6 => {
            let (path, data) = (name(random, FILES), vec![b'0' + random.below(3) as u8]);
            FileActionKind::Mkfile { path, mode: 0o640, data, owner, timestamp }
        }
        7 => {
            let (path, allow_not_found) = (name(random, FILES), !random.once_in(20));
            FileActionKind::Rm { path, allow_not_found, allow_wildcard: false }
        }
        8 if random.once_in(2) => {
            let (oldpath, newpath) = (name(random, DIRECTORIES), name(random, LINKS));
            FileActionKind::Symlink { oldpath, newpath, owner, timestamp }
        }
        _ => {
            let (path, make_parents) = (name(random, DIRECTORIES), !random.once_in(5));
            FileActionKind::Mkdir { path, mode: 0o711, make_parents, owner, timestamp }
        }
    }
}

fn owner(random: &mut Random, inputs: usize) -> Option<Owner> {
    match random.below(16) {
        0 if inputs > 0 => {
            let input = random.below(inputs) as i64;
            Some(Owner { user: Some(UserOpt::Name { name: "u".into(), input }), group: None })
        }
        1 => Some(Owner { user: Some(UserOpt::Id(1)), group: Some(UserOpt::Id(2)) }),
        2 | 3 => Some(Owner { user: Some(UserOpt::Id(0)), group: None }),
        _ => None,
    }
}
