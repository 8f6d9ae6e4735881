//! The embedded runtime: namespaces, mounts and limits by system calls, with no other program.
//!
//! A process with threads cannot make a container safely: between fork and exec it may do next to nothing. So this
//! program starts itself again as a *shim* of one thread, which forks the container's first process:
//!
//! ```text
//! executor ──plan, descriptors──► shim ──clone──► init ──execve──► the program
//!     ▲ stdout, stderr, replies     │ waits, cleans up
//! ```
//!
//! | file | what it is |
//! |---|---|
//! | `request` | from a spec to a plan: what the host knows is resolved |
//! | `plan` | what is sent to the shim, and what it answers |
//! | `shim` | the process between: root, users, mount points, group, waiting |
//! | `init` | the first process: mounts, root, user, confinement, exec |
//! | `mounts`, `devices`, `scratch`, `stubs` | parts of a container's tree |
//! | `caps`, `seccomp`, `cgroup`, `limits`, `user` | parts of a confinement |
//! | `names` | /etc/hosts, /etc/resolv.conf |
//! | `agent` | sockets of the host, served inside |
//! | `binary` | this program, protected from containers |

mod agent;
mod binary;
mod caps;
mod cgroup;
mod devices;
mod fds;
mod init;
mod limits;
mod mounts;
mod names;
mod output;
mod plan;
mod request;
mod scratch;
mod seccomp;
mod shim;
mod stubs;
mod sys;
mod user;

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use agent::Servers;
use binary::Binary;
use plan::Reply;

use super::{Exit, Output, Runtime, Spec};
use crate::{Cancel, Error, Result};

/// First argument that makes this program the shim.
pub(super) const SHIM: &str = "__llbc-container-shim";

/// Runs the shim when that is what this process was started for; returns otherwise.
pub(super) fn enter_shim_if_asked() {
    if std::env::args_os().nth(1).is_some_and(|word| word == SHIM) {
        std::process::exit(shim::main());
    }
}

/// The embedded runtime.
pub struct Embedded {
    program: PathBuf,
    binary: OnceLock<Binary>,
}

impl Embedded {
    /// The runtime whose shim is this program, which must call [`super::enter_shim_if_asked`] first.
    pub fn new() -> Self {
        Self::with_shim("/proc/self/exe")
    }

    /// The runtime whose shim is the program at a path, which must call [`super::enter_shim_if_asked`] first.
    pub fn with_shim(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), binary: OnceLock::new() }
    }

    fn binary(&self) -> Result<&Binary> {
        if let Some(binary) = self.binary.get() {
            return Ok(binary);
        }
        let binary = Binary::open(&self.program).map_err(Error::io("protect", &self.program))?;
        Ok(self.binary.get_or_init(|| binary))
    }
}

impl Default for Embedded {
    fn default() -> Self {
        Self::new()
    }
}

impl Runtime for Embedded {
    fn run(&self, spec: &Spec, output: Output<'_>, cancel: &Cancel) -> Result<Exit> {
        if !rustix::process::geteuid().is_root() {
            return Err(Error::Unsupported {
                what: "running a container as an ordinary user".into(),
                why: "namespaces are made with root's rights; run it as root (sudo), or inside `unshare -Urm`".into(),
            });
        }
        if cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let request::Prepared { request, agents } = request::prepare(spec)?;
        let mut shim = Shim::start(&self.binary()?.path())?;
        // A shim that ended already has said why, or will be found to be gone.
        let _ = request.send(&mut shim.control);
        drop(request);
        let control = shim.control.try_clone().map_err(Error::io("copy", "the control socket"))?;
        // The shim kills the container when it hears nothing more from here.
        let hook = cancel.on_cancel(move || drop(control.shutdown(Shutdown::Write)));
        let ended = output::follow(&shim.control, shim.streams(), output, agents);
        drop(hook);
        shim.finish();
        outcome(ended?, output, cancel)
    }
}

/// What the shim's answers mean.
fn outcome(replies: Vec<Reply>, output: Output<'_>, cancel: &Cancel) -> Result<Exit> {
    if cancel.is_cancelled() {
        return Err(Error::Cancelled);
    }
    for reply in replies {
        match reply {
            Reply::Failed(message) => return Err(Error::Invalid(message)),
            Reply::NotStarted(message, code) => {
                output(2, format!("{message}\n").as_bytes());
                return Ok(Exit { code, out_of_memory: false });
            }
            Reply::Exited { code, out_of_memory } => {
                // Memory that ran out elsewhere meanwhile is not why a process ended well.
                return Ok(Exit { code, out_of_memory: out_of_memory && code != 0 });
            }
            Reply::Ready | Reply::Warning(_) => {}
        }
    }
    Err(Error::Invalid("the container's shim ended without an answer; was it killed?".into()))
}

/// A running shim.
struct Shim {
    child: Child,
    control: UnixStream,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

impl Shim {
    fn start(program: &Path) -> Result<Self> {
        let attempt = || -> io::Result<Self> {
            let (control, theirs) = UnixStream::pair()?;
            let (stdout, their_stdout) = io::pipe()?;
            let (stderr, their_stderr) = io::pipe()?;
            let child = Command::new(program)
                .arg(SHIM)
                .env_clear()
                .stdin(OwnedFd::from(theirs))
                .stdout(Stdio::from(their_stdout))
                .stderr(Stdio::from(their_stderr))
                // The terminal's signals are for the executor, which cancels in order.
                .process_group(0)
                .spawn()?;
            Ok(Self { child, control, stdout: stdout.into(), stderr: stderr.into() })
        };
        attempt().map_err(Error::io("start the container's shim", program))
    }

    fn streams(&self) -> [std::os::fd::BorrowedFd<'_>; 2] {
        [self.stdout.as_fd(), self.stderr.as_fd()]
    }

    /// Waits until the shim has cleaned up.
    fn finish(mut self) {
        drop(self.control);
        let _ = self.child.wait();
    }
}

/// Whether servers are needed: a module's border, so that `output` need not know how agents are served.
fn serve(agents: Vec<request::Agent>) -> Option<Servers> {
    (!agents.is_empty()).then(|| Servers::start(agents))
}
