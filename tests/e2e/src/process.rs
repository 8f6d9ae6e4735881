//! Running programs: captured, bounded in time, and loud when they fail.

use std::fmt;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// So long may one program run: the slowest (unpacking a Debian base on a busy machine) takes a tenth of it.
const LIMIT: Duration = Duration::from_secs(600);

/// Result of driving programs.
pub type Result<T> = std::result::Result<T, Error>;

/// What was attempted, and what came of it.
#[derive(Debug)]
pub struct Error(pub String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl Error {
    /// Says what was attempted, on what; use with `map_err`.
    pub fn when<E: fmt::Display>(what: impl fmt::Display) -> impl FnOnce(E) -> Self {
        move |error| Self(format!("{what}: {error}"))
    }
}

/// What a program left behind.
#[derive(Debug)]
pub struct Run {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
    /// How long it took.
    pub took: Duration,
}

impl Run {
    /// Standard output as text.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// Runs a program to its end with nothing on standard input; a failure is a value.
pub fn run(command: &mut Command) -> Result<Run> {
    run_with_input(command, &[])
}

/// Runs a program that reads `input`; a failure is a value.
pub fn run_with_input(command: &mut Command, input: &[u8]) -> Result<Run> {
    let shown = format!("{command:?}");
    let started = Instant::now();
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.map_err(Error::when(format!("cannot start {shown}")))?;
    let mut stdin = child.stdin.take().expect("standard input is a pipe");
    let mut stdout = child.stdout.take().expect("standard output is a pipe");
    let mut stderr = child.stderr.take().expect("standard error is a pipe");
    std::thread::scope(|scope| {
        // A program that does not read its input to the end closes the pipe; that is its business.
        scope.spawn(move || drop(stdin.write_all(input)));
        let out = scope.spawn(move || read_all(&mut stdout));
        let err = scope.spawn(move || read_all(&mut stderr));
        let status = wait(&mut child, &shown)?;
        let stdout = out.join().expect("reading does not panic");
        let stderr = err.join().expect("reading does not panic");
        Ok(Run { status, stdout, stderr, took: started.elapsed() })
    })
}

/// Runs a program that must succeed.
pub fn succeed(command: &mut Command) -> Result<Run> {
    succeed_with_input(command, &[])
}

/// Runs a program that reads `input` and must succeed.
pub fn succeed_with_input(command: &mut Command, input: &[u8]) -> Result<Run> {
    let run = run_with_input(command, input)?;
    if run.status.success() {
        return Ok(run);
    }
    Err(Error(format!("{command:?}: {}\n{}{}", run.status, run.out(), run.err())))
}

/// The path of a program, as the shell would find it, or in the places of administrators.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    directories.extend(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from));
    directories.into_iter().map(|directory| directory.join(program)).find(|file| file.is_file())
}

/// Waits until something is true; `false` when it does not come to be in time.
pub fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        if condition() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

/// Asks a process to end, waits, and ends it if it does not. Its children are its own business.
pub fn stop(child: &mut Child) {
    let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    if !wait_until(Duration::from_secs(20), || matches!(child.try_wait(), Ok(Some(_)))) {
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Says something to who runs the test.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

fn read_all(from: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What was read before an error is still worth showing.
    let _ = from.read_to_end(&mut bytes);
    bytes
}

fn wait(child: &mut Child, shown: &str) -> Result<ExitStatus> {
    let deadline = Instant::now() + LIMIT;
    // Short naps: benchmarks look at programs that run for a few milliseconds.
    let mut nap = Duration::from_micros(200);
    loop {
        if let Some(status) = child.try_wait().map_err(Error::when(format!("cannot wait for {shown}")))? {
            return Ok(status);
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            return Err(Error(format!("{shown}: still running after {} s", LIMIT.as_secs())));
        }
        std::thread::sleep(nap);
        nap = (nap * 2).min(Duration::from_millis(20));
    }
}
