//! Hooks of a container: programs that whoever runs the machine has run at points of its life, as the OCI's runtime
//! specification (1.0.2) has it.
//!
//! ```text
//! shim                                      first process
//!  │                                         mounts
//!  ◄──────────────── "made" ─────────────────┤
//!  prestart, createRuntime                   │ waits
//!  ├──────────────── "go on" ───────────────►│
//!  │                                         createContainer, enters the root, confines itself,
//!  │                                         startContainer, executes: its side closes
//!  ◄─────────────────────────────────────────┘
//!  poststart, …, poststop
//! ```
//!
//! Hooks look for the container in its bundle, so there is one: the shim then has mounts of its own, with the root below
//! the bundle, which the first process has copies of.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::MemfdFlags;
use rustix::mount::{MountPropagationFlags, UnmountFlags};
use rustix::process::{Signal, pidfd_send_signal};
use rustix::thread::UnshareFlags;

use super::plan::{Bundle, Owner, Reply};
use super::scratch::Scratch;
use super::shim::{self, Container};
use super::{mounts, oci, sys};
use crate::rootfs::Tree;
use crate::runtime::Hook;
use crate::{Error, Result};

/// How often is looked whether a hook has ended.
const TICK: Duration = Duration::from_millis(2);
/// Most that is shown of what a hook that failed said, in bytes.
const MOST_SAID: u64 = 4 << 10;

/// What the first process says when the container is made, and is told to go on with.
const WORD: u8 = b'!';
/// What it says when the program cannot be started.
const FAILED: u8 = b'x';

/// The two sides of a container with hooks.
pub(super) struct Sides {
    shim: Option<UnixStream>,
    first: Option<UnixStream>,
}

impl Sides {
    pub(super) fn new() -> Result<Self> {
        let (shim, first) = UnixStream::pair().map_err(Error::io("make", "a socket for hooks"))?;
        Ok(Self { shim: Some(shim), first: Some(first) })
    }
}

/// Gives this process, the shim, mounts of its own, and puts the root and the configuration into the bundle.
pub(super) fn make_bundle(container: &Container, bundle: &Bundle) -> Result<()> {
    // SAFETY: the shim has one thread, and none of its descriptors depends on the namespace it leaves.
    let unshared = unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) };
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    unshared
        .and_then(|()| rustix::mount::mount_change("/", private))
        .map_err(|errno| Error::io("make mounts for hooks in", &bundle.path)(errno.into()))?;
    oci::attach(container.scratch.fd(), &bundle.path)?;
    let root = root(bundle);
    std::fs::create_dir(&root).map_err(Error::io("make", &root))?;
    oci::attach(container.root.fd(), &root)?;
    let text = oci::config(container, &bundle.path);
    container.scratch.write(oci::CONFIG, text.as_bytes(), Owner { uid: 0, gid: 0, mode: 0o600 })
}

fn root(bundle: &Bundle) -> PathBuf {
    bundle.path.join(oci::ROOT)
}

/// Has the first process use its own copies of what the shim mounted.
pub(super) fn take_copies(container: &mut Container, bundle: &Bundle) -> Result<()> {
    let root = root(bundle);
    container.root = Tree::open(&root).map_err(Error::io("open", root))?;
    container.scratch = Scratch::at(mounts::host_dir(&bundle.path.to_string_lossy())?);
    Ok(())
}

/// In the shim: runs what runs beside the container until its program has begun.
pub(super) fn accompany(container: &mut Container, bundle: &Bundle, init: BorrowedFd<'_>) -> Result<()> {
    let Some(Sides { shim: Some(shim), first }) = &mut container.hooks else { return Ok(()) };
    drop(first.take());
    let (shim, control) = (&*shim, &container.control);
    let pid = pid_of(init)?;
    let state = |status| State { bundle, status, pid };
    let hear = || hear(shim, init, control).map_err(Error::io("wait for", "the container"));
    let goes_on = || !has_hung_up(control);
    let run = |point, status| {
        run(&container.plan.hooks, point, &state(status), &goes_on).inspect_err(|_| {
            // It has not begun yet; nothing is waited for but its end.
            let _ = pidfd_send_signal(init, Signal::KILL);
        })
    };
    if hear()? != Some(WORD) {
        return Ok(());
    }
    run("prestart", "creating")?;
    run("createRuntime", "creating")?;
    if (&mut &*shim).write_all(&[WORD]).is_err() || hear()?.is_some() {
        return Ok(());
    }
    // Too late to end the program for it.
    if let Err(error) = self::run(&container.plan.hooks, "poststart", &state("running"), &goes_on) {
        let _ = Reply::Warning(error.to_string()).send(control);
    }
    Ok(())
}

/// In the shim, when the container is no more.
pub(super) fn after(hooks: &[Hook], bundle: &Bundle, control: &UnixStream) {
    let state = State { bundle, status: "stopped", pid: 0 };
    if let Err(error) = run(hooks, "poststop", &state, &|| true) {
        let _ = Reply::Warning(error.to_string()).send(control);
    }
}

/// In the shim: nothing of the bundle stays.
pub(super) fn clean(bundle: &Bundle) {
    let _ = rustix::mount::unmount(&bundle.path, UnmountFlags::DETACH);
    let _ = std::fs::remove_dir(&bundle.path);
}

/// In the first process, when its mounts are made: lets the shim run its hooks, then runs those of the container.
pub(super) fn made(container: &Container) -> Result<()> {
    let (Some(bundle), Some(mut first)) = (&container.plan.bundle, first(container)) else { return Ok(()) };
    let mut word = [0];
    let told = first.write_all(&[WORD]).and_then(|()| first.read_exact(&mut word));
    told.map_err(Error::io("wait for", "hooks"))?;
    let state = State { bundle, status: "creating", pid: own_pid() };
    run(&container.plan.hooks, "createContainer", &state, &|| true)
}

/// In the first process, as the program it is about to become: hooks that are programs of the image.
pub(super) fn about_to_start(container: &Container, pid: u32) -> Result<()> {
    let Some(bundle) = &container.plan.bundle else { return Ok(()) };
    let _ = sys::close_on_exec_from(3);
    run(&container.plan.hooks, "startContainer", &State { bundle, status: "created", pid }, &|| true)
}

/// In the first process: its program could not be started.
pub(super) fn not_started(container: &Container) {
    if let Some(mut first) = first(container) {
        let _ = first.write_all(&[FAILED]);
    }
}

fn first(container: &Container) -> Option<&UnixStream> {
    container.hooks.as_ref().and_then(|sides| sides.first.as_ref())
}

/// The number of this process where the host's /proc is mounted; unknown elsewhere.
pub(super) fn own_pid() -> u32 {
    let link = std::fs::read_link("/proc/self").ok();
    link.and_then(|link| link.to_str()?.parse().ok()).unwrap_or(0)
}

fn pid_of(pidfd: BorrowedFd<'_>) -> Result<u32> {
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
    let text = std::fs::read_to_string(&path).map_err(Error::io("read", path))?;
    let pid = text.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok());
    pid.ok_or_else(|| Error::Invalid("the kernel does not tell the number of the container's process".into()))
}

/// A byte of the first process; `None` when it has let go of its side, or when the executor hung up, and it is killed.
fn hear(mut shim: &UnixStream, init: BorrowedFd<'_>, control: &UnixStream) -> io::Result<Option<u8>> {
    loop {
        let mut fds = [PollFd::new(&shim, PollFlags::IN), PollFd::new(control, PollFlags::IN | PollFlags::RDHUP)];
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let mut byte = [0];
        if !fds[0].revents().is_empty() {
            return Ok(if shim.read(&mut byte)? == 1 { Some(byte[0]) } else { None });
        }
        if !fds[1].revents().is_empty() && shim::hung_up(control)? {
            pidfd_send_signal(init, Signal::KILL)?;
            return Ok(None);
        }
    }
}

fn has_hung_up(control: &UnixStream) -> bool {
    let mut fds = [PollFd::new(control, PollFlags::RDHUP)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
}

/// What a hook reads of the container.
struct State<'a> {
    bundle: &'a Bundle,
    status: &'static str,
    /// 0 when there is none.
    pid: u32,
}

impl State<'_> {
    fn text(&self) -> String {
        let Bundle { path, id } = self.bundle;
        let mut state = serde_json::json!({ "ociVersion": "1.0.2", "id": id, "status": self.status, "bundle": path });
        if self.pid != 0 {
            state["pid"] = self.pid.into();
        }
        state.to_string()
    }
}

/// Runs the hooks of a point one after the other, until one fails or `goes_on` says that nobody waits for them any more.
fn run(hooks: &[Hook], point: &str, state: &State<'_>, goes_on: &dyn Fn() -> bool) -> Result<()> {
    let of_point = hooks.iter().filter(|hook| hook.point == point);
    of_point.into_iter().try_for_each(|hook| {
        run_one(hook, state, goes_on)
            .map_err(|why| Error::Invalid(format!("the {} hook {} of a device failed: {why}", hook.point, hook.path)))
    })
}

fn run_one(hook: &Hook, state: &State<'_>, goes_on: &dyn Fn() -> bool) -> std::result::Result<(), String> {
    if !Path::new(&hook.path).is_absolute() {
        return Err("its path is not absolute".to_owned());
    }
    let failed = |error: io::Error| error.to_string();
    let (mut input, mut said) = (memory().map_err(failed)?, memory().map_err(failed)?);
    input.write_all(state.text().as_bytes()).and_then(|()| input.rewind()).map_err(failed)?;
    let mut command = Command::new(&hook.path);
    if let Some((name, args)) = hook.args.split_first() {
        command.arg0(name).args(args);
    }
    command.env_clear().envs(hook.env.iter().filter_map(|entry| entry.split_once('=')));
    command.stdin(Stdio::from(input)).stdout(Stdio::null()).stderr(Stdio::from(said.try_clone().map_err(failed)?));
    let mut child = command.spawn().map_err(failed)?;
    let until = hook.timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds.into()));
    let status = loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            break status;
        }
        let is_late = until.is_some_and(|until| Instant::now() >= until);
        if is_late || !goes_on() {
            let _ = child.kill();
            let _ = child.wait();
            let late = format!("it takes longer than {} s", hook.timeout.unwrap_or(0));
            return Err(if is_late { late } else { "nobody waits for it any more".to_owned() });
        }
        std::thread::sleep(TICK);
    };
    if status.success() {
        return Ok(());
    }
    let mut text = Vec::new();
    let _ = said.rewind().and_then(|()| said.take(MOST_SAID).read_to_end(&mut text));
    let text = String::from_utf8_lossy(text.trim_ascii()).into_owned();
    Err(if text.is_empty() { status.to_string() } else { format!("{status}: {text}") })
}

/// A file that is nowhere: a hook may write to it as much as it likes and never waits for a reader.
fn memory() -> io::Result<File> {
    Ok(File::from(rustix::fs::memfd_create("llbc-hook", MemfdFlags::CLOEXEC)?))
}
