//! A BuildKit daemon of our own, where one is at hand: private directory and socket, stopped when dropped.
//!
//! No distribution packages it, so nothing may need it: tests compare with what was recorded from it, and benchmarks
//! leave the column out.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::process::{self, Error, Result};
use crate::{Registry, Sandbox, have, registry};

/// Variable that names the daemon's program; its client is expected beside it.
pub const PROGRAM: &str = "BUILDKITD";

/// A running daemon.
pub struct Buildkit {
    address: String,
    client: PathBuf,
    daemon: Child,
    /// Kept for its drop.
    _directory: TempDir,
}

impl Buildkit {
    /// Starts the daemon of `BUILDKITD`, or the one that the shell would find; `None` where there is none.
    pub fn get() -> Option<Result<Self>> {
        Some(Self::start(&Self::program()?))
    }

    /// The program of `BUILDKITD`, or the one that the shell would find.
    pub fn program() -> Option<PathBuf> {
        std::env::var_os(PROGRAM).map(PathBuf::from).or_else(|| process::find("buildkitd"))
    }

    /// Where a build is compared with the daemon's: a directory that has its Dockerfile, of which `BASE` becomes the name of
    /// the base, and a file, and the registry that has the base. `None`, which is said, where something is missing.
    pub fn beside(dockerfile: &str) -> Option<(Sandbox, Registry)> {
        if Self::program().is_none() {
            process::say("not run, there is no buildkitd; BUILDKITD names one");
            return None;
        }
        if !have(registry::PROGRAMS) {
            return None;
        }
        let registry = Registry::start().unwrap_or_else(|error| panic!("{error}"));
        let sandbox = Sandbox::with_base();
        let base = format!("{}/base:1", registry.address);
        sandbox.write("base/Dockerfile", "FROM base\n");
        sandbox.succeed(&mut sandbox.shell(&format!("llbc build --push -t {base} base")));
        sandbox.write("context/Dockerfile", &dockerfile.replace("BASE", &base));
        sandbox.write("context/file", "content\n");
        Some((sandbox, registry))
    }

    /// Starts a daemon that forgets everything when it stops. Its client is beside its program.
    pub fn start(program: &Path) -> Result<Self> {
        Self::configured(program, "")
    }

    /// The same with the text of a configuration.
    pub fn configured(program: &Path, text: &str) -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("e2e-buildkit-")
            .tempdir()
            .map_err(Error::when("cannot make a directory"))?;
        let path = |name: &str| directory.path().join(name);
        let log = std::fs::File::create(path("log")).map_err(Error::when("cannot make a log"))?;
        let address = format!("unix://{}", path("sock").display());
        std::fs::write(path("config.toml"), text).map_err(Error::when("cannot write a configuration"))?;
        let daemon = Command::new(program)
            .arg("--root")
            .arg(path("root"))
            .arg("--config")
            .arg(path("config.toml"))
            .args(["--addr", &address, "--oci-worker-net=host", "--containerd-worker=false", "--oci-worker-gc=false"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(Error::when(format!("cannot start {}", program.display())))?;
        let client = program.with_file_name("buildctl");
        let (log, mut buildkit) = (path("log"), Self { address, client, daemon, _directory: directory });
        if buildkit.is_up() {
            return Ok(buildkit);
        }
        process::stop(&mut buildkit.daemon);
        Err(Error(format!("buildkitd does not come up:\n{}", std::fs::read_to_string(log).unwrap_or_default())))
    }

    fn is_up(&self) -> bool {
        let mut probe = self.client();
        probe.args(["debug", "workers"]).stdout(Stdio::null()).stderr(Stdio::null());
        process::wait_until(Duration::from_secs(60), || probe.status().is_ok_and(|status| status.success()))
    }

    /// The process id of the daemon.
    pub fn daemon(&self) -> u32 {
        self.daemon.id()
    }

    /// The client, pointed at the daemon.
    pub fn client(&self) -> Command {
        let mut command = Command::new(&self.client);
        command.env_remove("SOURCE_DATE_EPOCH").arg(format!("--addr={}", self.address));
        command
    }
}

impl Drop for Buildkit {
    fn drop(&mut self) {
        process::stop(&mut self.daemon);
    }
}
