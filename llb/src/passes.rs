//! Passes: graph in, better graph out, same tree and image.
//!
//! [`PASSES`] is the whole optimizer: they run in its order, each from its level on, and in debug builds the verifier
//! looks at the graph after each. `-O0` runs none, so that it gives BuildKit's own bytes. A pass is a file with one
//! function, a header that tells the rewrite, why it is sound, what it must not touch and what it costs, and tests in
//! the text form. What it did, and what it left alone and why, it writes into a [`Log`].
//!
//! What stays, whatever the level (`docs/optimizer.md` says it for users):
//!
//! - the tree of each output: paths, types, bytes, modes, owners, link targets, hard links, attributes, and the times of
//!   files; times of directories are promised where an action sets them,
//! - the vertices that came from outside ([`Node::fixed`](crate::Node::fixed)), to their digests, where they are still used,
//! - the outputs asked for, and that a build which fails without a pass fails with it: nothing that can fail is dropped
//!   from what an output needs,
//! - what is said of a vertex (names, locations, capabilities, cache settings): it goes to the vertex that does its work.

mod algebra;
mod constants;
mod dead;
mod direct;
#[cfg(test)]
mod equality;
mod fixed;
mod fuse;
mod images;
mod layers;
mod link;
mod log;
mod mkdirs;
mod narrow;
mod outputs;
mod same;
mod uses;

use std::fmt;

use crate::{Graph, verify};
use fixed::Fixed;

pub use layers::layers;
pub use log::{Change, Entry, Log, Refusal, Rewrite, Why};

/// How much is done: `-O0`, `-O1`, `-O2`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing.
    #[default]
    O0,
    /// What never makes a build do again what it would not have done again.
    O1,
    /// What also trades: fewer, bigger copies and layers; more vertices that run side by side.
    O2,
}

/// What is asked of the optimizer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// How much.
    pub level: Level,
    /// Whether each layer of an output stays a layer of its own.
    pub preserve_layers: bool,
}

/// One step of the optimizer.
pub struct Pass {
    /// Its name on the command line.
    pub name: &'static str,
    /// From which level on it runs.
    pub level: Level,
    /// What it does, for people.
    pub about: &'static str,
    /// Changes the graph and says so.
    run: Run,
}

type Run = fn(&mut Graph, &mut Log);

/// Every pass, in the order in which they run.
pub const PASSES: &[Pass] = &[
    // First: what nobody needs must not hold back the others, which look at how often a result is used. What a pass
    // leaves behind is swept up after it.
    Pass { name: "dead", level: Level::O1, about: "removes vertices that no output needs", run: dead::run },
    // The tree in between is used once where the other results of its process are not.
    Pass {
        name: "outputs",
        level: Level::O1,
        about: "removes outputs of processes that nobody uses",
        run: outputs::run,
    },
    // Names become equal before vertices are compared.
    Pass { name: "images", level: Level::O1, about: "names equal images equally", run: images::run },
    // Makes trees of merges equal where only their shape differed.
    Pass { name: "algebra", level: Level::O1, about: "simplifies merges and differences", run: algebra::run },
    // Before anything looks at uses: two equal vertices are one with the uses of both.
    Pass { name: "same", level: Level::O1, about: "makes equal vertices one", run: same::run },
    // Before `fuse`: what copies a constant has no source to wait for.
    Pass {
        name: "constants",
        level: Level::O1,
        about: "makes constant trees where they are copied",
        run: constants::run,
    },
    // Before `fuse`: what is copied directly may come from where its neighbours copy from.
    Pass {
        name: "direct",
        level: Level::O1,
        about: "copies directly what was only copied on the way",
        run: direct::run,
    },
    Pass { name: "fuse", level: Level::O1, about: "makes file operations in a row one", run: fuse::run },
    // Sees more in one vertex than in two.
    Pass { name: "mkdirs", level: Level::O1, about: "makes a directory once", run: mkdirs::run },
    // After `fuse`: what copies from one place is one vertex by now, and what is left copies from several.
    Pass { name: "link", level: Level::O2, about: "makes copies to separate places side by side", run: link::run },
    Pass { name: "narrow", level: Level::O1, about: "sends only what is used of local directories", run: narrow::run },
];

/// Runs the passes that the options ask for. A graph that does not hold together is left as it is: whoever runs it says
/// what is wrong with it.
///
/// Panics in debug builds when a pass leaves a graph that does not hold together, or changes what came from outside.
pub fn optimize(graph: &mut Graph, options: Options) -> Log {
    optimize_watched(graph, options, &mut |_, _| {})
}

/// The same, for somebody who wants to see the graph after each pass.
pub fn optimize_watched(graph: &mut Graph, options: Options, watch: &mut dyn FnMut(&Pass, &Graph)) -> Log {
    let mut log = Log::new(graph, options);
    run_all(graph, &mut log, watch);
    log
}

fn run_all(graph: &mut Graph, log: &mut Log, watch: &mut dyn FnMut(&Pass, &Graph)) {
    let options = log.options;
    if options.level == Level::O0 || !is_sound(graph) {
        return;
    }
    let fixed = cfg!(debug_assertions).then(|| Fixed::new(graph));
    for pass in PASSES.iter().filter(|pass| pass.level <= options.level) {
        log.enter(pass.name, graph);
        (pass.run)(graph, log);
        if log.has_changed() {
            dead::sweep(graph, log);
        }
        debug_assert!(is_sound(graph), "pass {} broke the graph: {:?}", pass.name, verify::verify(graph));
        let changed = fixed.as_ref().and_then(|fixed| fixed.changed(graph, log));
        debug_assert!(changed.is_none(), "pass {} changed what came from outside: {changed:?}", pass.name);
        watch(pass, graph);
    }
    log.end(graph);
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

#[cfg(test)]
mod testing {
    use super::*;

    /// Runs a pass over a text (and drops what nobody needs any more); what it prints must be the expectation, and the
    /// verifier must have nothing fatal to say. Lines of the expectation that begin with `;; ` are what the pass says it
    /// left alone.
    #[track_caller]
    pub(in crate::passes) fn check_with(options: Options, pass: Run, before: &str, after: &str) {
        let strip = |text: &str, notes: bool| {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && line.starts_with(";; ") == notes);
            lines.collect::<Vec<_>>().join("\n")
        };
        let mut graph = crate::text::parse(before).unwrap();
        let mut log = Log::new(&graph, options);
        let fixed = Fixed::new(&graph);
        log.enter("tested", &graph);
        pass(&mut graph, &mut log);
        let refused = log.refused().map(|refusal| format!(";; {refusal}")).collect::<Vec<_>>().join("\n");
        let changed = log.changed();
        dead::sweep(&mut graph, &mut log);
        assert_eq!(strip(&crate::text::print(&graph), false), strip(after, false));
        assert_eq!(refused, strip(after, true), "what was left alone");
        assert_eq!(changed, strip(before, false) != strip(after, false), "whether something changed");
        assert!(is_sound(&graph), "{:?}", verify::verify(&graph));
        assert_eq!(fixed.changed(&graph, &log), None, "what came from outside is as it came");
    }

    #[track_caller]
    pub(in crate::passes) fn check(pass: Run, before: &str, after: &str) {
        check_with(Options { level: Level::O1, ..Options::default() }, pass, before, after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NodeId, text};

    fn at(level: Level) -> Options {
        Options { level, ..Options::default() }
    }

    #[test]
    fn levels() {
        let source = "%0 = source \"local://a\"\n%1 = source \"local://b\"\noutput %1\n";
        let mut graph = text::parse(source).unwrap();
        assert!(!optimize(&mut graph, at(Level::O0)).changed());
        assert_eq!(text::print(&graph), source);
        assert!(optimize(&mut graph, at(Level::O1)).changed());
        assert!(!optimize(&mut graph, at(Level::O2)).changed());
        assert_eq!(text::print(&graph), "%0 = source \"local://b\"\noutput %0\n");
    }

    #[test]
    fn the_sample_keeps_its_proportions() {
        let mut graph = crate::sample::build(1000);
        let log = optimize(&mut graph, at(Level::O2));
        let done: usize = (0..graph.nodes.len() as u32).map(|node| log.origins(NodeId(node)).len()).sum();
        assert!(done >= graph.nodes.len());
        assert!(is_sound(&graph));
    }

    #[test]
    fn a_change_of_what_came_from_outside_is_noticed() {
        let mut graph = text::parse("%0 = source \"local://a\" fixed\n%1 = merge(%0)\noutput %1").unwrap();
        let log = Log::new(&graph, at(Level::O1));
        let fixed = Fixed::new(&graph);
        graph.nodes[1].op = crate::Op::Merge(vec![0, 0]);
        assert_eq!(fixed.changed(&graph, &log), None);
        graph.nodes[0].fixed = false;
        assert_eq!(fixed.changed(&graph, &log), Some(NodeId(0)));
        graph.nodes[0].fixed = true;
        graph.nodes[0].constraints = None;
        assert_eq!(fixed.changed(&graph, &log), Some(NodeId(0)));
    }

    #[test]
    fn names_are_unique() {
        let names: std::collections::BTreeSet<_> = PASSES.iter().map(|pass| pass.name).collect();
        assert_eq!(names.len(), PASSES.len());
    }
}
