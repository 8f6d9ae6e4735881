//! The standard input and output of a frontend: the stream to the builder.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use tokio::net::unix::pipe;

/// First number of the descriptors that are kept: above what programs take for standard streams.
const FIRST: i32 = 10;

/// Takes standard input and output away, as descriptors of their own. From then on whoever reads standard input finds
/// nothing, and what is printed goes to standard error: a stray line would break the protocol.
///
/// **Errors**: streams that are no pipes; nobody but a builder starts a frontend.
pub fn take() -> io::Result<(OwnedFd, OwnedFd)> {
    let (stdin, stdout) = (rustix::stdio::stdin(), rustix::stdio::stdout());
    for stream in [stdin, stdout] {
        require_pipe(stream)?;
    }
    let taken = (dup(stdin)?, dup(stdout)?);
    let nothing = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    // An image from scratch may have no /dev/null; then standard input stays, and nobody reads it.
    if let Ok(nothing) = nothing {
        rustix::stdio::dup2_stdin(nothing)?;
    }
    rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
    Ok(taken)
}

/// The descriptors as halves of a stream; inside a runtime.
pub fn halves((read, write): (OwnedFd, OwnedFd)) -> io::Result<(pipe::Receiver, pipe::Sender)> {
    Ok((pipe::Receiver::from_owned_fd(read)?, pipe::Sender::from_owned_fd(write)?))
}

fn require_pipe(stream: BorrowedFd<'_>) -> io::Result<()> {
    let kind = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(stream)?.st_mode);
    if kind == rustix::fs::FileType::Fifo {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "standard input and output are no pipes to a builder"))
}

fn dup(stream: impl AsFd) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(stream, FIRST)?)
}
