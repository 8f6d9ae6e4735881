//! The digest of what a selector chooses of a tree: equal content, equal digest, wherever it came from.
//!
//! The scheme is that of BuildKit v0.32 (`cache/contenthash`), so that caches of either side serve the other. Each entry has
//! a *record*: SHA-256 of a header in the manner of tarsum v1, and the bytes of a file. Times are no part of it. A directory
//! has a record of its own metadata, and one of its name and all below it. Names inside digests have NUL for the slash.
//!
//! Device numbers enter the record of a device also when a tree on disk is hashed. BuildKit leaves them out there, and takes a
//! changed device for the old one. Trees without devices, nearly all, have BuildKit's digests.

mod matching;
mod record;
#[cfg(test)]
mod tests;

use std::ffi::{CStr, CString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use oci::{Digest, Hasher};
use rustix::fs::FileType;

use self::record::Job;
use super::Selector;
use crate::snapshot::stack::kind;
use crate::snapshot::{Files, OpenDir, pool};
use crate::{Cancel, Error, Result};

/// The digest of what selectors choose; no selectors choose everything. **Errors**: `NotFound` for a path that is not
/// there, in BuildKit's words.
pub fn digest(files: &Files, selectors: &[Selector], cancel: &Cancel) -> Result<Digest> {
    joined(selectors, |selector| checksum(files, selector, cancel))
}

/// The same of a tree without layers. parity: it has no root directory whose metadata would count, and nothing else.
pub fn digest_of_nothing(selectors: &[Selector]) -> Result<Digest> {
    joined(selectors, |selector| match path_of(selector).as_str() {
        "/" => Ok(Digest::sha256(b"")),
        path => Err(Error::NotFound(format!("{path}: no such file or directory"))),
    })
}

fn joined(selectors: &[Selector], checksum: impl Fn(&Selector) -> Result<Digest>) -> Result<Digest> {
    let everything = [Selector::default()];
    let selectors = if selectors.is_empty() { &everything } else { selectors };
    let mut joined = Vec::new();
    for selector in selectors {
        if !joined.is_empty() {
            joined.push(0);
        }
        joined.extend_from_slice(checksum(selector)?.as_str().as_bytes());
    }
    Ok(Digest::sha256(&joined))
}

fn path_of(selector: &Selector) -> String {
    oci::text::clean_path(&format!("/{}", selector.path))
}

/// The digest of what one selector chooses.
fn checksum(files: &Files, selector: &Selector, cancel: &Cancel) -> Result<Digest> {
    let path = path_of(selector);
    if selector.wildcard || !selector.include.is_empty() || !selector.exclude.is_empty() {
        return matching::checksum(files, &path, selector, cancel);
    }
    whole(files, &path, selector.follow_links, cancel)
}

/// The record of what is at a path, all below it included.
fn whole(files: &Files, path: &str, follow: bool, cancel: &Cancel) -> Result<Digest> {
    let real = files.real_path(Path::new(path), follow).map_err(Error::io("find", path))?;
    let stat = files.stat(&real).map_err(Error::io("read", path))?;
    let stat = stat.ok_or_else(|| Error::NotFound(format!("{path:?}: not found")))?;
    let (scan, root) = Scan::run(cancel, |scan, pool| {
        let outer = Arc::new(files.open_dir(real.parent().unwrap_or(Path::new("/"))).map_err(Error::io("open", path))?);
        let Some(name) = real.file_name() else {
            let header = match files.listing() {
                // parity: a directory that comes from a client has no metadata of its own.
                Some(_) => scan.known(Digest::sha256(b"")),
                None => scan.submit(Job::new(outer.clone(), c".".to_owned(), stat), pool)?,
            };
            return scan.dir(header, &outer, &mut PathBuf::from("/"), pool);
        };
        let name = record::c_string(name)?;
        scan.entry(&outer, name, &mut real.clone(), pool)
    })?;
    Ok(scan.digest(&root))
}

/// An entry whose parts are being hashed.
enum Item {
    /// No directory: its record.
    Leaf(usize),
    /// A directory: the record of its own metadata, and what is in it.
    Dir(usize, Vec<(CString, Item)>),
}

/// Records that are being computed, by number.
#[derive(Default)]
struct Scan {
    count: usize,
    done: Arc<Mutex<Vec<Option<Digest>>>>,
}

type Hashes<'a> = pool::Pool<'a, (usize, Job)>;

impl Scan {
    /// Walks with threads beside it that hash.
    fn run<T>(cancel: &Cancel, walk: impl FnOnce(&mut Self, &Hashes<'_>) -> Result<T>) -> Result<(Self, T)> {
        let mut scan = Self::default();
        let done = scan.done.clone();
        let work = |(index, job): (usize, Job), buffer: &mut Vec<u8>| {
            let digest = job.digest(buffer, cancel)?;
            put(&done, index, digest);
            Ok(())
        };
        let walked = pool::with(cancel, work, |pool| walk(&mut scan, pool))?;
        Ok((scan, walked))
    }

    /// Adds a record that is known.
    fn known(&mut self, digest: Digest) -> usize {
        let index = self.count;
        self.count += 1;
        put(&self.done, index, digest);
        index
    }

    /// Adds a record to be computed: at once where no bytes are read, else by a thread.
    fn submit(&mut self, job: Job, pool: &Hashes<'_>) -> Result<usize> {
        if let Some(digest) = job.known() {
            return Ok(self.known(digest));
        }
        if kind(&job.stat) != FileType::RegularFile {
            let digest = job.digest(&mut Vec::new(), &Cancel::default())?;
            return Ok(self.known(digest));
        }
        let index = self.count;
        self.count += 1;
        pool.submit((index, job))?;
        Ok(index)
    }

    fn entry(&mut self, dir: &Arc<OpenDir>, name: CString, path: &mut PathBuf, pool: &Hashes<'_>) -> Result<Item> {
        let stat = dir.stat(&name).map_err(Error::io("read", &*path))?;
        let record = self.submit(Job::new(dir.clone(), name.clone(), stat), pool)?;
        if kind(&stat) != FileType::Directory {
            return Ok(Item::Leaf(record));
        }
        let child = Arc::new(dir.open_dir(&name).map_err(Error::io("open", &*path))?);
        self.dir(record, &child, path, pool)
    }

    fn dir(&mut self, header: usize, dir: &Arc<OpenDir>, path: &mut PathBuf, pool: &Hashes<'_>) -> Result<Item> {
        let mut children = Vec::new();
        for name in dir.names().map_err(Error::io("list", &*path))? {
            path.push(record::os_str(&name));
            let item = self.entry(dir, name.clone(), path, pool)?;
            path.pop();
            children.push((name, item));
        }
        Ok(Item::Dir(header, children))
    }

    /// A record that was computed.
    fn record(&self, index: usize) -> Digest {
        let done = self.done.lock().expect("no panic while it is held");
        done[index].clone().expect("all is hashed when the walk is over")
    }

    fn digest(&self, item: &Item) -> Digest {
        let (header, children) = match item {
            Item::Leaf(record) => return self.record(*record),
            Item::Dir(header, children) => (header, children),
        };
        let mut hasher = Hasher::sha256();
        let mut add = |name: &CStr, digest: &Digest| {
            hasher.update(b"\0");
            hasher.update(name.to_bytes());
            hasher.update(digest.as_str().as_bytes());
        };
        add(c"", &self.record(*header));
        for (name, child) in children {
            add(name, &self.digest(child));
        }
        hasher.finish()
    }
}

fn put(done: &Mutex<Vec<Option<Digest>>>, index: usize, digest: Digest) {
    let mut done = done.lock().expect("no panic while it is held");
    if done.len() <= index {
        done.resize(index + 1, None);
    }
    done[index] = Some(digest);
}
