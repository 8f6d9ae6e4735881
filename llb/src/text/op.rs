//! The vocabulary of each operation: arguments → operation.

use oci::Platform;

use super::TextError;
use super::args::{Args, At, Kind, Value, error};
use crate::{
    Build, CacheSharing, CdiDevice, ContentCache, CopyAction, Diff, Exec, ExecMeta, FileAction, FileActionKind, HostIp,
    LinuxResources, Metadata, Mount, MountKind, NetMode, Op, Owner, Passthrough, ProgressGroup, ProxyEnv, SecretEnv,
    SecretMount, SecurityMode, Source, Texts, Ulimit, UserOpt,
};

type Result<T> = std::result::Result<T, TextError>;

/// The parts of a vertex that stand on its line.
pub(super) struct Parts {
    pub(super) op: Op,
    pub(super) platform: Option<Platform>,
    pub(super) constraints: Option<Vec<String>>,
    pub(super) lossy: bool,
    pub(super) fixed: bool,
}

/// Reads a vertex by the name of its operation and the number of its inputs.
pub(super) fn read(at: At, name: &str, inputs: usize, mut args: Args) -> Result<Parts> {
    let mut calls = args.calls();
    let platform = platform(&mut calls)?;
    let constraints = match args.flag("unconstrained") {
        true => None,
        false => Some(args.strings("constraints")?),
    };
    let (lossy, fixed) = (args.flag("lossy"), args.flag("fixed"));
    let op = match name {
        "source" => Op::Source(Source {
            identifier: args.next_string("an identifier is")?,
            attrs: Texts::from_iter(args.map("attrs")?),
        }),
        "exec" => Op::Exec(Box::new(exec(&mut args, &mut calls)?)),
        "file" => {
            let actions =
                std::mem::take(&mut calls).into_iter().map(|(at, name, args)| action(at, &name, args, inputs));
            Op::File(actions.collect::<Result<_>>()?)
        }
        "build" => Op::Build(build(&mut args, &mut calls)?),
        "merge" if args.flag("empty") => Op::Merge(Vec::new()),
        "merge" => Op::Merge(args.numbers("inputs")?.unwrap_or_else(|| (0..inputs as i64).collect())),
        "diff" => Op::Diff(Diff { lower: args.optional_number("lower")?, upper: args.optional_number("upper")? }),
        "passthrough" => Op::Passthrough(Passthrough {
            id: args.string("id")?,
            outputs: args.numbers("outputs")?.unwrap_or_default(),
        }),
        _ => {
            return error(
                at,
                format!("unknown operation `{name}`: expected source, exec, file, build, merge, diff or passthrough"),
            );
        }
    };
    none_left(calls)?;
    args.end()?;
    Ok(Parts { op, platform, constraints, lossy, fixed })
}

/// Reads the platform of a vertex or output; nothing else may be left.
pub(super) fn read_platform(mut args: Args) -> Result<Option<Platform>> {
    let mut calls = args.calls();
    let platform = platform(&mut calls)?;
    none_left(calls)?;
    args.end()?;
    Ok(platform)
}

/// Reads what is said of a vertex.
pub(super) fn read_meta(mut args: Args) -> Result<Metadata> {
    let mut meta = Metadata {
        ignore_cache: args.flag("ignore_cache"),
        description: args.map("description")?.into_iter().collect(),
        export_cache: args.choice("export_cache", None, &[("true", Some(true)), ("false", Some(false))])?,
        caps: args.strings("caps")?.into_iter().collect(),
        progress_group: None,
        linux_resources: None,
    };
    for (at, name, mut args) in args.calls() {
        match name.as_str() {
            "group" => {
                meta.progress_group = Some(Box::new(ProgressGroup {
                    id: args.next_string("the id of the group is")?,
                    name: args.next_string("the name of the group is")?,
                    weak: args.flag("weak"),
                }));
            }
            "resources" => {
                meta.linux_resources = Some(Box::new(LinuxResources {
                    memory: args.number("memory", 0)?,
                    memory_swap: args.number("memory_swap", 0)?,
                    cpu_shares: args.number("cpu_shares", 0)?,
                    cpu_period: args.number("cpu_period", 0)?,
                    cpu_quota: args.number("cpu_quota", 0)?,
                    cpuset_cpus: args.string("cpuset_cpus")?,
                    cpuset_mems: args.string("cpuset_mems")?,
                }));
            }
            _ => return unknown(at, &name),
        }
        args.end()?;
    }
    args.end()?;
    Ok(meta)
}

fn unknown<T>(at: At, name: &str) -> Result<T> {
    error(at, format!("unknown or repeated `{name}`"))
}

fn none_left(calls: Vec<(At, String, Args)>) -> Result<()> {
    calls.into_iter().next().map_or(Ok(()), |(at, name, _)| unknown(at, &name))
}

fn take_call(calls: &mut Vec<(At, String, Args)>, name: &str) -> Option<Args> {
    let index = calls.iter().position(|(_, call, _)| call == name)?;
    Some(calls.remove(index).2)
}

fn platform(calls: &mut Vec<(At, String, Args)>) -> Result<Option<Platform>> {
    let Some(mut args) = take_call(calls, "platform") else { return Ok(None) };
    let platform = Platform {
        os: args.next_string("the operating system is")?,
        architecture: args.next_string("the architecture is")?,
        variant: args.optional_string()?.unwrap_or_default(),
        os_version: args.string("os_version")?,
        os_features: args.strings("os_features")?,
    };
    args.end()?;
    Ok(Some(platform))
}

fn exec(args: &mut Args, calls: &mut Vec<(At, String, Args)>) -> Result<Exec> {
    let mut exec = Exec {
        meta: ExecMeta {
            args: args.strings("args")?,
            env: args.strings("env")?.into(),
            cwd: args.string("cwd")?,
            user: args.string("user")?,
            hostname: args.string("hostname")?,
            cgroup_parent: args.string("cgroup_parent")?,
            remove_mount_stubs_recursive: !args.flag("keep_mount_stubs"),
            valid_exit_codes: args.numbers("valid_exit_codes")?.unwrap_or_default(),
            ..ExecMeta::default()
        },
        network: args.choice("network", NetMode::Unset, &[("host", NetMode::Host), ("none", NetMode::None)])?,
        security: if args.flag("insecure") { SecurityMode::Insecure } else { SecurityMode::Sandbox },
        ..Exec::default()
    };
    for (at, name, args) in std::mem::take(calls) {
        exec_call(&mut exec, at, &name, args)?;
    }
    Ok(exec)
}

fn exec_call(exec: &mut Exec, at: At, name: &str, mut args: Args) -> Result<()> {
    match name {
        "proxy" => {
            exec.meta.proxy_env = Some(ProxyEnv {
                http_proxy: args.string("http")?,
                https_proxy: args.string("https")?,
                ftp_proxy: args.string("ftp")?,
                no_proxy: args.string("none")?,
                all_proxy: args.string("all")?,
            });
        }
        "host" => exec.meta.extra_hosts.push(HostIp {
            host: args.next_string("the name of the host is")?,
            ip: args.next_string("the address of the host is")?,
        }),
        "ulimit" => exec.meta.ulimit.push(Ulimit {
            name: args.next_string("the name of the limit is")?,
            soft: args.next_number("the soft limit is")?,
            hard: args.next_number("the hard limit is")?,
        }),
        "secret_env" => exec.secret_env.push(SecretEnv {
            id: args.next_string("the id of the secret is")?,
            name: args.next_string("the variable is")?,
            optional: args.flag("optional"),
        }),
        "device" => exec
            .cdi_devices
            .push(CdiDevice { name: args.next_string("the name of the device is")?, optional: args.flag("optional") }),
        _ => exec.mounts.push(mount(at, name, &mut args)?),
    }
    args.end()
}

fn mount(at: At, name: &str, args: &mut Args) -> Result<Mount> {
    let sharing = [("private", CacheSharing::Private), ("locked", CacheSharing::Locked)];
    Ok(Mount {
        kind: match name {
            "bind" => MountKind::Bind,
            "secret" => MountKind::Secret(secret(args)?),
            "ssh" => MountKind::Ssh(secret(args)?),
            "tmpfs" => MountKind::Tmpfs { size: args.optional_number("size")? },
            "cache" => MountKind::Cache {
                id: args.string("id")?,
                sharing: args.choice("sharing", CacheSharing::Shared, &sharing)?,
            },
            _ => return unknown(at, name),
        },
        dest: args.next_string("the target of the mount is")?,
        input: args.number("from", -1)?,
        output: args.number("to", -1)?,
        selector: args.string("selector")?,
        readonly: args.flag("readonly"),
        result_id: args.string("result_id")?,
        content_cache: args.choice(
            "content_cache",
            ContentCache::Default,
            &[("on", ContentCache::On), ("off", ContentCache::Off)],
        )?,
    })
}

fn secret(args: &mut Args) -> Result<SecretMount> {
    Ok(SecretMount {
        id: args.string("id")?,
        uid: args.number("uid", 0)?,
        gid: args.number("gid", 0)?,
        mode: args.number("mode", 0)?,
        optional: args.flag("optional"),
    })
}

fn action(at: At, name: &str, mut args: Args, inputs: usize) -> Result<FileAction> {
    let kind = match name {
        "copy" => FileActionKind::Copy(Box::new(copy(&mut args)?)),
        "mkfile" => FileActionKind::Mkfile {
            path: args.next_string("a path is")?,
            mode: args.number("mode", -1)?,
            data: args.bytes("data")?.unwrap_or_default(),
            owner: owner(&mut args)?,
            timestamp: args.number("timestamp", -1)?,
        },
        "mkdir" => FileActionKind::Mkdir {
            path: args.next_string("a path is")?,
            mode: args.number("mode", -1)?,
            make_parents: args.flag("make_parents"),
            owner: owner(&mut args)?,
            timestamp: args.number("timestamp", -1)?,
        },
        "rm" => FileActionKind::Rm {
            path: args.next_string("a path is")?,
            allow_not_found: args.flag("allow_not_found"),
            allow_wildcard: args.flag("allow_wildcard"),
        },
        "symlink" => FileActionKind::Symlink {
            oldpath: args.next_string("what the link says is")?,
            newpath: args.next_string("where the link stands is")?,
            owner: owner(&mut args)?,
            timestamp: args.number("timestamp", -1)?,
        },
        _ => return unknown(at, name),
    };
    let action = FileAction {
        input: args.position("base", inputs)?,
        secondary_input: args.position("from", inputs)?,
        output: args.number("to", -1)?,
        kind,
    };
    args.end()?;
    Ok(action)
}

fn copy(args: &mut Args) -> Result<CopyAction> {
    Ok(CopyAction {
        src: args.next_string("a source path is")?,
        dest: args.next_string("a destination is")?,
        owner: owner(args)?,
        mode: args.number("mode", -1)?,
        mode_str: args.string("mode_str")?,
        timestamp: args.number("timestamp", -1)?,
        follow_symlink: args.flag("follow_symlink"),
        dir_copy_contents: args.flag("dir_copy_contents"),
        attempt_unpack: args.flag("attempt_unpack"),
        create_dest_path: args.flag("create_dest_path"),
        allow_wildcard: args.flag("allow_wildcard"),
        allow_empty_wildcard: args.flag("allow_empty_wildcard"),
        always_replace_existing_dest_paths: args.flag("always_replace_existing_dest_paths"),
        include_patterns: args.strings("include_patterns")?,
        exclude_patterns: args.strings("exclude_patterns")?,
        required_paths: args.strings("required_paths")?,
    })
}

fn owner(args: &mut Args) -> Result<Option<Owner>> {
    let mut calls = args.calls();
    let Some(mut nested) = take_call(&mut calls, "owner") else { return none_left(calls).map(|()| None) };
    none_left(calls)?;
    let owner =
        Owner { user: nested.take("user").map(user).transpose()?, group: nested.take("group").map(user).transpose()? };
    nested.end()?;
    Ok(Some(owner))
}

fn user(value: Value) -> Result<UserOpt> {
    match value.kind {
        Kind::Call(name, mut args) if name == "name" => {
            let user =
                UserOpt::Name { name: args.next_string("the name is")?, input: args.next_number("the input is")? };
            args.end()?;
            Ok(user)
        }
        _ => value.number().map(UserOpt::Id),
    }
}

fn build(args: &mut Args, calls: &mut Vec<(At, String, Args)>) -> Result<Build> {
    let mut build = Build {
        builder: args.number("builder", -1)?,
        def: args.bytes("def")?,
        attrs: args.map("attrs")?,
        ..Build::default()
    };
    while let Some(mut input) = take_call(calls, "input") {
        build.inputs.insert(input.next_string("the name of the input is")?, input.next_number("the position is")?);
        input.end()?;
    }
    Ok(build)
}
