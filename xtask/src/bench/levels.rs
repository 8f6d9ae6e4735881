//! What the optimizer does to the time of a build: cases of the conformance corpus, at each level, by the executor and, where
//! one is at hand, by BuildKit.
//!
//! Nothing is cached: the executor has a store of its own each time, BuildKit's is emptied. Images and programs are the
//! stand-ins of the tests, and the context has files enough that copies are felt. What is measured ends with an OCI archive, as
//! layers cost too. Levels take turns, each time in another order, so that drift hits all of them; the first round does not count.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use e2e::corpus::{self, Bench, LEVELS};
use e2e::measure::measure;
use e2e::{Buildkit, binaries, process};

use crate::shell::{self, Result, cargo, target_dir};

/// Builds of many shapes whose stages have copies from the context and from each other.
const CASES: [&str; 4] = ["real/cpp-cmake", "real/dotnet", "real/go-monorepo", "real/spa-nginx"];
/// Rounds that count; the median is shown.
const ROUNDS: usize = 7;
/// Files in each directory of the context, and the bytes of each.
const FILES: (usize, usize) = (200, 22_000);

pub(super) fn run(words: &[String]) -> Result<()> {
    // Tests ask the environment which binaries they run.
    if std::env::var_os(binaries::DIRECTORY).is_none() {
        shell::step(
            "build llbc and executor",
            &mut cargo(&["build", "--release", "--package", "cli", "--package", "executor"]),
        )?;
        let mut again = Command::new(std::env::current_exe()?);
        return shell::run(
            again.args(["bench", "levels"]).args(words).env(binaries::DIRECTORY, target_dir().join("release")),
        );
    }
    let is_chosen = |name: &str| match words {
        [] => CASES.contains(&name),
        words => words.iter().any(|word| name.contains(&**word)),
    };
    let mut cases = corpus::cases()?;
    cases.retain(|case| is_chosen(&case.name));
    let bench = Bench::new(&cases);
    fill(&bench.locals())?;
    let buildkit = Buildkit::get().transpose()?;
    let mut table = "| build | builder | -O0 | -O1 | -O2 |\n|---|---|---|---|---|\n".to_owned();
    for case in &cases {
        let definitions = bench.definitions(case);
        let executor = shell::timed(&case.name, || rounds(|level| by_executor(&bench, &definitions[level])))?;
        let _ = writeln!(table, "| {} | executor | {} |", case.name, executor.join(" | "));
        if let Some(buildkit) = &buildkit {
            let costs =
                shell::timed("BuildKit", || rounds(|level| by_buildkit(&bench, buildkit, &definitions[level])))?;
            let _ = writeln!(table, "| {} | BuildKit | {} |", case.name, costs.join(" | "));
        }
    }
    shell::print(&table)
}

/// Puts files into the directories of the context.
fn fill(locals: &Path) -> Result<()> {
    let (count, size) = FILES;
    for directory in std::fs::read_dir(locals.join("context"))? {
        let directory = directory?.path();
        for number in (0..count).filter(|_| directory.is_dir()) {
            // No two are equal.
            let line = format!("{} {number}\n", directory.display());
            let text: String =
                (0..).map(|line_number| format!("{line_number} {line}")).take(size / (line.len() + 4)).collect();
            std::fs::write(directory.join(format!("file-{number}")), text)?;
        }
    }
    Ok(())
}

/// Runs each level in turns; for each the median in seconds, and the least and the most.
fn rounds(mut build: impl FnMut(usize) -> Result<Duration>) -> Result<Vec<String>> {
    let mut times = vec![Vec::new(); LEVELS.len()];
    for round in 0..=ROUNDS {
        for turn in 0..LEVELS.len() {
            let level = (turn + round) % LEVELS.len();
            let time = build(level)?;
            if round > 0 {
                times[level].push(time.as_secs_f64());
            }
        }
    }
    let shown = times.into_iter().map(|mut times| {
        times.sort_by(f64::total_cmp);
        format!("{:.2} ({:.2}–{:.2})", times[times.len() / 2], times[0], times[times.len() - 1])
    });
    Ok(shown.collect())
}

fn by_executor(bench: &Bench, definition: &Path) -> Result<Duration> {
    let directory = tempfile::tempdir()?;
    let mut command = bench.executor(definition, &bench.locals());
    command.env("LLBC_ROOT", directory.path().join("store"));
    command.arg("--progress=quiet").arg(archive(directory.path()));
    Ok(measure(&mut command)?.wall)
}

fn by_buildkit(bench: &Bench, buildkit: &Buildkit, definition: &Path) -> Result<Duration> {
    process::succeed(buildkit.client().args(["prune", "--all"]))?;
    let directory = tempfile::tempdir()?;
    Ok(measure(bench.buildkit(buildkit, definition).arg(archive(directory.path())))?.wall)
}

fn archive(directory: &Path) -> String {
    format!("--output=type=oci,dest={}", directory.join("image.tar").display())
}
