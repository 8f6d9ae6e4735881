//! Test support: what a graph of file operations, merges and differences makes, computed in memory; and random graphs.
//!
//! Written from the rules of LLB and of BuildKit's file actions, independent of the executor: a test compares the two.
#![allow(dead_code, unreachable_pub, missing_docs)] // Each crate whose tests include it takes what it needs.
#![allow(clippy::unwrap_used)]

pub mod actions;
pub mod eval;
pub mod random;
pub mod tree;
