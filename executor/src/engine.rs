//! The door: open a store, solve definitions in it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::{Cancel, Result, exporters, progress, session};

/// An executor over one store directory. Several processes may share the directory.
pub struct Engine {
    pub(crate) root: PathBuf,
}

/// One build.
#[derive(Default)]
pub struct Request {
    /// The encoded definition, with image configs in the terminal vertices' descriptions.
    pub definition: Vec<u8>,
    /// What the build may read of the user's: directories, secrets, agents.
    pub session: session::Session,
    /// Where results go.
    pub outputs: Vec<Output>,
    /// Whether the cache is not read at all.
    pub no_cache: bool,
    /// Entitlements granted: `network.host`, `security.insecure`.
    pub allow: Vec<String>,
    /// Most actions at once; 0 is one per core (I/O may use more).
    pub max_parallelism: usize,
    /// Seconds since the epoch for timestamps of image and history.
    pub epoch: Option<i64>,
    /// Asked to stop through this.
    pub cancel: Cancel,
}

/// Where one result goes.
#[derive(Clone, Debug)]
pub struct Output {
    /// Which exporter.
    pub kind: exporters::Kind,
    /// A file, a directory, or standard output (`None`); unused by the image store.
    pub dest: Option<PathBuf>,
    /// Exporter attributes: `name`, `compression`, `push`, ….
    pub attrs: BTreeMap<String, String>,
}

/// What a build gave.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// Exporter keys: `containerimage.digest`, `containerimage.config.digest`, `image.name`, ….
    pub metadata: BTreeMap<String, serde_json::Value>,
}

impl Engine {
    /// Opens (and makes) the store directory at `root`.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        Ok(Self { root: root.into() })
    }

    /// Builds what a definition asks for and hands it to the outputs.
    pub fn solve(&self, _request: &Request, _progress: &dyn progress::Sink) -> Result<Response> {
        Err(crate::Error::Unsupported {
            what: format!("solving in {}", self.root.display()),
            why: "the solver is being written".into(),
        })
    }
}
