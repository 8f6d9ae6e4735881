//! SIGINT, SIGTERM and SIGHUP (a terminal that is closed) become a request to stop; who wants the last ignored, as `nohup`
//! does, has it ignored. What is written beyond a limit of the size of files is an error of the write, not the end.
//!
//! The handler only writes to a pipe, the one thing that is safe there; a thread reads it. The first signal cancels, so
//! that steps are killed, mounts undone and files removed; the second ends the process as it is.

use std::io::Read;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};

use super::INTERRUPTED;
use crate::{Cancel, Error, Result};

/// Write end of the pipe; -1 before there is one.
static PIPE: AtomicI32 = AtomicI32::new(-1);

/// From now on a signal asks `cancel` to stop. Call once a process.
pub(super) fn cancel_on_signal(cancel: &Cancel) -> Result<()> {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(|error| Error::Io {
        attempt: "make",
        path: "a pipe for signals".into(),
        source: error.into(),
    })?;
    PIPE.store(writer.into_raw_fd(), Ordering::SeqCst);
    let cancel = cancel.clone();
    std::thread::spawn(move || wait(reader, &cancel));
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: `handle` is async-signal-safe: it loads an atomic and calls write(2).
        let before = unsafe { libc::signal(signal, handle as *const () as libc::sighandler_t) };
        if signal == libc::SIGHUP && before == libc::SIG_IGN {
            ignore(signal);
        }
    }
    ignore(libc::SIGXFSZ);
    Ok(())
}

fn ignore(signal: libc::c_int) {
    // SAFETY: an ignored signal runs no code of ours.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

extern "C" fn handle(_signal: libc::c_int) {
    let byte = 0u8;
    // SAFETY: writes one byte from the stack to a pipe that is never closed.
    unsafe { libc::write(PIPE.load(Ordering::SeqCst), (&raw const byte).cast(), 1) };
}

fn wait(reader: OwnedFd, cancel: &Cancel) {
    let mut signals = std::fs::File::from(reader);
    let mut next = || signals.read_exact(&mut [0]).is_ok();
    if next() {
        cancel.cancel();
    }
    if next() {
        std::process::exit(i32::from(INTERRUPTED));
    }
}
