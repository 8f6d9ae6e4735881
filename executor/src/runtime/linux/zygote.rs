//! The process that shims are forked from. Starting this program takes a millisecond, forking it a tenth of that; so it is
//! started once, waits for work with one thread and little memory, and ends when the executor does.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::fs::FileType;

use super::binary::Binary;
use super::{fds, shim, sys};
use crate::{temp, userns};

/// First argument that makes this program the zygote.
pub(super) const WORD: &str = "__llbc-container-shim";
/// What lists of processes show of it.
const NAME: &str = "llbc";

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
        let _ = zygote.keep(binary.fd());
        Ok(zygote)
    }

    /// Has it keep a copy of a descriptor open until it ends, and then remove the directory if it is one's lock.
    pub(super) fn keep(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        fds::send(&self.socket, &[fd.try_clone_to_owned()?])
    }

    /// Forks a shim.
    pub(super) fn fork(&self) -> io::Result<Shim> {
        let (control, their_control) = UnixStream::pair()?;
        let (stdout, their_stdout) = io::pipe()?;
        let (stderr, their_stderr) = io::pipe()?;
        fds::send(&self.socket, &[their_control.into(), their_stdout.into(), their_stderr.into()])?;
        Ok(Shim { control, stdout: stdout.into(), stderr: stderr.into() })
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        // Hung up on, it ends at once, and closes what it keeps, which nobody need wait for; its shims end with their
        // containers.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        if let Some(mut process) = self.process.take() {
            std::thread::spawn(move || process.wait());
        }
    }
}

/// Forks a shim for each message of three descriptors and keeps those of others, until the executor hangs up; then it
/// tidies up.
pub(super) fn main() -> i32 {
    let Ok(socket) = take_socket() else { return 1 };
    userns::look();
    // Shims are nobody's to wait for: the executor hears of their end through their sockets.
    sys::forget_children();
    let mut kept = Vec::new();
    loop {
        let Ok(message) = fds::receive_message(&socket) else { break };
        let message = match <[OwnedFd; 3]>::try_from(message) {
            Ok(message) => message,
            Err(others) => {
                kept.extend(others);
                continue;
            }
        };
        match sys::clone(0, None) {
            Ok(sys::Cloned::Parent(_)) => {}
            Ok(sys::Cloned::Child) => {
                drop((socket, kept));
                return be_a_shim(message);
            }
            // The executor finds the socket closed.
            Err(_) => {}
        }
    }
    kept.into_iter().filter(is_directory).for_each(temp::remove_handed_over);
    0
}

fn is_directory(fd: &OwnedFd) -> bool {
    rustix::fs::fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
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
    shim::main(&UnixStream::from(control))
}
