//! Project tasks: `cargo xtask TASK`. One row a task; each sets up what it needs, so that a fresh machine will do.

mod bench;
mod demo;
mod editors;
mod frontend_image;
mod generate;
mod memory;
mod new;
mod release;
mod setup;
mod shell;
mod test;

use std::process::ExitCode;

use shell::Result;

/// A task.
struct Task {
    name: &'static str,
    summary: &'static str,
    run: fn(&[String]) -> Result<()>,
}

const TASKS: &[Task] = &[
    Task { name: "setup", summary: "install the programs that tests and benchmarks need", run: setup::run },
    Task { name: "demo", summary: "build an image from a Dockerfile and run something from it", run: demo::run },
    Task { name: "conformance", summary: "run the conformance corpus: [DIR] [--filter F]", run: conformance },
    Task { name: "optimizer", summary: "count what the optimizer gains on the corpus: [FILTER]", run: optimizer },
    Task { name: "test", summary: "run every check and every test", run: test::run },
    Task { name: "bench", summary: "measure, side by side with docker and buildah", run: bench::run },
    Task { name: "release", summary: "build llbc and executor as they are given out", run: release::run },
    Task { name: "new", summary: "start a lint rule: rule NAME", run: new::run },
    Task {
        name: "frontend-image",
        summary: "build the image that `# syntax=` names: [--arch A,…] [OPTIONS OF llbc build]",
        run: frontend_image::run,
    },
    Task { name: "gen", summary: "generate files (`--check`: see whether they are fresh)", run: generated },
];

fn conformance(arguments: &[String]) -> Result<()> {
    let mut print = |text: &str| drop(shell::print(text));
    xtask::conformance::task(arguments, &mut print).map_err(Into::into)
}

fn optimizer(arguments: &[String]) -> Result<()> {
    let rows = xtask::optimizer::rows(arguments.first().map_or("", String::as_str))?;
    shell::print(&xtask::optimizer::table(&rows))
}

fn generated(arguments: &[String]) -> Result<()> {
    let check = arguments.first().is_some_and(|argument| argument == "--check");
    generate::run(check).map_err(Into::into)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let name = arguments.first().map(String::as_str).unwrap_or_default();
    let Some(task) = TASKS.iter().find(|task| task.name == name) else {
        shell::say("usage: cargo xtask TASK\n");
        for task in TASKS {
            shell::say(&format!("  {:14} {}", task.name, task.summary));
        }
        return ExitCode::from(2);
    };
    match (task.run)(&arguments[1..]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            shell::say(&format!("cargo xtask {name}: {error}"));
            ExitCode::FAILURE
        }
    }
}
