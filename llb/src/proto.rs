//! The generated messages of `proto/llb.proto`; only reading goes through them, see [`crate::wire`] for writing.

// Formatted by the generator: `cargo xtask gen --check` compares bytes.
#[rustfmt::skip]
mod pb;

pub(crate) use pb::*;
