//! Where results go.

/// The exporters there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The store's images.
    Image,
    /// An OCI archive or layout.
    Oci,
    /// A Docker archive.
    Docker,
    /// The tree as a tar.
    Tar,
    /// The tree as a directory.
    Local,
    /// Nothing: only the cache is filled.
    CacheOnly,
}
