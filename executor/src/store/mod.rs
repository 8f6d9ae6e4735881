//! One directory that holds everything: blobs by digest, layers, the database, images by name.
//!
//! Writes go aside, are synced and renamed: what can be seen is whole. Buckets carry a version in their name.

use std::fs::File;
use std::io::{self, Write};

use oci::Digest;

use crate::Result;

/// Content-addressed bytes.
pub trait Blobs: Send + Sync {
    /// Whether the blob is there, and its size in bytes.
    fn size(&self, digest: &Digest) -> Result<Option<u64>>;
    /// Opens a blob for reading. **Errors**: `NotFound`.
    fn open(&self, digest: &Digest) -> Result<File>;
    /// Starts a blob.
    fn write(&self) -> Result<Box<dyn BlobWriter>>;
}

/// A blob being written; dropped uncommitted it is discarded.
pub trait BlobWriter: Write + Send {
    /// Ends it: checks the digest if one is expected, syncs, makes it visible. Returns digest and size in bytes.
    fn commit(self: Box<Self>, expected: Option<&Digest>) -> Result<(Digest, u64)>;
}

/// Copies everything into a blob.
pub fn write_blob(
    blobs: &dyn Blobs,
    from: &mut dyn io::Read,
    expected: Option<&Digest>,
) -> Result<(Digest, u64)> {
    let mut writer = blobs.write()?;
    io::copy(from, &mut writer).map_err(crate::Error::io("write", "a blob"))?;
    writer.commit(expected)
}
