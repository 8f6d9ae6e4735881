//! A directory of its own for a test: files, a store with a base image in it, and the two programs pointed at both.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::{Binaries, Run, base, process};

/// The name of the base image in every sandbox that asks for one.
pub const BASE: &str = "base";
/// When the base was made: it is one image in every store.
pub const EPOCH: (&str, &str) = ("SOURCE_DATE_EPOCH", "1600000000");

/// A place to work in. Programs run in `directory`; the store is beside it.
pub struct Sandbox {
    place: TempDir,
}

impl Sandbox {
    /// An empty one.
    pub fn new() -> Self {
        let place = tempfile::Builder::new().prefix("e2e-").tempdir().expect("a temporary directory can be made");
        std::fs::create_dir(place.path().join("work")).expect("a new directory is empty");
        Self { place }
    }

    /// One with busybox as image `base` in its store.
    pub fn with_base() -> Self {
        let sandbox = Self::new();
        let tar = base::busybox().unwrap_or_else(|error| panic!("{error}"));
        sandbox.succeed(sandbox.executor().env(EPOCH.0, EPOCH.1).args(["images", "import"]).arg(tar).arg(BASE));
        sandbox
    }

    /// Where programs run.
    pub fn directory(&self) -> PathBuf {
        self.place.path().join("work")
    }

    /// The store.
    pub fn store(&self) -> PathBuf {
        self.place.path().join("store")
    }

    /// What programs left in the store of what they made on the way: removing goes on for a moment after they ended.
    pub fn left_behind(&self) -> Vec<PathBuf> {
        let left = || -> Vec<PathBuf> {
            let entries = ["staging-v1", "tmp"].map(|name| std::fs::read_dir(self.store().join(name)));
            let paths = entries.into_iter().flatten().flatten().flatten().map(|entry| entry.path());
            paths.filter(|path| !path.ends_with("lock")).collect()
        };
        process::wait_until(Duration::from_secs(20), || left().is_empty());
        left()
    }

    /// Writes a file below the directory.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.directory().join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("directories can be made");
        std::fs::write(&path, content).expect("files can be written");
        path
    }

    /// Whether a file or directory is there.
    pub fn has(&self, name: &str) -> bool {
        self.directory().join(name).symlink_metadata().is_ok()
    }

    /// Reads a file below the directory.
    pub fn read(&self, name: &str) -> String {
        let path = self.directory().join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// A JSON file of the directory.
    #[track_caller]
    pub fn json(&self, name: &str) -> serde_json::Value {
        serde_json::from_str(&self.read(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// `llbc` in the directory, with the store.
    pub fn llbc(&self) -> Command {
        self.at_home(Binaries::get().llbc())
    }

    /// `executor` in the directory, with the store.
    pub fn executor(&self) -> Command {
        self.at_home(Binaries::get().executor())
    }

    /// A line for the shell, in which `llbc` and `executor` are the programs under test.
    pub fn shell(&self, script: &str) -> Command {
        let mut command = self.at_home(Command::new("bash"));
        let directory = Binaries::get().llbc.parent().expect("a binary lies in a directory").to_owned();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(directory).chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(path).expect("directories of a path have no colons"));
        command.args(["-c", &format!("set -o pipefail; {script}")]);
        command
    }

    /// Runs what must succeed.
    #[track_caller]
    pub fn succeed(&self, command: &mut Command) -> Run {
        process::succeed(command).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Runs what must fail with this exit code; returns what it said.
    #[track_caller]
    pub fn fail(&self, code: i32, command: &mut Command) -> String {
        let run = process::run(command).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(run.status.code(), Some(code), "{command:?}: {}\n{}", run.out(), run.err());
        run.err()
    }

    fn at_home(&self, mut command: Command) -> Command {
        command.current_dir(self.directory()).env("LLBC_ROOT", self.store()).env("HOME", self.place.path());
        command
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}
