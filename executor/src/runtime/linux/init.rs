//! The container's first process: makes the container around itself, then becomes the program.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, StatxFlags};
use rustix::mount::{MountAttrFlags, MountPropagationFlags, UnmountFlags};

use super::plan::{self, Plan, Reply, Source};
use super::shim::Container;
use super::stubs::{DIR, Kind};
use super::{caps, cgroup, console, hooks, limits, mounts, seccomp, sys, user};
use crate::rootfs::Tree;
use crate::{Error, Result};

/// Names of files in the scratch file system.
pub(super) const HOSTS: &str = "hosts";
pub(super) const RESOLV_CONF: &str = "resolv.conf";

/// Where programs are looked for when the environment does not say.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Most mounts that may lie on the root when it is entered: the host's root, and what the host had put on it.
const MAX_STACKED: usize = 64;

/// What is taken away of the permissions of files that a step makes.
const UMASK: Mode = Mode::WGRP.union(Mode::WOTH);

/// Name of the file of a mount in the scratch file system.
pub(super) fn scratch_name(mount: usize) -> String {
    format!("mount-{mount}")
}

/// Becomes the container's program, or says why not.
pub(super) fn main(container: &mut Container) -> ! {
    let reply = match set_up(container) {
        Ok(program) => program.execute(),
        Err(e) => Reply::Failed(e.to_string()),
    };
    hooks::not_started(container);
    let _ = reply.send(&container.control);
    std::process::exit(127)
}

fn set_up(container: &mut Container) -> Result<Program> {
    if let Some(bundle) = container.plan.bundle.clone() {
        hooks::take_copies(container, &bundle)?;
    }
    let container = &*container;
    let plan = &container.plan;
    // Where we are going, nobody knows it.
    let pid = if plan.bundle.is_some() { hooks::own_pid() } else { 0 };
    sys::die_with_parent().map_err(Error::io("follow", "the shim"))?;
    rustix::process::setsid().map_err(|e| Error::io("start", "a session")(e.into()))?;
    // parity: what OCI runtimes have, not what whoever builds has.
    rustix::process::umask(UMASK);
    name_host(plan)?;
    mount_all(container)?;
    hooks::made(container)?;
    if plan.readonly_root {
        mounts::restrict(container.root.fd(), mounts::RDONLY)?;
    }
    enter(&container.root)?;
    let program = Program::find(plan, &container.root, container.identity.uid)?;
    if let Some(socket) = &container.terminal {
        console::make(socket).map_err(Error::io("make", "the container's terminal"))?;
    }
    hand_over_streams(container.identity.uid);
    plan.rlimits.iter().try_for_each(|limit| limits::set(*limit))?;
    go_to(&plan.cwd)?;
    confine(container)?;
    hooks::about_to_start(container, pid)?;
    Ok(program)
}

fn name_host(plan: &Plan) -> Result<()> {
    rustix::system::sethostname(plan.hostname.as_bytes())
        .map_err(|e| Error::io("name the container", &plan.hostname)(e.into()))?;
    if plan.network == plan::Network::Loopback {
        sys::interface_up("lo").map_err(Error::io("bring up", "lo"))
    } else {
        Ok(())
    }
}

/// Makes the container's mounts, all below the root, which lies on top of the host's for now.
fn mount_all(container: &Container) -> Result<()> {
    let (root, plan) = (&container.root, &container.plan);
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).map_err(|e| Error::io("make private", "/")(e.into()))?;
    // With hooks, the shim has done it elsewhere, as those may need the host's /proc.
    if plan.bundle.is_none() {
        cover_host(container)?;
    }

    mounts::kernel(root, plan)?;
    cgroup::mount(&container.cgroup, root, plan.insecure)?;
    if !plan.insecure {
        mounts::protect(root, container.scratch.empty()?.as_fd())?;
    }
    let names = [(RESOLV_CONF, "/etc/resolv.conf"), (HOSTS, "/etc/hosts")];
    for (name, dest) in names.into_iter().filter(|(_, dest)| !mounts::is_replaced(dest, plan)) {
        let file = container.scratch.bind(name)?;
        mounts::restrict(&file, mounts::INERT | mounts::RDONLY)?;
        mounts::attach(root, file, dest)?;
    }
    for index in 0..plan.mounts.len() {
        let mount = make_mount(container, index)?;
        mounts::attach(root, mount, &plan.mounts[index].dest)?;
    }
    Ok(())
}

/// Attaches memory-backed files and root to places of the host.
fn cover_host(container: &Container) -> Result<()> {
    // Files can be bound only from what is attached in this namespace: it covers the host's /proc, which every host has
    // and nobody needs from here on. (On `/` it would have to be unmounted on its own, which takes the kernel long.)
    attach_to_host(container.scratch.fd(), "/proc")?;
    attach_to_host(container.root.fd(), "/")
}

fn attach_to_host(mount: BorrowedFd<'_>, dir: &str) -> Result<()> {
    mounts::attach_to(mount, mounts::host_dir(dir)?).map_err(|e| Error::io("mount onto", dir)(e.into()))
}

/// One mount of the plan, with its attributes, still detached.
pub(super) fn make_mount(container: &Container, index: usize) -> Result<OwnedFd> {
    let mount = &container.plan.mounts[index];
    let made = container.mounts[index].as_ref();
    let copy = |fd: &OwnedFd| fd.try_clone().map_err(Error::io("copy", &mount.dest));
    let (fd, mut attributes) = match (&mount.source, made) {
        (Source::Tmpfs { size }, _) => return tmpfs(*size, covered_mode(container, &mount.dest), mount.readonly),
        (Source::Secret { owner, .. }, _) => (container.scratch.bind(&scratch_name(index))?, secret_attributes(*owner)),
        (Source::Socket { .. } | Source::Device(_), _) => {
            (container.scratch.bind(&scratch_name(index))?, MountAttrFlags::empty())
        }
        (Source::Host(_, host), Some(fd)) => {
            mounts::set_options(fd, host)?;
            return copy(fd);
        }
        (Source::Overlay { selector, .. }, Some(fd)) => {
            (select(container, index, fd, selector)?, MountAttrFlags::empty())
        }
        (_, Some(fd)) => (copy(fd)?, MountAttrFlags::empty()),
        (_, None) => return Err(Error::Invalid(format!("the mount at {} was not made", mount.dest))),
    };
    if mount.readonly {
        attributes |= mounts::RDONLY;
    }
    if !attributes.is_empty() {
        mounts::restrict(&fd, attributes)?;
    }
    Ok(fd)
}

fn tmpfs(size: u64, mode: u32, readonly: bool) -> Result<OwnedFd> {
    let (limit, mode) = (size.to_string(), format!("{mode:o}"));
    let options = [("mode", mode.as_str()), ("size", limit.as_str())];
    let attributes = if readonly { mounts::NOSUID | mounts::RDONLY } else { mounts::NOSUID };
    mounts::filesystem("tmpfs", if size > 0 { &options } else { &options[..1] }, attributes)
}

/// Permissions of a directory that memory is mounted over; those of memory where there was none before the step.
///
/// parity: runc gives a tmpfs those of the directory below it.
fn covered_mode(container: &Container, dest: &str) -> u32 {
    let path = Path::new(dest);
    let is_made = container.root.real_path(path).is_ok_and(|path| container.stubs.has(&path));
    let below = if is_made { None } else { container.root.resolve(path).ok() };
    below.and_then(|dir| rustix::fs::fstat(dir).ok()).map_or(0o1777, |stat| stat.st_mode & 0o7777)
}

/// A secret may be executed only when its mode says so.
fn secret_attributes(owner: plan::Owner) -> MountAttrFlags {
    let inert = mounts::INERT | mounts::RDONLY;
    if owner.mode & 0o111 == 0 { inert } else { inert - MountAttrFlags::MOUNT_ATTR_NOEXEC }
}

/// What a selector names in a mount of ours. The mount is attached to a directory of the scratch files first, as only of
/// what is attached parts can be bound.
fn select(container: &Container, index: usize, mount: &OwnedFd, selector: &str) -> Result<OwnedFd> {
    let failed = |e: io::Error| Error::io("open", selector)(e);
    if Path::new("/").join(selector) == Path::new("/") {
        return mount.try_clone().map_err(failed);
    }
    let point = container.scratch.point(&format!("whole-{index}"))?;
    mounts::attach_to(mount, point).map_err(|e| failed(e.into()))?;
    let tree = Tree::from_fd(mount.try_clone().map_err(failed)?);
    let selected = tree.resolve(Path::new(selector)).map_err(failed)?;
    mounts::bind(selected, "").map_err(|e| failed(e.into()))
}

/// What a selector names: a file or a directory.
pub(super) fn selected_kind(_: &plan::Overlay, selector: &str, fd: &Option<OwnedFd>) -> Kind {
    let tree = fd.as_ref().and_then(|fd| fd.try_clone().ok()).map(Tree::from_fd);
    let selected = tree.and_then(|tree| tree.resolve(Path::new(selector)).ok());
    selected.map_or(Kind::Dir, |fd| kind_of_fd(&fd))
}

/// What a descriptor is of.
pub(super) fn kind_of_fd(fd: &OwnedFd) -> Kind {
    match rustix::fs::fstat(fd) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::Directory => Kind::File,
        _ => Kind::Dir,
    }
}

/// Makes the root the root, and lets go of the host's.
fn enter(root: &Tree) -> Result<()> {
    let attempt = || -> rustix::io::Result<bool> {
        rustix::process::fchdir(root.fd())?;
        rustix::process::pivot_root(".", ".")?;
        // The host's root now lies on top of ours, and on it whatever the host had put there. All of that goes, until
        // `/..`, which shows what lies on top, is our root again.
        for _ in 0..MAX_STACKED {
            rustix::mount::unmount(".", UnmountFlags::DETACH)?;
            rustix::process::chdir("/")?;
            if is_on_top(root)? {
                return Ok(true);
            }
        }
        Ok(false)
    };
    match attempt() {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::Invalid("cannot let go of the host's root".into())),
        Err(e) => Err(Error::io("enter", "the root")(e.into())),
    }
}

/// Whether nothing is mounted on the root of this process.
fn is_on_top(root: &Tree) -> rustix::io::Result<bool> {
    let identity = |dir: BorrowedFd<'_>, path: &str, flags| {
        let stat = rustix::fs::statx(dir, path, flags, StatxFlags::INO | StatxFlags::MNT_ID)?;
        Ok::<_, rustix::io::Errno>((stat.stx_mnt_id, stat.stx_ino, stat.stx_dev_major, stat.stx_dev_minor))
    };
    Ok(identity(rustix::fs::CWD, "/..", AtFlags::empty())? == identity(root.fd(), "", AtFlags::EMPTY_PATH)?)
}

/// Lets the user reopen its own streams by name. Not on every kind of file possible, and not needed there.
fn hand_over_streams(uid: u32) {
    for stream in [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()] {
        let _ = rustix::fs::fchown(stream, crate::userns::owner(uid, u32::MAX).0, None);
    }
}

/// Goes to the working directory, which may be in a mount and missing there.
fn go_to(cwd: &str) -> Result<()> {
    let cwd = if cwd.is_empty() { "/" } else { cwd };
    let failed = |e: io::Error| Error::io("go to working directory", cwd)(e);
    if rustix::process::chdir(cwd).is_err() {
        let root = Tree::open(Path::new("/")).map_err(failed)?;
        root.mkdir_all(Path::new(cwd), DIR).map_err(failed)?;
        rustix::process::chdir(cwd).map_err(|e| failed(e.into()))?;
    }
    // A descriptor of the host that leaked could be reached through a link: such a directory has no path in here.
    let path = rustix::process::getcwd(Vec::new()).map_err(|e| failed(e.into()))?;
    if path.to_bytes().starts_with(b"/") {
        return Ok(());
    }
    Err(Error::Invalid(format!("working directory {cwd} is outside of the container")))
}

/// Gives up everything the process must not have. The order matters: a filter without no-new-privileges needs
/// `CAP_SYS_ADMIN`, and becoming the user clears what came before.
fn confine(container: &Container) -> Result<()> {
    let failed = |what: &'static str| move |e: io::Error| Error::io("confine", what)(e);
    let insecure = container.plan.insecure;
    if !insecure {
        caps::bound(container.capabilities).map_err(failed("capabilities"))?;
        sys::install_seccomp(&seccomp::default_filter()).map_err(failed("system calls"))?;
    }
    caps::become_user(&container.identity).map_err(failed("the user"))?;
    match insecure {
        true => caps::keep_all(),
        false => caps::keep(container.capabilities),
    }
    .map_err(failed("capabilities"))?;
    // Becoming the user has cleared it.
    sys::die_with_parent().map_err(failed("the session"))
}

/// What to execute: everything allocated before, so that nothing can fail between confining and executing.
struct Program {
    /// Where to look, in this order.
    candidates: Vec<CString>,
    name: String,
    args: Vec<CString>,
    env: Vec<CString>,
}

impl Program {
    fn find(plan: &Plan, root: &Tree, uid: u32) -> Result<Self> {
        let env = user::environment(&plan.env, root, uid);
        let name = plan.args[0].clone();
        let candidates = candidates(&name, &env).iter().map(|path| c_string(path.as_bytes())).collect::<Result<_>>()?;
        let args = plan.args.iter().map(|arg| c_string(arg.as_bytes())).collect::<Result<_>>()?;
        let env = env.iter().map(|entry| c_string(entry.as_bytes())).collect::<Result<_>>()?;
        Ok(Self { candidates, name, args, env })
    }

    /// Becomes the program. Returns when it cannot.
    fn execute(&self) -> Reply {
        let mut first = None;
        let _ = sys::close_on_exec_from(3);
        sys::reset_signals();
        for candidate in &self.candidates {
            let error = sys::execute(candidate, &self.args, &self.env);
            if !matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) {
                first.get_or_insert((candidate.to_string_lossy().into_owned(), error));
            }
        }
        match first {
            Some((path, error)) => refused(&path, &error),
            None => not_found(&self.name),
        }
    }
}

/// Paths to try for a program, in this order.
pub(super) fn candidates(name: &str, env: &[String]) -> Vec<String> {
    if name.contains('/') {
        return vec![name.to_owned()];
    }
    let path = env.iter().find_map(|entry| entry.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
    let absolute = path.split(':').filter(|dir| dir.starts_with('/'));
    absolute.map(|dir| Path::new(dir).join(name).to_string_lossy().into_owned()).collect()
}

/// A program is there and cannot be executed: what is said, and the exit code a shell gives.
pub(super) fn refused(path: &str, error: &io::Error) -> Reply {
    Reply::NotStarted(format!("exec {path}: {}", text(error)), 126)
}

/// A program is not there.
pub(super) fn not_found(name: &str) -> Reply {
    let reason = if name.contains('/') { "no such file or directory" } else { "executable file not found in $PATH" };
    Reply::NotStarted(format!("exec: {name:?}: {reason}"), 127)
}

fn c_string(bytes: &[u8]) -> Result<CString> {
    CString::new(bytes).map_err(|_| {
        Error::Invalid(format!("argument or variable with a NUL byte: {:?}", String::from_utf8_lossy(bytes)))
    })
}

fn text(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOEXEC) => "exec format error: it is no program of this machine's architecture; \
             to run others, install an emulator for them (qemu-user-static with binfmt-support)"
            .into(),
        Some(libc::EACCES) => "permission denied".into(),
        _ => error.to_string(),
    }
}
