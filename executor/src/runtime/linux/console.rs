//! A terminal for a process that somebody talks to: what they type goes in, what it shows comes out.
//!
//! The embedded runtime makes the terminal inside the container, where the program finds it under its name, and sends its
//! other side here. Other runtimes do the same, and tie it to a terminal that they are started on.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use super::fds;
use crate::runtime::Output;

/// How often the size is looked at.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
/// Bytes handed on at once.
const CHUNK: usize = 4 << 10;
/// What a terminal takes for the end of what is typed.
const END: u8 = 4;

/// The executor's side of a terminal.
pub(super) struct Console {
    side: Side,
    input: Option<Arc<OwnedFd>>,
}

enum Side {
    /// It comes through this.
    Socket(UnixStream),
    Here(OwnedFd),
}

impl Console {
    /// One that the container makes; beside it the socket for the container's side.
    pub(super) fn with_socket(input: Option<Arc<OwnedFd>>) -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        Ok((Self { side: Side::Socket(ours), input }, theirs.into()))
    }

    /// One that is made here; beside it the end that programs are started on.
    pub(super) fn with_terminal(input: Option<Arc<OwnedFd>>) -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = pair("/dev/ptmx")?;
        if let Some(size) = size(input.as_ref()) {
            rustix::termios::tcsetwinsize(&ours, size)?;
        }
        Ok((Self { side: Side::Here(ours), input }, theirs))
    }

    /// Hands on what is typed and what is shown until nobody holds the container's side any more. A container that cannot
    /// be made says so elsewhere.
    pub(super) fn serve(self, output: Output<'_>) {
        let _ = self.try_serve(output);
    }

    fn try_serve(self, output: Output<'_>) -> io::Result<()> {
        let terminal = match self.side {
            Side::Socket(socket) => fds::receive(&socket, 1)?.pop().ok_or(io::ErrorKind::UnexpectedEof)?,
            Side::Here(terminal) => terminal,
        };
        // Whoever types much must not wait for a program that waits until somebody looks at what it shows.
        rustix::io::ioctl_fionbio(&terminal, true)?;
        let mut talk = Talk { terminal, input: self.input, typed: Vec::new(), size: None, output };
        while talk.step()? {}
        Ok(())
    }
}

/// A conversation.
struct Talk<'a> {
    terminal: OwnedFd,
    /// Who types, until there is no more.
    input: Option<Arc<OwnedFd>>,
    /// Typed, and not taken yet.
    typed: Vec<u8>,
    size: Option<Winsize>,
    output: Output<'a>,
}

impl Talk<'_> {
    /// Does what there is to do; `false` when the container has let go of its side.
    fn step(&mut self) -> io::Result<bool> {
        self.resize();
        let wanted = if self.typed.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
        let mut fds = vec![PollFd::new(&self.terminal, wanted)];
        if let Some(input) = self.input.as_ref().filter(|_| self.typed.is_empty()) {
            fds.push(PollFd::new(input.as_ref(), PollFlags::IN));
        }
        match poll(&mut fds, Some(&LOOK)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let is_typed = fds.get(1).is_some_and(|fd| !fd.revents().is_empty());
        let terminal = fds[0].revents();
        drop(fds);
        if is_typed {
            self.read_typed();
        }
        self.type_in()?;
        if terminal.is_empty() { Ok(true) } else { self.show() }
    }

    /// Gives the terminal the size of the one that somebody sits at.
    fn resize(&mut self) {
        let Some(size) = size(self.input.as_ref()) else { return };
        let key = |size: &Winsize| (size.ws_row, size.ws_col);
        if self.size.as_ref().map(key) != Some(key(&size)) {
            // Without it lines are cut elsewhere, and all else works.
            let _ = rustix::termios::tcsetwinsize(&self.terminal, size);
            self.size = Some(size);
        }
    }

    fn read_typed(&mut self) {
        let Some(input) = &self.input else { return };
        let mut buffer = [0; CHUNK];
        match rustix::io::read(input.as_ref(), &mut buffer) {
            Ok(length @ 1..) => self.typed.extend_from_slice(&buffer[..length]),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Ok(0) | Err(_) => {
                self.input = None;
                self.typed.push(END);
            }
        }
    }

    fn type_in(&mut self) -> io::Result<()> {
        if self.typed.is_empty() {
            return Ok(());
        }
        match rustix::io::write(&self.terminal, &self.typed) {
            Ok(length) => drop(self.typed.drain(..length)),
            Err(Errno::INTR | Errno::AGAIN) => {}
            // Nobody reads any more.
            Err(Errno::IO) => self.typed.clear(),
            Err(errno) => return Err(errno.into()),
        }
        Ok(())
    }

    fn show(&mut self) -> io::Result<bool> {
        let mut buffer = [0; CHUNK];
        match rustix::io::read(&self.terminal, &mut buffer) {
            Ok(0) | Err(Errno::IO) => Ok(false),
            Ok(length) => {
                (self.output)(1, &buffer[..length]);
                Ok(true)
            }
            Err(Errno::INTR | Errno::AGAIN) => Ok(true),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// The size of the terminal that somebody sits at, if it is one.
fn size(input: Option<&Arc<OwnedFd>>) -> Option<Winsize> {
    rustix::termios::tcgetwinsize(input?.as_ref()).ok()
}

/// Makes a terminal in the container this process is in, sends its other side away, and takes it.
pub(super) fn make(socket: &OwnedFd) -> io::Result<()> {
    let (side, terminal) = pair("/dev/pts/ptmx")?;
    fds::send(&UnixStream::from(socket.try_clone()?), &[side])?;
    take(&terminal)
}

/// Makes a terminal the standard streams and what controls this session, which must be new.
pub(super) fn take(terminal: &OwnedFd) -> io::Result<()> {
    rustix::stdio::dup2_stdin(terminal)?;
    rustix::stdio::dup2_stdout(terminal)?;
    rustix::stdio::dup2_stderr(terminal)?;
    Ok(rustix::process::ioctl_tiocsctty(terminal)?)
}

/// Both sides of a new terminal: the one of who talks to it, and the one of programs.
fn pair(multiplexer: &str) -> io::Result<(OwnedFd, OwnedFd)> {
    let ours = rustix::fs::open(multiplexer, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::pty::unlockpt(&ours)?;
    let theirs = peer(ours.as_fd())?;
    Ok((ours, theirs))
}

fn peer(side: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    Ok(rustix::pty::ioctl_tiocgptpeer(side, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?)
}
