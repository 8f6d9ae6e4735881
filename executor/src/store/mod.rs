//! One directory that holds everything: blobs by digest, layers, the database, images by name.
//!
//! | entry | what |
//! |---|---|
//! | `blobs-v1/<algorithm>/<hex>` | content-addressed bytes |
//! | `unsynced-blobs-v2/` | marks blobs that may not have reached the disk (see `unsynced`) |
//! | `layers-v1/<id>/` | layer directories; their inside is the snapshots' affair |
//! | `db-v1.sqlite` | layers, cache links and results, images, times of use, how steps went |
//! | `in-use` | locked by builds together, by pruning alone |
//! | `reserve-v1/` | files that hold nothing: room for pruning on a full disk |
//! | `tmp/<process>/` | what live processes are making; what dead ones left is removed at the next start |
//!
//! Writes go aside and are renamed: what can be seen is whole. Blobs of images that have a name are synced, too. Buckets carry a version in their name. Any number
//! of processes may share the directory. The store must not know what a vertex or a snapshot is.

mod blobs;
mod db;
mod forget;
mod images;
mod layers;
mod lock;
mod pushes;
mod reserve;
mod steps;

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use oci::Digest;

use crate::temp::make_private;
pub use crate::temp::{Temp, TempPath};
use crate::{Error, Result};
pub use blobs::{LocalBlobs, MemoryBlobs};
pub use db::Db;
pub(crate) use db::fold_handed_over;
pub use images::Image;
pub use layers::Layer;
pub use lock::InUse;
pub(crate) use reserve::{is_full, keep as keep_reserve};
pub use steps::StepRun;

/// Content-addressed bytes.
pub trait Blobs: Send + Sync {
    /// Whether the blob is there, and its size in bytes.
    fn size(&self, digest: &Digest) -> Result<Option<u64>>;
    /// Opens a blob for reading. **Errors**: `NotFound`.
    fn open(&self, digest: &Digest) -> Result<File>;
    /// Starts a blob.
    fn write(&self) -> Result<Box<dyn BlobWriter>>;
    /// Removes a blob; none there is no error.
    fn remove(&self, digest: &Digest) -> Result<()>;
    /// Waits until a blob has reached the disk; none there is no error.
    fn sync(&self, digest: &Digest) -> Result<()>;
}

/// A blob being written; dropped uncommitted it is discarded.
pub trait BlobWriter: Write + Send {
    /// Ends it: checks the digest if one is expected, makes it visible. Returns digest and size in bytes.
    fn commit(self: Box<Self>, expected: Option<&Digest>) -> Result<(Digest, u64)>;
}

/// Copies everything into a blob.
pub fn write_blob(blobs: &dyn Blobs, from: &mut dyn io::Read, expected: Option<&Digest>) -> Result<(Digest, u64)> {
    let mut writer = blobs.write()?;
    io::copy(from, &mut writer).map_err(Error::io("write", "a blob"))?;
    writer.commit(expected)
}

/// Reads a whole blob of at most `limit` bytes: manifests, configs.
pub fn read_blob(blobs: &dyn Blobs, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
    let file = blobs.open(digest)?;
    let size = file.metadata().map_or(0, |found| found.len()).min(limit);
    let mut data = Vec::with_capacity(size as usize + 1);
    io::Read::read_to_end(&mut io::Read::take(file, limit + 1), &mut data)
        .map_err(Error::io("read", digest.as_str()))?;
    if data.len() as u64 > limit {
        return Err(Error::Invalid(format!("blob {digest} is longer than {limit} bytes")));
    }
    Ok(data)
}

/// An open store directory.
pub struct Store {
    root: PathBuf,
    temp: Temp,
    blobs: LocalBlobs,
    db: Db,
}

impl Store {
    /// Opens the directory to look at it or to make room in it: on a full disk, too.
    pub fn open_when_full(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        reserve::give_up_if_needed(&root);
        Self::open(&root).map_err(|error| match error.is_full() {
            true => Error::Invalid(format!(
                "the disk of the store {} is so full that nothing can be removed from the store: remove something else \
                 from it first",
                root.display()
            )),
            false => error,
        })
    }

    /// Opens the directory, makes what is missing, and removes what dead processes left.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        for dir in ["layers-v1", "tmp"] {
            make_private(&root.join(dir))?;
        }
        let root = root.canonicalize().map_err(Error::io("open", &root))?;
        let temp = Temp::open(&root.join("tmp"))?;
        reserve::check(&root)?;
        let blobs = LocalBlobs::open(&root, temp.clone())?;
        let db = Db::open(&root.join("db-v1.sqlite"))?;
        Ok(Self { root, temp, blobs, db })
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Content-addressed bytes.
    pub fn blobs(&self) -> &dyn Blobs {
        &self.blobs
    }

    /// Where layer directories are.
    pub fn layers_dir(&self) -> PathBuf {
        self.root.join("layers-v1")
    }

    /// Where things are made before they are renamed into place; on the same file system as everything else.
    pub fn temp(&self) -> &Temp {
        &self.temp
    }

    /// The database.
    pub fn db(&self) -> &Db {
        &self.db
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A directory that is removed afterwards.
    pub(crate) fn scratch() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn nobody_else_enters_a_store() {
        let dir = scratch();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let root = dir.path().join("var/store");
        drop(Store::open(&root).unwrap());
        assert_eq!(mode(&root), 0o700, "made here");
        // In a directory that somebody else made, its parts are closed, also those that an older version made.
        std::fs::set_permissions(&root, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::set_permissions(root.join("layers-v1"), std::fs::Permissions::from_mode(0o755)).unwrap();
        drop(Store::open(&root).unwrap());
        assert_eq!(mode(&root), 0o755);
        for entry in std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap()) {
            let is_dir = entry.file_type().unwrap().is_dir();
            assert!(!is_dir || mode(&entry.path()) == 0o700, "{}", entry.path().display());
        }
    }

    #[test]
    fn a_store_opens_again_and_beside_another() {
        let dir = scratch();
        let one = Store::open(dir.path()).unwrap();
        let two = Store::open(dir.path()).unwrap();
        let (digest, _) = write_blob(one.blobs(), &mut &b"x"[..], None).unwrap();
        drop(one);
        assert_eq!(two.blobs().size(&digest).unwrap(), Some(1));
    }
}
