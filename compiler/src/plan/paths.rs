//! Which paths of a context a build uses, so that only those are sent.

use std::collections::BTreeSet;

use super::go;

/// A set of paths; stages that build on one another share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PathsId(usize);

/// All sets.
#[derive(Default)]
pub(super) struct UsedPaths {
    sets: Vec<BTreeSet<String>>,
}

impl UsedPaths {
    /// A new, empty set.
    pub(super) fn add_set(&mut self) -> PathsId {
        self.sets.push(BTreeSet::new());
        PathsId(self.sets.len() - 1)
    }

    /// Marks a path as used.
    pub(super) fn mark(&mut self, set: PathsId, path: &str) {
        self.sets[set.0].insert(go::join("/", path));
    }

    /// Marks everything as used.
    pub(super) fn mark_all(&mut self, set: PathsId) {
        self.mark(set, "/");
    }

    /// What to follow, as source operations name it: sorted; empty when everything is used, or nothing.
    pub(super) fn followed(&self, set: PathsId) -> Vec<String> {
        let paths = &self.sets[set.0];
        if paths.contains("/") {
            return Vec::new();
        }
        let mut followed: Vec<String> =
            paths.iter().map(|path| path.strip_prefix('/').unwrap_or(path).to_owned()).collect();
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
