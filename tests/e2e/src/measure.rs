//! What a program cost: wall time, processor time and peak memory, of itself and of everything it waited for.

use std::io::Write;
use std::mem::MaybeUninit;
use std::process::{ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::{Error, Result};

/// The cost of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// From start to exit.
    pub wall: Duration,
    /// Of all processors, user and system.
    pub cpu: Duration,
    /// Largest resident set of any one process, in bytes.
    pub peak: u64,
}

impl Cost {
    /// The sum of what two parties spent on the same work: the larger peak counts on top of the other.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self { wall: self.wall, cpu: self.cpu + other.cpu, peak: self.peak + other.peak }
    }

    /// The cost of this and of what was done after it.
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        Self { wall: self.wall + next.wall, cpu: self.cpu + next.cpu, peak: self.peak.max(next.peak) }
    }
}

/// Runs a program that must succeed, its output thrown away.
pub fn measure(command: &mut Command) -> Result<Cost> {
    let shown = format!("{command:?}");
    let mut waiting = Waiting::start(command).map_err(Error::when(format!("cannot start {shown}")))?;
    let started = Instant::now();
    waiting.go.write_all(b"\n").map_err(Error::when(format!("cannot start {shown}")))?;
    let (status, usage) = wait(waiting.process).map_err(Error::when(format!("cannot wait for {shown}")))?;
    let wall = started.elapsed();
    if status != 0 {
        return Err(Error(format!("{shown}: wait status {status:#x}")));
    }
    Ok(Cost { wall, cpu: time(usage.ru_utime) + time(usage.ru_stime), peak: usage.ru_maxrss as u64 * 1024 })
}

/// A shell forks another, which becomes the program once it reads a line, and says who that is.
const WAIT: &str = r#"exec 3<&0; (read -r go <&3 && exec "$@" </dev/null 3<&-) >/dev/null 2>&1 & echo $!"#;

/// A process that becomes a program when it is told to go.
///
/// The kernel adds the memory of who starts a program to the peak of the program, so that starting it from here would
/// measure this process. The process that waits was forked by a shell that has ended, and is this one's by inheritance.
struct Waiting {
    process: u32,
    go: ChildStdin,
}

impl Waiting {
    fn start(command: &Command) -> std::io::Result<Self> {
        // SAFETY: it changes who inherits the children of children, and nothing in memory.
        if unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) } < 0 {
            return Err(std::io::Error::last_os_error());
        }
        let mut shell = Command::new("sh");
        shell.args(["-c", WAIT, "sh"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        if let Some(directory) = command.get_current_dir() {
            shell.current_dir(directory);
        }
        let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let go = shell.stdin.take().expect("it is piped");
        let said = std::io::read_to_string(shell.stdout.take().expect("it is piped"))?;
        shell.wait()?;
        let process = said.trim().parse().map_err(std::io::Error::other)?;
        Ok(Self { process, go })
    }
}

/// The median by wall time.
pub fn median(mut costs: Vec<Cost>) -> Cost {
    costs.sort_by_key(|cost| cost.wall);
    costs.get(costs.len() / 2).copied().unwrap_or_default()
}

fn wait(process: u32) -> std::io::Result<(i32, libc::rusage)> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are valid for writing, and `process` is a child that nobody else waits for.
    let waited = unsafe { libc::wait4(process as libc::pid_t, &raw mut status, 0, usage.as_mut_ptr()) };
    if waited < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: all bytes zero is a valid `rusage`, and wait4 filled it in.
    Ok((status, unsafe { usage.assume_init() }))
}

fn time(value: libc::timeval) -> Duration {
    Duration::from_secs(value.tv_sec as u64) + Duration::from_micros(value.tv_usec as u64)
}

/// What daemons spent so far: processor time of them and of the children they waited for, and the sum of their peaks.
/// **Shape**: one sum over a process and all its descendants that are alive.
pub fn spent_by(daemon: u32) -> Cost {
    let processes = descendants(daemon);
    let cpu = processes.iter().map(|process| cpu_of(*process)).sum();
    let peak = processes.iter().map(|process| peak_of(*process)).sum();
    Cost { wall: Duration::ZERO, cpu, peak }
}

/// Lets the peaks of a process and its descendants begin anew.
pub fn reset_peak(daemon: u32) {
    for process in descendants(daemon) {
        // One that ended meanwhile has no peak to reset.
        let _ = std::fs::write(format!("/proc/{process}/clear_refs"), "5");
    }
}

fn descendants(root: u32) -> Vec<u32> {
    let parent = |process: u32| stat(process).and_then(|fields| fields.get(1)?.parse::<u32>().ok());
    let all: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|process| Some((process, parent(process)?)))
        .collect();
    let mut found = vec![root];
    let mut next = 0;
    while next < found.len() {
        let known = found[next];
        found.extend(all.iter().filter(|(_, parent)| *parent == known).map(|(process, _)| *process));
        next += 1;
    }
    found
}

/// Fields of `/proc/PID/stat` after the name, which may hold blanks: state, parent, ….
fn stat(process: u32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

/// User and system time, also of children that ended. **Unit**: clock ticks, a hundred a second on Linux.
fn cpu_of(process: u32) -> Duration {
    let fields = stat(process).unwrap_or_default();
    let ticks: u64 = fields.iter().skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

fn peak_of(process: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_costs_what_it_does() {
        let cost =
            measure(Command::new("sh").args(["-c", "sleep 0.05; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"]))
                .unwrap();
        assert!(cost.wall >= Duration::from_millis(50) && cost.peak > 100_000, "{cost:?}");
        assert!(cost.cpu > Duration::ZERO && cost.cpu < cost.wall, "{cost:?}");
        assert!(measure(&mut Command::new("false")).is_err());
        assert!(measure(&mut Command::new("/nowhere/nothing")).is_err());
        let of_its_own = r#"[ "$A" = "a b" ] && [ "$0" = "c d" ] && [ -d self ]"#;
        measure(Command::new("sh").args(["-c", of_its_own, "c d"]).env("A", "a b").current_dir("/proc")).unwrap();
    }

    #[test]
    fn memory_of_who_measures_is_not_the_programs() {
        let large = vec![1_u8; 64 << 20];
        let cost = measure(&mut Command::new("true")).unwrap();
        assert!(std::hint::black_box(&large).iter().all(|byte| *byte == 1) && cost.peak < 32 << 20, "{cost:?}");
    }

    #[test]
    fn this_process_is_seen() {
        let spent = spent_by(std::process::id());
        assert!(spent.peak > 100_000, "{spent:?}");
    }
}
