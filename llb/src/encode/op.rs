//! Writes one vertex as wire bytes: what its digest is made of.
//!
//! Fields stand in ascending order, but for the operation itself (a oneof), which follows platform and constraints where
//! [`FieldOrder`] says so: Go's marshaller writes oneofs last. Field numbers are those of `proto/llb.proto`.

use oci::Platform;

use super::position::Positions;
use super::{FieldOrder, Problem};
use crate::wire::Writer;
use crate::{
    Build, CacheSharing, ContentCache, CopyAction, Diff, Exec, ExecMeta, FileAction, FileActionKind, Mount, MountKind,
    NetMode, Node, Op, Owner, Passthrough, SecretMount, SecurityMode, Source, UserOpt,
};

/// One input as the wire names it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Input<'d> {
    /// Digest of the vertex.
    pub(super) digest: &'d str,
    /// Which of its outputs.
    pub(super) index: u32,
}

/// Refuses what the Go client refuses before it marshals.
pub(super) fn validate(node: &Node) -> Result<(), Problem> {
    match &node.op {
        Op::Exec(exec) if exec.meta.args.is_empty() => Err(Problem::NoArguments),
        Op::Exec(exec) if exec.meta.cwd.is_empty() => Err(Problem::NoWorkingDirectory),
        Op::Source(source) if source.identifier.is_empty() => Err(Problem::NoIdentifier),
        _ if node.lossy => Err(Problem::InvalidUtf8),
        _ => Ok(()),
    }
}

/// Writes a vertex whose inputs, already without duplicates where the operation allows none, are `inputs`.
pub(super) fn write<'d>(
    writer: &mut Writer<'_>,
    node: &Node,
    inputs: impl Iterator<Item = Input<'d>>,
    positions: &Positions,
    fields: FieldOrder,
) {
    inputs.for_each(|input| write_input(writer, input));
    if fields == FieldOrder::Ascending {
        write_op(writer, node, positions);
    }
    if let Some(platform) = &node.platform {
        write_platform(writer, platform);
    }
    if let Some(filters) = &node.constraints {
        writer.message(11, |w| w.strings(1, filters));
    }
    if fields == FieldOrder::OperationLast {
        write_op(writer, node, positions);
    }
}

fn write_op(writer: &mut Writer<'_>, node: &Node, positions: &Positions) {
    match &node.op {
        Op::Exec(exec) => writer.message_of(2, length(exec), |w| write_exec(w, exec, positions)),
        Op::Source(source) => writer.message_of(3, length_of_source(source), |w| write_source(w, source)),
        Op::File(actions) => writer.message(4, |w| {
            actions.iter().for_each(|action| w.message(2, |w| write_action(w, action, positions)));
        }),
        Op::Build(build) => writer.message(5, |w| write_build(w, build, positions)),
        Op::Merge(inputs) => writer.message(6, |w| {
            inputs.iter().for_each(|&input| w.message(1, |w| w.int(1, positions.of(input))));
        }),
        Op::Diff(diff) => writer.message(7, |w| write_diff(w, *diff, positions)),
        Op::Passthrough(passthrough) => writer.message(8, |w| write_passthrough(w, passthrough, positions)),
    }
}

/// Writes a terminal vertex; `again` counts those that are equal to it and came before.
pub(super) fn write_terminal(
    writer: &mut Writer<'_>,
    input: Option<Input<'_>>,
    platform: Option<&Platform>,
    again: usize,
) {
    if let Some(input) = input {
        write_input(writer, input);
    }
    if let Some(platform) = platform {
        write_platform(writer, platform);
    }
    if again > 0 {
        // A vertex is known by its bytes, and what is said of two results is not the same. Nobody reads these.
        writer.message(11, |w| w.strings(1, &[format!("llbc.result=={again}")]));
    }
}

fn write_input(writer: &mut Writer<'_>, input: Input<'_>) {
    writer.message(1, |w| {
        w.string(1, input.digest);
        w.int(2, i64::from(input.index));
    });
}

fn write_platform(writer: &mut Writer<'_>, platform: &Platform) {
    writer.message(10, |w| {
        w.string(1, &platform.architecture);
        w.string(2, &platform.os);
        w.string(3, &platform.variant);
        w.string(4, &platform.os_version);
        w.strings(5, &platform.os_features);
    });
}

fn length_of_source(source: &Source) -> usize {
    source.identifier.len() + source.attrs.iter().map(|(key, value)| key.len() + value.len() + 6).sum::<usize>() + 2
}

fn write_source(writer: &mut Writer<'_>, source: &Source) {
    writer.string(1, &source.identifier);
    writer.string_map(2, source.attrs.iter());
}

/// Roughly how many bytes an exec takes: what it says of its process, and some for each mount.
fn length(exec: &Exec) -> usize {
    length_of_meta(&exec.meta) + exec.mounts.len() * 16
}

fn length_of_meta(meta: &ExecMeta) -> usize {
    meta.args.iter().chain(meta.env.iter()).map(|text| text.len() + 2).sum::<usize>() + meta.cwd.len() + 4
}

fn write_exec(writer: &mut Writer<'_>, exec: &Exec, positions: &Positions) {
    writer.message_of(1, length_of_meta(&exec.meta), |w| write_exec_meta(w, &exec.meta));
    for mount in &exec.mounts {
        writer.message(2, |w| write_mount(w, mount, positions));
    }
    writer.int(3, net_mode(exec.network));
    writer.int(4, security_mode(exec.security));
    for secret in &exec.secret_env {
        writer.message(5, |w| {
            w.string(1, &secret.id);
            w.string(2, &secret.name);
            w.bool(3, secret.optional);
        });
    }
    for device in &exec.cdi_devices {
        writer.message(6, |w| {
            w.string(1, &device.name);
            w.bool(2, device.optional);
        });
    }
}

fn write_exec_meta(writer: &mut Writer<'_>, meta: &ExecMeta) {
    writer.strings(1, &meta.args);
    writer.strings(2, &meta.env);
    writer.string(3, &meta.cwd);
    writer.string(4, &meta.user);
    if let Some(proxy) = &meta.proxy_env {
        writer.message(5, |w| {
            let variables =
                [&proxy.http_proxy, &proxy.https_proxy, &proxy.ftp_proxy, &proxy.no_proxy, &proxy.all_proxy];
            (1..).zip(variables).for_each(|(field, value)| w.string(field, value));
        });
    }
    for host in &meta.extra_hosts {
        writer.message(6, |w| {
            w.string(1, &host.host);
            w.string(2, &host.ip);
        });
    }
    writer.string(7, &meta.hostname);
    for limit in &meta.ulimit {
        writer.message(9, |w| {
            w.string(1, &limit.name);
            w.int(2, limit.soft);
            w.int(3, limit.hard);
        });
    }
    writer.string(10, &meta.cgroup_parent);
    writer.bool(11, meta.remove_mount_stubs_recursive);
    writer.packed(12, meta.valid_exit_codes.iter().map(|&code| i64::from(code)));
}

fn write_mount(writer: &mut Writer<'_>, mount: &Mount, positions: &Positions) {
    writer.int(1, positions.of(mount.input));
    writer.string(2, &mount.selector);
    writer.string(3, &mount.dest);
    writer.int(4, mount.output);
    writer.bool(5, mount.readonly);
    writer.int(6, mount_type(&mount.kind));
    match &mount.kind {
        MountKind::Bind | MountKind::Tmpfs { size: None } => {}
        MountKind::Tmpfs { size: Some(size) } => writer.message(19, |w| w.int(1, *size)),
        MountKind::Cache { id, sharing } => writer.message(20, |w| {
            w.string(1, id);
            w.int(2, cache_sharing(*sharing));
        }),
        MountKind::Secret(secret) => writer.message(21, |w| write_secret(w, secret)),
        MountKind::Ssh(secret) => writer.message(22, |w| write_secret(w, secret)),
    }
    writer.string(23, &mount.result_id);
    writer.int(24, content_cache(mount.content_cache));
}

fn write_secret(writer: &mut Writer<'_>, secret: &SecretMount) {
    writer.string(1, &secret.id);
    writer.int(2, i64::from(secret.uid));
    writer.int(3, i64::from(secret.gid));
    writer.int(4, i64::from(secret.mode));
    writer.bool(5, secret.optional);
}

fn write_action(writer: &mut Writer<'_>, action: &FileAction, positions: &Positions) {
    writer.int(1, positions.of(action.input));
    writer.int(2, positions.of(action.secondary_input));
    writer.int(3, action.output);
    match &action.kind {
        FileActionKind::Copy(copy) => writer.message(4, |w| write_copy(w, copy, positions)),
        FileActionKind::Mkfile { path, mode, data, owner, timestamp } => writer.message(5, |w| {
            w.string(1, path);
            w.int(2, i64::from(*mode));
            w.bytes(3, data);
            write_owner(w, 4, owner.as_ref(), positions);
            w.int(5, *timestamp);
        }),
        FileActionKind::Mkdir { path, mode, make_parents, owner, timestamp } => writer.message(6, |w| {
            w.string(1, path);
            w.int(2, i64::from(*mode));
            w.bool(3, *make_parents);
            write_owner(w, 4, owner.as_ref(), positions);
            w.int(5, *timestamp);
        }),
        FileActionKind::Rm { path, allow_not_found, allow_wildcard } => writer.message(7, |w| {
            w.string(1, path);
            w.bool(2, *allow_not_found);
            w.bool(3, *allow_wildcard);
        }),
        FileActionKind::Symlink { oldpath, newpath, owner, timestamp } => writer.message(8, |w| {
            w.string(1, oldpath);
            w.string(2, newpath);
            write_owner(w, 3, owner.as_ref(), positions);
            w.int(4, *timestamp);
        }),
    }
}

fn write_copy(writer: &mut Writer<'_>, copy: &CopyAction, positions: &Positions) {
    writer.string(1, &copy.src);
    writer.string(2, &copy.dest);
    write_owner(writer, 3, copy.owner.as_ref(), positions);
    writer.int(4, i64::from(copy.mode));
    writer.bool(5, copy.follow_symlink);
    writer.bool(6, copy.dir_copy_contents);
    writer.bool(7, copy.attempt_unpack);
    writer.bool(8, copy.create_dest_path);
    writer.bool(9, copy.allow_wildcard);
    writer.bool(10, copy.allow_empty_wildcard);
    writer.int(11, copy.timestamp);
    writer.strings(12, &copy.include_patterns);
    writer.strings(13, &copy.exclude_patterns);
    writer.bool(14, copy.always_replace_existing_dest_paths);
    writer.string(15, &copy.mode_str);
    writer.strings(16, &copy.required_paths);
}

fn write_owner(writer: &mut Writer<'_>, field: u32, owner: Option<&Owner>, positions: &Positions) {
    let Some(owner) = owner else { return };
    writer.message(field, |w| {
        for (field, user) in [(1, &owner.user), (2, &owner.group)] {
            match user {
                None => {}
                Some(UserOpt::Name { name, input }) => w.message(field, |w| {
                    w.message(1, |w| {
                        w.string(1, name);
                        w.int(2, positions.of(*input));
                    });
                }),
                Some(UserOpt::Id(id)) => w.message(field, |w| w.int_always(2, i64::from(*id))),
            }
        }
    });
}

fn write_build(writer: &mut Writer<'_>, build: &Build, positions: &Positions) {
    writer.int(1, positions.of(build.builder));
    for (name, &input) in &build.inputs {
        writer.message(2, |entry| {
            entry.bytes_always(1, name.as_bytes());
            entry.message(2, |w| w.int(1, positions.of(input)));
        });
    }
    if let Some(definition) = &build.def {
        writer.bytes_always(3, definition);
    }
    writer.string_map(4, build.attrs.iter());
}

fn write_diff(writer: &mut Writer<'_>, diff: Diff, positions: &Positions) {
    for (field, side) in [(1, diff.lower), (2, diff.upper)] {
        if let Some(input) = side {
            writer.message(field, |w| w.int(1, positions.of(input)));
        }
    }
}

fn write_passthrough(writer: &mut Writer<'_>, passthrough: &Passthrough, positions: &Positions) {
    writer.string(1, &passthrough.id);
    writer.packed(2, passthrough.outputs.iter().map(|&input| positions.of(input)));
}

fn net_mode(mode: NetMode) -> i64 {
    match mode {
        NetMode::Unset => 0,
        NetMode::Host => 1,
        NetMode::None => 2,
    }
}

fn security_mode(mode: SecurityMode) -> i64 {
    match mode {
        SecurityMode::Sandbox => 0,
        SecurityMode::Insecure => 1,
    }
}

fn mount_type(kind: &MountKind) -> i64 {
    match kind {
        MountKind::Bind => 0,
        MountKind::Secret(_) => 1,
        MountKind::Ssh(_) => 2,
        MountKind::Cache { .. } => 3,
        MountKind::Tmpfs { .. } => 4,
    }
}

fn cache_sharing(sharing: CacheSharing) -> i64 {
    match sharing {
        CacheSharing::Shared => 0,
        CacheSharing::Private => 1,
        CacheSharing::Locked => 2,
    }
}

fn content_cache(setting: ContentCache) -> i64 {
    match setting {
        ContentCache::Default => 0,
        ContentCache::On => 1,
        ContentCache::Off => 2,
    }
}
