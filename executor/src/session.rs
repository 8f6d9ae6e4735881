//! What a build may read of the user's: directories, OCI layouts, secrets, SSH agents.

mod agent;
mod keys;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use agent::KeyAgent;

use crate::{Error, Result, registry};

/// The user's things, by the names that definitions use.
#[derive(Clone, Default)]
pub struct Session {
    /// Local directories: `context`, `dockerfile`, ….
    pub locals: BTreeMap<String, PathBuf>,
    /// OCI layout directories by store name.
    pub oci_layouts: BTreeMap<String, PathBuf>,
    /// Files of this process, by the addresses at which definitions have them.
    pub uploads: Uploads,
    /// Secrets by id.
    pub secrets: BTreeMap<String, Secret>,
    /// SSH agents by id (`default`).
    pub ssh: BTreeMap<String, SshAgent>,
    /// Registries with the user's credentials; one client for all builds of a process keeps connections and tokens.
    pub registries: registry::Client,
    /// Local directories that a running build reads in place; closed at its end.
    pub opened: crate::sources::local::Opened,
    /// What names of repositories and addresses stood for when this build first asked.
    pub pins: crate::sources::Pins,
}

/// Files that were handed over by address; they are read from their start, by any number of readers at once.
pub type Uploads = BTreeMap<String, Arc<File>>;

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
    /// A socket of any kind: all that is said passes.
    Raw(PathBuf),
    /// Keys in files, served by this process.
    Keys(Arc<KeyAgent>),
}

impl SshAgent {
    /// The agent at a socket, or one for the private keys in files. **Errors**: a file that is neither, a key with a
    /// passphrase.
    pub fn of(paths: &[PathBuf]) -> Result<Self> {
        use std::os::unix::fs::FileTypeExt;
        if let [path] = paths {
            let metadata = std::fs::metadata(path).map_err(Error::io("open the SSH agent or key", path))?;
            if metadata.file_type().is_socket() {
                return Ok(Self::Socket(path.clone()));
            }
        }
        KeyAgent::start(paths).map(|agent| Self::Keys(Arc::new(agent)))
    }

    /// A socket that is passed on as it is. **Errors**: it is none, or there are several.
    pub fn raw(paths: &[PathBuf]) -> Result<Self> {
        use std::os::unix::fs::FileTypeExt;
        let [path] = paths else {
            return Err(Error::Invalid("raw=true is for exactly one socket".into()));
        };
        let metadata = std::fs::metadata(path).map_err(Error::io("open the socket", path))?;
        if !metadata.file_type().is_socket() {
            return Err(Error::Invalid(format!("{} is no socket: raw=true is for sockets", path.display())));
        }
        Ok(Self::Raw(path.clone()))
    }

    /// Whether more than an agent's requests passes.
    pub fn is_raw(&self) -> bool {
        matches!(self, Self::Raw(_))
    }

    /// Where it listens, for as long as this lives.
    pub fn socket(&self) -> &Path {
        match self {
            Self::Socket(path) | Self::Raw(path) => path,
            Self::Keys(agent) => agent.socket(),
        }
    }
}

/// Longest secret, in bytes; BuildKit's limit.
const MAX_SECRET: u64 = 500 << 10;

impl Session {
    /// The bytes of a secret; `None` when there is none of this id. **Errors**: it cannot be read, it is too big.
    pub fn secret(&self, id: &str) -> Result<Option<Vec<u8>>> {
        let data = match self.secrets.get(id) {
            Some(Secret::File(path)) => Some(read_secret(id, path)?),
            Some(Secret::Env(name)) => std::env::var_os(name).map(std::os::unix::ffi::OsStringExt::into_vec),
            None => None,
        };
        match data {
            Some(data) if data.len() as u64 > MAX_SECRET => {
                Err(Error::Invalid(format!("secret {id} too big. max size {}KiB", MAX_SECRET >> 10)))
            }
            data => Ok(data),
        }
    }
}

fn read_secret(id: &str, path: &Path) -> Result<Vec<u8>> {
    let mut data = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_SECRET + 1).read_to_end(&mut data));
    read.map_err(Error::io("read the secret", format!("{id} from {}", path.display())))?;
    Ok(data)
}
