//! Which paths of a context a build uses, so that only those are sent.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::go;

/// A set of paths; stages that build on one another share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PathsId(usize);

/// All sets.
#[derive(Default)]
pub(super) struct UsedPaths {
    sets: Vec<Used>,
}

/// What is used of a context.
enum Used {
    /// Everything: further paths change nothing.
    All,
    /// These, from the root on.
    Paths(BTreeSet<String>),
}

impl UsedPaths {
    /// A new, empty set.
    pub(super) fn add_set(&mut self) -> PathsId {
        self.sets.push(Used::Paths(BTreeSet::new()));
        PathsId(self.sets.len() - 1)
    }

    /// Marks a path as used.
    pub(super) fn mark(&mut self, set: PathsId, path: &str) {
        let Used::Paths(paths) = &mut self.sets[set.0] else { return };
        let path = go::join("/", path);
        if path == "/" {
            self.mark_all(set);
        } else {
            paths.insert(path);
        }
    }

    /// Marks everything as used.
    pub(super) fn mark_all(&mut self, set: PathsId) {
        self.sets[set.0] = Used::All;
    }

    /// What to follow, as source operations name it: sorted; empty when everything is used, or nothing.
    pub(super) fn followed(&self, set: PathsId) -> Vec<Cow<'_, str>> {
        let Used::Paths(paths) = &self.sets[set.0] else { return Vec::new() };
        let mut followed: Vec<_> = paths.iter().map(|path| path.strip_prefix('/').unwrap_or(path).into()).collect();
        followed.sort();
        followed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_lifts_the_restriction() {
        let mut paths = UsedPaths::default();
        let set = paths.add_set();
        for path in ["b", "./a/../c*", "/x/", "b"] {
            paths.mark(set, path);
        }
        assert_eq!(paths.followed(set), ["b", "c*", "x"]);
        paths.mark(set, ".");
        assert!(paths.followed(set).is_empty());
    }
}
