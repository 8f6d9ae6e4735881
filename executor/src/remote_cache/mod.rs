//! Caches in other places: what their flags mean, how they are read, how they are written.
//!
//! | file | what it is |
//! |---|---|
//! | `entry` | `--cache-from` and `--cache-to`, and the same in requests of frontends |
//! | `read` | from a registry or a layout directory to a config and the blobs that it speaks of |
//! | `lenders` | what the keys of a cache lead to, for the solver |
//! | `write` | the way back |
//! | `reset` | what a layout directory holds for nobody |
//!
//! A cache is a [`crate::cache::config::Config`] and the blobs of its layers under one manifest, or part of an
//! image's config (*inline*). Places and media types mirror BuildKit v0.32 (`cache/remotecache`, and
//! `client/solve.go` for directories).

mod entry;
mod lenders;
mod read;
mod reset;
#[cfg(test)]
mod tests;
mod write;

pub use entry::{Export, Form, Import, Place};
pub use lenders::{Lenders, lent};
pub use read::{Blob, Remote, read};
pub use write::write;
