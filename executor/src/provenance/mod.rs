//! How a result was made, told in the words of SLSA: what was asked for, what went in, when.
//!
//! Data only: nothing here looks at files, networks or clocks. Who asks gives [`Asked`]; the solver finds the [`Capture`] of
//! each result; exporters put the predicate beside the result, with the layers that they wrote.
//!
//! parity: `solver/llbsolver/provenance` and `provenance.go` of BuildKit v0.32, whose predicates these are, field by field.
//!
//! | file | what it is |
//! |---|---|
//! | `attrs` | what `attest:provenance=…` asks for |
//! | `capture` | what went into a result |
//! | `predicate` | the JSON |
//! | `purl` | names of images as package URLs |
//! | `config` | the source of the build file among the materials |

mod attrs;
mod capture;
mod config;
mod predicate;
mod purl;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use oci::{Descriptor, Reference, Time};
use serde_json::{Map, Value};

use crate::Result;

pub use attrs::{Attrs, Version};
pub(crate) use capture::of_digest;
pub use capture::{Capture, Image, Material};

/// What kind of statement a predicate is in.
pub(crate) const STATEMENT: &str = "https://in-toto.io/Statement/v1";

/// What the types of predicates that say how a result was made begin with.
pub(crate) const PROVENANCE_PREFIX: &str = "https://slsa.dev/provenance/";

/// Options of frontends that say what is attested begin with it.
pub const OPTION: &str = "attest:";
/// The same among build arguments.
const ARGUMENT: &str = "build-arg:BUILDKIT_ATTEST_";

/// What is asked for, and by whom.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    /// How it is told.
    pub attrs: Attrs,
    /// The frontend that made the definition; empty where nobody knows.
    pub frontend: String,
    /// Its options, by BuildKit's names.
    pub opts: BTreeMap<String, String>,
    /// Images that it looked up.
    pub images: Vec<Image>,
    /// Local directories that it read, by name.
    pub locals: BTreeSet<String>,
}

/// The attestations that options of a frontend ask for: their attributes, by type.
pub fn options(opts: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let of = |prefix: &'static str| {
        opts.iter().filter_map(move |(key, attrs)| Some((key.strip_prefix(prefix)?.to_lowercase(), attrs.clone())))
    };
    of(OPTION).chain(of(ARGUMENT)).collect()
}

/// How one result was made.
#[derive(Clone, Debug)]
pub struct Provenance {
    /// What was asked for.
    pub asked: Arc<Asked>,
    /// What went in.
    pub capture: Capture,
    /// The steps of the definition, where they are told.
    pub steps: Option<llb::dump::Steps>,
    /// Names the build.
    pub invocation: String,
    /// When it began.
    pub started: Time,
    /// The machine that built.
    pub builder: oci::Platform,
    /// What whoever runs it says of it.
    pub environment: Map<String, Value>,
}

/// Layers of what steps gave: by `step0:0`, the step and its output.
pub type Layers = BTreeMap<String, Vec<Vec<Descriptor>>>;

impl Provenance {
    /// What kind of predicate it is.
    pub fn predicate_type(&self) -> &'static str {
        match self.asked.attrs.version {
            Version::V1 => "https://slsa.dev/provenance/v1",
            Version::V02 => "https://slsa.dev/provenance/v0.2",
        }
    }

    /// The predicate of a build that ended now.
    ///
    /// **Errors**: names of images that are none.
    pub fn predicate(&self, finished: Time, layers: &Layers) -> Result<Value> {
        predicate::of(self, finished, layers)
    }
}

/// The name of an image for a platform, as statements have it.
///
/// **Errors**: what is no name of one.
pub(crate) fn name_of_image(name: &Reference, platform: &oci::Platform) -> Result<String> {
    purl::of_image(purl::Type::Docker, &name.to_string(), Some(platform), &[])
}
