//! Blobs in a directory, and in memory.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use oci::{Algorithm, Digest, Hasher};

use super::{BlobWriter, Blobs, Temp, TempPath};
use crate::temp::make_private;
use crate::unsynced::Unsynced;
use crate::{Error, Result};

pub(super) const BLOBS: &str = "blobs-v1";
const UNSYNCED: &str = "unsynced-blobs-v2";

/// Blobs as files named by their digest. Cheap to clone.
#[derive(Clone)]
pub struct LocalBlobs(Arc<Local>);

struct Local {
    root: PathBuf,
    temp: Temp,
    unsynced: Unsynced,
}

impl LocalBlobs {
    /// Blobs in a directory of `store`, made in `temp`, which is on the same file system. Those that another boot may not
    /// have written whole are removed.
    pub(super) fn open(store: &Path, temp: Temp) -> Result<Self> {
        let root = store.join(BLOBS);
        make_private(&root)?;
        make_private(&root.join(Algorithm::Sha256.as_str()))?;
        let unsynced = Unsynced::open(store.join(UNSYNCED))?;
        let blobs = Self(Arc::new(Local { root, temp, unsynced }));
        blobs.0.unsynced.sweep(&mut |name| Digest::parse(name).map_or(Ok(()), |digest| blobs.remove(&digest)))?;
        Ok(blobs)
    }

    /// The file of a blob.
    fn path(&self, digest: &Digest) -> PathBuf {
        self.0.root.join(digest.algorithm().as_str()).join(digest.hex())
    }
}

impl Blobs for LocalBlobs {
    fn size(&self, digest: &Digest) -> Result<Option<u64>> {
        let path = self.path(digest);
        match fs::metadata(&path) {
            Ok(found) => Ok(Some(found.len())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io("stat", path)(e)),
        }
    }

    fn open(&self, digest: &Digest) -> Result<File> {
        let path = self.path(digest);
        File::open(&path).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => not_found(digest),
            _ => Error::io("open", path)(e),
        })
    }

    fn write(&self) -> Result<Box<dyn BlobWriter>> {
        let (path, file) = self.0.temp.file("blob")?;
        Ok(Box::new(LocalWriter { blobs: self.clone(), path, file, hasher: Hasher::sha256(), size: 0 }))
    }

    fn remove(&self, digest: &Digest) -> Result<()> {
        let path = self.path(digest);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path)(e)),
            _ => {
                self.0.unsynced.unmark(digest.as_str());
                Ok(())
            }
        }
    }

    fn sync(&self, digest: &Digest) -> Result<()> {
        if !self.0.unsynced.is_marked(digest.as_str()) {
            return Ok(());
        }
        let path = self.path(digest);
        match File::open(&path).and_then(|file| file.sync_all()) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io("sync", path)(e)),
            _ => {
                self.0.unsynced.unmark(digest.as_str());
                Ok(())
            }
        }
    }
}

struct LocalWriter {
    blobs: LocalBlobs,
    path: TempPath,
    file: File,
    hasher: Hasher,
    size: u64,
}

impl Write for LocalWriter {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let written = self.file.write(data)?;
        self.hasher.update(&data[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl BlobWriter for LocalWriter {
    fn commit(mut self: Box<Self>, expected: Option<&Digest>) -> Result<(Digest, u64)> {
        let digest = named(expected, std::mem::take(&mut self.hasher).finish(), &mut self.file)?;
        check(expected, &digest)?;
        let to = self.blobs.path(&digest);
        let dir = to.parent().expect("a blob is in a directory");
        fs::create_dir_all(dir).map_err(Error::io("make", dir))?;
        match self.blobs.size(&digest)? {
            // The one that is there may be on the disk, which then this one must be.
            Some(_) => self.file.sync_all().map_err(Error::io("sync", self.path.path()))?,
            None => self.blobs.0.unsynced.mark(digest.as_str())?,
        }
        self.path.persist(&to)?;
        Ok((digest, self.size))
    }
}

/// Blobs in memory.
#[derive(Clone, Default)]
pub struct MemoryBlobs(Arc<Mutex<BTreeMap<Digest, Arc<[u8]>>>>);

impl MemoryBlobs {
    fn map(&self) -> std::sync::MutexGuard<'_, BTreeMap<Digest, Arc<[u8]>>> {
        self.0.lock().expect("no panic while the map is held")
    }
}

impl Blobs for MemoryBlobs {
    fn size(&self, digest: &Digest) -> Result<Option<u64>> {
        Ok(self.map().get(digest).map(|data| data.len() as u64))
    }

    fn open(&self, digest: &Digest) -> Result<File> {
        let data = self.map().get(digest).cloned().ok_or_else(|| not_found(digest))?;
        let mut file = memory_file()?;
        file.write_all(&data).and_then(|()| file.rewind()).map_err(Error::io("write", "a file in memory"))?;
        Ok(file)
    }

    fn write(&self) -> Result<Box<dyn BlobWriter>> {
        Ok(Box::new(MemoryWriter { blobs: self.clone(), data: Vec::new() }))
    }

    fn remove(&self, digest: &Digest) -> Result<()> {
        self.map().remove(digest);
        Ok(())
    }

    fn sync(&self, _: &Digest) -> Result<()> {
        Ok(())
    }
}

struct MemoryWriter {
    blobs: MemoryBlobs,
    data: Vec<u8>,
}

impl Write for MemoryWriter {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.data.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl BlobWriter for MemoryWriter {
    fn commit(self: Box<Self>, expected: Option<&Digest>) -> Result<(Digest, u64)> {
        let digest = named(expected, Digest::sha256(&self.data), &mut self.data.as_slice())?;
        check(expected, &digest)?;
        let size = self.data.len() as u64;
        self.blobs.map().insert(digest.clone(), self.data.into());
        Ok((digest, size))
    }
}

fn memory_file() -> Result<File> {
    let fd = rustix::fs::memfd_create("blob", rustix::fs::MemfdFlags::CLOEXEC);
    fd.map(File::from).map_err(io::Error::from).map_err(Error::io("make", "a file in memory"))
}

/// The digest by the function that is expected: nearly always the SHA-256 that was computed while writing.
fn named(expected: Option<&Digest>, sha256: Digest, written: &mut dyn Reread) -> Result<Digest> {
    match expected.map(Digest::algorithm) {
        None | Some(Algorithm::Sha256) => Ok(sha256),
        Some(other) => written.digest(other).map_err(Error::io("read", "a blob being written")),
    }
}

fn check(expected: Option<&Digest>, got: &Digest) -> Result<()> {
    match expected {
        Some(want) if want != got => {
            Err(Error::DigestMismatch { of: "blob".into(), want: want.to_string(), got: got.to_string() })
        }
        _ => Ok(()),
    }
}

fn not_found(digest: &Digest) -> Error {
    Error::NotFound(format!("blob {digest}: not found"))
}

/// Bytes that were written and can be hashed once more.
trait Reread {
    fn digest(&mut self, algorithm: Algorithm) -> io::Result<Digest>;
}

impl Reread for File {
    fn digest(&mut self, algorithm: Algorithm) -> io::Result<Digest> {
        self.rewind()?;
        let mut hasher = Hasher::new(algorithm);
        io::copy(self, &mut hasher)?;
        Ok(hasher.finish())
    }
}

impl Reread for &[u8] {
    fn digest(&mut self, algorithm: Algorithm) -> io::Result<Digest> {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(self);
        Ok(hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::store::{read_blob, tests::scratch, write_blob};

    /// What every implementation must do.
    fn conforms(blobs: &dyn Blobs) {
        let digest = Digest::sha256(b"hello");
        assert_eq!(blobs.size(&digest).unwrap(), None);
        assert!(matches!(blobs.open(&digest), Err(Error::NotFound(_))));

        let written = write_blob(blobs, &mut &b"hello"[..], Some(&digest)).unwrap();
        assert_eq!(written, (digest.clone(), 5));
        assert_eq!(blobs.size(&digest).unwrap(), Some(5));
        let mut text = String::new();
        blobs.open(&digest).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
        assert_eq!(read_blob(blobs, &digest, 5).unwrap(), b"hello");
        assert!(matches!(read_blob(blobs, &digest, 4), Err(Error::Invalid(_))));

        // Writing what is there already is no error, and a reader keeps what it opened.
        let mut open = blobs.open(&digest).unwrap();
        write_blob(blobs, &mut &b"hello"[..], None).unwrap();
        blobs.sync(&digest).unwrap();
        blobs.remove(&digest).unwrap();
        blobs.remove(&digest).unwrap();
        blobs.sync(&digest).unwrap();
        text.clear();
        open.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
        assert_eq!(blobs.size(&digest).unwrap(), None);

        // Bytes that are not what they should be are never seen.
        let other = Digest::sha256(b"other");
        let wrong = write_blob(blobs, &mut &b"hello"[..], Some(&other));
        assert!(matches!(wrong, Err(Error::DigestMismatch { .. })));
        assert_eq!((blobs.size(&other).unwrap(), blobs.size(&digest).unwrap()), (None, None));

        // Neither is what was not committed.
        let mut dropped = blobs.write().unwrap();
        dropped.write_all(b"hello").unwrap();
        drop(dropped);
        assert_eq!(blobs.size(&digest).unwrap(), None);

        let mut hasher = Hasher::new(Algorithm::Sha512);
        hasher.update(b"hello");
        let sha512 = hasher.finish();
        assert_eq!(write_blob(blobs, &mut &b"hello"[..], Some(&sha512)).unwrap().0, sha512);
        assert_eq!(blobs.size(&sha512).unwrap(), Some(5));
    }

    #[test]
    fn memory() {
        conforms(&MemoryBlobs::default());
    }

    #[test]
    fn local() {
        let root = scratch();
        conforms(&open(root.path()));
    }

    fn open(root: &Path) -> LocalBlobs {
        let temp = root.join("tmp");
        make_private(&temp).unwrap();
        LocalBlobs::open(root, Temp::open(&temp).unwrap()).unwrap()
    }

    /// The markers of this boot.
    fn of_boot(root: &Path) -> PathBuf {
        root.join(UNSYNCED).join(crate::unsynced::boot().unwrap())
    }

    /// As after a loss of power: what was not synced may be anything.
    fn after_a_loss_of_power(root: &Path) -> LocalBlobs {
        fs::rename(of_boot(root), root.join(UNSYNCED).join("another boot")).unwrap();
        open(root)
    }

    #[test]
    fn what_was_not_synced_is_gone_after_a_loss_of_power() {
        let root = scratch();
        let blobs = open(root.path());
        let write = |text: &[u8]| write_blob(&blobs, &mut &*text, None).unwrap().0;
        let (synced, twice, lost) = (write(b"synced"), write(b"twice"), write(b"lost"));
        [&synced, &twice].iter().for_each(|digest| blobs.sync(digest).unwrap());
        assert_eq!(write(b"twice"), twice);
        let blobs = after_a_loss_of_power(root.path());
        let sizes = [&synced, &twice, &lost].map(|digest| blobs.size(digest).unwrap());
        assert_eq!(sizes, [Some(6), Some(5), None]);
        assert!(fs::read_dir(of_boot(root.path())).unwrap().next().is_none());
        assert!(!root.path().join(UNSYNCED).join("another boot").exists());
    }
}
