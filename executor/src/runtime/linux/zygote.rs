//! The process that shims are forked from. Starting this program takes a millisecond, forking it a tenth of that; so it is
//! started once, waits for work with one thread and little memory, and ends when the executor does.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard};

use super::binary::Binary;
use super::{cgroup, fds, shim, sys};
use crate::runtime::Later;
use crate::{store, temp, userns};

/// First argument that makes this program the zygote.
pub(super) const WORD: &str = "__llbc-container-shim";
/// What lists of processes show of it.
const NAME: &str = "llbc";

/// Zygotes that were hung up on, until they have been waited for: by the next one that starts, or else by whoever waits for
/// this program.
static ENDING: Mutex<Vec<Child>> = Mutex::new(Vec::new());

/// The executor's side of the zygote.
pub(super) struct Zygote {
    /// Until it is dropped.
    process: Option<Child>,
    socket: UnixStream,
}

/// The executor's side of a shim.
pub(super) struct Shim {
    pub(super) control: UnixStream,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

impl Zygote {
    /// Starts it from the program at a path.
    pub(super) fn start(program: &Path) -> io::Result<Self> {
        ending().retain_mut(|process| matches!(process.try_wait(), Ok(None)));
        let binary = Binary::open(program)?;
        let (socket, theirs) = UnixStream::pair()?;
        let process = Command::new(binary.path())
            .arg0(NAME)
            .arg(WORD)
            .env_clear()
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // The terminal's signals are for the executor, which cancels in order.
            .process_group(0)
            .spawn()?;
        let zygote = Self { process: Some(process), socket };
        // Whoever closes a mount last waits for the kernel, a millisecond or more.
        let _ = zygote.keep(binary.fd(), None);
        Ok(zygote)
    }

    /// Has it keep a copy of a descriptor open until it ends, and then do something with it.
    pub(super) fn keep(&self, fd: BorrowedFd<'_>, then: Option<Later>) -> io::Result<()> {
        fds::send_as(Message::Keep(then).byte(), &self.socket, &[fd.try_clone_to_owned()?])
    }

    /// Forks a shim.
    pub(super) fn fork(&self) -> io::Result<Shim> {
        let (control, their_control) = UnixStream::pair()?;
        let (stdout, their_stdout) = io::pipe()?;
        let (stderr, their_stderr) = io::pipe()?;
        let theirs = [their_control.into(), their_stdout.into(), their_stderr.into()];
        fds::send_as(Message::Fork.byte(), &self.socket, &theirs)?;
        Ok(Shim { control, stdout: stdout.into(), stderr: stderr.into() })
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        // Hung up on, it ends at once, and closes what it keeps, which nobody need wait for; its shims end with their
        // containers.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        ending().extend(self.process.take());
    }
}

fn ending() -> MutexGuard<'static, Vec<Child>> {
    ENDING.lock().expect("no panic while it is held")
}

/// What descriptors are sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Message {
    /// To fork a shim that has them.
    Fork,
    /// To keep one open until the end.
    Keep(Option<Later>),
}

impl Message {
    const ALL: [Self; 4] =
        [Self::Fork, Self::Keep(None), Self::Keep(Some(Later::Remove)), Self::Keep(Some(Later::Fold))];

    fn byte(self) -> u8 {
        Self::ALL.iter().position(|message| *message == self).expect("all are listed") as u8
    }

    fn of(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte)).copied()
    }
}

/// Forks shims and keeps descriptors, as it is told, until the executor hangs up; then it tidies up.
pub(super) fn main() -> i32 {
    let Ok(socket) = take_socket() else { return 1 };
    userns::look();
    // Shims are nobody's to wait for: the executor hears of their end through their sockets.
    sys::forget_children();
    cgroup::expect();
    let mut kept = Vec::new();
    loop {
        let Ok((byte, fds)) = fds::receive_message(&socket) else { break };
        let streams = match (Message::of(byte), <[OwnedFd; 3]>::try_from(fds)) {
            (Some(Message::Fork), Ok(streams)) => streams,
            (Some(Message::Keep(then)), Err(fds)) => {
                kept.extend(fds.into_iter().map(|fd| (fd, then)));
                continue;
            }
            // The executor is this program: it says nothing else.
            _ => continue,
        };
        match sys::clone(0, None) {
            Ok(sys::Cloned::Parent(_)) => {}
            Ok(sys::Cloned::Child) => {
                drop((socket, kept));
                return be_a_shim(streams);
            }
            // The executor finds the socket closed.
            Err(_) => {}
        }
    }
    for (fd, then) in kept {
        match then {
            None => {}
            Some(Later::Remove) => temp::remove_handed_over(fd),
            Some(Later::Fold) => store::fold_handed_over(fd),
        }
    }
    0
}

/// Takes the socket away from standard input and puts a pipe that nobody writes to there.
fn take_socket() -> io::Result<UnixStream> {
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let (closed, _) = rustix::pipe::pipe()?;
    rustix::stdio::dup2_stdin(&closed)?;
    rustix::process::chdir("/")?;
    Ok(UnixStream::from(socket))
}

fn be_a_shim([control, stdout, stderr]: [OwnedFd; 3]) -> i32 {
    sys::keep_children();
    let taken = rustix::stdio::dup2_stdout(stdout.as_fd()).and_then(|()| rustix::stdio::dup2_stderr(stderr.as_fd()));
    drop((stdout, stderr));
    if taken.is_err() {
        return 1;
    }
    shim::main(UnixStream::from(control))
}
