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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::sources::tests::Place;

    /// Starts a process that starts another one, which holds what is waited for.
    fn sleeping() -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 60 & wait"]).stdout(std::process::Stdio::piped());
        command
    }

    fn missing(error: io::Error) -> Error {
        Error::Invalid(format!("missing: {error}"))
    }

    #[test]
    fn what_takes_too_long_is_killed_with_what_it_started() {
        let started = Instant::now();
        let patience = Some(Duration::from_millis(50));
        let output = Place::new().with(|context| output(sleeping(), patience, context, missing)).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (None, 0));
        assert!(started.elapsed() < Duration::from_secs(50));
    }

    #[test]
    fn what_is_cancelled_is_killed() {
        let started = Instant::now();
        let cancelled = Place::new().with(|context| {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    std::thread::sleep(Duration::from_millis(50));
                    context.cancel.cancel();
                });
                output(sleeping(), None, context, missing)
            })
        });
        assert!(matches!(cancelled, Err(Error::Cancelled)), "{cancelled:?}");
        assert!(started.elapsed() < Duration::from_secs(50));
    }

    #[test]
    fn what_is_not_there_is_told() {
        let none = Command::new("/nonexistent/program");
        let error = Place::new().with(|context| output(none, None, context, missing)).unwrap_err().to_string();
        assert!(error.starts_with("missing: "), "{error}");
    }
}
