//! A Docker engine of our own: private directories and socket, no network set up on the host, stopped when dropped.
//!
//! Debian's engine (20.10) with its embedded BuildKit, driven by its classic client with `DOCKER_BUILDKIT=1`. Newer
//! clients want the buildx plugin for that, so Debian's own client is looked for first.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::process::{self, Error, Result};

/// Variable that names the socket of an engine that is running already.
pub const SOCKET: &str = "E2E_DOCKER_SOCKET";

/// Programs an engine needs.
pub const PROGRAMS: &[&str] = &["dockerd", "docker", "containerd", "runc"];

/// A running engine.
pub struct Docker {
    socket: PathBuf,
    client: PathBuf,
    own: Option<Own>,
}

struct Own {
    daemon: Child,
    /// Kept for its drop.
    _directory: TempDir,
}

impl Docker {
    /// The engine of `E2E_DOCKER_SOCKET`, or one that is started now. `None` where there is no engine and no CI.
    pub fn get() -> Option<Self> {
        if !crate::have(PROGRAMS) {
            return None;
        }
        let docker = match std::env::var_os(SOCKET) {
            Some(socket) => Ok(Self { socket: socket.into(), client: client(), own: None }),
            None => Self::start(),
        };
        Some(docker.unwrap_or_else(|error| panic!("{error}")))
    }

    /// Starts an engine that forgets everything when it stops.
    pub fn start() -> Result<Self> {
        let directory =
            tempfile::Builder::new().prefix("e2e-docker-").tempdir().map_err(Error::when("cannot make a directory"))?;
        let path = |name: &str| directory.path().join(name);
        let log = std::fs::File::create(path("log")).map_err(Error::when("cannot make a log"))?;
        let socket = path("docker.sock");
        let daemon = Command::new(process::find("dockerd").ok_or_else(|| Error("dockerd is not installed".into()))?)
            .arg("--data-root")
            .arg(path("data"))
            .arg("--exec-root")
            .arg(path("exec"))
            .arg("--pidfile")
            .arg(path("pid"))
            .arg(format!("--host=unix://{}", socket.display()))
            // The host's firewall and interfaces are none of a test's business; steps run without a network.
            .args(["--bridge=none", "--iptables=false", "--ip6tables=false", "--storage-driver=overlay2"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(Error::when("cannot share the log"))?)
            .stderr(log)
            .spawn()
            .map_err(Error::when("cannot start dockerd"))?;
        let log = path("log");
        let mut docker = Self { socket, client: client(), own: Some(Own { daemon, _directory: directory }) };
        if docker.is_up() {
            return Ok(docker);
        }
        if let Some(own) = &mut docker.own {
            process::stop(&mut own.daemon);
        }
        Err(Error(format!("dockerd does not come up:\n{}", std::fs::read_to_string(log).unwrap_or_default())))
    }

    fn is_up(&self) -> bool {
        let mut probe = self.client();
        probe.arg("version").stdout(Stdio::null()).stderr(Stdio::null());
        process::wait_until(Duration::from_secs(60), || probe.status().is_ok_and(|status| status.success()))
    }

    /// Where it listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The process id of the daemon, if it is ours.
    pub fn daemon(&self) -> Option<u32> {
        self.own.as_ref().map(|own| own.daemon.id())
    }

    /// The client, pointed at the engine, with BuildKit on.
    pub fn client(&self) -> Command {
        let mut command = Command::new(&self.client);
        command
            .env("DOCKER_BUILDKIT", "1")
            .env_remove("DOCKER_CONTEXT")
            .arg(format!("--host=unix://{}", self.socket.display()));
        command
    }

    /// Makes an image from a tar of a tree, unless it has one of the name.
    pub fn import(&self, tar: &Path, name: &str, changes: &[&str]) -> Result<()> {
        let known = process::run(self.client().args(["image", "inspect", name]))?;
        if known.status.success() {
            return Ok(());
        }
        let changes = changes.iter().flat_map(|change| ["--change", change]);
        process::succeed(self.client().arg("import").args(changes).arg(tar).arg(name)).map(drop)
    }

    /// `docker build` of a directory; `arguments` come before the context.
    pub fn build(&self, context: &Path, arguments: &[&str]) -> Result<crate::Run> {
        let mut command = self.client();
        command.args(["build", "--network=none", "--progress=plain"]).args(arguments).arg(context);
        self.run_build(&mut command, &[])
    }

    /// Runs a build that a client of this engine was told to make, and that must succeed. What it reads is `input`.
    ///
    /// It is told so again when the engine gave up a computation that two steps share, which says nothing of the build: a
    /// busy machine is enough for that.
    pub fn run_build(&self, command: &mut Command, input: &[u8]) -> Result<crate::Run> {
        let gave_up = |error: &Error| error.0.contains("flightcontrol: exceeded retry timeout");
        let mut result = process::succeed_with_input(command, input);
        for _ in 0..2 {
            match &result {
                Err(error) if gave_up(error) => result = process::succeed_with_input(command, input),
                _ => break,
            }
        }
        result
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        if let Some(own) = &mut self.own {
            process::stop(&mut own.daemon);
        }
    }
}

fn client() -> PathBuf {
    let debian = PathBuf::from("/usr/bin/docker");
    if debian.is_file() { debian } else { process::find("docker").unwrap_or_else(|| "docker".into()) }
}
