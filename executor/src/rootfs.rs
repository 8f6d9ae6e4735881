//! Confined path resolution: no path ever leaves the tree it belongs to.
