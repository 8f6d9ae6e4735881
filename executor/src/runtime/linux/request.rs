//! From a [`Spec`] to what the shim is sent: paths opened here, texts written here.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::console::Console;
use super::network;
use super::plan::{self, Plan, Request, Source};
use super::{limits, names};
use crate::rootfs::Tree;
use crate::runtime::{Device, Mount, MountSource, Network, Root, Spec};
use crate::{Error, Result, rootfs, snapshot, userns};

/// A socket of the container and the agent of the host that serves it.
pub(super) struct Agent {
    /// Bound by the shim; the executor accepts on it.
    pub(super) listener: OwnedFd,
    /// The agent's socket.
    pub(super) path: PathBuf,
    /// Whether it is none, and all that is said passes.
    pub(super) raw: bool,
}

/// What to send, and what to serve while it runs.
pub(super) struct Prepared {
    pub(super) request: Request,
    pub(super) agents: Vec<Agent>,
    pub(super) console: Option<Console>,
}

/// Opens and writes all that a spec names.
pub(super) fn prepare(spec: &Spec, oci: Option<plan::Oci>) -> Result<Prepared> {
    check(spec)?;
    if oci.is_none() {
        check_embedded(spec)?;
    }
    let mut side = Side::default();
    let console = spec.terminal.then(|| console(spec, oci.is_some(), &mut side)).transpose()?;
    let (terminal, console) = console.unzip();
    let plan = Plan {
        root: root(&spec.root, &mut side)?,
        readonly_root: spec.readonly_root,
        args: spec.args.clone(),
        env: last_of_each(&spec.env),
        cwd: spec.cwd.clone(),
        user: spec.user.clone(),
        hostname: names::hostname(spec).to_owned(),
        mounts: mounts(spec, &mut side)?,
        devices: spec.devices.clone(),
        additional_gids: spec.additional_gids.clone(),
        hooks: spec.hooks.clone(),
        intel_rdt: spec.intel_rdt.clone(),
        hosts: names::hosts(spec),
        resolv_conf: names::resolv_conf(spec.network, network::names().filter(|_| spec.network == Network::Sandbox)),
        network: match spec.network {
            Network::Sandbox => plan::Network::Join,
            Network::None => plan::Network::Loopback,
            Network::Host => plan::Network::Host,
        },
        insecure: spec.insecure,
        rlimits: spec.ulimits.iter().map(limits::resource).collect::<Result<_>>()?,
        cgroup: cgroup(spec),
        remove_stubs_recursive: spec.remove_mount_stubs_recursive,
        stdin: match &spec.stdin {
            Some(stdin) if !spec.terminal => Some(copy(stdin, &mut side)?),
            _ => None,
        },
        terminal,
        oci,
        bundle: None,
    };
    Ok(Prepared { request: Request { plan, secrets: side.secrets, fds: side.fds }, agents: side.agents, console })
}

/// What goes beside the plan.
#[derive(Default)]
struct Side {
    secrets: Vec<u8>,
    fds: Vec<OwnedFd>,
    agents: Vec<Agent>,
}

impl Side {
    fn add(&mut self, fd: OwnedFd) -> usize {
        self.fds.push(fd);
        self.fds.len() - 1
    }
}

fn console(spec: &Spec, is_oci: bool, side: &mut Side) -> Result<(plan::Terminal, Console)> {
    let input = spec.stdin.clone();
    let failed = Error::io("make", "a terminal");
    // Other runtimes make the container's terminal themselves, and tie it to the one they run on.
    let made = if is_oci { Console::with_terminal(input) } else { Console::with_socket(input) };
    let (console, theirs) = made.map_err(failed)?;
    let position = side.add(theirs);
    Ok((if is_oci { plan::Terminal::Given(position) } else { plan::Terminal::Make(position) }, console))
}

fn copy(fd: &OwnedFd, side: &mut Side) -> Result<usize> {
    Ok(side.add(fd.try_clone().map_err(Error::io("copy", "standard input"))?))
}

fn root(root: &Root, side: &mut Side) -> Result<plan::Root> {
    Ok(match root {
        Root::Overlay(overlay) => plan::Root::Overlay(writable(overlay)),
        Root::Dir(path) => plan::Root::Dir(side.add(open(path, Path::new("/"))?)),
    })
}

/// Refuses what is no process. parity: what runc refuses, before it runs anything.
fn check(spec: &Spec) -> Result<()> {
    if spec.args.is_empty() {
        return Err(Error::Invalid("no command to run: the process has no arguments".into()));
    }
    if !spec.cwd.is_empty() && !spec.cwd.starts_with('/') {
        return Err(Error::Invalid(format!("working directory {} is not absolute: it has to start with /", spec.cwd)));
    }
    if let Some(entry) = spec.env.iter().find(|entry| entry.starts_with('=')) {
        return Err(Error::Invalid(format!("environment variable {entry:?} has no name")));
    }
    check_memory(spec.resources.memory, spec.resources.memory_swap)
}

/// parity: the OCI runtimes refuse it, too. The kernel need not notice: the unified hierarchy has another limit, of swap alone.
fn check_memory(alone: i64, with_swap: i64) -> Result<()> {
    if with_swap > 0 && alone <= 0 {
        return Err(Error::Invalid("a limit of memory with swap (memswap) needs one of memory alone (memory)".into()));
    }
    if with_swap > 0 && with_swap < alone {
        return Err(Error::Invalid(format!(
            "memory with swap is limited to {with_swap} bytes, memory alone to {alone}: that cannot be kept"
        )));
    }
    Ok(())
}

/// Refuses what only other runtimes can do.
fn check_embedded(spec: &Spec) -> Result<()> {
    match spec.intel_rdt {
        Some(_) => Err(Error::Unsupported {
            what: "intelRdt of a device".into(),
            why: "the embedded runtime knows no parts of caches; run steps by one that does, with --oci-runtime=runc"
                .into(),
        }),
        None => Ok(()),
    }
}

/// Mounts and devices, parents first: a device is a mount of its file, so that none of it is left in the tree.
fn mounts(spec: &Spec, side: &mut Side) -> Result<Vec<plan::Mount>> {
    let mut mounts = spec.mounts.iter().map(|m| mount(m, side)).collect::<Result<Vec<_>>>()?;
    for device in &spec.devices {
        let source = match userns::is_confined() {
            true => Source::Open(side.add(host_device(device)?)),
            false => Source::Device(device.clone()),
        };
        let at = mounts.iter().rposition(|mount| Path::new(&device.path).starts_with(&mount.dest));
        let mount = plan::Mount { dest: device.path.clone(), readonly: false, source };
        mounts.insert(at.map_or(0, |at| at + 1), mount);
    }
    Ok(mounts)
}

/// The host's file of a device, where none can be made.
fn host_device(device: &Device) -> Result<OwnedFd> {
    let Device { host, major, minor, kind, .. } = device;
    let failed = |source| Error::io("open the device", host)(source);
    let file = Tree::open(Path::new("/")).and_then(|tree| tree.resolve(host)).map_err(failed)?;
    let stat = rustix::fs::fstat(&file).map_err(|errno| failed(errno.into()))?;
    let is_it = rustix::fs::FileType::from_raw_mode(stat.st_mode) == kind.file_type()
        && stat.st_rdev == rustix::fs::makedev(*major, *minor);
    if is_it {
        return Ok(file);
    }
    Err(Error::Unsupported {
        what: format!("device {major}:{minor} as {}", device.path),
        why: format!("an ordinary user cannot make devices, and {} of the host is another one", host.display()),
    })
}

fn mount(mount: &Mount, side: &mut Side) -> Result<plan::Mount> {
    let source = match &mount.source {
        MountSource::Bind { root, selector } => Source::Open(side.add(open(root, Path::new(selector))?)),
        MountSource::Host(host) => Source::Host(side.add(open(Path::new("/"), &host.path)?), host.clone()),
        MountSource::Overlay { overlay, selector } => {
            Source::Overlay { overlay: writable(overlay), selector: selector.clone() }
        }
        MountSource::Layers { lower, selector } => {
            let overlay = plan::Overlay { lower: lower.clone(), upper: None };
            Source::Overlay { overlay, selector: selector.clone() }
        }
        MountSource::Tmpfs { size } => Source::Tmpfs { size: *size },
        MountSource::Secret { data, uid, gid, mode } => {
            let start = side.secrets.len();
            side.secrets.extend_from_slice(data);
            let owner = plan::Owner { uid: *uid, gid: *gid, mode: *mode };
            Source::Secret { start, end: side.secrets.len(), owner }
        }
        MountSource::Socket { path, raw, uid, gid, mode } => {
            let owner = plan::Owner { uid: *uid, gid: *gid, mode: *mode };
            Source::Socket { socket: socket(path, *raw, side)?, owner }
        }
    };
    Ok(plan::Mount { dest: mount.dest.clone(), readonly: mount.readonly, source })
}

fn writable(overlay: &snapshot::Overlay) -> plan::Overlay {
    let upper = Some((overlay.upper.clone(), overlay.work.clone()));
    plan::Overlay { lower: overlay.lower.clone(), upper }
}

fn open(root: &Path, selector: &Path) -> Result<OwnedFd> {
    let tree = Tree::open(root).map_err(Error::io("open", root))?;
    tree.resolve(selector).map_err(|source| match source.kind() {
        // What the user wrote, not where the tree happens to lie.
        std::io::ErrorKind::NotFound => Error::NotFound(format!("{}: no such file or directory", selector.display())),
        _ => Error::io("open", selector)(source),
    })
}

fn socket(path: &Path, raw: bool, side: &mut Side) -> Result<usize> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None);
    let listener = socket.map_err(|e| Error::io("make a socket for", path)(e.into()))?;
    let theirs = listener.try_clone().map_err(Error::io("make a socket for", path))?;
    side.agents.push(Agent { listener, path: path.to_owned(), raw });
    Ok(side.add(theirs))
}

fn cgroup(spec: &Spec) -> plan::Cgroup {
    let limits = &spec.resources;
    plan::Cgroup {
        parent: rootfs::below(Path::new(&spec.cgroup_parent)),
        memory: limits.memory,
        memory_swap: limits.memory_swap,
        cpu_shares: limits.cpu_shares,
        cpu_period: limits.cpu_period,
        cpu_quota: limits.cpu_quota,
        cpuset_cpus: limits.cpuset_cpus.clone(),
        cpuset_mems: limits.cpuset_mems.clone(),
    }
}

/// Each variable once, with its last value, where it first stood: what a C library finds is what was meant.
fn last_of_each(env: &[String]) -> Vec<String> {
    let mut kept: Vec<String> = Vec::with_capacity(env.len());
    let mut position = std::collections::HashMap::new();
    for entry in env {
        let name = entry.split('=').next().unwrap_or(entry);
        match position.get(name) {
            Some(&at) => kept[at] = entry.clone(),
            None => {
                position.insert(name, kept.len());
                kept.push(entry.clone());
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::last_of_each;

    #[test]
    fn the_last_value_of_a_variable_counts() {
        let env = ["A=1", "B=2", "A=3"].map(String::from);
        assert_eq!(last_of_each(&env), ["A=3", "B=2"]);
    }
}
