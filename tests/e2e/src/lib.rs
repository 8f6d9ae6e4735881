//! The real binaries against the real world: peers to compare with, bases to build on, trees and images to compare.
//!
//! Everything here drives programs from outside, by their command lines, as a user would. It must never link a crate of
//! the workspace: a test that takes a short cut proves the short cut. Benchmarks use the same peers.

pub mod attested;
pub mod base;
pub mod binaries;
pub mod buildkit;
pub mod corpus;
pub mod docker;
pub mod frontend;
pub mod image;
pub mod levels;
pub mod lsp;
pub mod measure;
pub mod process;
pub mod random;
pub mod registry;
pub mod sandbox;
pub mod scanner;
pub mod serve;
pub mod tree;
pub mod user;

pub use binaries::Binaries;
pub use buildkit::Buildkit;
pub use docker::Docker;
pub use process::{Error, Result, Run};
pub use random::Random;
pub use registry::Registry;
pub use sandbox::Sandbox;
pub use tree::Tree;
pub use user::User;

use std::path::{Path, PathBuf};

/// The top of the workspace.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the crate lies two levels deep").to_owned()
}

/// Where things that are slow to make are kept between runs: below the target directory.
pub fn cache_dir() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from);
    target.join("e2e")
}

/// Whether all of these programs are here. A missing one is a failure in CI, and outside a reason that is printed.
pub fn have(programs: &[&str]) -> bool {
    let missing: Vec<_> = programs.iter().filter(|program| process::find(program).is_none()).collect();
    if missing.is_empty() {
        return true;
    }
    let advice = format!("missing: {missing:?}; `cargo xtask setup` installs what the tests need");
    assert!(std::env::var_os("CI").is_none(), "{advice}");
    process::say(&format!("not run, {advice}"));
    false
}
