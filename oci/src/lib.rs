//! The vocabulary of images: digests, references, platforms, configs, manifests, ignore patterns.
//!
//! Pure: no files, no network, no clock, no host. What depends on the host is passed in.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod digest;
mod matcher;
mod platform;
mod reference;
pub mod text;

pub use digest::{Algorithm, Digest, DigestError, Hasher};
pub use matcher::Matcher;
pub use platform::{Platform, PlatformError};
pub use reference::{Reference, ReferenceError};
