//! Running programs with their output in view, and saying what is going on.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

/// Result of a task.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The cargo that runs this.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(e2e::workspace());
    command
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| e2e::workspace().join("target"), PathBuf::from)
}

/// Runs a program that must succeed; what it says is seen.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().map_err(|error| format!("cannot start {}: {error}", shown(command)))?;
    if status.success() { Ok(()) } else { Err(format!("{}: {status}", shown(command)).into()) }
}

/// The same with its name and the time it took, as one step of a task.
pub(crate) fn step(name: &str, command: &mut Command) -> Result<()> {
    timed(name, || run(command))
}

/// Does something with its name and the time it took in view.
pub(crate) fn timed<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    say(&format!("== {name}"));
    let started = Instant::now();
    let done = work();
    let mark = if done.is_ok() { "ok" } else { "FAILED" };
    say(&format!("== {name}: {mark}, {:.1} s", started.elapsed().as_secs_f64()));
    done
}

/// A command line as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Says something to who runs the task.
pub(crate) fn say(text: &str) {
    // Nothing can be done about a closed standard error.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Prints data.
pub(crate) fn print(text: &str) -> Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
