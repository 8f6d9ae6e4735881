//! Whether a graph holds together: what the solver relies on and nothing else checks.
//!
//! Runs on every definition that is received and, in debug builds, after each pass. Findings are typed; those that
//! [`Flaw::is_fatal`] calls fatal make a graph impossible to run. What BuildKit v0.32 refuses when it loads or runs a
//! vertex (`opsutils.Validate`, the file solver, mount preparation) is fatal here, before anything runs.

mod exec;
mod file;

use std::fmt;

use oci::{Digest, Platform};

use crate::{Edge, Graph, Node, NodeId, Op, Source};

/// What is wrong with a node or an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub place: Place,
    /// What.
    pub flaw: Flaw,
}

/// Where a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A node.
    Node(NodeId),
    /// An output, by its index.
    Output(usize),
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// An edge does not lead to an earlier node.
    ForwardEdge(Edge),
    /// An edge leads to an output that its node does not have.
    NoSuchOutput {
        /// The edge.
        edge: Edge,
        /// How many there are.
        outputs: usize,
    },
    /// A position is neither of an input nor -1 where that means none.
    Position {
        /// What it is the position of.
        of: &'static str,
        /// The position.
        position: i64,
    },
    /// A part is missing that the operation makes no sense without.
    Missing(&'static str),
    /// The outputs of an operation are not numbered 0, 1, … in the order in which they stand.
    OutputNumbers,
    /// A file action works on a result that comes later, or on its own.
    ActionOrder {
        /// The action.
        action: usize,
    },
    /// The root of a process is no bind mount.
    RootMount,
    /// The root of a process is nothing, and nothing is kept of it.
    EmptyRoot,
    /// A size is negative.
    Size(i64),
    /// A source identifier has no scheme.
    Scheme,
    /// What follows `@` in the identifier of an image is no digest.
    ImageDigest(String),
    /// The operation depends on a platform and names none: the executor's own is taken.
    NoPlatform,
    /// A text was not UTF-8: the vertex cannot be encoded.
    Lossy,
    /// A location names a source text that is not there.
    SourceIndex(u32),
    /// The vertex came from outside, but this one that it works on did not: it could not stay as it is.
    FixedOn(NodeId),
}

impl Flaw {
    /// Whether the graph cannot be run because of it.
    pub fn is_fatal(&self) -> bool {
        !matches!(self, Self::NoPlatform | Self::SourceIndex(_))
    }
}

/// Finds what is wrong, in the order of the nodes, then of the outputs.
pub fn verify(graph: &Graph) -> Vec<Finding> {
    let mut findings = Vec::new();
    let counts: Vec<usize> = graph.nodes.iter().map(|node| output_count(&node.op)).collect();
    for (index, node) in graph.nodes.iter().enumerate() {
        let place = Place::Node(NodeId(u32::try_from(index).expect("fewer than 2^32 vertices")));
        let report = &mut |flaw| findings.push(Finding { place, flaw });
        node.inputs.iter().for_each(|&edge| check_edge(&counts[..index], edge, report));
        check_node(graph, node, report);
    }
    for (index, output) in graph.outputs.iter().enumerate() {
        let report = &mut |flaw| findings.push(Finding { place: Place::Output(index), flaw });
        output.edge.inspect(|&edge| check_edge(&counts, edge, report));
    }
    findings
}

type Report<'r> = &'r mut dyn FnMut(Flaw);

fn check_node(graph: &Graph, node: &Node, report: Report<'_>) {
    match &node.op {
        Op::Source(source) => check_source(source, node.platform.as_deref(), report),
        Op::Exec(exec) => exec::check(exec, node, report),
        Op::File(actions) => file::check(actions, node.inputs.len(), report),
        Op::Build(build) => {
            build.inputs.values().for_each(|&position| check_position("input", position, node, report));
        }
        Op::Merge(positions) => {
            positions.iter().for_each(|&position| check_position("merged input", position, node, report));
        }
        Op::Diff(diff) => {
            for (of, side) in [("lower side of a diff", diff.lower), ("upper side of a diff", diff.upper)] {
                match side {
                    None => report(Flaw::Missing(of)),
                    Some(-1) => {}
                    Some(position) => check_position(of, position, node, report),
                }
            }
        }
        Op::Passthrough(passthrough) => {
            if passthrough.id.is_empty() {
                report(Flaw::Missing("id of a passthrough"));
            }
            if passthrough.outputs.is_empty() {
                report(Flaw::Missing("output of a passthrough"));
            }
            passthrough.outputs.iter().for_each(|&position| check_position("output", position, node, report));
        }
    }
    if node.fixed {
        let is_other = |edge: &&Edge| graph.nodes.get(edge.node.0 as usize).is_some_and(|input| !input.fixed);
        node.inputs.iter().filter(is_other).for_each(|edge| report(Flaw::FixedOn(edge.node)));
    }
    if node.lossy {
        report(Flaw::Lossy);
    }
    for location in node.locations.iter().filter(|location| location.source as usize >= graph.sources.len()) {
        report(Flaw::SourceIndex(location.source));
    }
}

/// Checks an edge to one of the nodes whose numbers of outputs are given.
fn check_edge(counts: &[usize], edge: Edge, report: Report<'_>) {
    match counts.get(edge.node.0 as usize) {
        None => report(Flaw::ForwardEdge(edge)),
        Some(&outputs) if edge.index as usize >= outputs => report(Flaw::NoSuchOutput { edge, outputs }),
        Some(_) => {}
    }
}

fn check_position(of: &'static str, position: i64, node: &Node, report: Report<'_>) {
    if !is_input(position, node.inputs.len()) {
        report(Flaw::Position { of, position });
    }
}

fn is_input(position: i64, inputs: usize) -> bool {
    usize::try_from(position).is_ok_and(|position| position < inputs)
}

/// How many outputs an operation has.
pub fn output_count(op: &Op) -> usize {
    match op {
        Op::Exec(exec) => exec::outputs(exec).count(),
        Op::File(actions) => actions.iter().filter(|action| action.output != -1).count(),
        Op::Passthrough(passthrough) => passthrough.outputs.len(),
        Op::Source(_) | Op::Build(_) | Op::Merge(_) | Op::Diff(_) => 1,
    }
}

fn check_source(source: &Source, platform: Option<&Platform>, report: Report<'_>) {
    let Some((scheme, name)) = source.identifier.split_once("://") else { return report(Flaw::Scheme) };
    if !matches!(scheme, "docker-image" | "oci-layout") {
        return;
    }
    if platform.is_none() {
        report(Flaw::NoPlatform);
    }
    if let Some((_, digest)) = name.split_once('@')
        && Digest::parse(digest).is_err()
    {
        report(Flaw::ImageDigest(digest.to_owned()));
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::Node(node) => write!(f, "%{}: {}", node.0, self.flaw),
            Place::Output(index) => write!(f, "output {index}: {}", self.flaw),
        }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ForwardEdge(edge) => write!(f, "input %{} is not an earlier vertex", edge.node.0),
            Self::NoSuchOutput { edge, outputs } => {
                write!(f, "%{} has no output {}: it has {outputs}", edge.node.0, edge.index)
            }
            Self::Position { of, position } => write!(f, "{of} at position {position}, where no input is"),
            Self::Missing(part) => write!(f, "{part} missing"),
            Self::OutputNumbers => f.write_str("outputs are not numbered 0, 1, … in their order"),
            Self::ActionOrder { action } => write!(f, "file action {action} works on a later result"),
            Self::RootMount => f.write_str("the root of a process must be a bind mount"),
            Self::EmptyRoot => f.write_str("the root of a process has neither input nor output"),
            Self::Size(size) => write!(f, "size of {size} bytes"),
            Self::Scheme => f.write_str("the source identifier has no scheme"),
            Self::ImageDigest(digest) => write!(f, "{digest:?} is not a digest"),
            Self::NoPlatform => f.write_str("no platform: the executor's own is taken"),
            Self::Lossy => f.write_str("a text was not UTF-8"),
            Self::FixedOn(other) => write!(f, "fixed, but works on %{}, which is not", other.0),
            Self::SourceIndex(index) => write!(f, "source text {index} does not exist"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text;

    /// Findings stand below the line they belong to, after `;;`.
    fn check(source: &str) {
        let graph = text::parse(source).unwrap();
        let expected: Vec<&str> = source.lines().filter_map(|line| line.trim().strip_prefix(";; ")).collect();
        let actual: Vec<String> = verify(&graph).iter().map(Finding::to_string).collect();
        assert_eq!(actual, expected, "{source}");
    }

    #[test]
    fn sound() {
        check(
            "
            %0 = source \"docker-image://x@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\" platform(\"linux\", \"amd64\")
            %1 = exec(%0) args=[\"x\"] bind(\"/\", from=0, to=0) cache(\"/c\", id=\"c\") bind(\"/d\", to=1) secret(\"/s\", to=0, id=\"s\") platform(\"linux\", \"amd64\")
            %2 = file(%1, %1.1) copy(\"/a\", \"/b\", base=0, from=1, owner(user=name(\"u\", 0))) mkdir(\"/d\", base=#0, to=0)
            %3 = merge(%2, %0)
            %4 = diff(%3) lower=-1 upper=0
            %5 = passthrough(%4) id=\"p\" outputs=[0, 0]
            output %5.1 platform(\"linux\", \"amd64\")
            output %5.1 platform(\"linux\", \"arm64\")
            output scratch",
        );
    }

    #[test]
    fn edges() {
        check(
            "
            %0 = source \"local://a\"
            %1 = merge(%0.1, %0)
            ;; %1: %0 has no output 1: it has 1
            %2 = exec(%0) args=[\"x\"] bind(\"/\", from=0, readonly) platform(\"linux\", \"amd64\")
            output %2
            ;; output 0: %2 has no output 0: it has 0
            output scratch",
        );
        let mut graph = text::parse("%0 = source \"local://a\"\n%1 = merge(%0)\noutput %1").unwrap();
        graph.nodes[1].inputs[0].node = NodeId(1);
        graph.outputs[0].edge = Some(NodeId(2).output(0));
        let actual: Vec<String> = verify(&graph).iter().map(Finding::to_string).collect();
        assert_eq!(actual, ["%1: input %1 is not an earlier vertex", "output 0: input %2 is not an earlier vertex"]);
    }

    #[test]
    fn sources() {
        check(
            "
            %0 = source \"alpine\" lossy
            ;; %0: the source identifier has no scheme
            ;; %0: a text was not UTF-8
            %1 = source \"docker-image://x@sha256:1\"
              @ 0 1
            ;; %1: no platform: the executor's own is taken
            ;; %1: \"sha256:1\" is not a digest
            ;; %1: source text 0 does not exist
            %2 = merge(%1) fixed
            ;; %2: fixed, but works on %1, which is not",
        );
    }

    #[test]
    fn processes() {
        check(
            "
            %0 = exec
            ;; %0: arguments of a process missing
            ;; %0: root of a process missing
            ;; %0: no platform: the executor's own is taken
            %1 = exec args=[\"x\"] platform(\"linux\", \"amd64\") bind(\"/\") bind(\"/a\", from=0) bind(\"\", to=1) tmpfs(\"/t\", size=-1) secret(\"/s\")
            ;; %1: the root of a process has neither input nor output
            ;; %1: mount at position 0, where no input is
            ;; %1: target of a mount missing
            ;; %1: size of -1 bytes
            ;; %1: id of a secret missing
            ;; %1: outputs are not numbered 0, 1, … in their order
            %2 = exec args=[\"x\"] platform(\"linux\", \"amd64\") tmpfs(\"/\") bind(\"/a\", to=0) bind(\"/b\", to=0) secret_env(\"\", \"A\")
            ;; %2: the root of a process must be a bind mount
            ;; %2: outputs are not numbered 0, 1, … in their order
            ;; %2: id of a secret missing",
        );
    }

    #[test]
    fn files() {
        check(
            "
            %0 = file
            ;; %0: action of a file operation missing
            %1 = file rm(\"/a\")
            ;; %1: output of a file operation missing
            %2 = file(%0) rm(\"/a\", base=#0, to=0) rm(\"/a\", base=#2, to=2) rm(\"/a\", base=#3) copy(\"/\", \"/\", from=-2, owner(group=name(\"g\", 1)))
            ;; %2: %0 has no output 0: it has 0
            ;; %2: file action 0 works on a later result
            ;; %2: file action 1 works on a later result
            ;; %2: file action 2 works on a later result
            ;; %2: source of a file action at position -2, where no input is
            ;; %2: owner at position 1, where no input is
            ;; %2: outputs are not numbered 0, 1, … in their order
            %3 = file rm(\"/a\", base=#1, to=0)
            ;; %3: base of a file action at position 1, where no input is",
        );
    }

    #[test]
    fn other_operations() {
        check(
            "
            %0 = source \"local://a\"
            %1 = merge(%0) inputs=[0, -1]
            ;; %1: merged input at position -1, where no input is
            %2 = diff(%0) upper=1
            ;; %2: lower side of a diff missing
            ;; %2: upper side of a diff at position 1, where no input is
            %3 = passthrough(%0)
            ;; %3: id of a passthrough missing
            ;; %3: output of a passthrough missing
            %4 = build(%0) input(\"a\", 1)
            ;; %4: input at position 1, where no input is",
        );
    }
}
