//! Running a program of this machine to its end: `git`, `gpgv`, `ssh-keygen`.

use std::fs;
use std::process::{Command, Output};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use std::{io, os::unix::process::CommandExt as _};

use rustix::process::{Pid, Signal, kill_process_group};

use super::Context;
use crate::{Error, Result};

/// How often it is looked whether a program does something, in the time that it may do nothing.
const LOOKS: u32 = 8;

/// How long a program may take; what takes longer is killed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Patience {
    /// As long as it likes.
    Endless,
    /// So long in all.
    InAll(Duration),
    /// So long without doing anything: nothing is read or written, nothing computed. It is said in what it prints on standard
    /// error.
    Idle(Duration),
}

/// What it prints, and how it ends. What is cancelled or takes longer than it may is killed with all that it started.
///
/// **Errors**: what `missing` makes of why it cannot be run; `Cancelled`.
pub(super) fn output(
    mut command: Command,
    patience: Patience,
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
    let is_over = move |after: Duration| wait.recv_timeout(after) == Err(RecvTimeoutError::Timeout);
    let timer = match patience {
        Patience::Endless => None,
        Patience::InAll(whole) => Some(std::thread::spawn(move || is_over(whole).then(kill).map(|()| whole))),
        Patience::Idle(idle) => {
            Some(std::thread::spawn(move || is_idle(group, idle, is_over).then(kill).map(|()| idle)))
        }
    };
    let output = child.wait_with_output().map_err(Error::io("wait for", name));
    drop(ended);
    let killed = timer.and_then(|timer| timer.join().expect("a timer does not panic"));
    context.cancel.check()?;
    let mut output = output?;
    if let (Patience::Idle(_), Some(idle)) = (patience, killed) {
        output.stderr.extend(format!("nothing came from the other side for {idle:?}\n").into_bytes());
    }
    Ok(output)
}

/// Waits until a group of processes has done nothing for a time; `false`: it ended before, or nobody knows.
fn is_idle(group: Pid, idle: Duration, is_over: impl Fn(Duration) -> bool) -> bool {
    let (mut done, mut since) = (done_by(group), Instant::now());
    while is_over(idle / LOOKS) {
        let now = done_by(group);
        match now == done {
            true if since.elapsed() >= idle => return now.is_some(),
            true => {}
            false => (done, since) = (now, Instant::now()),
        }
    }
    false
}

/// What the processes of a group have done so far: a number that is another once one of them has read, written or computed
/// something. `None` where the kernel does not count.
fn done_by(group: Pid) -> Option<u64> {
    let mut sum = None;
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let Ok(stat) = fs::read_to_string(process.path().join("stat")) else { continue };
        // The name, in parentheses, may hold anything: fields are counted behind it. Third is the group, 12th and 13th the time.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or_default();
        if number(2) == u64::from(group.as_raw_nonzero().get().unsigned_abs())
            && let Ok(io) = fs::read_to_string(process.path().join("io"))
        {
            let counts = io.lines().filter(|line| line.starts_with("rchar") || line.starts_with("wchar"));
            let bytes = counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum::<u64>();
            *sum.get_or_insert(0) += bytes + number(11) + number(12);
        }
    }
    sum
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
        let patience = Patience::InAll(Duration::from_millis(50));
        let output = Place::new().with(|context| output(sleeping(), patience, context, missing)).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (None, 0));
        assert!(started.elapsed() < Duration::from_secs(50));
    }

    #[test]
    fn what_does_nothing_is_killed_and_what_does_something_is_not() {
        let output_of = |command: Command, idle: u64| {
            let idle = Patience::Idle(Duration::from_millis(idle));
            Place::new().with(|context| output(command, idle, context, missing)).unwrap()
        };
        let killed = output_of(sleeping(), 100);
        assert_eq!(killed.status.code(), None);
        assert_eq!(String::from_utf8_lossy(&killed.stderr), "nothing came from the other side for 100ms\n");
        let mut busy = Command::new("sh");
        busy.args(["-c", "for i in 1 2 3 4 5 6 7 8 9; do sleep 0.2; echo $i; done"])
            .stdout(std::process::Stdio::piped());
        let ended = output_of(busy, 1000);
        assert_eq!((ended.status.code(), ended.stdout.len(), ended.stderr.len()), (Some(0), 18, 0));
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
                output(sleeping(), Patience::Endless, context, missing)
            })
        });
        assert!(matches!(cancelled, Err(Error::Cancelled)), "{cancelled:?}");
        assert!(started.elapsed() < Duration::from_secs(50));
    }

    #[test]
    fn what_is_not_there_is_told() {
        let none = Command::new("/nonexistent/program");
        let error =
            Place::new().with(|context| output(none, Patience::Endless, context, missing)).unwrap_err().to_string();
        assert!(error.starts_with("missing: "), "{error}");
    }
}
