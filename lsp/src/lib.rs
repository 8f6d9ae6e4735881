//! The language server: what an editor can be told about a build file.
//!
//! Two halves. [`features`] is one file a feature: plain data in, plain data out, over the shared tree and over the
//! compiler's [`Glance`](compiler::Glance) with open questions left open. [`protocol`] is the wire, and the only place
//! that knows `lsp-types`. Neither may ever know the executor: an editor must not run a build. What the outside knows
//! comes in through [`Outside`], which a program brings along.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod cursor;
pub mod features;
mod file;
mod keyed;
mod names;
pub mod protocol;
mod shell;
#[cfg(test)]
mod testing;

pub use file::{Entry, File, Run, Surroundings, View};
pub use names::{Kind, Names, Role, Symbol, Use};
pub use protocol::{Error, Outside, Place, Settings, Told, serve};
