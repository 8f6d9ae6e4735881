//! Whole builds with real processes, from hand-made graphs. They need root, namespaces and a static busybox.
//!
//! A graph is written in LLB's text form; `base` is an image of the store that holds nothing but busybox. What a build
//! did is seen in the lines its steps printed and in how its vertices ended.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "engine/again.rs"]
mod again;
#[path = "engine/bench.rs"]
mod bench;
#[path = "engine/cache.rs"]
mod cache;
#[path = "engine/failure.rs"]
mod failure;
#[path = "engine/hostile.rs"]
mod hostile;
#[path = "engine/ops.rs"]
mod ops;
#[path = "engine/outputs.rs"]
mod outputs;
