//! The embedded runtime: namespaces, mounts and limits by system calls, with no other program.
//!
//! A process with threads cannot make a container safely: between fork and exec it may do next to nothing. So this
//! program starts itself again, once, as a *zygote* of one thread. For each container that forks a *shim*, which forks the
//! container's first process:
//!
//! ```text
//! executor ──────────► zygote ──fork──► shim ──clone──► init ──execve──► the program
//!     └──plan, descriptors──────────────►│ waits, cleans up
//!     ◄──stdout, stderr, replies─────────┘
//! ```
//!
//! | file | what it is |
//! |---|---|
//! | `request` | from a spec to a plan: what the host knows is resolved |
//! | `plan` | what is sent to the shim, and what it answers |
//! | `zygote` | the process that shims are forked from |
//! | `shim` | the process between: root, users, mount points, group, waiting |
//! | `init` | the first process: mounts, root, user, confinement, exec |
//! | `mounts`, `devices`, `scratch`, `stubs` | parts of a container's tree |
//! | `caps`, `seccomp`, `cgroup`, `limits`, `user` | parts of a confinement |
//! | `network` | a sandbox's network |
//! | `names` | /etc/hosts, /etc/resolv.conf |
//! | `agent` | sockets of the host, served inside |
//! | `console` | a terminal for a process that somebody talks to |
//! | `hooks` | programs of the host around a container |
//! | `oci` | the same container by another runtime |
//! | `binary` | this program, protected from containers |

mod agent;
mod binary;
mod caps;
mod cgroup;
mod console;
mod devices;
mod fds;
mod hooks;
mod init;
mod limits;
mod mounts;
mod names;
mod network;
mod oci;
mod output;
mod plan;
mod request;
mod scratch;
mod seccomp;
mod shim;
mod stubs;
mod sys;
mod user;
mod zygote;

use std::io;
use std::net::Shutdown;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};

use agent::Servers;
use plan::Reply;
use zygote::{Shim, Zygote};

use super::{Exit, Later, Network, Output, Runtime, Spec};
use crate::{Cancel, Error, Result};

/// Becomes the zygote when that is what this process was started for; returns otherwise.
pub(super) fn enter_shim_if_asked() {
    if std::env::args_os().nth(1).is_some_and(|word| word == zygote::WORD) {
        std::process::exit(zygote::main());
    }
}

/// The embedded runtime.
pub struct Embedded {
    program: PathBuf,
    /// Made for the first sandbox, with it; else why there can be none.
    networks: OnceLock<std::result::Result<network::Networks, String>>,
    // Later than the router: it ends last what both keep open.
    zygote: Mutex<Option<Zygote>>,
}

impl Embedded {
    /// The runtime whose shim is this program, which must call [`super::enter_shim_if_asked`] first.
    pub fn new() -> Self {
        Self::with_shim("/proc/self/exe")
    }

    /// The runtime whose shim is the program at a path, which must call [`super::enter_shim_if_asked`] first.
    pub fn with_shim(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), zygote: Mutex::new(None), networks: OnceLock::new() }
    }

    fn networks(&self) -> std::result::Result<&network::Networks, &String> {
        let made = self.networks.get_or_init(|| {
            let networks = std::thread::scope(|scope| {
                // It starts while the network is made. Why it cannot is said when it is needed.
                scope.spawn(|| drop(self.zygote()));
                network::Networks::start().map_err(|error| error.to_string())
            })?;
            if let (Ok(zygote), Some(fd)) = (self.zygote(), networks.router().slow_to_close()) {
                // A zygote that died keeps nothing, and closing takes as long as it takes.
                let _ = zygote.as_ref().map(|zygote| zygote.keep(fd, None));
            }
            Ok(networks)
        });
        made.as_ref()
    }

    /// Gives a shim, which makes the rest of the container meanwhile, the network it waits for.
    fn connect(&self, shim: &Shim) -> Result<()> {
        let failed = match self.networks().map(network::Networks::sandbox) {
            Ok(Ok(network::Sandbox(namespace))) => {
                let _ = fds::send(&shim.control, &[namespace]);
                return Ok(());
            }
            Ok(Err(error)) => error,
            Err(reason) => Error::NoSandbox(reason.clone()),
        };
        // Hung up on, it takes back what it made; until it has ended, the container's tree is not ours.
        let _ = shim.control.shutdown(Shutdown::Write);
        output::follow(shim, &|_, _| (), Vec::new()).map(drop)?;
        Err(failed)
    }

    /// The zygote, started when there is none. **Shape**: never `None`.
    fn zygote(&self) -> io::Result<MutexGuard<'_, Option<Zygote>>> {
        let mut zygote = self.zygote.lock().expect("no panic while the zygote is held");
        if zygote.is_none() {
            *zygote = Some(Zygote::start(&self.program)?);
        }
        Ok(zygote)
    }

    /// Forks a shim, from a new zygote when there is none (any more).
    fn shim(&self) -> Result<Shim> {
        let mut zygote = self.zygote.lock().expect("no panic while the zygote is held");
        if let Some(alive) = &*zygote
            && let Ok(shim) = alive.fork()
        {
            return Ok(shim);
        }
        let started = Zygote::start(&self.program).and_then(|started| Ok((started.fork()?, started)));
        let (shim, started) = started.map_err(Error::io("start the container's shim", &self.program))?;
        *zygote = Some(started);
        Ok(shim)
    }
}

impl Default for Embedded {
    fn default() -> Self {
        Self::new()
    }
}

impl Runtime for Embedded {
    fn expect(&self, sandbox: bool) {
        match sandbox {
            true => drop(self.networks()),
            false => drop(self.zygote()),
        }
    }

    fn run(&self, spec: &Spec, output: Output<'_>, cancel: &Cancel) -> Result<Exit> {
        self.run_by(None, spec, output, cancel)
    }

    fn later(&self, what: Later, of: BorrowedFd<'_>) -> bool {
        let zygote = self.zygote.lock().expect("no panic while the zygote is held");
        zygote.as_ref().is_some_and(|zygote| zygote.keep(of, Some(what)).is_ok())
    }
}

impl Embedded {
    /// Runs a process, in a container made by another runtime if one is given.
    fn run_by(&self, oci: Option<plan::Oci>, spec: &Spec, output: Output<'_>, cancel: &Cancel) -> Result<Exit> {
        cancel.check()?;
        if spec.network == Network::Sandbox
            && let Some(Err(reason)) = self.networks.get()
        {
            return Err(Error::NoSandbox(reason.clone()));
        }
        let has_hooks = oci.is_none() && !spec.hooks.is_empty();
        let request::Prepared { mut request, agents, console } = request::prepare(spec, oci)?;
        if has_hooks {
            let (id, path) = make_bundle()?;
            request.plan.bundle = Some(plan::Bundle { path, id });
        }
        let bundle = request.plan.bundle.as_ref().map(|bundle| bundle.path.clone());
        let ended = self.run_request(request, agents, console, spec.network, output, cancel);
        if let Some(bundle) = bundle {
            // The shim has removed it, unless it could not even start.
            let _ = std::fs::remove_dir(&bundle);
        }
        ended
    }

    /// Has a shim do what it is asked for.
    fn run_request(
        &self,
        request: plan::Request,
        agents: Vec<request::Agent>,
        console: Option<console::Console>,
        network: Network,
        output: Output<'_>,
        cancel: &Cancel,
    ) -> Result<Exit> {
        // A step with a limit may take the shim along, where that has to be in its group.
        let limit = Some(request.plan.cgroup.memory).filter(|memory| *memory > 0);
        let limit = limit.map(|memory| (memory, cgroup::killed_for_memory()));
        let mut shim = self.shim()?;
        // A shim that ended already has said why, or will be found to be gone.
        let _ = request.send(&mut shim.control);
        drop(request);
        if network == Network::Sandbox {
            self.connect(&shim)?;
        }
        let control = shim.control.try_clone().map_err(Error::io("copy", "the control socket"))?;
        // The shim kills the container when it hears nothing more from here.
        let hook = cancel.on_cancel(move || drop(control.shutdown(Shutdown::Write)));
        let replies = std::thread::scope(|scope| {
            // It ends when the container lets go of the terminal.
            console.map(|console| scope.spawn(move || console.serve(output)));
            output::follow(&shim, output, agents)
        });
        drop(hook);
        outcome(replies?, output, cancel).and_then(|exit| match (exit, limit) {
            (Some(exit), _) => Ok(exit),
            (None, Some((memory, killed_before))) if cgroup::killed_for_memory() > killed_before => {
                Err(Error::Invalid(format!(
                    "the kernel killed the container's shim: the memory that the step may have, {memory} bytes, is too little"
                )))
            }
            (None, _) => Err(Error::Invalid("the container's shim ended without an answer; was it killed?".into())),
        })
    }
}

/// A runtime of the OCI kind: `crun`, `runc`, or another one that takes a bundle.
pub struct OciRuntime {
    program: PathBuf,
    shim: Embedded,
}

impl OciRuntime {
    /// The runtime at a path, or of a name that is looked up in `PATH`. **Errors**: `NotFound`.
    pub fn find(program: &Path) -> Result<Self> {
        Self::with_shim(program, "/proc/self/exe")
    }

    /// The same with another shim than this program, see [`Embedded::with_shim`].
    pub fn with_shim(program: &Path, shim: impl Into<PathBuf>) -> Result<Self> {
        let candidates: Vec<PathBuf> = match program.components().count() {
            1 => std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
                .map(|dir| dir.join(program))
                .collect(),
            _ => vec![program.to_owned()],
        };
        let found = candidates.into_iter().find_map(|path| path.canonicalize().ok().filter(|path| path.is_file()));
        let program = found.ok_or_else(|| Error::NotFound(format!("no OCI runtime at {}", program.display())))?;
        Ok(Self { program, shim: Embedded::with_shim(shim) })
    }
}

impl Runtime for OciRuntime {
    fn expect(&self, sandbox: bool) {
        self.shim.expect(sandbox);
    }

    fn run(&self, spec: &Spec, output: Output<'_>, cancel: &Cancel) -> Result<Exit> {
        let (id, bundle) = make_bundle()?;
        let oci = plan::Oci { program: self.program.clone(), bundle: bundle.clone(), id };
        let result = self.shim.run_by(Some(oci), spec, output, cancel);
        // The shim has removed it, unless it could not even start.
        let _ = std::fs::remove_dir(&bundle);
        result
    }

    fn later(&self, what: Later, of: BorrowedFd<'_>) -> bool {
        self.shim.later(what, of)
    }
}

/// A name for a container that nobody else has, and an empty directory of that name.
fn make_bundle() -> Result<(String, PathBuf)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let id = format!("llbc-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let bundle = std::env::temp_dir().join(&id);
        match std::fs::create_dir(&bundle) {
            // Of a process in another namespace with the same number, or of one that was killed.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
            made => return made.map(|()| (id, bundle.clone())).map_err(Error::io("make", bundle)),
        }
    }
}

/// What the shim's answers mean; `None` where it did not say how it went.
fn outcome(replies: Vec<Reply>, output: Output<'_>, cancel: &Cancel) -> Result<Option<Exit>> {
    if cancel.is_cancelled() {
        return Err(Error::Cancelled);
    }
    for reply in replies {
        match reply {
            Reply::Failed(message) => return Err(Error::Invalid(message)),
            Reply::NotStarted(message, code) => {
                output(2, format!("{message}\n").as_bytes());
                return Ok(Some(Exit { code, out_of_memory: false }));
            }
            Reply::Exited { code, out_of_memory } => {
                // Memory that ran out elsewhere meanwhile is not why a process ended well.
                return Ok(Some(Exit { code, out_of_memory: out_of_memory && code != 0 }));
            }
            Reply::Warning(message) => output(2, format!("warning: {message}\n").as_bytes()),
            Reply::Ready => {}
        }
    }
    Ok(None)
}

/// Whether servers are needed: a module's border, so that `output` need not know how agents are served.
fn serve(agents: Vec<request::Agent>) -> Option<Servers> {
    (!agents.is_empty()).then(|| Servers::start(agents))
}
