//! Project tasks: `cargo xtask TASK`.
#![allow(clippy::print_stderr, reason = "a tool that talks to the person at the terminal")]

mod generate;

use std::process::ExitCode;

/// A task by its words on the command line.
type Task = (&'static [&'static str], fn() -> Result<(), String>);

const TASKS: &[Task] = &[(&["gen"], || generate::run(false)), (&["gen", "--check"], || generate::run(true))];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some((_, task)) = TASKS.iter().find(|(name, _)| words == *name) else {
        let known: Vec<String> = TASKS.iter().map(|(name, _)| name.join(" ")).collect();
        eprintln!("usage: cargo xtask TASK, where TASK is one of: {}", known.join(", "));
        return ExitCode::from(2);
    };
    match task() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}
