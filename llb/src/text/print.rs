//! Graph → text.

use std::fmt::Write as _;

use oci::Platform;

use crate::{
    Build, CacheSharing, ContentCache, CopyAction, Diff, Edge, Exec, ExecMeta, FileAction, FileActionKind, Graph,
    Location, Metadata, Mount, MountKind, NetMode, Node, Op, Output, Owner, Passthrough, Position, SecretMount,
    SecurityMode, Source, SourceInfo, UserOpt,
};

/// Prints a graph. A node's number is its index.
pub fn print(graph: &Graph) -> String {
    let mut text = String::new();
    print_graph(&mut text, graph, 0);
    text
}

fn print_graph(text: &mut String, graph: &Graph, depth: usize) {
    for source in &graph.sources {
        print_text(text, source, depth);
    }
    for (index, node) in graph.nodes.iter().enumerate() {
        let mut line = Line::new(depth);
        line.word(&format!("%{index} ="));
        print_node(&mut line, node);
        line.end(text);
        print_meta(text, &node.meta, depth);
        node.locations.iter().for_each(|location| print_location(text, location, depth));
    }
    for output in &graph.outputs {
        print_output(text, output, depth);
    }
}

fn print_text(text: &mut String, source: &SourceInfo, depth: usize) {
    let mut line = Line::new(depth);
    line.word(&format!("text {}", quoted(&source.filename)));
    line.string("language", &source.language);
    line.bytes("data", &source.data);
    let Some(definition) = &source.definition else { return line.end(text) };
    line.word("definition {");
    line.end(text);
    print_graph(text, definition, depth + 1);
    let mut line = Line::new(depth);
    line.word("}");
    line.end(text);
}

fn print_output(text: &mut String, output: &Output, depth: usize) {
    let mut line = Line::new(depth);
    match output.edge {
        Some(edge) => line.word(&format!("output {}", edge_name(edge))),
        None => line.word("output scratch"),
    }
    print_platform(&mut line, output.platform.as_ref());
    line.end(text);
    print_meta(text, &output.meta, depth);
}

fn print_meta(text: &mut String, meta: &Metadata, depth: usize) {
    if *meta == Metadata::default() {
        return;
    }
    let mut line = Line::new(depth + 1);
    line.word("!");
    line.flag("ignore_cache", meta.ignore_cache);
    line.map("description", meta.description.iter());
    if let Some(export) = meta.export_cache {
        line.word(&format!("export_cache={export}"));
    }
    line.strings("caps", meta.caps.iter());
    if let Some(group) = &meta.progress_group {
        let mut call = Line::call();
        call.word(&quoted(&group.id));
        call.word(&quoted(&group.name));
        call.flag("weak", group.weak);
        line.nested("group", call);
    }
    if let Some(resources) = &meta.linux_resources {
        let mut call = Line::call();
        call.int("memory", resources.memory, 0);
        call.int("memory_swap", resources.memory_swap, 0);
        call.int("cpu_shares", resources.cpu_shares, 0);
        call.int("cpu_period", resources.cpu_period, 0);
        call.int("cpu_quota", resources.cpu_quota, 0);
        call.string("cpuset_cpus", &resources.cpuset_cpus);
        call.string("cpuset_mems", &resources.cpuset_mems);
        line.nested("resources", call);
    }
    line.end(text);
}

fn print_location(text: &mut String, location: &Location, depth: usize) {
    let mut line = Line::new(depth + 1);
    line.word(&format!("@ {}", location.source));
    for range in &location.ranges {
        let start = position(range.start);
        line.word(&if range.start == range.end { start } else { format!("{start}..{}", position(range.end)) });
    }
    line.end(text);
}

fn position(position: Position) -> String {
    match position.character {
        0 => position.line.to_string(),
        character => format!("{}:{character}", position.line),
    }
}

fn print_node(line: &mut Line, node: &Node) {
    let inputs: Vec<String> = node.inputs.iter().map(|&edge| edge_name(edge)).collect();
    let inputs = if inputs.is_empty() { String::new() } else { format!("({})", inputs.join(", ")) };
    match &node.op {
        Op::Source(source) => {
            line.word(&format!("source{inputs}"));
            print_source(line, source);
        }
        Op::Exec(exec) => {
            line.word(&format!("exec{inputs}"));
            print_exec(line, exec);
        }
        Op::File(actions) => {
            line.word(&format!("file{inputs}"));
            actions.iter().for_each(|action| print_action(line, action, node.inputs.len()));
        }
        Op::Build(build) => {
            line.word(&format!("build{inputs}"));
            print_build(line, build);
        }
        Op::Merge(positions) => {
            line.word(&format!("merge{inputs}"));
            if !positions.iter().copied().eq(0..node.inputs.len() as i64) {
                line.ints("inputs", positions.iter().copied());
                line.flag("empty", positions.is_empty());
            }
        }
        Op::Diff(Diff { lower, upper }) => {
            line.word(&format!("diff{inputs}"));
            lower.inspect(|lower| line.word(&format!("lower={lower}")));
            upper.inspect(|upper| line.word(&format!("upper={upper}")));
        }
        Op::Passthrough(Passthrough { id, outputs }) => {
            line.word(&format!("passthrough{inputs}"));
            line.string("id", id);
            line.ints("outputs", outputs.iter().copied());
        }
    }
    print_platform(line, node.platform.as_deref());
    match &node.constraints {
        None => line.word("unconstrained"),
        Some(filters) => line.strings("constraints", filters.iter()),
    }
    line.flag("lossy", node.lossy);
    line.flag("fixed", node.fixed);
}

fn print_platform(line: &mut Line, platform: Option<&Platform>) {
    let Some(platform) = platform else { return };
    let mut call = Line::call();
    call.word(&quoted(&platform.os));
    call.word(&quoted(&platform.architecture));
    if !platform.variant.is_empty() {
        call.word(&quoted(&platform.variant));
    }
    call.string("os_version", &platform.os_version);
    call.strings("os_features", platform.os_features.iter());
    line.nested("platform", call);
}

fn print_source(line: &mut Line, source: &Source) {
    line.word(&quoted(&source.identifier));
    line.map("attrs", source.attrs.iter());
}

fn print_exec(line: &mut Line, exec: &Exec) {
    print_exec_meta(line, &exec.meta);
    match exec.network {
        NetMode::Unset => {}
        NetMode::Host => line.word("network=host"),
        NetMode::None => line.word("network=none"),
    }
    line.flag("insecure", exec.security == SecurityMode::Insecure);
    for secret in &exec.secret_env {
        let mut call = Line::call();
        call.word(&quoted(&secret.id));
        call.word(&quoted(&secret.name));
        call.flag("optional", secret.optional);
        line.nested("secret_env", call);
    }
    for device in &exec.cdi_devices {
        let mut call = Line::call();
        call.word(&quoted(&device.name));
        call.flag("optional", device.optional);
        line.nested("device", call);
    }
    exec.mounts.iter().for_each(|mount| print_mount(line, mount));
}

fn print_exec_meta(line: &mut Line, meta: &ExecMeta) {
    line.strings("args", meta.args.iter());
    line.strings("env", meta.env.iter());
    line.string("cwd", &meta.cwd);
    line.string("user", &meta.user);
    if let Some(proxy) = &meta.proxy_env {
        let mut call = Line::call();
        call.string("http", &proxy.http_proxy);
        call.string("https", &proxy.https_proxy);
        call.string("ftp", &proxy.ftp_proxy);
        call.string("none", &proxy.no_proxy);
        call.string("all", &proxy.all_proxy);
        line.nested("proxy", call);
    }
    for host in &meta.extra_hosts {
        line.word(&format!("host({}, {})", quoted(&host.host), quoted(&host.ip)));
    }
    line.string("hostname", &meta.hostname);
    for limit in &meta.ulimit {
        line.word(&format!("ulimit({}, {}, {})", quoted(&limit.name), limit.soft, limit.hard));
    }
    line.string("cgroup_parent", &meta.cgroup_parent);
    line.flag("keep_mount_stubs", !meta.remove_mount_stubs_recursive);
    line.ints("valid_exit_codes", meta.valid_exit_codes.iter().map(|&code| i64::from(code)));
}

fn print_mount(line: &mut Line, mount: &Mount) {
    let mut call = Line::call();
    call.word(&quoted(&mount.dest));
    call.int("from", mount.input, -1);
    call.int("to", mount.output, -1);
    call.string("selector", &mount.selector);
    call.flag("readonly", mount.readonly);
    let kind = match &mount.kind {
        MountKind::Bind => "bind",
        MountKind::Secret(secret) => {
            print_secret(&mut call, secret);
            "secret"
        }
        MountKind::Ssh(secret) => {
            print_secret(&mut call, secret);
            "ssh"
        }
        MountKind::Cache { id, sharing } => {
            call.string("id", id);
            match sharing {
                CacheSharing::Shared => {}
                CacheSharing::Private => call.word("sharing=private"),
                CacheSharing::Locked => call.word("sharing=locked"),
            }
            "cache"
        }
        MountKind::Tmpfs { size } => {
            size.inspect(|size| call.word(&format!("size={size}")));
            "tmpfs"
        }
    };
    call.string("result_id", &mount.result_id);
    match mount.content_cache {
        ContentCache::Default => {}
        ContentCache::On => call.word("content_cache=on"),
        ContentCache::Off => call.word("content_cache=off"),
    }
    line.nested(kind, call);
}

fn print_secret(call: &mut Line, secret: &SecretMount) {
    call.string("id", &secret.id);
    call.int("uid", i64::from(secret.uid), 0);
    call.int("gid", i64::from(secret.gid), 0);
    call.mode(i64::from(secret.mode), 0);
    call.flag("optional", secret.optional);
}

fn print_action(line: &mut Line, action: &FileAction, inputs: usize) {
    let mut call = Line::call();
    let name = match &action.kind {
        FileActionKind::Copy(copy) => {
            call.word(&quoted(&copy.src));
            call.word(&quoted(&copy.dest));
            "copy"
        }
        FileActionKind::Mkfile { path, .. } => {
            call.word(&quoted(path));
            "mkfile"
        }
        FileActionKind::Mkdir { path, .. } => {
            call.word(&quoted(path));
            "mkdir"
        }
        FileActionKind::Rm { path, .. } => {
            call.word(&quoted(path));
            "rm"
        }
        FileActionKind::Symlink { oldpath, newpath, .. } => {
            call.word(&quoted(oldpath));
            call.word(&quoted(newpath));
            "symlink"
        }
    };
    call.position("base", action.input, inputs);
    call.position("from", action.secondary_input, inputs);
    call.int("to", action.output, -1);
    match &action.kind {
        FileActionKind::Copy(copy) => print_copy(&mut call, copy),
        FileActionKind::Mkfile { mode, data, owner, timestamp, .. } => {
            call.mode(i64::from(*mode), -1);
            call.bytes("data", data);
            print_owner(&mut call, owner.as_ref());
            call.int("timestamp", *timestamp, -1);
        }
        FileActionKind::Mkdir { mode, make_parents, owner, timestamp, .. } => {
            call.mode(i64::from(*mode), -1);
            call.flag("make_parents", *make_parents);
            print_owner(&mut call, owner.as_ref());
            call.int("timestamp", *timestamp, -1);
        }
        FileActionKind::Rm { allow_not_found, allow_wildcard, .. } => {
            call.flag("allow_not_found", *allow_not_found);
            call.flag("allow_wildcard", *allow_wildcard);
        }
        FileActionKind::Symlink { owner, timestamp, .. } => {
            print_owner(&mut call, owner.as_ref());
            call.int("timestamp", *timestamp, -1);
        }
    }
    line.nested(name, call);
}

fn print_copy(call: &mut Line, copy: &CopyAction) {
    call.mode(i64::from(copy.mode), -1);
    call.string("mode_str", &copy.mode_str);
    print_owner(call, copy.owner.as_ref());
    call.int("timestamp", copy.timestamp, -1);
    call.flag("follow_symlink", copy.follow_symlink);
    call.flag("dir_copy_contents", copy.dir_copy_contents);
    call.flag("attempt_unpack", copy.attempt_unpack);
    call.flag("create_dest_path", copy.create_dest_path);
    call.flag("allow_wildcard", copy.allow_wildcard);
    call.flag("allow_empty_wildcard", copy.allow_empty_wildcard);
    call.flag("always_replace_existing_dest_paths", copy.always_replace_existing_dest_paths);
    call.strings("include_patterns", copy.include_patterns.iter());
    call.strings("exclude_patterns", copy.exclude_patterns.iter());
    call.strings("required_paths", copy.required_paths.iter());
}

fn print_owner(call: &mut Line, owner: Option<&Owner>) {
    let Some(owner) = owner else { return };
    let mut nested = Line::call();
    for (name, user) in [("user", &owner.user), ("group", &owner.group)] {
        match user {
            None => {}
            Some(UserOpt::Id(id)) => nested.word(&format!("{name}={id}")),
            Some(UserOpt::Name { name: of, input }) => nested.word(&format!("{name}=name({}, {input})", quoted(of))),
        }
    }
    call.nested("owner", nested);
}

fn print_build(line: &mut Line, build: &Build) {
    line.word(&format!("builder={}", build.builder));
    for (name, input) in &build.inputs {
        line.word(&format!("input({}, {input})", quoted(name)));
    }
    if let Some(definition) = &build.def {
        line.word(&format!("def={}", encoded(definition)));
    }
    line.map("attrs", build.attrs.iter());
}

/// A line, or the arguments of a call, in the making.
struct Line {
    text: String,
    separator: &'static str,
    is_first: bool,
}

impl Line {
    fn new(depth: usize) -> Self {
        Self { text: "  ".repeat(depth), separator: " ", is_first: true }
    }

    fn call() -> Self {
        Self { text: String::new(), separator: ", ", is_first: true }
    }

    fn end(self, text: &mut String) {
        text.push_str(&self.text);
        text.push('\n');
    }

    fn word(&mut self, word: &str) {
        if !std::mem::take(&mut self.is_first) {
            self.text.push_str(self.separator);
        }
        self.text.push_str(word);
    }

    fn nested(&mut self, name: &str, call: Line) {
        self.word(&format!("{name}({})", call.text));
    }

    fn flag(&mut self, name: &str, value: bool) {
        if value {
            self.word(name);
        }
    }

    fn int(&mut self, name: &str, value: i64, default: i64) {
        if value != default {
            self.word(&format!("{name}={value}"));
        }
    }

    fn mode(&mut self, value: i64, default: i64) {
        if value < 0 {
            self.int("mode", value, default);
        } else if value != default {
            self.word(&format!("mode=0o{value:o}"));
        }
    }

    /// An input by its position, or an earlier action by its index.
    fn position(&mut self, name: &str, value: i64, inputs: usize) {
        match usize::try_from(value).ok().and_then(|position| position.checked_sub(inputs)) {
            Some(action) => self.word(&format!("{name}=#{action}")),
            None => self.int(name, value, -1),
        }
    }

    fn string(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.word(&format!("{name}={}", quoted(value)));
        }
    }

    fn bytes(&mut self, name: &str, value: &[u8]) {
        match std::str::from_utf8(value) {
            Ok(text) => self.string(name, text),
            Err(_) => self.word(&format!("{name}={}", encoded(value))),
        }
    }

    fn strings<'s, T: AsRef<str> + 's>(&mut self, name: &str, values: impl ExactSizeIterator<Item = &'s T>) {
        if values.len() > 0 {
            let values: Vec<String> = values.map(|value| quoted(value.as_ref())).collect();
            self.word(&format!("{name}=[{}]", values.join(", ")));
        }
    }

    fn ints(&mut self, name: &str, values: impl ExactSizeIterator<Item = i64>) {
        if values.len() > 0 {
            let values: Vec<String> = values.map(|value| value.to_string()).collect();
            self.word(&format!("{name}=[{}]", values.join(", ")));
        }
    }

    fn map<'s, K: AsRef<str> + 's>(&mut self, name: &str, entries: impl ExactSizeIterator<Item = (&'s K, &'s String)>) {
        if entries.len() > 0 {
            let entries: Vec<String> =
                entries.map(|(key, value)| format!("{}: {}", quoted(key.as_ref()), quoted(value))).collect();
            self.word(&format!("{name}={{{}}}", entries.join(", ")));
        }
    }
}

fn edge_name(edge: Edge) -> String {
    match edge.index {
        0 => format!("%{}", edge.node.0),
        index => format!("%{}.{index}", edge.node.0),
    }
}

fn encoded(bytes: &[u8]) -> String {
    format!("base64\"{}\"", oci::base64::encode(bytes))
}

fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                let _ = write!(quoted, "\\u{{{:x}}}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
