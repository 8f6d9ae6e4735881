//! What the executor tells the shim to do: a [`runtime::Spec`] with everything of the host resolved.
//!
//! It crosses a process border: one JSON text, one block of secret bytes, and open descriptors that the plan names by
//! their position. Secrets are in neither arguments nor environment of any process of the host.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::fds;
use crate::runtime::{Device, Hook, HostMount};

/// Longest plan that is accepted, in bytes: an environment is limited to a few megabytes by the kernel anyway.
const MAX_PLAN: u64 = 64 << 20;

/// What to run and in what.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) root: Root,
    pub(super) readonly_root: bool,
    pub(super) args: Vec<String>,
    pub(super) env: Vec<String>,
    pub(super) cwd: String,
    pub(super) user: String,
    pub(super) hostname: String,
    pub(super) mounts: Vec<Mount>,
    /// Devices that processes may use, beside those of every container.
    pub(super) devices: Vec<Device>,
    pub(super) additional_gids: Vec<u32>,
    pub(super) hooks: Vec<Hook>,
    /// For other runtimes.
    pub(super) intel_rdt: Option<serde_json::Value>,
    /// Text of /etc/hosts.
    pub(super) hosts: String,
    /// Text of /etc/resolv.conf.
    pub(super) resolv_conf: String,
    pub(super) network: Network,
    pub(super) insecure: bool,
    /// Resource number, soft and hard limit.
    pub(super) rlimits: Vec<(u32, u64, u64)>,
    pub(super) cgroup: Cgroup,
    pub(super) remove_stubs_recursive: bool,
    /// An open file that standard input reads.
    pub(super) stdin: Option<usize>,
    /// What makes the standard streams a terminal.
    pub(super) terminal: Option<Terminal>,
    /// Another runtime that makes the container.
    pub(super) oci: Option<Oci>,
    /// Where hooks find a container that we make; nothing without hooks.
    pub(super) bundle: Option<Bundle>,
}

/// What hooks are told of a container.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Bundle {
    /// An empty directory of the host that the bundle is mounted on, seen by hooks only.
    pub(super) path: PathBuf,
    /// Name of the container.
    pub(super) id: String,
}

/// Where the process's network comes from.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub(super) enum Network {
    /// It is the executor's.
    Host,
    /// It is made with the container, with a loopback interface only.
    Loopback,
    /// Its namespace follows the request, when all else may be made already.
    Join,
}

/// A terminal for the standard streams.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Terminal {
    /// One of the container's own; its other side is sent through this socket.
    Make(usize),
    /// One that is there already, for a runtime that makes the container's from it.
    Given(usize),
}

/// A runtime that takes an OCI bundle.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Oci {
    /// Its program.
    pub(super) program: PathBuf,
    /// An empty directory of the host that the bundle is mounted on, seen by the runtime only.
    pub(super) bundle: PathBuf,
    /// Name of the container.
    pub(super) id: String,
}

/// The root of the container.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Root {
    Overlay(Overlay),
    /// An open directory.
    Dir(usize),
}

/// Directories of an overlay, lowest first; without `upper` it is read-only.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Overlay {
    pub(super) lower: Vec<PathBuf>,
    /// Directory of changes and work directory.
    pub(super) upper: Option<(PathBuf, PathBuf)>,
}

/// One mount.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Mount {
    pub(super) dest: String,
    pub(super) readonly: bool,
    pub(super) source: Source,
}

/// What is mounted.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Source {
    /// An open file or directory.
    Open(usize),
    /// One of the host's, with options.
    Host(usize, HostMount),
    /// A device to make.
    Device(Device),
    Overlay {
        overlay: Overlay,
        selector: String,
    },
    Tmpfs {
        size: u64,
    },
    /// A range of the secret bytes.
    Secret {
        start: usize,
        end: usize,
        owner: Owner,
    },
    /// An unbound socket that the shim binds and the executor accepts on.
    Socket {
        socket: usize,
        owner: Owner,
    },
}

/// Owner and mode of a file.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mode: u32,
}

/// Control group: parent, from the top of the hierarchy, and limits; 0 and empty are unset.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Cgroup {
    pub(super) parent: PathBuf,
    pub(super) memory: i64,
    pub(super) memory_swap: i64,
    pub(super) cpu_shares: i64,
    pub(super) cpu_period: i64,
    pub(super) cpu_quota: i64,
    pub(super) cpuset_cpus: String,
    pub(super) cpuset_mems: String,
}

/// A plan with what goes beside it.
pub(super) struct Request {
    pub(super) plan: Plan,
    pub(super) secrets: Vec<u8>,
    pub(super) fds: Vec<OwnedFd>,
}

/// What the shim answers; one JSON text a line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    /// Sockets are bound, mounts made; the process is about to be started.
    Ready,
    /// The container could not be made.
    Failed(String),
    /// The program could not be started: what to write on its standard error, and the exit code a shell would give.
    NotStarted(String, i32),
    /// Something the user should know, which did not stop the process from running.
    Warning(String),
    /// It ended.
    Exited { code: i32, out_of_memory: bool },
}

impl Request {
    /// Sends it to the shim.
    pub(super) fn send(&self, to: &mut UnixStream) -> io::Result<()> {
        let plan = serde_json::to_vec(&self.plan)?;
        for length in [plan.len(), self.secrets.len(), self.fds.len()] {
            to.write_all(&(length as u64).to_le_bytes())?;
        }
        fds::send(to, &self.fds)?;
        to.write_all(&plan)?;
        to.write_all(&self.secrets)
    }

    /// Takes it from the executor.
    pub(super) fn receive(from: &mut UnixStream) -> io::Result<Self> {
        let [plan, secrets, fds] = [read_length(from)?, read_length(from)?, read_length(from)?];
        let fds = fds::receive(from, fds)?;
        let plan = serde_json::from_slice(&read_exactly(from, plan)?)?;
        Ok(Self { plan, secrets: read_exactly(from, secrets)?, fds })
    }
}

impl Reply {
    /// Sends it to the executor in one piece.
    pub(super) fn send(&self, mut to: &UnixStream) -> io::Result<()> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        to.write_all(&line)
    }
}

fn read_length(from: &mut UnixStream) -> io::Result<usize> {
    let mut bytes = [0; 8];
    from.read_exact(&mut bytes)?;
    let length = u64::from_le_bytes(bytes);
    if length > MAX_PLAN {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "plan too long"));
    }
    Ok(length as usize)
}

fn read_exactly(from: &mut UnixStream, length: usize) -> io::Result<Vec<u8>> {
    let mut data = vec![0; length];
    from.read_exact(&mut data)?;
    Ok(data)
}
