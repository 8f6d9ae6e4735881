//! Runs a Definition: sources, processes and file operations in, images and trees out. No daemon.
//!
//! It knows LLB and images; it must never know a source language. Everything blocks: a pure scheduler decides, a pool of
//! threads acts, because every action is a system call that blocks anyway (copy, hash, exec, wait).
//!
//! | module | what it is |
//! |---|---|
//! | [`store`] | one directory: blobs by digest, layers, the database, images by name |
//! | [`snapshot`] | trees as stacks of layers: prepare, commit, view |
//! | [`layer`] | a layer directory to a tar stream and back |
//! | [`cache`] | cache keys and what they lead to |
//! | [`registry`] | the registry protocol |
//! | [`sources`] | where trees come from |
//! | [`exporters`] | where results go |
//! | [`remote_cache`] | caches elsewhere: what flags say of them, read, written |
//! | [`import`] | images from files into the store |
//! | [`runtime`] | processes in containers |
//! | [`cdi`] | devices by name: what is said of them, who may have them, what they change of a process |
//! | [`ops`] | one vertex: its key, its run |
//! | [`solver`] | the scheduler and the driver that performs its actions |
//! | [`provenance`] | how results were made, in the words of SLSA |
//! | [`prune`] | what a store holds, and how it becomes less |
//! | [`gateway`] | frontends from images |
//! | [`progress`] | one event enum, many renderers |
//! | [`cli`] | the command line of running a definition |
//! | [`stdout`] | data for whoever called |
//! | [`text`] | reading what has an end |
//! | `temp` | what a process is making, and the removal of what dead ones left |
//! | [`userns`] | root for an ordinary user |
//!
//! Arrows: temp ← store ← snapshot ← cache ← {sources, exporters, runtime} ← cdi ← ops ← {solver, remote_cache} ← here; the
//! scheduler uses none of them.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod cache;
mod cancel;
pub mod cdi;
pub mod cli;
mod clock;
mod csv;
mod engine;
mod error;
mod expect;
pub mod exporters;
pub mod gateway;
mod host;
pub mod import;
pub mod layer;
pub mod ops;
pub mod progress;
pub mod provenance;
pub mod prune;
pub mod registry;
pub mod remote_cache;
pub mod rootfs;
pub mod runtime;
pub mod session;
pub mod snapshot;
pub mod solver;
pub mod sources;
pub mod stdout;
pub mod store;
mod suggest;
mod temp;
pub mod text;
mod unsynced;
mod url;
pub mod userns;
mod wire_stat;

pub use cancel::Cancel;
pub use engine::{Attest, CacheOutput, Engine, FailedStep, Output, Part, Request, Response};
pub use error::{Error, Result};
pub use expect::Expectation;
pub use host::host_platform;
