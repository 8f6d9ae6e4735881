//! The compiler: a text of any language in, a [`Plan`] (graph and image configs) out.
//!
//! [`compile`] is the door; [`check`] and [`survey`] are its narrower sisters for lints and outlines. Each runs
//! [`plan::plan`], hands the open [`Question`]s to a [`World`], and plans again until nothing is open; [`glance`]
//! plans once and asks nobody, for editors. Everything here is
//! pure but for the `World` a caller passes in.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod convert;
mod drive;
mod facts;
pub mod lint;
mod lock;
pub mod optimize;
mod options;
pub mod outline;
mod output;
pub mod plan;
mod table;
pub mod targets;
#[cfg(test)]
mod testing;

pub use convert::{Build, Builds, NAMELESS, NO_EQUAL, Written, convert, left_out, several};
pub use drive::{
    Glance, Outcome, build, check, compile, expand, format, glance, imports, included, load, parse, resolve, scopes,
    survey, vertices, with_bills,
};
pub use facts::{
    Answer, AskError, Facts, HostValue, ImageAnswer, LocalPath, ManifestAnswer, ModuleSource, Push, Question,
    ResolveMode, RunOutput, TreeFile, VENDORED, World,
};
pub use lock::{Lock, LockError};
pub use options::Options;
pub use output::{Agent, Destination, Export, ExportKind, Needs, Order, Output, Plan, Scan, Shipment};
pub use plan::{Imported, LoadedModule};
pub use table::columns;
