//! Room on the disk that is kept for whoever makes room.
//!
//! On a full disk nothing could be pruned: the database writes down what goes before it goes, and what is removed is first
//! moved into a directory of the process. So a store has files that hold nothing. Who makes room gives them up first, and
//! they are made again when there is enough.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use super::Store;
use crate::temp::{TempPath, make_private};
use crate::{Error, Result};

const RESERVE: &str = "reserve-v1";
/// As many files are kept: where inodes are short, a process takes some for its directories.
const FILES: u64 = 8;
/// **Unit**: bytes of each. All of them hold what the database writes down for a few hundred layers.
const SIZE: u64 = 128 << 10;
/// How much is to be free, as a multiple of it, for a reserve to be made.
const PLENTY: u64 = 2;
/// **Unit**: bytes. What opening a store takes; where that is not there, the database's shared memory could be had, but not
/// written to, which ends a process.
const LEAST: usize = 64 << 10;

/// Makes the reserve where there is none, or not all of it, and enough is free. Whatever goes wrong, nobody needs it now.
pub(crate) fn keep(store: &Store) {
    let dir = store.root().join(RESERVE);
    if !is_whole(&dir) && free(store.root()) >= PLENTY * FILES * SIZE {
        // Who is killed meanwhile leaves none: a part of one would be taken for all of it on the day that it is needed.
        let _ = make(store).and_then(|made| made.persist(&dir));
    }
}

fn is_whole(dir: &Path) -> bool {
    fs::read_dir(dir).is_ok_and(|files| files.count() as u64 == FILES)
}

/// Makes it aside.
fn make(store: &Store) -> Result<TempPath> {
    // What there is of another one is in the way of the name.
    give_up(store.root());
    let made = store.temp().path("reserve")?;
    make_private(made.path())?;
    for number in 0..FILES {
        let path = made.path().join(number.to_string());
        let file = File::create_new(&path).map_err(Error::io("make", &path))?;
        let filled = fallocate(file, FallocateFlags::empty(), 0, SIZE);
        filled.map_err(|error| Error::io("write", &path)(error.into()))?;
    }
    Ok(made)
}

/// Gives the reserve up if the store could not be used otherwise.
pub(super) fn give_up_if_needed(root: &Path) {
    if probe(root).is_err_and(|error| is_full(&error)) {
        give_up(root);
    }
}

/// Gives the reserve up.
fn give_up(root: &Path) {
    // One that is not there has been given up.
    let _ = fs::remove_dir_all(root.join(RESERVE));
}

/// Whether there is room enough to open a store.
pub(super) fn check(root: &Path) -> Result<()> {
    if free(root) >= LEAST as u64 {
        return Ok(());
    }
    // Root may use more than is said to be free.
    match probe(root) {
        Err(error) if is_full(&error) => Err(Error::io("write to the store", root)(error)),
        _ => Ok(()),
    }
}

/// Writes what opening a store takes, and removes it.
fn probe(root: &Path) -> io::Result<()> {
    let path = root.join(format!("probe-{}", std::process::id()));
    let written = File::create(&path).and_then(|mut file| file.write_all(&[0; LEAST]));
    let removed = fs::remove_file(&path);
    written.and(removed)
}

/// **Unit**: bytes.
fn free(root: &Path) -> u64 {
    statvfs(root).map_or(0, |disk| disk.f_bavail * disk.f_frsize)
}

/// Whether an error says that nothing more can be written.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::scratch;

    #[test]
    fn it_is_there_until_it_is_needed() {
        let dir = scratch();
        let store = Store::open(dir.path()).unwrap();
        let entries = || fs::read_dir(dir.path()).unwrap().count();
        let without = entries();
        keep(&store);
        let files = || fs::read_dir(dir.path().join(RESERVE)).map_or(0, |files| files.count());
        assert_eq!(files(), FILES as usize);
        fs::remove_file(dir.path().join(RESERVE).join("3")).unwrap();
        keep(&store);
        assert_eq!(files(), FILES as usize, "one that is there in part is made whole");
        give_up_if_needed(dir.path());
        assert_eq!(files(), FILES as usize, "the disk is not full");
        give_up(dir.path());
        assert_eq!((files(), entries()), (0, without));
    }
}
