//! LLB, BuildKit's low-level build graph: the graph itself, its wire form, its text form, and passes over it.
//!
//! Pure; depends on `oci` alone. It must never know a source language, a registry, or how a vertex is run.

mod graph;

pub use graph::*;
