//! BuildKit's gateway protocol (`LLBBridge`): how a frontend, as a process of its own, asks a builder for what it needs
//! and hands over its result.
//!
//! gRPC over one byte stream that is already there (the standard input and output of the frontend), both sides: the
//! frontend is the client ([`Bridge`]), the builder the server ([`serve`]). Behaviour is that of BuildKit v0.32, and what
//! Docker 20.10's engine lacks is found by its capabilities ([`caps`]).
//!
//! gRPC is written here on `h2` alone: only unary calls are needed, which are a frame of five bytes, two headers and a
//! trailer. The crate knows no language and no graph; definitions are bytes to it.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod caps;
mod client;
mod frame;
pub mod message;
mod server;
mod status;
pub mod stdio;

pub use client::{Bridge, Calls};
pub use frame::MAX_MESSAGE;
pub use server::{Limits, Service, serve};
pub use status::{Code, Detail, Status};
