//! The vocabulary of images: digests, references, platforms, configs, manifests, ignore patterns. Pure.

mod digest;
mod platform;

pub use digest::Digest;
pub use platform::Platform;
