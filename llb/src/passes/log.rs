//! What passes did, where and why, and what they left alone and which condition failed: as data.
//!
//! Places are vertices of the graph as it was given, whose numbers do not change while passes run: each vertex knows its
//! *origins*, the given vertices whose work it does. From them a caller also learns which layers became one.

use std::fmt;

use super::{Options, layers};
use crate::{Graph, NodeId};

/// A record of an optimization.
#[derive(Clone, Debug)]
pub struct Log {
    pub(super) options: Options,
    /// For each vertex of the graph as it is now the given ones whose work it does.
    origins: Vec<Origins>,
    /// Given vertices that must stay layers of their own.
    pinned: Vec<bool>,
    entries: Vec<Entry>,
    /// A condition that a pass does not look at: tests of the tests.
    #[cfg(test)]
    pub(super) overruled: Option<(&'static str, Why)>,
}

/// The given vertices whose work a vertex does, in the order of the work: for most one, which needs no allocation.
#[derive(Clone, Debug)]
enum Origins {
    One(NodeId),
    Many(Vec<NodeId>),
}

impl Origins {
    fn as_slice(&self) -> &[NodeId] {
        match self {
            Self::One(node) => std::slice::from_ref(node),
            Self::Many(nodes) => nodes,
        }
    }

    /// Takes them away.
    fn take(&mut self) -> Vec<NodeId> {
        match std::mem::replace(self, Self::Many(Vec::new())) {
            Self::One(node) => vec![node],
            Self::Many(nodes) => nodes,
        }
    }
}

/// What one pass did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub pass: &'static str,
    /// Vertices before and after.
    pub vertices: (usize, usize),
    /// What it changed.
    pub changes: Vec<Change>,
    /// What it left alone although it looked at it.
    pub refusals: Vec<Refusal>,
}

/// Something that a pass changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Vertices of the given graph.
    pub at: Vec<NodeId>,
    /// What was done.
    pub rewrite: Rewrite,
}

/// Something that a pass left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Vertices of the given graph.
    pub at: Vec<NodeId>,
    /// The condition that failed.
    pub why: Why,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rewrite {
    /// No output needs the vertex.
    Dead,
    /// Several vertices do the same: the first does it for all.
    Same,
    /// File operations in a row are one vertex.
    Fused,
    /// A constant tree is made where it is copied.
    Inlined,
    /// What was only copied on the way is copied from where it came from.
    Direct,
    /// A directory that is there is not made again.
    DirectoryMade(String),
    /// A vertex without actions is what it worked on.
    NothingLeft,
    /// An output that nobody uses is not kept.
    OutputUnused {
        /// Where it was mounted.
        dest: String,
    },
    /// An image has the name that another vertex has for it.
    ImageRenamed {
        /// The name it had.
        from: String,
        /// The name it has.
        to: String,
    },
    /// A merge of one tree is that tree.
    MergeOfOne,
    /// A merge in a merge is part of it.
    MergeFlattened,
    /// A tree that is laid on top again later need not be below.
    MergedTwice,
    /// The difference to nothing is the tree itself.
    DifferenceToNothing,
    /// A tree and what was changed in it are the changed tree.
    DifferenceUndone,
    /// A chain of copies to separate places is laid side by side.
    Linked {
        /// Into how many trees.
        trees: usize,
    },
    /// Only these paths of a local directory are sent.
    Narrowed {
        /// The paths.
        paths: Vec<String>,
    },
}

/// Why something was left alone: the condition that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The result in between is used elsewhere too.
    UsedElsewhere,
    /// Each layer of an output is to stay one.
    LayersPreserved,
    /// One of the operations looks users up by name in the tree that the other changes.
    OwnerByName,
    /// One of the operations also copies from the tree that it changes.
    ReadsWhatItChanges,
    /// Both copy, from different trees: the copy of one would wait for, and be repeated with, the other.
    DifferentSources,
    /// Both copy: together they would be copied, and sent as a layer, again when one changes.
    CopiedTogether,
    /// A file is written where a copy may have made a hard link.
    MayWriteThroughLink,
    /// The tree is merged or compared later: then it matters which layer says what.
    MergedLater,
    /// What is said of the vertices cannot be said of one (worker constraints, cache export, progress group).
    SaidDifferently,
    /// The vertex would become too big.
    TooManyActions,
    /// The operation has several results.
    SeveralOutputs,
    /// A copy on the way changes what is copied, or one of both takes only some files.
    ChangedOnTheWay,
    /// What was copied on the way may have got another name.
    NamedOnTheWay,
    /// Only a part is taken of what was copied on the way.
    PartOnTheWay,
    /// All of the directory is used.
    AllUsed,
    /// A path of the directory holds characters that mean something in patterns.
    PatternCharacters(String),
    /// Copies go to the root, or to places within each other.
    PlacesOverlap,
    /// The tree that is copied onto is not known: it may hold links.
    BaseUnknown,
    /// The action is of a kind whose places are not known.
    PlaceUnknown,
}

impl Log {
    pub(super) fn new(graph: &Graph, options: Options) -> Self {
        let ids = 0..u32::try_from(graph.nodes.len()).expect("fewer than 2^32 vertices");
        let mut pinned = vec![false; graph.nodes.len()];
        for edge in graph.outputs.iter().filter_map(|output| output.edge) {
            for node in layers(graph, edge) {
                pinned[node.0 as usize] = true;
            }
        }
        let origins = ids.map(|id| Origins::One(NodeId(id))).collect();
        Self {
            options,
            origins,
            pinned,
            entries: Vec::new(),
            #[cfg(test)]
            overruled: None,
        }
    }

    /// One entry per pass that ran, in their order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Everything that was left alone.
    pub fn refused(&self) -> impl Iterator<Item = &Refusal> {
        self.entries.iter().flat_map(|entry| &entry.refusals)
    }

    /// Whether anything was changed.
    pub fn changed(&self) -> bool {
        self.entries.iter().any(|entry| !entry.changes.is_empty())
    }

    /// The given vertices whose work a vertex of the graph does now.
    pub fn origins(&self, node: NodeId) -> &[NodeId] {
        self.origins[node.0 as usize].as_slice()
    }

    /// Whether the pass that runs has changed anything.
    pub(super) fn has_changed(&self) -> bool {
        self.entries.last().is_some_and(|entry| !entry.changes.is_empty())
    }

    /// Begins the entry of a pass.
    pub(super) fn enter(&mut self, pass: &'static str, graph: &Graph) {
        self.end(graph);
        let vertices = (graph.nodes.len(), graph.nodes.len());
        self.entries.push(Entry { pass, vertices, changes: Vec::new(), refusals: Vec::new() });
    }

    /// Ends the entry of the last pass.
    pub(super) fn end(&mut self, graph: &Graph) {
        debug_assert_eq!(self.origins.len(), graph.nodes.len(), "origins are kept in step");
        if let Some(entry) = self.entries.last_mut() {
            entry.vertices.1 = graph.nodes.len();
        }
    }

    pub(super) fn done(&mut self, nodes: &[usize], rewrite: Rewrite) {
        let at = self.places(nodes);
        self.entry().changes.push(Change { at, rewrite });
    }

    pub(super) fn refuse(&mut self, nodes: &[usize], why: Why) {
        let at = self.places(nodes);
        self.entry().refusals.push(Refusal { at, why });
    }

    /// A condition, as it is; only a test of the tests overrules one.
    pub(super) fn heed(&self, condition: Result<(), Why>) -> Result<(), Why> {
        #[cfg(test)]
        if let (Err(why), Some((pass, overruled)), Some(entry)) = (&condition, &self.overruled, self.entries.last())
            && (entry.pass, why) == (*pass, overruled)
        {
            return Ok(());
        }
        condition
    }

    /// Whether a vertex is a layer of an output, and layers are to stay as they are.
    pub(super) fn is_pinned(&self, node: usize) -> bool {
        self.options.preserve_layers && self.is_layer(node)
    }

    /// Whether a vertex is a layer of an output.
    pub(super) fn is_layer(&self, node: usize) -> bool {
        self.origins[node].as_slice().iter().any(|origin| self.pinned[origin.0 as usize])
    }

    /// Notes that the work of a vertex is done by another: before its own if it came before.
    pub(super) fn absorb(&mut self, into: usize, from: usize) {
        let (mut first, mut second) = (self.origins[from].take(), self.origins[into].take());
        if from > into {
            std::mem::swap(&mut first, &mut second);
        }
        first.append(&mut second);
        self.origins[into] = Origins::Many(first);
    }

    /// Notes that the work of a vertex is not done any more.
    pub(super) fn forget(&mut self, node: usize) {
        self.origins[node] = Origins::Many(Vec::new());
    }

    /// Makes room for vertices that are new, at these numbers, ascending.
    pub(super) fn insert(&mut self, new: &[usize]) {
        let mut old = std::mem::take(&mut self.origins).into_iter();
        let mut new = new.iter().copied().peekable();
        while old.len() > 0 || new.peek().is_some() {
            let is_new = new.next_if_eq(&self.origins.len()).is_some();
            let origins = if is_new { None } else { old.next() };
            self.origins.push(origins.unwrap_or(Origins::Many(Vec::new())));
        }
    }

    /// Forgets the vertices that are gone.
    pub(super) fn retain(&mut self, kept: &[bool]) {
        let mut kept = kept.iter().copied();
        self.origins.retain(|_| kept.next().unwrap_or_default());
    }

    fn entry(&mut self) -> &mut Entry {
        self.entries.last_mut().expect("a pass runs inside its entry")
    }

    fn places(&self, nodes: &[usize]) -> Vec<NodeId> {
        nodes.iter().flat_map(|&node| self.origins[node].as_slice()).copied().collect()
    }
}

impl fmt::Display for Rewrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dead => f.write_str("removed: no output needs it"),
            Self::Same => f.write_str("one vertex now: they do the same"),
            Self::Fused => f.write_str("one file operation now"),
            Self::Inlined => f.write_str("a constant tree is made where it is copied"),
            Self::Direct => f.write_str("copied from where it came from, and not on the way"),
            Self::DirectoryMade(path) => write!(f, "{path} is there already, and not made again"),
            Self::NothingLeft => f.write_str("removed: nothing is left to do"),
            Self::OutputUnused { dest } => write!(f, "the changes at {dest} are not kept: nobody uses them"),
            Self::ImageRenamed { from, to } => write!(f, "{from} is the image {to}, and named like it"),
            Self::MergeOfOne => f.write_str("a merge of one tree is that tree"),
            Self::MergeFlattened => f.write_str("a merge in a merge is part of it"),
            Self::MergedTwice => f.write_str("a tree that is merged again on top is not needed below"),
            Self::DifferenceToNothing => f.write_str("the difference to nothing is the tree itself"),
            Self::DifferenceUndone => f.write_str("a tree and what changed in it are the changed tree"),
            Self::Linked { trees } => write!(f, "{trees} trees now, made side by side and merged"),
            Self::Narrowed { paths } => write!(f, "only these paths are sent: {}", paths.join(", ")),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UsedElsewhere => "what the first makes is used elsewhere too",
            Self::LayersPreserved => "layers are preserved",
            Self::OwnerByName => "an owner is looked up by name in the tree that changes; a number would do",
            Self::ReadsWhatItChanges => "it copies from the tree that it changes",
            Self::DifferentSources => {
                "they copy from different trees: one copy would wait for, and be repeated with, the other"
            }
            Self::CopiedTogether => "both would be copied again when one changes; -O2 does it",
            Self::MayWriteThroughLink => "a file is written where a copy may have made a hard link",
            Self::MergedLater => "the tree is merged or compared later, layer by layer",
            Self::SaidDifferently => "worker constraints, cache export or progress groups differ",
            Self::TooManyActions => "the vertex would become too big",
            Self::SeveralOutputs => "the first has several results",
            Self::ChangedOnTheWay => "the first copy changes owners, modes or times, or one takes only some files",
            Self::NamedOnTheWay => "a file would be copied under the name that it has in between",
            Self::PartOnTheWay => "it takes a part of what was copied, and links may lead to that",
            Self::AllUsed => "all of the directory is used",
            Self::PatternCharacters(path) => {
                return write!(f, "{path} holds characters that mean something in patterns");
            }
            Self::PlacesOverlap => "they copy to places within each other",
            Self::BaseUnknown => {
                "the tree below is not known, and may hold links; COPY --link says that it does not matter"
            }
            Self::PlaceUnknown => "the places that one of them writes to are not known",
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at: Vec<String> = self.at.iter().map(|node| format!("%{}", node.0)).collect();
        write!(f, "{}: {}", at.join(", "), self.why)
    }
}
