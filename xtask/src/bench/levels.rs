//! What the optimizer does to the time of a build: cases of the conformance corpus and examples, at each level, by the
//! executor and, where one is at hand, by BuildKit.
//!
//! Cold, nothing is cached: the executor has a store of its own each time, BuildKit's is emptied. Then the file that `cargo
//! xtask optimizer` changes gets a line more, and the same is built again. Images and programs are the stand-ins of the tests,
//! and the context has files enough that copies are felt. What is measured ends with an OCI archive, as layers cost too. Levels
//! take turns, each time in another order, so that drift hits all of them; the first round does not count. Where no pass
//! changes a definition, there is nothing to measure.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use e2e::corpus::{self, Bench, LEVELS};
use e2e::measure::measure;
use e2e::{Buildkit, Sandbox, binaries, process};
use tempfile::TempDir;
use xtask::optimizer;

use crate::release;
use crate::shell::{self, Result};

/// What is measured where nobody says it: builds of real shape, and the examples.
const CASES: [&str; 2] = ["real/", "examples/"];
/// A file that every example takes.
const SOURCE: &str = "/src/main";
/// Rounds that count; the median is shown.
const ROUNDS: usize = 5;
/// Files in each directory of the context, and the bytes of each.
const FILES: (usize, usize) = (200, 22_000);
/// What is timed of a build.
const TIMED: [&str; 2] = ["cold", "changed"];

pub(super) fn run(words: &[String]) -> Result<()> {
    // Tests ask the environment which binaries they run.
    if std::env::var_os(binaries::DIRECTORY).is_none() {
        let mut again = Command::new(std::env::current_exe()?);
        return shell::run(again.args(["bench", "levels"]).args(words).env(binaries::DIRECTORY, release::build()?));
    }
    let words: Vec<&str> = if words.is_empty() { CASES.to_vec() } else { words.iter().map(String::as_str).collect() };
    let (sandbox, rows) = (Sandbox::with_base(), optimizer::rows("real/")?);
    let mut cases = [corpus::cases()?, corpus::examples(&sandbox)?].concat();
    cases.retain(|case| words.iter().any(|word| case.name.contains(word)));
    let builders: Vec<Builder> =
        [Some(Builder::Executor), Buildkit::get().transpose()?.map(Builder::Buildkit)].into_iter().flatten().collect();
    shell::print("| build | builder | what | -O0 | -O1 | -O2 |\n|---|---|---|---|---|---|\n")?;
    for case in &cases {
        let bench = Bench::new(std::slice::from_ref(case));
        fill(&bench.locals())?;
        let changed = rows.iter().find(|row| row.name == case.name).map_or(Some(SOURCE), |row| row.file.as_deref());
        let build = Build {
            definitions: bench.definitions(case),
            changed: changed.map(|file| bench.locals().join("context").join(file.trim_start_matches('/'))),
            bench,
        };
        if !build.is_optimized()? {
            shell::print(&format!("| {} | no pass changes it | | | | |\n", case.name))?;
            continue;
        }
        for builder in &builders {
            let times = shell::timed(&format!("{} by {}", case.name, builder.name()), || build.rounds(builder))?;
            for (what, times) in TIMED.iter().zip(times) {
                shell::print(&format!("| {} | {} | {what} | {} |\n", case.name, builder.name(), times.join(" | ")))?;
            }
        }
    }
    Ok(())
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

/// A build at each level.
struct Build {
    bench: Bench,
    definitions: [PathBuf; LEVELS.len()],
    /// The file that gets a line more, if one is taken.
    changed: Option<PathBuf>,
}

impl Build {
    /// Whether a pass changes anything.
    fn is_optimized(&self) -> Result<bool> {
        let [given, _, most] = &self.definitions;
        Ok(std::fs::read(given)? != std::fs::read(most)?)
    }

    /// Runs each level in turns; for each of [`TIMED`] and each level the median in seconds, and the least and the most.
    fn rounds(&self, builder: &Builder) -> Result<[Vec<String>; TIMED.len()]> {
        let mut times = [(); TIMED.len()].map(|()| vec![Vec::new(); LEVELS.len()]);
        for round in 0..=ROUNDS {
            for turn in 0..LEVELS.len() {
                let level = (turn + round) % LEVELS.len();
                let found = self.once(builder, level)?;
                for (times, found) in times.iter_mut().zip(found).filter(|_| round > 0) {
                    times[level].extend(found.map(|time| time.as_secs_f64()));
                }
            }
        }
        Ok(times.map(|times| times.into_iter().map(shown).collect()))
    }

    /// Builds cold, and after a change.
    fn once(&self, builder: &Builder, level: usize) -> Result<[Option<Duration>; TIMED.len()]> {
        let place = builder.forget()?;
        let build = || builder.build(&self.bench, &self.definitions[level], place.path());
        let cold = build()?;
        let Some(changed) = &self.changed else { return Ok([Some(cold), None]) };
        writeln!(OpenOptions::new().append(true).create(true).open(changed)?, "changed")?;
        Ok([Some(cold), Some(build()?)])
    }
}

/// The median, the least and the most.
fn shown(mut times: Vec<f64>) -> String {
    times.sort_by(f64::total_cmp);
    let (Some(least), Some(most)) = (times.first(), times.last()) else { return "nothing".to_owned() };
    format!("{:.2} ({least:.2}–{most:.2})", times[times.len() / 2])
}

/// Who builds.
enum Builder {
    Executor,
    Buildkit(Buildkit),
}

impl Builder {
    fn name(&self) -> &'static str {
        match self {
            Self::Executor => "executor",
            Self::Buildkit(_) => "BuildKit",
        }
    }

    /// Begins with nothing cached. What is built from now on goes into the directory.
    fn forget(&self) -> Result<TempDir> {
        if let Self::Buildkit(buildkit) = self {
            process::succeed(buildkit.client().args(["prune", "--all"]))?;
        }
        Ok(tempfile::tempdir()?)
    }

    fn build(&self, bench: &Bench, definition: &Path, place: &Path) -> Result<Duration> {
        let output = format!("--output=type=oci,dest={}", place.join("image.tar").display());
        let mut command = match self {
            Self::Executor => bench.executor(definition, &bench.locals()),
            Self::Buildkit(buildkit) => bench.buildkit(buildkit, definition),
        };
        if matches!(self, Self::Executor) {
            command.env("LLBC_ROOT", place.join("store")).arg("--progress=quiet");
        }
        Ok(measure(command.arg(output))?.wall)
    }
}
