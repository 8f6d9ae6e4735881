//! Platforms: operating system, architecture, variant.

/// A platform as images and LLB name it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    /// Operating system: `linux`.
    pub os: String,
    /// Architecture: `amd64`.
    pub architecture: String,
    /// Variant: `v7`; empty when there is none.
    pub variant: String,
    /// Version of the operating system; empty when not said.
    pub os_version: String,
    /// Features of the operating system.
    pub os_features: Vec<String>,
}
