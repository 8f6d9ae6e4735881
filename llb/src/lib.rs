//! LLB, BuildKit's low-level build graph: the graph itself, its wire form, its text form, and passes over it.
//!
//! Pure; depends on `oci` alone. It must never know a source language, a registry, or how a vertex is run.

#![cfg_attr(test, allow(clippy::unwrap_used))]

// Test support is written as other crates see this one, for their tests too.
#[cfg(test)]
extern crate self as llb;

mod ascending;
pub mod compare;
mod decode;
mod definition;
pub mod dump;
mod encode;
mod graph;
mod hash;
mod keyed;
pub mod passes;
mod proto;
pub mod sample;
pub mod scan;
pub mod shape;
pub mod text;
pub mod verify;
mod wire;

pub use ascending::ascending_digests;
pub use decode::{DecodeError, Decoded, MAX_BYTES, MAX_VERTICES, VertexProblem, decode, understand};
pub use definition::{Definition, SourceMap, SourceText, Vertex};
pub use encode::{EncodeError, FieldOrder, Problem, encode, encode_ordered, encode_to_bytes, encode_traced};
pub use graph::*;
pub use keyed::{Key, Texts, Words};
