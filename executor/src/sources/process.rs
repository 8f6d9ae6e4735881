//! Running a program of this machine to its end: `git`, `gpgv`, `ssh-keygen`.

use std::process::{Command, Output};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;
use std::{io, os::unix::process::CommandExt as _};

use rustix::process::{Pid, Signal, kill_process_group};

use super::Context;
use crate::{Error, Result};

/// What it prints, and how it ends. What is cancelled or takes longer than `patience` is killed with all that it started.
///
/// **Errors**: what `missing` makes of why it cannot be run; `Cancelled`.
pub(super) fn output(
    mut command: Command,
    patience: Option<Duration>,
    context: Context<'_>,
    missing: impl FnOnce(io::Error) -> Error,
) -> Result<Output> {
    context.cancel.check()?;
    let name = command.get_program().to_owned();
    let child = command.process_group(0).spawn().map_err(missing)?;
    let group = Pid::from_child(&child);
    let kill = move || {
        // It may have ended just now.
        let _ = kill_process_group(group, Signal::KILL);
    };
    let _hook = context.cancel.on_cancel(kill);
    let (ended, wait) = channel::<()>();
    let timer = patience.map(|patience| {
        std::thread::spawn(move || {
            if wait.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                kill();
            }
        })
    });
    let output = child.wait_with_output().map_err(Error::io("wait for", name));
    drop(ended);
    if let Some(timer) = timer {
        timer.join().expect("a timer does not panic");
    }
    context.cancel.check()?;
    output
}
