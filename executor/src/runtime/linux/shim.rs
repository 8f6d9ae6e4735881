//! The shim: a process of one thread between the executor and a container.
//!
//! It makes what can be made outside the container (the root's mount, users, mount points, the control group), starts the
//! container's first process in its namespaces, waits for it, and cleans up. It has a socket to the executor; when that
//! closes, because somebody cancelled or the executor died, it kills the container. When it dies itself, the kernel does.

use std::collections::HashSet;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Signal, pidfd_send_signal};

use super::cgroup::Cgroup;
use super::plan::{self, Plan, Reply, Request, Source};
use super::scratch::Scratch;
use super::stubs::{self, Kind, Stubs};
use super::user::{self, Identity};
use super::{fds, hooks, init, mounts, network, oci, sys};
use crate::rootfs::{NewDir, Tree};
use crate::snapshot::{self, mount};
use crate::{Error, Result};

/// Where the kernel's file systems are mounted.
pub(super) const KERNEL: &[&str] = &["/dev", "/proc", "/sys"];

/// All that the container's first process needs; inherited over the fork.
pub(super) struct Container {
    pub(super) plan: Plan,
    pub(super) control: UnixStream,
    pub(super) root: Tree,
    /// Where the root can be changed when the container's own mount of it no longer allows that.
    writable: Option<Tree>,
    pub(super) identity: Identity,
    pub(super) scratch: Scratch,
    pub(super) stubs: Stubs,
    /// One a mount of the plan, in its order; `None` where it is made inside.
    pub(super) mounts: Vec<Option<OwnedFd>>,
    /// Capabilities, unless insecure.
    pub(super) capabilities: u64,
    pub(super) cgroup: Cgroup,
    /// Where the shim and the first process tell each other about hooks, if there are any.
    pub(super) hooks: Option<hooks::Sides>,
    /// A terminal, or the socket that the other side of one is sent through, as the plan says.
    pub(super) terminal: Option<OwnedFd>,
}

/// Supervises one container in this process, which must have one thread: makes it, waits for it, cleans up, and says how
/// it went.
pub(super) fn main(control: UnixStream) -> i32 {
    let mut cgroup = Cgroup::none();
    let reply = match supervise(&control, &mut cgroup) {
        Ok(reply) => reply,
        Err(e) => Reply::Failed(e.to_string()),
    };
    let sent = reply.send(&control);
    // Whoever removes a group waits for the kernel, up to a millisecond. The executor need not: it goes on when this closes.
    drop(control);
    cgroup.remove();
    i32::from(sent.is_err())
}

/// Leaves the container's control group, for it to be removed.
fn supervise(control: &UnixStream, left: &mut Cgroup) -> Result<Reply> {
    let received = control.try_clone().and_then(|mut from| Request::receive(&mut from));
    let request = received.map_err(Error::io("receive", "the plan"))?;
    let mut container = prepare(request, control)?;
    let ended = run(&mut container, control);
    container.stubs.clean(container.writable.as_ref().unwrap_or(&container.root));
    if let Some(oci) = &container.plan.oci {
        oci::clean(oci, &container.plan.cgroup.parent);
    }
    // The executor goes on with the trees as soon as it hears of the end: nothing of ours may hold them then.
    let Container { plan, cgroup, .. } = container;
    *left = cgroup;
    if let Some(bundle) = &plan.bundle {
        hooks::clean(bundle);
    }
    ended
}

/// Runs a container to its end.
fn run(container: &mut Container, control: &UnixStream) -> Result<Reply> {
    if container.plan.oci.is_some()
        && let Some(reply) = oci::find_program(container)
    {
        return Ok(reply);
    }
    join(container)?;
    let bundle = container.plan.bundle.clone();
    if let Some(bundle) = &bundle {
        hooks::make_bundle(container, bundle)?;
    }
    let init = start(container)?;
    // Only the container writes to the executor's pipes from here on.
    let _ = silence();
    let accompanied = bundle.as_ref().map_or(Ok(()), |bundle| hooks::accompany(container, bundle, init.as_fd()));
    let code = wait(init.as_fd(), control).map_err(Error::io("wait for", "the container"))?;
    if let Some(bundle) = &bundle {
        hooks::after(&container.plan.hooks, bundle, control);
    }
    accompanied?;
    let out_of_memory = container.cgroup.had_out_of_memory();
    Ok(Reply::Exited { code, out_of_memory })
}

fn prepare(request: Request, control: &UnixStream) -> Result<Container> {
    let Request { plan, secrets, fds } = request;
    if let Some(position) = plan.stdin {
        rustix::stdio::dup2_stdin(&fds[position]).map_err(|e| Error::io("open", "standard input")(e.into()))?;
    }
    let terminal = plan.terminal.map(|terminal| match terminal {
        plan::Terminal::Make(position) | plan::Terminal::Given(position) => fds[position].try_clone(),
    });
    let terminal = terminal.transpose().map_err(Error::io("open", "the terminal"))?;
    let root = Tree::from_fd(mount_root(&plan.root, &fds)?);
    let writable = if plan.readonly_root { changes(&plan.root, &fds)? } else { None };
    let mut identity = user::lookup(&root, &plan.user)?;
    for gid in &plan.additional_gids {
        if !identity.groups.contains(gid) {
            identity.groups.push(*gid);
        }
    }
    let scratch = Scratch::new()?;
    let mounts = make_mounts(&plan, &identity, &scratch, &secrets, &fds)?;
    let (points, covered) = mount_points(&plan, &mounts);
    let mut stubs = stubs::make(&root, &points, plan.remove_stubs_recursive)?;
    stubs.expect(&root, &covered, plan.remove_stubs_recursive);
    make_cwd(&root, &plan.cwd, &identity)?;
    let cgroup = match plan.oci {
        Some(_) => Cgroup::none(),
        None => Cgroup::make(&plan.cgroup, &plan.devices, plan.insecure)?,
    };
    if let Some(warning) = &cgroup.warning {
        let _ = Reply::Warning(warning.clone()).send(control);
    }
    let capabilities = cgroup.capabilities();
    let control = control.try_clone().map_err(Error::io("copy", "the control socket"))?;
    let hooks = plan.bundle.is_some().then(hooks::Sides::new).transpose()?;
    Ok(Container {
        plan,
        control,
        root,
        writable,
        identity,
        scratch,
        stubs,
        mounts,
        capabilities,
        cgroup,
        hooks,
        terminal,
    })
}

fn mount_root(root: &plan::Root, fds: &[OwnedFd]) -> Result<OwnedFd> {
    match root {
        plan::Root::Overlay(overlay) => mount_overlay(overlay),
        plan::Root::Dir(position) => {
            mounts::bind(&fds[*position], "").map_err(|errno| Error::io("mount", "the root")(errno.into()))
        }
    }
}

/// Where changes of a root are made, beside its mount.
fn changes(root: &plan::Root, fds: &[OwnedFd]) -> Result<Option<Tree>> {
    match root {
        plan::Root::Overlay(plan::Overlay { upper: None, .. }) => Ok(None),
        plan::Root::Overlay(plan::Overlay { upper: Some((upper, _)), .. }) => {
            Tree::open(upper).map(Some).map_err(Error::io("open", upper))
        }
        plan::Root::Dir(_) => mount_root(root, fds).map(|mount| Some(Tree::from_fd(mount))),
    }
}

fn mount_overlay(overlay: &plan::Overlay) -> Result<OwnedFd> {
    let mount = match &overlay.upper {
        Some((upper, work)) => mount::writable(&snapshot::Overlay {
            lower: overlay.lower.clone(),
            upper: upper.clone(),
            work: work.clone(),
        }),
        None => mount::readable(&overlay.lower),
    };
    mount.map(mount::Mount::into_fd)
}

/// Makes the mounts that are made of things of the host: in its mount namespace, as only there they can be cloned.
fn make_mounts(
    plan: &Plan,
    identity: &Identity,
    scratch: &Scratch,
    secrets: &[u8],
    fds: &[OwnedFd],
) -> Result<Vec<Option<OwnedFd>>> {
    let plain = plan::Owner { uid: 0, gid: 0, mode: 0o644 };
    scratch.write(init::HOSTS, plan.hosts.as_bytes(), plain)?;
    scratch.write(init::RESOLV_CONF, plan.resolv_conf.as_bytes(), plain)?;
    let make = |(index, mount): (usize, &plan::Mount)| {
        Ok(match &mount.source {
            Source::Open(position) => {
                let failed = |errno: rustix::io::Errno| Error::io("mount", &mount.dest)(errno.into());
                Some(mounts::bind(&fds[*position], "").map_err(failed)?)
            }
            Source::Host(position, host) => {
                let failed = |errno: rustix::io::Errno| Error::io("mount", &host.path)(errno.into());
                Some(mounts::bind_host(&fds[*position], host).map_err(failed)?)
            }
            Source::Device(device) => {
                let owner = plan::Owner {
                    uid: device.uid.unwrap_or(identity.uid),
                    gid: device.gid.unwrap_or(identity.gid),
                    mode: device.mode,
                };
                scratch.device(&init::scratch_name(index), device, owner)?;
                None
            }
            Source::Overlay { overlay, .. } => Some(mount_overlay(overlay)?),
            Source::Tmpfs { .. } => None,
            Source::Secret { start, end, owner } => {
                scratch.write(&init::scratch_name(index), &secrets[*start..*end], *owner)?;
                None
            }
            Source::Socket { socket, owner } => {
                scratch.listen(&init::scratch_name(index), &fds[*socket], *owner)?;
                None
            }
        })
    };
    plan.mounts.iter().enumerate().map(make).collect()
}

/// What has to be there to mount onto, and the mount points that lie in another mount, which is made before them.
fn mount_points(plan: &Plan, mounts: &[Option<OwnedFd>]) -> (Vec<(PathBuf, Kind)>, Vec<PathBuf>) {
    let etc = ["/etc/resolv.conf", "/etc/hosts"].into_iter().filter(|path| !mounts::is_replaced(path, plan));
    let kind = |mount: &plan::Mount, fd: &Option<OwnedFd>| match (&mount.source, fd) {
        (Source::Secret { .. } | Source::Socket { .. } | Source::Device(_), _) => Kind::File,
        (Source::Overlay { overlay, selector }, _) if !selector.is_empty() => {
            init::selected_kind(overlay, selector, fd)
        }
        (_, Some(fd)) => init::kind_of_fd(fd),
        (_, None) => Kind::Dir,
    };
    let own = plan.mounts.iter().zip(mounts).map(|(mount, fd)| (PathBuf::from(&mount.dest), kind(mount, fd)));
    let own: Vec<_> = own.filter(|(path, _)| path.parent().is_some()).collect();
    let targets: HashSet<&Path> = own.iter().map(|(path, _)| path.as_path()).collect();
    let is_covered = |(path, _): &&(PathBuf, Kind)| path.ancestors().skip(1).any(|above| targets.contains(above));
    let (covered, uncovered): (Vec<_>, Vec<_>) = own.iter().partition(is_covered);
    let [covered, uncovered] = [covered, uncovered].map(|points| points.into_iter().filter_map(|p| outside(plan, p)));
    let points = etc.map(|path| (PathBuf::from(path), Kind::File)).chain(uncovered);
    (points.collect(), covered.map(|(path, _)| path).collect())
}

/// The part of a mount point that lies in the tree: what lies below the kernel's file systems is made in those.
fn outside(plan: &Plan, point: &(PathBuf, Kind)) -> Option<(PathBuf, Kind)> {
    match KERNEL.iter().find(|kernel| point.0.starts_with(kernel)) {
        // parity: BuildKit takes the whole path for a stub and so removes what stays after other runs.
        Some(kernel) => plan.remove_stubs_recursive.then(|| (PathBuf::from(kernel), Kind::Dir)),
        None => Some(point.clone()),
    }
}

/// Makes the working directory when it is missing, owned by the user.
///
/// parity: what its path only passes (`/passed/../w`) is made, too, as runc does it: by root.
fn make_cwd(root: &Tree, cwd: &str, identity: &Identity) -> Result<()> {
    let cwd = Path::new(cwd);
    let users = NewDir { mode: 0o755, owner: Some((identity.uid, identity.gid)), time: None };
    let make = |path: &Path, new| if root.resolve(path).is_ok() { Ok(()) } else { root.mkdir_all(path, new).map(drop) };
    let made = root.real_path(cwd).and_then(|real| make(&real, users)).and_then(|()| make(cwd, stubs::DIR));
    made.map_err(Error::io("create working directory", cwd))
}

/// Enters the network that the container is to have, once it is there.
fn join(container: &Container) -> Result<()> {
    if container.plan.network != plan::Network::Join {
        return Ok(());
    }
    let entered = fds::receive(&container.control, 1).and_then(|fds| network::enter(fds[0].as_fd()));
    entered.map_err(Error::io("enter", "the sandbox's network"))
}

/// Starts the container's first process.
fn start(container: &mut Container) -> Result<OwnedFd> {
    let mut namespaces = libc::CLONE_NEWNS | libc::CLONE_NEWPID;
    if container.plan.oci.is_none() {
        namespaces |= libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | libc::CLONE_NEWCGROUP;
        if container.plan.network == plan::Network::Loopback {
            namespaces |= libc::CLONE_NEWNET;
        }
    }
    let flags = u64::from(namespaces.cast_unsigned());
    Reply::Ready.send(&container.control).map_err(Error::io("tell", "the executor"))?;
    match sys::clone(flags, container.cgroup.fd()).map_err(Error::io("start", "the container"))? {
        sys::Cloned::Parent(init) => Ok(init),
        sys::Cloned::Child => match &container.plan.oci {
            Some(oci) => oci::main(container, oci),
            None => init::main(container),
        },
    }
}

/// Lets go of the executor's pipes.
fn silence() -> rustix::io::Result<()> {
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)
}

/// Waits until the container ends; kills it when the executor hangs up.
fn wait(init: BorrowedFd<'_>, control: &UnixStream) -> std::io::Result<i32> {
    loop {
        let mut fds = [PollFd::new(&init, PollFlags::IN), PollFd::new(control, PollFlags::IN | PollFlags::RDHUP)];
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        if !fds[0].revents().is_empty() {
            return sys::wait(init);
        }
        if !fds[1].revents().is_empty() && hung_up(control)? {
            pidfd_send_signal(init, Signal::KILL)?;
            return sys::wait(init);
        }
    }
}

pub(super) fn hung_up(mut control: &UnixStream) -> std::io::Result<bool> {
    Ok(matches!(control.read(&mut [0; 64]), Ok(0) | Err(_)))
}
