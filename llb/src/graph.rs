//! The graph: vertices addressed by index, their typed operations, and what people see of them.
//!
//! A [`Node`] is one vertex of the definition. Its operation refers to `inputs` by position, as on the wire, so that
//! decoding and encoding lose nothing; edges between nodes are [`Edge`]s, so that nobody computes a digest before
//! [`crate::encode`] does. Nodes may be equal: encoding writes equal vertices once and merges what is said of them.
//! Names, descriptions and locations live in [`Metadata`] and never reach a digest.

use std::collections::BTreeMap;
use std::sync::Arc;

use oci::Platform;
use serde::{Serialize, Serializer};
use smallvec::SmallVec;

use crate::dump::{base64, base64_option};
use crate::keyed::{Texts, Words};

/// Index of a node in its [`Graph`]; printed as in the text form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct NodeId(pub u32);

/// One output of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Edge {
    /// The node.
    pub node: NodeId,
    /// Which of its outputs, from 0.
    pub index: u32,
}

/// A build: vertices and the results that are wanted.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Graph {
    /// The vertices; an edge only points to a smaller index.
    pub nodes: Vec<Node>,
    /// What to build. **Shape**: one per platform, the host's last; each becomes a terminal vertex.
    pub outputs: Vec<Output>,
    /// The texts that locations point into.
    pub sources: Vec<SourceInfo>,
}

/// A wanted result: the terminal vertex of a definition.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Output {
    /// The result; `None` is scratch.
    pub edge: Option<Edge>,
    /// Written on the terminal vertex. `None` in a definition with one output, as BuildKit writes it.
    pub platform: Option<Platform>,
    /// What is said of the terminal vertex (image config, platform). Without capabilities encoding adds those that the
    /// definition needs.
    pub meta: Metadata,
}

/// One vertex.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Node {
    /// What it does.
    pub op: Op,
    /// What it works on, in wire order.
    pub inputs: Inputs,
    /// What it runs on. Shared: most vertices have the same.
    #[serde(serialize_with = "platform")]
    pub platform: Option<Arc<Platform>>,
    /// Worker filters; `Some` and empty on every vertex a frontend makes.
    pub constraints: Option<Vec<String>>,
    /// What is said of it.
    pub meta: Metadata,
    /// Where it comes from. **Shape**: one entry per instruction that produced it.
    pub locations: Locations,
    /// Whether a text of it was not UTF-8, which the wire cannot carry, and stands here with U+FFFD: such a vertex may
    /// be in the graph, but encoding it is an error.
    pub lossy: bool,
    /// Whether it came from outside, as all that it works on did, and stays as it is: somebody may have built it, or
    /// build it elsewhere, and knows it by its digest. No part of a definition.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub fixed: bool,
}

/// What is said of a vertex; never part of its digest.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Metadata {
    /// Whether the cache is not asked.
    pub ignore_cache: bool,
    /// Free texts: `llb.customname`, ….
    pub description: Texts,
    /// Whether the result may be exported to a cache; `None` is the default (yes).
    pub export_cache: Option<bool>,
    /// What the daemon must support.
    pub caps: Words,
    /// Vertices shown as one.
    pub progress_group: Option<Box<ProgressGroup>>,
    /// Limits of a process.
    pub linux_resources: Option<Box<LinuxResources>>,
}

/// Vertices shown as one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ProgressGroup {
    /// Which group.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether it yields to another group of the vertex.
    pub weak: bool,
}

/// Limits of a process; 0 and empty are unset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LinuxResources {
    /// Bytes.
    pub memory: i64,
    /// Bytes, memory included.
    pub memory_swap: i64,
    /// Relative weight.
    pub cpu_shares: i64,
    /// Microseconds.
    pub cpu_period: i64,
    /// Microseconds per period.
    pub cpu_quota: i64,
    /// List such as `0-2,7`.
    pub cpuset_cpus: String,
    /// List such as `0-1`.
    pub cpuset_mems: String,
}

/// What a vertex works on: most on one or two others.
pub type Inputs = SmallVec<[Edge; 2]>;

/// Places of a vertex: of most, one instruction.
pub type Locations = SmallVec<[Location; 1]>;

/// One place of a vertex in a source text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Location {
    /// Index into [`Graph::sources`].
    pub source: u32,
    /// Ranges.
    pub ranges: SmallVec<[Range; 1]>,
}

/// Lines from 1; columns (UTF-16 units on the wire) from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Range {
    /// First position.
    pub start: Position,
    /// Last position.
    pub end: Position,
}

/// A line and a column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Position {
    /// From 1.
    pub line: i32,
    /// From 0.
    pub character: i32,
}

/// A source text of the build.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SourceInfo {
    /// Its name.
    pub filename: String,
    /// The text. Shared with whoever read it.
    #[serde(serialize_with = "base64")]
    pub data: Arc<[u8]>,
    /// The definition that reads it: a graph with one output.
    pub definition: Option<Box<Graph>>,
    /// Its language: `Dockerfile`.
    pub language: String,
}

/// What a vertex does.
#[derive(Clone, Debug, PartialEq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Fetches something.
    Source(Source),
    /// Runs a process.
    Exec(Box<Exec>),
    /// Changes files.
    File(Vec<FileAction>),
    /// Solves a definition found in a file.
    Build(Build),
    /// Lays trees on top of each other. **Shape**: input positions, lowest first.
    Merge(Vec<i64>),
    /// What changed between two trees.
    Diff(Diff),
    /// Hands inputs through.
    Passthrough(Passthrough),
}

/// A source operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Source {
    /// Address with scheme: `docker-image://…`, `local://context`, ….
    pub identifier: String,
    /// Attributes: `local.session`, ….
    pub attrs: Texts,
}

/// An exec operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Exec {
    /// The process.
    pub meta: ExecMeta,
    /// Its mounts, in wire order.
    pub mounts: Vec<Mount>,
    /// Its network.
    pub network: NetMode,
    /// Its privileges.
    pub security: SecurityMode,
    /// Secrets in its environment.
    pub secret_env: Vec<SecretEnv>,
    /// Devices.
    pub cdi_devices: Vec<CdiDevice>,
}

/// A process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct ExecMeta {
    /// Arguments, the program first.
    pub args: Vec<String>,
    /// `KEY=value`. Shared: most steps of a stage have the same.
    #[serde(serialize_with = "shared")]
    pub env: Arc<[String]>,
    /// Working directory.
    pub cwd: String,
    /// `user[:group]`.
    pub user: String,
    /// Proxy variables.
    pub proxy_env: Option<ProxyEnv>,
    /// Lines of /etc/hosts.
    pub extra_hosts: Vec<HostIp>,
    /// Host name.
    pub hostname: String,
    /// Limits.
    pub ulimit: Vec<Ulimit>,
    /// Control group parent.
    pub cgroup_parent: String,
    /// Whether empty mount points are removed with their parents.
    pub remove_mount_stubs_recursive: bool,
    /// Exit codes that are success; empty is `[0]`.
    pub valid_exit_codes: Vec<i32>,
}

fn shared<S: Serializer>(list: &Arc<[String]>, serializer: S) -> Result<S::Ok, S::Error> {
    list.as_ref().serialize(serializer)
}

fn platform<S: Serializer>(platform: &Option<Arc<Platform>>, serializer: S) -> Result<S::Ok, S::Error> {
    platform.as_deref().serialize(serializer)
}

/// Proxy variables.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct ProxyEnv {
    /// `HTTP_PROXY`.
    pub http_proxy: String,
    /// `HTTPS_PROXY`.
    pub https_proxy: String,
    /// `FTP_PROXY`.
    pub ftp_proxy: String,
    /// `NO_PROXY`.
    pub no_proxy: String,
    /// `ALL_PROXY`.
    pub all_proxy: String,
}

/// A line of /etc/hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct HostIp {
    /// Name.
    pub host: String,
    /// Address.
    pub ip: String,
}

/// A resource limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Ulimit {
    /// Such as `nofile`.
    pub name: String,
    /// Soft limit.
    pub soft: i64,
    /// Hard limit.
    pub hard: i64,
}

/// A secret in the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct SecretEnv {
    /// Id of the secret.
    pub id: String,
    /// Variable.
    pub name: String,
    /// Whether it may be missing.
    pub optional: bool,
}

/// A CDI device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct CdiDevice {
    /// Qualified name.
    pub name: String,
    /// Whether it may be missing.
    pub optional: bool,
}

/// Network of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NetMode {
    /// The daemon's default.
    #[default]
    Unset,
    /// The host's.
    Host,
    /// Loopback only.
    None,
}

/// Privileges of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SecurityMode {
    /// Confined.
    #[default]
    Sandbox,
    /// Everything.
    Insecure,
}

/// A mount of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Mount {
    /// Position in the node's inputs; -1 is none.
    pub input: i64,
    /// Path below the input.
    pub selector: String,
    /// Path in the container.
    pub dest: String,
    /// Output number; -1 is none.
    pub output: i64,
    /// Whether it is read-only.
    pub readonly: bool,
    /// What is mounted.
    pub kind: MountKind,
    /// Result of a gateway client.
    pub result_id: String,
    /// Whether contents key the cache.
    pub content_cache: ContentCache,
}

/// What is mounted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MountKind {
    /// The input.
    #[default]
    Bind,
    /// A secret.
    Secret(SecretMount),
    /// An agent's socket.
    Ssh(SecretMount),
    /// A cache directory.
    Cache {
        /// Its id.
        id: String,
        /// Who may use it at once.
        sharing: CacheSharing,
    },
    /// Memory.
    Tmpfs {
        /// Bytes; 0 is the default. `None` when the options are absent on the wire.
        size: Option<i64>,
    },
}

/// A secret or an agent's socket as a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct SecretMount {
    /// Id.
    pub id: String,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
    /// Whether it may be missing.
    pub optional: bool,
}

/// Who may use a cache directory at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheSharing {
    /// Everybody.
    #[default]
    Shared,
    /// Each gets its own.
    Private,
    /// One after the other.
    Locked,
}

/// Whether contents key the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ContentCache {
    /// As the solver thinks.
    #[default]
    Default,
    /// Yes.
    On,
    /// No.
    Off,
}

/// One action of a file operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct FileAction {
    /// What it changes: input position, or number of inputs + index of an earlier action; -1 is scratch.
    pub input: i64,
    /// What it copies from, numbered alike; -1 is none.
    pub secondary_input: i64,
    /// Output number; -1 is none.
    pub output: i64,
    /// What it does.
    pub kind: FileActionKind,
}

/// What a file action does.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileActionKind {
    /// Copies.
    Copy(Box<CopyAction>),
    /// Writes a file.
    Mkfile {
        /// Where.
        path: String,
        /// Permission bits; -1 is the default.
        mode: i32,
        /// Bytes.
        #[serde(serialize_with = "base64")]
        data: Vec<u8>,
        /// Owner.
        owner: Option<Owner>,
        /// Nanoseconds since the epoch; -1 is now.
        timestamp: i64,
    },
    /// Makes a directory.
    Mkdir {
        /// Where.
        path: String,
        /// Permission bits.
        mode: i32,
        /// Whether parents are made.
        make_parents: bool,
        /// Owner.
        owner: Option<Owner>,
        /// Nanoseconds since the epoch; -1 is now.
        timestamp: i64,
    },
    /// Removes.
    Rm {
        /// What.
        path: String,
        /// Whether it may be missing.
        allow_not_found: bool,
        /// Whether the path is a pattern.
        allow_wildcard: bool,
    },
    /// Makes a symbolic link.
    Symlink {
        /// Target.
        oldpath: String,
        /// Where.
        newpath: String,
        /// Owner.
        owner: Option<Owner>,
        /// Nanoseconds since the epoch; -1 is now.
        timestamp: i64,
    },
}

/// A copy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct CopyAction {
    /// Path or pattern in the secondary input.
    pub src: String,
    /// Path in the input.
    pub dest: String,
    /// Owner; `None` keeps.
    pub owner: Option<Owner>,
    /// Permission bits; -1 keeps.
    pub mode: i32,
    /// Whether a source link is followed.
    pub follow_symlink: bool,
    /// Whether the contents of a directory are copied, not itself.
    pub dir_copy_contents: bool,
    /// Whether archives are unpacked.
    pub attempt_unpack: bool,
    /// Whether parents of the destination are made.
    pub create_dest_path: bool,
    /// Whether `src` is a pattern.
    pub allow_wildcard: bool,
    /// Whether the pattern may match nothing.
    pub allow_empty_wildcard: bool,
    /// Nanoseconds since the epoch; -1 keeps.
    pub timestamp: i64,
    /// Patterns to take.
    pub include_patterns: Vec<String>,
    /// Patterns to leave out.
    pub exclude_patterns: Vec<String>,
    /// Whether what is in the way is replaced.
    pub always_replace_existing_dest_paths: bool,
    /// Symbolic mode.
    pub mode_str: String,
    /// Paths that must exist.
    pub required_paths: Vec<String>,
}

/// Owner of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Owner {
    /// User.
    pub user: Option<UserOpt>,
    /// Group.
    pub group: Option<UserOpt>,
}

/// A user or group.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UserOpt {
    /// A name to look up in an input (-1: none).
    Name {
        /// The name.
        name: String,
        /// The input position.
        input: i64,
    },
    /// A number.
    Id(u32),
}

/// A nested build.
#[derive(Clone, Debug, Default, PartialEq, Hash, Serialize)]
pub struct Build {
    /// Input position of the builder; -1 is this one.
    pub builder: i64,
    /// Named inputs: positions.
    pub inputs: BTreeMap<String, i64>,
    /// A definition in place, as encoded.
    #[serde(serialize_with = "base64_option")]
    pub def: Option<Vec<u8>>,
    /// Attributes.
    pub attrs: BTreeMap<String, String>,
}

/// A difference; positions, -1 is scratch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Diff {
    /// Input position of the old tree. `None` when absent on the wire.
    pub lower: Option<i64>,
    /// Input position of the new tree. `None` when absent on the wire.
    pub upper: Option<i64>,
}

/// Inputs handed through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Passthrough {
    /// Identity.
    pub id: String,
    /// Output i is the input at this position.
    pub outputs: Vec<i64>,
}

impl Graph {
    /// Adds a node and returns its id.
    pub fn add(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        NodeId(u32::try_from(self.nodes.len() - 1).expect("fewer than 2^32 vertices"))
    }

    /// The same as [`graft`](Self::graft) for what came from outside and stays as it is.
    pub fn graft_fixed(&mut self, other: &Graph) -> Option<Edge> {
        let old = self.nodes.len();
        let edge = self.graft(other);
        self.nodes[old..].iter_mut().for_each(|node| node.fixed = true);
        edge
    }

    /// Adds all of another graph but its wish for outputs, and gives its first output; `None` is scratch.
    pub fn graft(&mut self, other: &Graph) -> Option<Edge> {
        let (nodes, sources) = (self.nodes.len() as u32, self.sources.len() as u32);
        let moved = |edge: Edge| Edge { node: NodeId(edge.node.0 + nodes), index: edge.index };
        for node in &other.nodes {
            let mut node = node.clone();
            node.inputs.iter_mut().for_each(|edge| *edge = moved(*edge));
            node.locations.iter_mut().for_each(|location| location.source += sources);
            self.nodes.push(node);
        }
        self.sources.extend(other.sources.iter().cloned());
        other.outputs.first().and_then(|output| output.edge).map(moved)
    }
}

impl Node {
    /// A vertex as a frontend makes it: constraints present and empty, nothing said of it yet.
    pub fn new(op: Op, inputs: impl Into<Inputs>) -> Self {
        Self {
            op,
            inputs: inputs.into(),
            platform: None,
            constraints: Some(Vec::new()),
            meta: Metadata::default(),
            locations: Locations::new(),
            lossy: false,
            fixed: false,
        }
    }
}

impl NodeId {
    /// One of its outputs.
    pub fn output(self, index: u32) -> Edge {
        Edge { node: self, index }
    }
}

#[cfg(test)]
mod tests {
    use crate::text;

    #[test]
    fn a_grafted_graph_keeps_its_shape() {
        let mut graph = text::parse("%0 = source \"local://a\"").unwrap();
        let other = text::parse("%0 = source \"local://b\"\n%1 = merge(%0)\noutput %1").unwrap();
        let edge = graph.graft(&other);
        assert_eq!(edge, Some(crate::NodeId(2).output(0)));
        graph.outputs.push(crate::Output { edge, ..crate::Output::default() });
        let expected = "%0 = source \"local://a\"\n%1 = source \"local://b\"\n%2 = merge(%1)\noutput %2";
        assert_eq!(graph, text::parse(expected).unwrap());
        assert_eq!(graph.graft(&crate::Graph::default()), None);
    }
}
