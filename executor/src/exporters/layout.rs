//! OCI layout directories: blobs by digest, and an index of what has a name. What else is in one stays.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use oci::{Descriptor, Digest, Index, media};

use super::dest::Target;
use crate::{Error, Result, text};

/// What the file `oci-layout` holds.
pub(crate) const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
/// Permissions of blobs.
pub(crate) const BLOB: u32 = 0o444;
/// Annotation in the index: the whole name.
pub(crate) const IMAGE_NAME: &str = "io.containerd.image.name";
/// Annotation in the index: the tag.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Where a blob is, from the directory.
pub(crate) fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().as_str(), digest.hex())
}

/// Whether a blob is there.
pub(crate) fn has(dir: &Path, blob: &Descriptor) -> bool {
    fs::metadata(dir.join(blob_path(&blob.digest))).is_ok_and(|meta| meta.len() == blob.size)
}

/// Adds a blob, whose bytes `write` writes.
pub(crate) fn put_blob(dir: &Path, digest: &Digest, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    let path = dir.join(blob_path(digest));
    let parent = path.parent().expect("a blob is in a directory");
    fs::create_dir_all(parent).map_err(Error::io("make", parent))?;
    let mut target = Target::open(Some(&path))?;
    write(target.file()).map_err(Error::io("write", &path))?;
    // parity: a blob never changes.
    target.file().set_permissions(fs::Permissions::from_mode(BLOB)).map_err(Error::io("write", &path))?;
    target.finish()
}

/// Adds to the index; what had the same names goes.
pub(crate) fn add(dir: &Path, added: Vec<Descriptor>) -> Result<()> {
    locked(dir, || {
        write_file(&dir.join("oci-layout"), LAYOUT)?;
        let mut index = index(dir)?.unwrap_or_else(|| Index::new(Vec::new()));
        if index.media_type.is_empty() {
            index.media_type = media::OCI_INDEX.to_owned();
        }
        let key = |named: &Descriptor| [REF_NAME, IMAGE_NAME].map(|key| named.annotations.get(key).cloned());
        index.manifests.retain(|old| added.iter().all(|new| key(new) != key(old)));
        index.manifests.extend(added);
        write_file(&dir.join("index.json"), &oci::json::to_vec(&index))
    })
}

/// The index; `None` when there is none, or an empty one.
pub(crate) fn index(dir: &Path) -> Result<Option<Index>> {
    let path = dir.join("index.json");
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(Error::io("read", &path))?,
    };
    let bytes = text::all(file, text::LONGEST_DOCUMENT).map_err(Error::io("read", &path))?;
    if bytes.is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(&bytes).map(Some).map_err(|error| Error::io("read", &path)(error.into()))
}

/// Does what nobody else must do meanwhile; BuildKit's clients take the same lock.
pub(crate) fn locked<T>(dir: &Path, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let path = dir.join("index.json.lock");
    let held = lock(&path)?;
    let done = work();
    let _ = fs::remove_file(&path);
    drop(held);
    done
}

/// Who had the lock removed its file: whoever waited for that one has nothing, and takes the next.
fn lock(path: &PathBuf) -> Result<File> {
    loop {
        let file = File::create(path).map_err(Error::io("make", path))?;
        file.lock().map_err(Error::io("lock", path))?;
        let place = |meta: fs::Metadata| (meta.dev(), meta.ino());
        let (ours, theirs) = (file.metadata().map(place), fs::metadata(path).map(place));
        if theirs.is_ok_and(|theirs| ours.is_ok_and(|ours| ours == theirs)) {
            return Ok(file);
        }
    }
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut target = Target::open(Some(path))?;
    target.file().write_all(bytes).map_err(Error::io("write", path))?;
    target.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_who_add_at_once_are_in_the_index() {
        let dir = tempfile::tempdir().unwrap();
        let named = |name: String| {
            let mut root = Descriptor::of(media::OCI_MANIFEST, b"{}");
            root.annotations.insert(REF_NAME.into(), name);
            root
        };
        std::thread::scope(|scope| {
            for number in 0..32 {
                let (dir, root) = (dir.path(), named(number.to_string()));
                scope.spawn(move || add(dir, vec![root]).unwrap());
            }
        });
        assert_eq!(index(dir.path()).unwrap().unwrap().manifests.len(), 32);
        assert!(!dir.path().join("index.json.lock").exists());
    }
}
