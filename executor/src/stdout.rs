//! Standard output, which is data.
//!
//! The runtime of the language opens `/dev/null` in the place of a stream that is closed (`>&-`), so that what is written
//! would be lost without a word. Whether it is closed is seen before that runtime begins.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, Ordering};

static IS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Among what the loader calls before `main`.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    // SAFETY: it asks for flags of a number, whatever that stands for.
    let flags = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) };
    IS_CLOSED.store(flags == -1, Ordering::Relaxed);
}

/// **Errors**: it is closed.
pub fn check() -> io::Result<()> {
    match IS_CLOSED.load(Ordering::Relaxed) {
        true => Err(io::Error::other("it is closed")),
        false => Ok(()),
    }
}

/// Writes data to it; a reader that went away is no failure. **Errors**: it is closed, or cannot be written to.
pub fn write(bytes: &[u8]) -> io::Result<()> {
    check()?;
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// It as a file of its own. **Errors**: it is closed.
pub(crate) fn file() -> io::Result<File> {
    check()?;
    Ok(io::stdout().as_fd().try_clone_to_owned()?.into())
}
