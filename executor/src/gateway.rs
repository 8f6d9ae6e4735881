//! Frontends from images: a program in a container turns options into definitions, and this side answers what it asks.
//!
//! The other half of the gateway protocol, which BuildKit v0.32's `gateway.v0` speaks. The frontend is a program from a
//! registry: it gets a container without the build's mounts and secrets, what it may ask and hold is bounded, paths it
//! names stay in the tree it names them in, and it never learns where that lies. What it returns is one definition with
//! the image configs in it, as [`crate::Engine::solve`] takes it.
//!
//! | file | what it is |
//! |---|---|
//! | `container` | the image as a process |
//! | `bridge` | answers calls |
//! | `references` | results the frontend knows by name |
//! | `files` | what it may see of them |
//! | `attached` | what it says of its results |
//! | `compose` | what it returned, as a definition |
//! | `platforms` | what platforms it says that is of |
//! | `wire` | errors and sources, as the protocol has them |

mod attached;
mod bridge;
mod compose;
mod container;
mod files;
mod platforms;
mod references;
mod wire;

use std::collections::{BTreeMap, BTreeSet};

use crate::progress::Sink;
use crate::provenance::Image;
use crate::{Engine, Request, Result};

pub use attached::Said;
pub use compose::{compose, compose_attested};

/// Frontends that call frontends: how deep.
const MAX_DEPTH: usize = 4;

/// A frontend to run.
pub struct Frontend<'a> {
    /// What solves its definitions.
    pub engine: &'a Engine,
    /// What the build may read and do; its definition and outputs are not used.
    pub request: &'a Request,
    /// Its image.
    pub source: String,
    /// Options, by BuildKit's names.
    pub opts: BTreeMap<String, String>,
    /// Encoded definitions the client hands in, by name.
    pub inputs: BTreeMap<String, Vec<u8>>,
    /// How many frontends called each other for this one.
    depth: usize,
}

/// What a frontend gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Returned {
    /// Its results.
    pub results: Results,
    /// What it says of them, by BuildKit's keys.
    pub metadata: BTreeMap<String, Vec<u8>>,
    /// What it says of each, for whoever gets them, by the name of the platform.
    pub said_of: BTreeMap<String, Vec<Said>>,
    /// What it looked at on the way.
    pub seen: Seen,
}

/// What a frontend looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Images that it looked up, and its own.
    pub images: Vec<Image>,
    /// Names of local directories.
    pub locals: BTreeSet<String>,
}

impl Returned {
    /// What it says for whoever started the build: what is under `frontend.`.
    pub fn said(&self) -> BTreeMap<String, serde_json::Value> {
        let said = self.metadata.iter().filter(|(key, _)| key.starts_with("frontend."));
        said.map(|(key, value)| (key.clone(), String::from_utf8_lossy(value).into())).collect()
    }
}

/// Encoded definitions; an empty one is scratch.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Results {
    /// None at all: the answer to a request that is no build.
    #[default]
    None,
    /// One.
    One(Vec<u8>),
    /// One a platform, by its name.
    Many(BTreeMap<String, Vec<u8>>),
}

impl<'a> Frontend<'a> {
    /// The frontend of an image.
    pub fn new(engine: &'a Engine, request: &'a Request, source: String, opts: BTreeMap<String, String>) -> Self {
        Self { engine, request, source, opts, inputs: BTreeMap::new(), depth: 0 }
    }

    /// Runs it to its end.
    ///
    /// **Errors**: `Frontend` with what it returned; otherwise what kept it from returning anything.
    pub fn run(&self, sink: &dyn Sink) -> Result<Returned> {
        let returned = container::run(self, sink)?;
        if self.depth == 0 {
            let warning = platforms::warning(&self.opts, &returned)?;
            warning.into_iter().for_each(|warning| container::warn(sink, warning));
        }
        Ok(returned)
    }
}
