//! HLB: `llbc check` of a long program, whole processes from start to exit.

use std::process::Command;

use e2e::measure::{measure, median};

use crate::release;
use crate::shell::{self, Result};

/// Functions of the program; ten lines each.
const FUNCTIONS: usize = 1000;

/// Runs; the median counts.
const RUNS: usize = 5;

pub(super) fn run() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("build.hlb");
    let text = program();
    std::fs::write(&file, &text)?;
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        runs.push(measure(Command::new(release::directory().join("llbc")).arg("check").arg(&file))?);
    }
    let cost = median(runs);
    shell::print(&format!(
        "\n`llbc check` of {} lines of HLB, whole process: {:.0} ms, {:.0} ms of processor time, peak {} MB\n",
        text.lines().count(),
        cost.wall.as_secs_f64() * 1000.0,
        cost.cpu.as_secs_f64() * 1000.0,
        cost.peak / 1_000_000,
    ))
}

/// A program in which every function calls the one before it, binds a mount, and puts strings together.
fn program() -> String {
    let mut text = "fs f0(string v) {\n\timage \"base:${v}\"\n}\n".to_owned();
    for number in 1..FUNCTIONS {
        let before = number - 1;
        text += &format!(
            "\nfs f{number}(string v) {{\n\timage \"base:${{v}}\"\n\trun \"make ${{v}}\" with option {{\n\t\tenv \"N\" \"{number}\"\n\t\tmount fs {{ f{before} v; }} \"/in\" with readonly\n\t\tmount scratch \"/out\" as out{number}\n\t}}\n\tcopy f{before}(v) \"/\" \"/before\"\n}}\n"
        );
    }
    text
}
