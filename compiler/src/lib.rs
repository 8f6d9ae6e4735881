//! The compiler: a text of any language in, a [`Plan`] (graph and image configs) out.
//!
//! [`compile`] is the door. It runs `plan`, hands the open [`Question`]s to a [`World`], and plans again until nothing
//! is open. Everything here is pure but for the `World` a caller passes in.

mod facts;
mod lock;
mod options;

pub use facts::{Answer, AskError, Facts, ImageAnswer, Question, ResolveMode, World};
pub use lock::{Lock, LockError};
pub use options::Options;

/// What a compilation gave.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The plan, when there is no error among the diagnostics.
    pub plan: Option<Plan>,
    /// Errors and warnings in the order BuildKit would report them.
    pub diagnostics: Vec<ast::Diagnostic>,
    /// What was asked and answered: a lock file.
    pub facts: Facts,
}

/// What to build.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// All vertices; its outputs are in step with `outputs`.
    pub graph: llb::Graph,
    /// **Shape**: one per platform, in the order asked for.
    pub outputs: Vec<Output>,
    /// Seconds since the epoch that timestamps are to be set to.
    pub epoch: Option<i64>,
}

/// One image.
#[derive(Clone, Debug)]
pub struct Output {
    /// What it runs on.
    pub platform: oci::Platform,
    /// The filesystem; `None` is scratch.
    pub edge: Option<llb::Edge>,
    /// Image config: the exact JSON bytes BuildKit's frontend would export.
    pub image: Vec<u8>,
    /// The same for the base image, if there is one.
    pub base_image: Option<Vec<u8>>,
}
