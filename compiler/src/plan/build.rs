//! Vertices: the one place where operations, their inputs, their capabilities and what is said of them are put together.
//!
//! Mirrors `client/llb` of BuildKit v0.32. Inputs are given in wire order and only made unique by edge: encoding finds
//! inputs that come out equal. Capabilities are those of a daemon that has them all.

use std::borrow::Cow;
use std::sync::Arc;

use ast::number;
use llb::{
    CacheSharing, CdiDevice, CopyAction, Edge, Exec, ExecMeta, FileAction, FileActionKind, Graph, Inputs,
    LinuxResources, Location, Locations, Metadata, Mount, MountKind, NetMode, Node, NodeId, Op, Owner, SecretEnv,
    SecretMount, SecurityMode, Source, Texts, UserOpt, Words,
};
use oci::{Platform, json};

use super::go;
use crate::{Question, ResolveMode};

/// The capability to set `PATH`.
pub(super) const SETS_PATH: &str = "exec.meta.setsdefaultpath";

/// The result of a vertex that nobody wants to see: see [`Planner::draws`](super::planner::Planner::draws).
pub(super) const UNDRAWN: Edge = Edge { node: NodeId(u32::MAX), index: 0 };

/// Key of the description that names a vertex.
pub(super) const NAME: &str = "llb.customname";

/// What is said of a vertex.
#[derive(Default)]
pub(super) struct Said {
    pub(super) meta: Metadata,
    /// Where it comes from, the innermost first.
    pub(super) locations: Locations,
}

impl Said {
    /// A vertex of this name.
    pub(super) fn named(name: impl Into<String>) -> Self {
        let mut said = Self::default();
        said.meta.description.insert(NAME, name);
        said
    }

    /// The same with a further description.
    pub(super) fn describe(mut self, key: &'static str, text: impl Into<String>) -> Self {
        self.meta.description.insert(key, text);
        self
    }

    /// The same at a further place.
    pub(super) fn at(mut self, location: Location) -> Self {
        self.locations.push(location);
        self
    }
}

fn add(graph: &mut Graph, op: Op, inputs: Inputs, platform: Option<Arc<Platform>>, said: Said, caps: Words) -> Edge {
    let Said { mut meta, locations } = said;
    meta.caps = caps;
    let constraints = Some(Vec::new());
    graph.add(Node { op, inputs, platform, constraints, meta, locations, lossy: false, fixed: false }).output(0)
}

fn source(graph: &mut Graph, identifier: String, attrs: Attrs, platform: Option<&Arc<Platform>>, said: Said) -> Edge {
    let op = Op::Source(Source { identifier, attrs: attrs.texts });
    add(graph, op, Inputs::new(), platform.cloned(), said, attrs.caps)
}

/// Attributes of a source with the capabilities they need.
#[derive(Default)]
struct Attrs {
    texts: Texts,
    caps: Words,
}

impl Attrs {
    /// None yet, of a source that needs a capability itself.
    fn needing(cap: &'static str) -> Self {
        Self { caps: [cap].into(), ..Self::default() }
    }

    fn set(&mut self, key: &'static str, value: impl Into<String>, cap: Option<&'static str>) {
        self.texts.insert(key, value);
        self.caps.extend(cap);
    }

    fn set_text(&mut self, key: &'static str, value: impl Into<String> + AsRef<str>, cap: Option<&'static str>) {
        if !value.as_ref().is_empty() {
            self.set(key, value, cap);
        }
    }
}

/// An image of a registry; `reference` is canonical.
pub(super) fn image(
    graph: &mut Graph,
    reference: &str,
    mode: ResolveMode,
    platform: Option<&Arc<Platform>>,
    said: Said,
) -> Edge {
    let mut attrs = Attrs::needing("source.image");
    match mode {
        ResolveMode::Default => {}
        ResolveMode::Pull => attrs.set("image.resolvemode", "pull", Some("source.image.resolvemode")),
        ResolveMode::Local => attrs.set("image.resolvemode", "local", None),
    }
    source(graph, ["docker-image://", reference].concat(), attrs, platform, said)
}

/// An image of an OCI layout that a client serves.
pub(super) fn oci_layout(
    graph: &mut Graph,
    reference: &str,
    session: &str,
    store: &str,
    platform: Option<&Arc<Platform>>,
    said: Said,
) -> Edge {
    let mut attrs = Attrs::needing("source.ocilayout");
    attrs.set_text("oci.session", session, None);
    attrs.set_text("oci.store", store, None);
    source(graph, format!("oci-layout://{reference}"), attrs, platform, said)
}

/// A directory of the client.
#[derive(Clone, Debug, Default)]
pub(super) struct Local<'a> {
    /// Its name.
    pub(super) name: Cow<'a, str>,
    /// The session that serves it; empty: any.
    pub(super) session: Cow<'a, str>,
    /// Names the copies that later transfers may start from.
    pub(super) shared_key: Cow<'a, str>,
    /// Patterns of what is left out.
    pub(super) excludes: Vec<String>,
    /// Paths to send; empty: all.
    pub(super) followed: Vec<Cow<'a, str>>,
    /// Whether files are sent whole, without looking for changes.
    pub(super) no_diff: bool,
}

impl Local<'_> {
    fn identifier(&self) -> String {
        ["local://", &self.name].concat()
    }

    fn attrs(self) -> Attrs {
        let mut attrs = Attrs::needing("source.local");
        attrs.set_text("local.session", self.session, Some("source.local.sessionid"));
        attrs.set_text("local.followpaths", json_list(&self.followed), Some("source.local.followpaths"));
        attrs.set_text("local.excludepatterns", json_list(&self.excludes), Some("source.local.excludepatterns"));
        attrs.set_text("local.sharedkeyhint", self.shared_key, Some("source.local.sharedkeyhint"));
        if self.no_diff {
            attrs.set("local.differ", "none", None);
        }
        attrs
    }

    /// Completes a vertex that was made before all was known.
    pub(super) fn complete(self, graph: &mut Graph, edge: Edge) {
        let (identifier, attrs) = (self.identifier(), self.attrs());
        let node = &mut graph.nodes[edge.node.0 as usize];
        node.op = Op::Source(Source { identifier, attrs: attrs.texts });
        node.meta.caps = attrs.caps;
    }
}

/// A list as attributes have it: nothing where it is empty.
pub(super) fn json_list(texts: &[impl AsRef<str>]) -> String {
    if texts.is_empty() {
        return String::new();
    }
    json::texts(texts)
}

/// A directory of the client.
pub(super) fn local(graph: &mut Graph, local: Local<'_>, said: Said) -> Edge {
    source(graph, local.identifier(), local.attrs(), None, said)
}

/// A source whose attributes and capabilities are known.
pub(super) fn source_of(graph: &mut Graph, identifier: String, texts: Texts, caps: Words, said: Said) -> Edge {
    source(graph, identifier, Attrs { texts, caps }, None, said)
}

/// Trees on top of each other, the lowest first.
pub(super) fn merge_all(graph: &mut Graph, layers: Vec<Edge>, said: Said) -> Edge {
    let mut inputs = Inputs::with_capacity(layers.len());
    let positions = layers.into_iter().map(|layer| position(&mut inputs, layer)).collect();
    add(graph, Op::Merge(positions), inputs, None, said, ["mergeop"].into())
}

/// What the upper tree has that the lower has not; `None` is nothing.
pub(super) fn diff(graph: &mut Graph, lower: Option<Edge>, upper: Option<Edge>) -> Edge {
    let mut inputs = Inputs::new();
    let mut input = |edge: Option<Edge>| Some(edge.map_or(-1, |edge| position(&mut inputs, edge)));
    let op = Op::Diff(llb::Diff { lower: input(lower), upper: input(upper) });
    add(graph, op, inputs, None, Said::default(), ["diffop"].into())
}

/// A file from an address.
pub(super) fn http(graph: &mut Graph, url: &str, filename: &str, checksum: &str, said: Said) -> Edge {
    let mut attrs = Attrs::needing("source.http");
    attrs.set_text("http.checksum", checksum, Some("source.http.checksum"));
    attrs.set_text("http.filename", filename, None);
    source(graph, url.to_owned(), attrs, None, said)
}

/// A repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Git {
    /// The address for git.
    pub(super) remote: String,
    /// Scheme of the address.
    pub(super) scheme: String,
    /// Host of the address.
    pub(super) host: String,
    /// Path of the address.
    pub(super) path: String,
    /// Branch, tag or commit; empty: the default branch.
    pub(super) reference: String,
    /// Directory in it.
    pub(super) subdir: String,
    /// Commit it must have.
    pub(super) checksum: String,
    /// Times of files: `commit`, `checkout`, or empty.
    pub(super) mtime: String,
    /// Keys of hosts, as `known_hosts` has them; only for SSH.
    pub(super) known_hosts: String,
    pub(super) keep_git_dir: bool,
    pub(super) skip_submodules: bool,
    pub(super) fetch_by_commit: bool,
}

impl Git {
    /// What to ask for its time.
    pub(super) fn time(&self) -> Question {
        Question::Timestamp { source: self.identifier(), remote: Some(self.remote.clone()) }
    }

    /// Its identifier: the same for all protocols.
    pub(super) fn identifier(&self) -> String {
        let mut id = format!("git://{}{}", self.host, go::join("/", &self.path));
        if !self.reference.is_empty() || !self.subdir.is_empty() {
            id = id + "#" + &self.reference;
        }
        if !self.subdir.is_empty() {
            id = id + ":" + &self.subdir;
        }
        id
    }
}

/// A repository.
pub(super) fn git(graph: &mut Graph, git: &Git, said: Said) -> Edge {
    let mut attrs = Attrs::needing("source.git");
    if git.keep_git_dir {
        attrs.set("git.keepgitdir", "true", Some("source.git.keepgitdir"));
    }
    attrs.set_text("git.fullurl", &git.remote, Some("source.git.fullurl"));
    attrs.set("git.authtokensecret", "GIT_AUTH_TOKEN", None);
    attrs.set("git.authheadersecret", "GIT_AUTH_HEADER", None);
    if git.scheme == "ssh" {
        // parity: the capability is asked for even though no keys of hosts are named.
        attrs.caps.insert("source.git.knownsshhosts");
        attrs.set_text("git.knownsshhosts", &git.known_hosts, None);
        attrs.set("git.mountsshsock", "default", Some("source.git.mountsshsock"));
    }
    attrs.set_text("git.checksum", &git.checksum, Some("source.git.checksum"));
    if git.skip_submodules {
        attrs.set("git.skipsubmodules", "true", Some("source.git.skipsubmodules"));
    }
    attrs.set_text("git.mtime", &git.mtime, Some("source.git.mtime"));
    if git.fetch_by_commit {
        attrs.set("git.fetchbycommit", "true", Some("source.git.fetchbycommit"));
    }
    source(graph, git.identifier(), attrs, None, said)
}

/// What goes into an exec beside its mounts.
#[derive(Default)]
pub(super) struct Process {
    pub(super) meta: ExecMeta,
    pub(super) network: NetMode,
    pub(super) security: SecurityMode,
    pub(super) devices: Vec<CdiDevice>,
    pub(super) secret_env: Vec<SecretEnv>,
    pub(super) resources: Option<LinuxResources>,
    /// Whether a text of it was not UTF-8.
    pub(super) lossy: bool,
    /// Whether the daemon sets `PATH` when nobody else does.
    pub(super) sets_path: bool,
    /// Whether what is written to mounts is an output of the vertex: older daemons cannot do without.
    pub(super) numbers_outputs: bool,
}

/// A mount of an exec.
#[derive(Clone, Debug)]
pub(super) struct ExecMount {
    pub(super) target: String,
    /// `None` is nothing to mount from.
    pub(super) source: Option<Edge>,
    pub(super) selector: String,
    pub(super) readonly: bool,
    pub(super) kind: ExecMountKind,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ExecMountKind {
    /// The root of the process.
    Root,
    /// The source; what is written to it is lost.
    Bind,
    /// A cache directory.
    Cache { id: String, sharing: CacheSharing },
    /// Memory; bytes.
    Tmpfs { size: i64 },
}

/// A process on a filesystem: its mounts by target, then secrets, then sockets.
pub(super) fn exec(
    graph: &mut Graph,
    mut mounts: Vec<ExecMount>,
    secrets: Vec<(String, SecretMount)>,
    sockets: Vec<(String, SecretMount)>,
    process: Process,
    platform: Option<Arc<Platform>>,
    mut said: Said,
) -> Edge {
    let caps = exec_caps(&mounts, &secrets, &sockets, &process);
    mounts.sort_by(|a, b| a.target.cmp(&b.target));
    let mut inputs = Inputs::new();
    let mut wire = Vec::with_capacity(mounts.len() + secrets.len() + sockets.len());
    wire.extend(mounts.into_iter().map(|mount| wire_mount(mount, &mut inputs)));
    if process.numbers_outputs {
        number_outputs(&mut wire);
    }
    wire.extend(secrets.into_iter().map(|(dest, secret)| file_mount(dest, MountKind::Secret(secret))));
    wire.extend(sockets.into_iter().map(|(dest, socket)| file_mount(dest, MountKind::Ssh(socket))));
    let op = Exec {
        meta: process.meta,
        mounts: wire,
        network: process.network,
        security: process.security,
        secret_env: process.secret_env,
        cdi_devices: process.devices,
    };
    said.meta.linux_resources = process.resources.map(Box::new);
    let edge = add(graph, Op::Exec(Box::new(op)), inputs, platform, said, caps);
    graph.nodes[edge.node.0 as usize].lossy = process.lossy;
    edge
}

fn wire_mount(mount: ExecMount, inputs: &mut Inputs) -> Mount {
    let input = mount.source.map_or(-1, |edge| position(inputs, edge));
    let output = if mount.kind == ExecMountKind::Root { 0 } else { -1 };
    let kind = match mount.kind {
        ExecMountKind::Root | ExecMountKind::Bind => MountKind::Bind,
        ExecMountKind::Cache { id, sharing } => MountKind::Cache { id, sharing },
        ExecMountKind::Tmpfs { size } => MountKind::Tmpfs { size: Some(size) },
    };
    let readonly = mount.readonly;
    Mount { input, selector: mount.selector, dest: mount.target, output, readonly, kind, ..Mount::default() }
}

/// What is written to a bind mount becomes an output, though nobody uses it; the root sorts first and is output 0.
fn number_outputs(mounts: &mut [Mount]) {
    let written = mounts.iter_mut().filter(|mount| !mount.readonly && mount.kind == MountKind::Bind);
    written.zip(0..).for_each(|(mount, output)| mount.output = output);
}

/// parity: output is left at its default.
fn file_mount(dest: String, kind: MountKind) -> Mount {
    Mount { input: -1, dest, kind, ..Mount::default() }
}

fn position(inputs: &mut Inputs, edge: Edge) -> i64 {
    let known = inputs.iter().position(|input| *input == edge);
    known.unwrap_or_else(|| {
        inputs.push(edge);
        inputs.len() - 1
    }) as i64
}

fn exec_caps(
    mounts: &[ExecMount],
    secrets: &[(String, SecretMount)],
    sockets: &[(String, SecretMount)],
    process: &Process,
) -> Words {
    let mut caps = Words::from(["exec.meta.base"]);
    let mut when = |used: bool, cap: &'static str| caps.extend(used.then_some(cap));
    when(process.sets_path, SETS_PATH);
    when(!process.meta.ulimit.is_empty(), "exec.meta.ulimit");
    when(process.resources.is_some(), "exec.meta.linux.resources");
    when(process.network != NetMode::Unset, "exec.meta.network");
    when(process.security != SecurityMode::Sandbox, "exec.meta.security");
    when(process.meta.proxy_env.is_some(), "exec.meta.proxyenv");
    when(!secrets.is_empty() || !process.secret_env.is_empty(), "exec.mount.secret");
    when(!process.secret_env.is_empty(), "exec.secretenv");
    when(!sockets.is_empty(), "exec.mount.ssh");
    when(!process.devices.is_empty(), "exec.meta.cdi");
    for mount in mounts {
        when(!mount.selector.is_empty(), "exec.mount.selector");
        match &mount.kind {
            ExecMountKind::Cache { .. } => {
                when(true, "exec.mount.cache");
                when(true, "exec.mount.cache.sharing");
            }
            ExecMountKind::Tmpfs { size } => {
                when(true, "exec.mount.tmpfs");
                when(*size > 0, "exec.mount.tmpfs.size");
            }
            ExecMountKind::Root | ExecMountKind::Bind => when(mount.source.is_some(), "exec.mount.bind"),
        }
    }
    caps
}

/// File actions that follow one another on a base.
#[derive(Default)]
pub(super) struct FileChain {
    inputs: Inputs,
    base: i64,
    actions: Vec<FileAction>,
}

impl FileChain {
    /// A chain that starts with a filesystem, or with nothing.
    pub(super) fn on(base: Option<Edge>) -> Self {
        let mut inputs = Inputs::new();
        let base = base.map_or(-1, |edge| position(&mut inputs, edge));
        // Mostly there is one.
        Self { inputs, base, actions: Vec::with_capacity(1) }
    }

    /// Copies from a filesystem; nothing to copy from is scratch.
    pub(super) fn copy(&mut self, source: Option<Edge>, action: CopyAction) {
        let secondary = source.map_or(-1, |edge| position(&mut self.inputs, edge));
        self.push(secondary, FileActionKind::Copy(Box::new(action)));
    }

    /// Any action that needs no second filesystem.
    pub(super) fn act(&mut self, kind: FileActionKind) {
        self.push(-1, kind);
    }

    /// An owner as `user[:group]` names it.
    pub(super) fn owner(&self, text: &str) -> Owner {
        let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
        Owner { user: Some(self.user(user)), group: group.map(|group| self.user(group)) }
    }

    /// parity: an empty name is id 0, and numbers are signed 32-bit ones with their bits taken as unsigned.
    fn user(&self, text: &str) -> UserOpt {
        match (text, number::parse_int(text, 10, 32)) {
            ("root" | "", _) => UserOpt::Id(0),
            (_, Ok(id)) => UserOpt::Id(id as u32),
            (name, Err(_)) => UserOpt::Name { name: name.to_owned(), input: self.base },
        }
    }

    /// Adds the vertex.
    pub(super) fn finish(mut self, graph: &mut Graph, said: Said) -> Edge {
        // Inputs are numbered before actions, so positions of actions are known only now.
        let inputs = self.inputs.len() as i64;
        let last = self.actions.len().saturating_sub(1);
        for (at, action) in self.actions.iter_mut().enumerate() {
            action.input = if at == 0 { self.base } else { inputs + at as i64 - 1 };
            action.output = if at == last { 0 } else { -1 };
        }
        // parity: only the base capability is ever asked for.
        add(graph, Op::File(self.actions), self.inputs, None, said, ["file.base"].into())
    }

    fn push(&mut self, secondary_input: i64, kind: FileActionKind) {
        self.actions.push(FileAction { input: -1, secondary_input, output: -1, kind });
    }
}

/// Trees on top of each other; `None` is scratch and leaves no trace.
pub(super) fn merge(graph: &mut Graph, lower: Option<Edge>, upper: Edge, said: Said) -> Edge {
    let Some(lower) = lower else { return upper };
    add(graph, Op::Merge(vec![0, 1]), [lower, upper].into(), None, said, ["mergeop"].into())
}
