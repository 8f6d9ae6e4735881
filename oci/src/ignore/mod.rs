//! Ignore files and the patterns in them, as `moby/patternmatcher` v0.6 understands them.
//!
//! A list of patterns is read top down: a match says "ignored", a match of a `!` pattern takes it back, the last word
//! counts. A pattern that matches a directory matches all below it. Walkers hand the [`MatchInfo`] of a directory to its
//! entries, so that parents are not matched again.
//!
//! Patterns are compiled once; names, `dir/**`, `**/name` and `*.ext` need no automaton, which is nearly all there are.

mod glob;
mod pattern;
mod read;
mod selection;

pub use pattern::{MatchInfo, Pattern, PatternError, Patterns};
pub use read::{ReadError, read};
pub use selection::Selection;
