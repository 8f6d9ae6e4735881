//! What a build may read of the user's: directories, OCI layouts, secrets, SSH agents.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::registry;

/// The user's things, by the names that definitions use.
#[derive(Clone, Default)]
pub struct Session {
    /// Local directories: `context`, `dockerfile`, ….
    pub locals: BTreeMap<String, PathBuf>,
    /// OCI layout directories by store name.
    pub oci_layouts: BTreeMap<String, PathBuf>,
    /// Secrets by id.
    pub secrets: BTreeMap<String, Secret>,
    /// SSH agents by id (`default`).
    pub ssh: BTreeMap<String, SshAgent>,
    /// Registries with the user's credentials; one client for all builds of a process keeps connections and tokens.
    pub registries: registry::Client,
}

/// Where a secret's bytes come from; read when a step needs them, kept in memory only.
#[derive(Clone)]
pub enum Secret {
    /// A file.
    File(PathBuf),
    /// A variable of this process's environment.
    Env(String),
}

/// Where SSH signatures come from.
#[derive(Clone)]
pub enum SshAgent {
    /// An agent's socket.
    Socket(PathBuf),
}
