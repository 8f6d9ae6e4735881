//! The vocabulary every language shares: sources, spans, diagnostics and the syntax-neutral build tree.
//!
//! A Dockerfile stage, an HLB function and a TOML target are all a [`Def`]: a list of [`Step`]s folding over one
//! filesystem value. Strings stay unexpanded templates ([`Str`]) and every node keeps its [`Span`]. This crate is pure
//! and depends on nothing of the workspace: it must never know a language, an image, LLB, or the outside world.

pub mod builtin;
pub mod case;
pub mod check;
mod checks;
mod condition;
mod diagnostic;
pub mod dump;
mod function;
mod goal;
pub mod number;
mod quote;
mod source;
mod suggest;
mod text;
mod tree;
pub mod visit;
pub mod word;

pub use checks::{Checks, Policy, parse_bool};
pub use condition::Condition;
pub use diagnostic::{Diagnostic, Edit, Fix, Label, Severity, apply, apply_fixes};
pub use function::*;
pub use goal::{Beside, Delivery, Expected, Goal, GoalKind, ImageDelivery, Include, Place, Wanted};
pub use quote::{push_quoted, quote};
pub use source::{FileId, LineColumn, LineIndex, Source, Sources, Span};
pub use suggest::{suggest, suggest_any_case, with_suggestion};
pub use text::Text;
pub use tree::*;
