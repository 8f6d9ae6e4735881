//! The binaries under test.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::process;

/// Variable that names the directory of binaries that are built already.
pub const DIRECTORY: &str = "LLBC_BIN_DIR";

/// Where the binaries are.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// `llbc`.
    pub llbc: PathBuf,
    /// `executor`.
    pub executor: PathBuf,
}

impl Binaries {
    /// Those of `LLBC_BIN_DIR`; without it they are built first, so that no test runs a stale one.
    pub fn get() -> &'static Self {
        static BINARIES: OnceLock<Binaries> = OnceLock::new();
        BINARIES.get_or_init(|| {
            let directory = std::env::var_os(DIRECTORY).map_or_else(build, PathBuf::from);
            let binary = |name: &str| {
                let path = directory.join(name);
                assert!(path.is_file(), "{} is missing", path.display());
                path
            };
            Self { llbc: binary("llbc"), executor: binary("executor") }
        })
    }

    /// `llbc` with nothing of the caller's environment that would change what it does.
    pub fn llbc(&self) -> Command {
        clean(&self.llbc)
    }

    /// `executor`, likewise.
    pub fn executor(&self) -> Command {
        clean(&self.executor)
    }
}

fn clean(program: &PathBuf) -> Command {
    let mut command = Command::new(program);
    for variable in ["SOURCE_DATE_EPOCH", "LLBC_ROOT", "BUILDKIT_PROGRESS", "NO_COLOR"] {
        command.env_remove(variable);
    }
    command
}

fn build() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--package", "cli", "--package", "executor"]).current_dir(crate::workspace());
    process::succeed(&mut command).unwrap_or_else(|error| panic!("{error}"));
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| crate::workspace().join("target"), PathBuf::from);
    target.join("debug")
}
