//! Processes in containers: what to run as data ([`Spec`]), and who runs it ([`Runtime`]).

pub(crate) mod emulation;
mod host;
mod linux;
mod scripted;

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

pub use host::{Access, Device, DeviceKind, HOOKS, Hook, HostMount};
pub use linux::{Embedded, OciRuntime};
pub use scripted::{Script, Scripted};

use crate::{Cancel, Result, snapshot};

/// Everything about one process. Paths of mounts are in the container.
#[derive(Clone, Debug, Default)]
pub struct Spec {
    /// The root: an overlay the runtime mounts in the container's own mount namespace, or a directory.
    pub root: Root,
    /// Whether the root is read-only.
    pub readonly_root: bool,
    /// Arguments, the program first.
    pub args: Vec<String>,
    /// `KEY=value`, complete but for `HOME`.
    pub env: Vec<String>,
    /// Working directory; made when missing.
    pub cwd: String,
    /// `user[:group]`, names looked up in the root.
    pub user: String,
    /// Host name; empty is the default.
    pub hostname: String,
    /// Mounts in the order to make them.
    pub mounts: Vec<Mount>,
    /// Devices of the host, beside those that every container has.
    pub devices: Vec<Device>,
    /// Groups of the user, beside its own.
    pub additional_gids: Vec<u32>,
    /// Programs of the host that run when the container begins and ends, in this order.
    pub hooks: Vec<Hook>,
    /// Part of the processor's caches, in the words of the OCI's runtime specification. Other runtimes can have it.
    pub intel_rdt: Option<serde_json::Value>,
    /// Lines for /etc/hosts: name, address.
    pub extra_hosts: Vec<(String, String)>,
    /// Network.
    pub network: Network,
    /// Whether confinement is off (`--security=insecure`).
    pub insecure: bool,
    /// Limits: name, soft, hard.
    pub ulimits: Vec<(String, i64, i64)>,
    /// Control group parent; empty is the default.
    pub cgroup_parent: String,
    /// Limits of the control group.
    pub resources: llb::LinuxResources,
    /// Whether empty mount points are removed with their parents.
    pub remove_mount_stubs_recursive: bool,
    /// What standard input reads; nothing without it.
    pub stdin: Option<Arc<OwnedFd>>,
    /// Whether the standard streams are a terminal of the process's own: what `stdin` reads is typed into it, what it shows
    /// comes as stream 1, and when `stdin` is a terminal, too, it has its size.
    pub terminal: bool,
}

/// The root of a container.
#[derive(Clone, Debug)]
pub enum Root {
    /// Directories of an overlay.
    Overlay(snapshot::Overlay),
    /// A directory.
    Dir(PathBuf),
}

impl Default for Root {
    fn default() -> Self {
        Self::Dir(PathBuf::new())
    }
}

/// A mount.
#[derive(Clone, Debug)]
pub struct Mount {
    /// Where, in the container.
    pub dest: String,
    /// What.
    pub source: MountSource,
    /// Whether it is read-only.
    pub readonly: bool,
}

/// What is mounted.
#[derive(Clone, Debug)]
pub enum MountSource {
    /// A file or directory of the host, opened confined to `root`.
    Bind {
        /// The tree it must not leave.
        root: PathBuf,
        /// Path in the tree.
        selector: String,
    },
    /// A file or directory of the host that whoever runs the machine names.
    Host(HostMount),
    /// An overlay, at a path in it.
    Overlay {
        /// Its directories.
        overlay: snapshot::Overlay,
        /// Path in it.
        selector: String,
    },
    /// Directories stacked on each other, read-only: at least two of them.
    Layers {
        /// Lowest first.
        lower: Vec<PathBuf>,
        /// Path in the merged tree.
        selector: String,
    },
    /// Memory.
    Tmpfs {
        /// Bytes; 0 is unlimited.
        size: u64,
    },
    /// Bytes in a memory-backed file, never on disk.
    Secret {
        /// The bytes.
        data: Vec<u8>,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
        /// Permission bits.
        mode: u32,
    },
    /// A socket of the host, forwarded: an SSH agent's, whose keys may be used and nothing more.
    Socket {
        /// Its path on the host.
        path: PathBuf,
        /// Whether it is no agent's, and all that is said passes.
        raw: bool,
        /// Owner in the container.
        uid: u32,
        /// Group in the container.
        gid: u32,
        /// Permission bits.
        mode: u32,
    },
}

/// Network of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// Loopback only.
    #[default]
    None,
    /// Its own, with a way to the outside.
    Sandbox,
    /// The host's.
    Host,
}

/// What network processes get when the definition leaves it open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NetworkMode {
    /// A sandbox where there can be one; else the host's, which is said.
    #[default]
    Auto,
    /// This one, or an error.
    Always(Network),
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Exit code; 128 + signal when a signal ended it.
    pub code: i32,
    /// Whether the kernel killed it for memory.
    pub out_of_memory: bool,
}

/// What may be done when nobody waits any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Later {
    /// The temporary directory whose lock it is of is removed.
    Remove,
    /// The log of the database that it is of is folded into it.
    Fold,
}

/// Takes what a process writes. The stream is 1 (stdout) or 2 (stderr).
pub type Output<'a> = &'a (dyn Fn(u8, &[u8]) + Sync);

/// Runs processes.
pub trait Runtime: Send + Sync {
    /// Begins what the first process would wait for, in a sandbox or not. What goes wrong, goes wrong again when it is needed.
    fn expect(&self, sandbox: bool) {
        let _ = sandbox;
    }

    /// Runs one process to its end. Cancelled, it kills everything in the container and returns `Cancelled`; where it cannot
    /// have the [`Network::Sandbox`] that it is to have, nothing runs: `NoSandbox`.
    fn run(&self, spec: &Spec, output: Output<'_>, cancel: &Cancel) -> Result<Exit>;

    /// Leaves something to a process that outlives this one, and that nobody waits for. `false`: there is none.
    fn later(&self, what: Later, of: BorrowedFd<'_>) -> bool {
        let _ = (what, of);
        false
    }
}

/// Makes this process the embedded runtime's shim when it was started as that; both binaries call it first of all, while
/// they have one thread.
pub fn enter_shim_if_asked() {
    linux::enter_shim_if_asked();
}
