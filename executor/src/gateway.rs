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
//! | `compose` | what it returned, as a definition |
//! | `platforms` | what platforms it says that is of |
//! | `wire` | errors and sources, as the protocol has them |

mod bridge;
mod compose;
mod container;
mod files;
mod platforms;
mod references;
mod wire;

use std::collections::BTreeMap;

use crate::progress::Sink;
use crate::{Engine, Request, Result};

pub use compose::compose;

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
            let warnings = [platforms::warning(&self.opts, &returned)?, provenance(&self.opts)];
            warnings.into_iter().flatten().for_each(|warning| container::warn(sink, warning));
        }
        Ok(returned)
    }
}

/// What there is to say when `opts` ask for a provenance. BuildKit makes it itself, so that no frontend returns one; a bill
/// of materials is a frontend's.
fn provenance(opts: &BTreeMap<String, String>) -> Option<String> {
    let asks = |key: &String| {
        let kind = key.strip_prefix("attest:").or_else(|| key.strip_prefix("build-arg:BUILDKIT_ATTEST_"));
        kind.is_some_and(|kind| kind.eq_ignore_ascii_case("provenance"))
    };
    let key = opts.keys().find(|key| asks(key))?;
    Some(format!("provenance is not supported: {key} is left out"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn provenance_that_is_asked_for_and_left_out() {
        let said = |key: &str| provenance(&[(key.to_owned(), "mode=max".to_owned())].into());
        for key in ["attest:provenance", "build-arg:BUILDKIT_ATTEST_PROVENANCE"] {
            assert_eq!(said(key), Some(format!("provenance is not supported: {key} is left out")));
        }
        assert_eq!([said("attest:sbom"), said("build-arg:PROVENANCE")], [None, None]);
    }
}
