//! The bytes of one vertex → its operation.

use oci::Platform;
use prost::Message;
use prost::encoding::{DecodeContext, decode_key, skip_field};

use super::{Parsed, VertexProblem, definition};
use crate::proto::{self, file_action::Action, op, user_opt::User};
use crate::{
    Build, CacheSharing, CdiDevice, ContentCache, CopyAction, Diff, Exec, ExecMeta, FileAction, FileActionKind, HostIp,
    Mount, MountKind, NetMode, Op, Owner, Passthrough, ProxyEnv, SecretEnv, SecretMount, SecurityMode, Source, Ulimit,
    UserOpt,
};

/// Reads a vertex. One without an operation is terminal.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, VertexProblem> {
    let message = proto::Op::decode(bytes).map_err(VertexProblem::Malformed)?;
    if message.op.is_none() {
        refuse_unknown(bytes)?;
    }
    Ok(Parsed {
        op: message.op.map(operation).transpose()?,
        inputs: message.inputs,
        platform: message.platform.map(platform),
        constraints: message.constraints.map(|constraints| constraints.filter),
    })
}

/// Refuses a vertex that has a field of a later BuildKit where its operation should be: read as a terminal vertex it
/// would silently do nothing.
fn refuse_unknown(mut bytes: &[u8]) -> Result<(), VertexProblem> {
    while !bytes.is_empty() {
        let (field, wire_type) = decode_key(&mut bytes).map_err(VertexProblem::Malformed)?;
        if !matches!(field, 1 | 10 | 11) {
            return Err(VertexProblem::UnknownOp { field });
        }
        skip_field(wire_type, field, &mut bytes, DecodeContext::default()).map_err(VertexProblem::Malformed)?;
    }
    Ok(())
}

fn platform(message: proto::Platform) -> Platform {
    Platform {
        architecture: message.architecture,
        os: message.os,
        variant: message.variant,
        os_version: message.os_version,
        os_features: message.os_features,
    }
}

fn operation(message: op::Op) -> Result<Op, VertexProblem> {
    Ok(match message {
        op::Op::Exec(exec) => Op::Exec(Box::new(self::exec(exec)?)),
        op::Op::Source(source) => {
            Op::Source(Source { identifier: source.identifier, attrs: source.attrs.into_iter().collect() })
        }
        op::Op::File(file) => Op::File(file.actions.into_iter().map(action).collect::<Result<_, _>>()?),
        op::Op::Build(build) => Op::Build(self::build(build)?),
        op::Op::Merge(merge) => Op::Merge(merge.inputs.into_iter().map(|input| input.input).collect()),
        op::Op::Diff(diff) => {
            Op::Diff(Diff { lower: diff.lower.map(|side| side.input), upper: diff.upper.map(|side| side.input) })
        }
        op::Op::Passthrough(pass) => Op::Passthrough(Passthrough { id: pass.id, outputs: pass.outputs }),
    })
}

fn build(message: proto::BuildOp) -> Result<Build, VertexProblem> {
    let def = match message.def {
        Some(nested) => {
            Some(definition::read(nested).map_err(|_| VertexProblem::OutOfRange("nested definition"))?.to_bytes())
        }
        None => None,
    };
    let inputs = message.inputs.into_iter().map(|(name, input)| (name, input.input)).collect();
    Ok(Build { builder: message.builder, inputs, def, attrs: message.attrs })
}

fn exec(message: proto::ExecOp) -> Result<Exec, VertexProblem> {
    let secret = |secret: proto::SecretEnv| SecretEnv { id: secret.id, name: secret.name, optional: secret.optional };
    let device = |device: proto::CdiDevice| CdiDevice { name: device.name, optional: device.optional };
    Ok(Exec {
        network: match message.network {
            0 => NetMode::Unset,
            1 => NetMode::Host,
            2 => NetMode::None,
            value => return Err(VertexProblem::UnknownValue { name: "network mode", value }),
        },
        security: match message.security {
            0 => SecurityMode::Sandbox,
            1 => SecurityMode::Insecure,
            value => return Err(VertexProblem::UnknownValue { name: "security mode", value }),
        },
        meta: exec_meta(message.meta.ok_or(VertexProblem::Missing("process of an exec"))?),
        mounts: message.mounts.into_iter().map(mount).collect::<Result<_, _>>()?,
        secret_env: message.secretenv.into_iter().map(secret).collect(),
        cdi_devices: message.cdi_devices.into_iter().map(device).collect(),
    })
}

fn exec_meta(message: proto::Meta) -> ExecMeta {
    ExecMeta {
        args: message.args,
        env: message.env.into(),
        cwd: message.cwd,
        user: message.user,
        proxy_env: message.proxy_env.map(|proxy| ProxyEnv {
            http_proxy: proxy.http_proxy,
            https_proxy: proxy.https_proxy,
            ftp_proxy: proxy.ftp_proxy,
            no_proxy: proxy.no_proxy,
            all_proxy: proxy.all_proxy,
        }),
        extra_hosts: message.extra_hosts.into_iter().map(|host| HostIp { host: host.host, ip: host.ip }).collect(),
        hostname: message.hostname,
        ulimit: message
            .ulimit
            .into_iter()
            .map(|limit| Ulimit { name: limit.name, soft: limit.soft, hard: limit.hard })
            .collect(),
        cgroup_parent: message.cgroup_parent,
        remove_mount_stubs_recursive: message.remove_mount_stubs_recursive,
        valid_exit_codes: message.valid_exit_codes,
    }
}

fn mount(message: proto::Mount) -> Result<Mount, VertexProblem> {
    let kind = match message.mount_type {
        0 => MountKind::Bind,
        1 => MountKind::Secret(match message.secret_opt {
            Some(proto::SecretOpt { id, uid, gid, mode, optional }) => SecretMount { id, uid, gid, mode, optional },
            None => return Err(VertexProblem::Missing("options of a secret mount")),
        }),
        2 => MountKind::Ssh(match message.ssh_opt {
            Some(proto::SshOpt { id, uid, gid, mode, optional }) => SecretMount { id, uid, gid, mode, optional },
            None => return Err(VertexProblem::Missing("options of an ssh mount")),
        }),
        3 => cache(message.cache_opt.ok_or(VertexProblem::Missing("options of a cache mount"))?)?,
        4 => MountKind::Tmpfs { size: message.tmpfs_opt.map(|options| options.size) },
        value => return Err(VertexProblem::UnknownValue { name: "mount type", value }),
    };
    Ok(Mount {
        input: message.input,
        selector: message.selector,
        dest: message.dest,
        output: message.output,
        readonly: message.readonly,
        kind,
        result_id: message.result_id,
        content_cache: match message.content_cache {
            0 => ContentCache::Default,
            1 => ContentCache::On,
            2 => ContentCache::Off,
            value => return Err(VertexProblem::UnknownValue { name: "content cache setting", value }),
        },
    })
}

fn cache(message: proto::CacheOpt) -> Result<MountKind, VertexProblem> {
    let sharing = match message.sharing {
        0 => CacheSharing::Shared,
        1 => CacheSharing::Private,
        2 => CacheSharing::Locked,
        value => return Err(VertexProblem::UnknownValue { name: "cache sharing mode", value }),
    };
    Ok(MountKind::Cache { id: message.id, sharing })
}

fn action(message: proto::FileAction) -> Result<FileAction, VertexProblem> {
    let kind = match message.action.ok_or(VertexProblem::Missing("operation of a file action"))? {
        Action::Copy(copy) => FileActionKind::Copy(Box::new(self::copy(copy))),
        Action::Mkfile(file) => FileActionKind::Mkfile {
            path: file.path,
            mode: file.mode,
            data: file.data,
            owner: file.owner.map(owner),
            timestamp: file.timestamp,
        },
        Action::Mkdir(dir) => FileActionKind::Mkdir {
            path: dir.path,
            mode: dir.mode,
            make_parents: dir.make_parents,
            owner: dir.owner.map(owner),
            timestamp: dir.timestamp,
        },
        Action::Rm(rm) => {
            FileActionKind::Rm { path: rm.path, allow_not_found: rm.allow_not_found, allow_wildcard: rm.allow_wildcard }
        }
        Action::Symlink(link) => FileActionKind::Symlink {
            oldpath: link.oldpath,
            newpath: link.newpath,
            owner: link.owner.map(owner),
            timestamp: link.timestamp,
        },
    };
    Ok(FileAction { input: message.input, secondary_input: message.secondary_input, output: message.output, kind })
}

fn copy(message: proto::FileActionCopy) -> CopyAction {
    CopyAction {
        src: message.src,
        dest: message.dest,
        owner: message.owner.map(owner),
        mode: message.mode,
        follow_symlink: message.follow_symlink,
        dir_copy_contents: message.dir_copy_contents,
        attempt_unpack: message.attempt_unpack_docker_compatibility,
        create_dest_path: message.create_dest_path,
        allow_wildcard: message.allow_wildcard,
        allow_empty_wildcard: message.allow_empty_wildcard,
        timestamp: message.timestamp,
        include_patterns: message.include_patterns,
        exclude_patterns: message.exclude_patterns,
        always_replace_existing_dest_paths: message.always_replace_existing_dest_paths,
        mode_str: message.mode_str,
        required_paths: message.required_paths,
    }
}

fn owner(message: proto::ChownOpt) -> Owner {
    Owner { user: message.user.and_then(user), group: message.group.and_then(user) }
}

fn user(message: proto::UserOpt) -> Option<UserOpt> {
    Some(match message.user? {
        User::ByName(named) => UserOpt::Name { name: named.name, input: named.input },
        User::ById(id) => UserOpt::Id(id),
    })
}
