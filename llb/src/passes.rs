//! Passes: graph in, better graph out, same tree and image.
//!
//! [`PASSES`] is the whole optimizer: they run in its order, each from its level on, and in debug builds the verifier
//! looks at the graph after each. `-O0` runs none, so that it gives BuildKit's own bytes. A pass is a file with one
//! function that says whether it changed anything, a header that tells why it is sound and what it costs, and tests in
//! the text form.

mod dead;

use std::fmt;

use crate::{Graph, verify};

/// How much is done: `-O0`, `-O1`, `-O2`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing.
    #[default]
    O0,
    /// What only removes work.
    O1,
    /// What also reorders work.
    O2,
}

/// One step of the optimizer.
pub struct Pass {
    /// Its name on the command line.
    pub name: &'static str,
    /// From which level on it runs.
    pub level: Level,
    /// Changes the graph; whether it did.
    pub run: fn(&mut Graph) -> bool,
}

/// Every pass, in the order in which they run.
pub const PASSES: &[Pass] = &[
    // Last: the others leave vertices behind that nothing needs.
    Pass { name: "dead", level: Level::O1, run: dead::run },
];

/// Runs the passes of a level. Gives the names of those that changed something.
///
/// Panics in debug builds when a pass leaves a graph that does not hold together, where it did before.
pub fn optimize(graph: &mut Graph, level: Level) -> Vec<&'static str> {
    let was_sound = cfg!(debug_assertions) && is_sound(graph);
    let mut changed = Vec::new();
    for pass in PASSES.iter().filter(|pass| pass.level <= level && level != Level::O0) {
        if (pass.run)(graph) {
            changed.push(pass.name);
        }
        debug_assert!(!was_sound || is_sound(graph), "pass {} broke the graph: {:?}", pass.name, verify::verify(graph));
    }
    changed
}

fn is_sound(graph: &Graph) -> bool {
    !verify::verify(graph).iter().any(|finding| finding.flaw.is_fatal())
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::O0 => "-O0",
            Self::O1 => "-O1",
            Self::O2 => "-O2",
        })
    }
}

/// Runs a pass over a text; what it prints must be the expectation, and the verifier must have nothing fatal to say.
#[cfg(test)]
fn check(pass: fn(&mut Graph) -> bool, before: &str, after: &str) {
    let strip = |text: &str| text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
    let mut graph = crate::text::parse(before).unwrap();
    let changed = pass(&mut graph);
    assert_eq!(strip(&crate::text::print(&graph)), strip(after));
    assert_eq!(changed, strip(before) != strip(after), "whether something changed");
    assert!(is_sound(&graph), "{:?}", verify::verify(&graph));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text;

    #[test]
    fn levels() {
        let source = "%0 = source \"local://a\"\n%1 = source \"local://b\"\noutput %1\n";
        let mut graph = text::parse(source).unwrap();
        assert_eq!(optimize(&mut graph, Level::O0), Vec::<&str>::new());
        assert_eq!(text::print(&graph), source);
        assert_eq!(optimize(&mut graph, Level::O1), ["dead"]);
        assert_eq!(optimize(&mut graph, Level::O2), Vec::<&str>::new());
        assert_eq!(text::print(&graph), "%0 = source \"local://b\"\noutput %0\n");
    }
}
