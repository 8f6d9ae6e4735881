//! `cargo xtask test`: every check and every test, in the order in which they are cheap. Nothing is skipped in CI.

use std::process::Command;

use e2e::{Docker, base, binaries, docker};

use crate::memory;
use crate::setup;
use crate::shell::{self, Result, cargo, step, target_dir};

/// A step that only needs cargo.
struct Check {
    name: &'static str,
    arguments: &'static [&'static str],
    /// What rustdoc is told; it takes no such argument from cargo.
    rustdoc: &'static str,
}

const CHECKS: &[Check] = &[
    Check { name: "format", arguments: &["fmt", "--all", "--check"], rustdoc: "" },
    Check {
        name: "lints",
        arguments: &["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"],
        rustdoc: "",
    },
    Check { name: "documentation", arguments: &["doc", "--quiet", "--workspace", "--no-deps"], rustdoc: "-D warnings" },
    Check { name: "binaries", arguments: &["build", "--quiet", "--workspace", "--bins"], rustdoc: "" },
];

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    if let Some(unknown) = arguments.first() {
        return Err(format!("unknown argument {unknown}; single tests are run with `cargo test -p CRATE NAME`").into());
    }
    setup::run(&[])?;
    shell::timed("generated files", || crate::generate::run(true).map_err(Into::into))?;
    for check in CHECKS {
        step(check.name, cargo(check.arguments).env("RUSTDOCFLAGS", check.rustdoc))?;
    }
    let extension = crate::editors::check();
    // A failed test here is no reason not to know about the others.
    let inside = std::thread::scope(|scope| {
        // Minutes of one processor, which several end-to-end tests would wait for. When it fails, they say so.
        scope.spawn(|| drop(base::debian()));
        step("unit and whole-pipeline tests", &mut tests(&["--workspace", "--exclude", "e2e"]))
    });
    let outside = end_to_end();
    inside.and(outside).and(extension)
}

/// The tests against real peers: one engine for all, binaries that are built already.
fn end_to_end() -> Result<()> {
    memory::keep_temporary_files();
    let docker = shell::timed("start a Docker engine", || Ok(Docker::start()?))?;
    let mut command = tests(&["--package", "e2e"]);
    command.env(docker::SOCKET, docker.socket()).env(binaries::DIRECTORY, target_dir().join("debug"));
    command.env("TMPDIR", tempfile::env::temp_dir());
    step("end-to-end tests", &mut command)
}

/// The test runner: nextest when it is there, for its speed.
fn tests(packages: &[&str]) -> Command {
    let has_nextest = e2e::process::find("cargo-nextest").is_some();
    let runner: &[&str] =
        if has_nextest { &["nextest", "run", "--no-fail-fast"] } else { &["test", "--quiet", "--no-fail-fast"] };
    let mut command = cargo(runner);
    command.args(packages);
    command
}
