//! Image history: what each instruction leaves in the image it makes.
//!
//! Stages that build on one another share their history, so entries form a tree and a stage holds the last of its own.

use oci::{History as Entry, Time};

/// What BuildKit signs its entries with.
const COMMENT: &str = "buildkit.dockerfile.v0";

/// Last entry of a stage's history.
pub(super) type HistoryId = Option<u32>;

/// The history of all stages.
#[derive(Default)]
pub(super) struct History {
    entries: Vec<(HistoryId, Entry)>,
}

/// Whether an instruction makes a layer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Layer {
    /// None: it changes the config alone.
    Empty,
    /// One.
    Made,
    /// One, made by the solver: the entry says so.
    Solved,
}

impl History {
    /// Adds an entry after `last` and returns its id.
    pub(super) fn add(&mut self, last: HistoryId, created_by: String, layer: Layer, epoch: Option<i64>) -> HistoryId {
        let created_by = if layer == Layer::Solved { created_by + " # buildkit" } else { created_by };
        let entry = Entry {
            created: epoch.map(|seconds| Time::from_unix(seconds, 0)),
            created_by,
            comment: COMMENT.into(),
            empty_layer: layer == Layer::Empty,
            ..Entry::default()
        };
        self.push(last, entry)
    }

    /// Adds entries of a base image.
    pub(super) fn extend(&mut self, last: HistoryId, entries: impl IntoIterator<Item = Entry>) -> HistoryId {
        entries.into_iter().fold(last, |last, entry| self.push(last, entry))
    }

    /// All entries up to `last`, oldest first.
    pub(super) fn until(&self, last: HistoryId) -> Vec<&Entry> {
        let entry = |id: HistoryId| Some(&self.entries[id? as usize]);
        let mut entries: Vec<&Entry> =
            std::iter::successors(entry(last), |(before, _)| entry(*before)).map(|(_, entry)| entry).collect();
        entries.reverse();
        entries
    }

    fn push(&mut self, last: HistoryId, entry: Entry) -> HistoryId {
        self.entries.push((last, entry));
        u32::try_from(self.entries.len() - 1).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_share_what_came_before() {
        let mut history = History::default();
        let base = history.extend(None, [Entry { created_by: "base".into(), ..Entry::default() }]);
        let one = history.add(base, "RUN x".into(), Layer::Solved, None);
        let two = history.add(base, "USER u".into(), Layer::Empty, Some(0));
        let shown = |id| {
            let entries = history.until(id);
            entries.iter().map(|e| format!("{}{}", e.created_by, u8::from(e.empty_layer))).collect::<Vec<_>>().join(";")
        };
        assert_eq!(shown(one), "base0;RUN x # buildkit0");
        assert_eq!(shown(two), "base0;USER u1");
    }
}
