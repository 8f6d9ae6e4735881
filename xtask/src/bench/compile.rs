//! Compiling alone: whole processes on every file of the corpus; and in process, with all facts given.

use std::path::PathBuf;
use std::process::Command;

use e2e::measure::{measure, median};

use crate::release::{self, Profile};
use crate::shell::{self, Result, cargo};

/// Runs of each file; the median counts.
const RUNS: usize = 5;

/// Whole processes, `llbc compile` from start to exit: what an editor or a script waits for.
pub(super) fn run() -> Result<()> {
    let corpus = e2e::workspace().join("tests/conformance");
    let mut costs = Vec::new();
    for file in files(&corpus.join("dockerfile"))? {
        let mut command = Command::new(release::directory().join("llbc"));
        command.args(["compile", "--offline", "-o", "/dev/null", "--facts"]).arg(corpus.join("images.json"));
        command.arg("--context").arg(file.with_file_name("")).arg(&file);
        // Cases that are meant to fail are no compilations.
        let Ok(first) = measure(&mut command) else { continue };
        let mut runs = vec![first];
        for _ in 1..RUNS {
            runs.push(measure(&mut command)?);
        }
        costs.push(median(runs));
    }
    costs.sort_by_key(|cost| cost.wall);
    let at = |share: usize| costs.get(costs.len() * share / 100).copied().unwrap_or_default();
    let peak = costs.iter().map(|cost| cost.peak).max().unwrap_or_default();
    shell::print(&format!(
        "\n`llbc compile`, whole process, {} files of the corpus: median {:.2} ms, 99th percentile {:.2} ms, peak {} MB\n",
        costs.len(),
        at(50).wall.as_secs_f64() * 1000.0,
        at(99).wall.as_secs_f64() * 1000.0,
        peak / 1_000_000,
    ))
}

/// Time, then allocations and memory, of the corpus or the files that are named: see `xtask/benches`.
pub(super) fn in_process(files: &[String]) -> Result<()> {
    let profile = Profile::of_compiling()?;
    for bench in ["frontend", "frontend_memory"] {
        let mut command = cargo(&["bench", "--quiet", "--package", "xtask", "--bench", bench]);
        // Files are named from where the task was started.
        let directory = std::env::current_dir()?;
        profile.apply(&mut command).arg("--").args(files.iter().map(|file| directory.join(file)));
        shell::step(bench, &mut command)?;
    }
    Ok(())
}

fn files(corpus: &std::path::Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for group in std::fs::read_dir(corpus)? {
        for case in std::fs::read_dir(group?.path())? {
            files.push(case?.path().join("Dockerfile"));
        }
    }
    files.sort();
    Ok(files)
}
