//! Mount points that the tree does not have: made for the run, removed after it when nothing was put there.
//!
//! parity: BuildKit v0.32, executor/stubs.go: /etc/resolv.conf, /etc/hosts and the targets of mounts, with the parents
//! that were made for them when asked to; what is still empty goes. Better than there: a directory that only saw a stub
//! come and go keeps its old times, so that it is not in the layer.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Stat, Timespec, Timestamps};

use crate::rootfs::{NewDir, Tree};
use crate::{Error, Result};

/// How directories that a container needs are made.
pub(super) const DIR: NewDir = NewDir { mode: 0o755, owner: None, time: None };

/// What a mount point has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Dir,
    File,
}

/// Mount points to remove.
#[derive(Debug, Default)]
pub(super) struct Stubs {
    /// Those that were made here.
    paths: Vec<PathBuf>,
    /// Those that may be made while the container is set up.
    expected: Vec<PathBuf>,
    /// Times of directories before and after stubs were made in them.
    times: BTreeMap<PathBuf, (Times, Times)>,
}

type Times = (Timespec, Timespec);

/// Makes the mount points that are missing. With `recursive`, parents made on the way count as stubs, too.
pub(super) fn make(tree: &Tree, points: &[(PathBuf, Kind)], recursive: bool) -> Result<Stubs> {
    let mut stubs = Stubs::default();
    for (point, kind) in points {
        let mut attempt = || -> io::Result<()> {
            if tree.resolve(point).is_ok() {
                return Ok(());
            }
            let path = tree.real_path(point)?;
            let missing = missing_from(tree, &path)?;
            let parent = missing.last().and_then(|p| p.parent()).unwrap_or(Path::new("/")).to_owned();
            let before = times(&tree.stat(&parent)?);
            make_point(tree, &path, *kind)?;
            let after = times(&tree.stat(&parent)?);
            stubs.times.entry(parent).and_modify(|(_, last)| *last = after).or_insert((before, after));
            stubs.paths.extend(missing.into_iter().take(if recursive { usize::MAX } else { 1 }));
            Ok(())
        };
        attempt().map_err(Error::io("make the mount point", point))?;
    }
    Ok(stubs)
}

/// Makes what is missing of one mount point.
pub(super) fn make_point(tree: &Tree, path: &Path, kind: Kind) -> io::Result<()> {
    match kind {
        Kind::Dir => tree.mkdir_all(path, DIR).map(drop),
        Kind::File => {
            tree.mkdir_all(path.parent().unwrap_or(Path::new("/")), DIR)?;
            match tree.create_file(&tree.real_path(path)?, 0o644) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
                _ => Ok(()),
            }
        }
    }
}

impl Stubs {
    /// Whether something, by its real path, was made here.
    pub(super) fn has(&self, path: &Path) -> bool {
        self.paths.iter().any(|stub| stub == path)
    }

    /// Takes note of mount points that are not made here, as what they lie in is mounted first. Links that are there may lead
    /// back to the tree.
    pub(super) fn expect(&mut self, tree: &Tree, points: &[PathBuf], recursive: bool) {
        let missing = |point: &PathBuf| tree.real_path(point).and_then(|path| missing_from(tree, &path));
        let missing = points.iter().filter_map(|point| missing(point).ok());
        self.expected.extend(missing.flat_map(|paths| paths.into_iter().take(if recursive { usize::MAX } else { 1 })));
    }

    /// Removes those that are still empty. What fails is left: a stub too many harms nobody.
    pub(super) fn clean(&self, tree: &Tree) {
        let mut paths: Vec<_> = self.paths.iter().chain(&self.expected).collect();
        paths.sort_by_key(|path| std::cmp::Reverse(path.components().count()));
        paths.dedup();
        for path in paths {
            let _ = remove_if_empty(tree, path, &self.times);
        }
    }
}

fn remove_if_empty(tree: &Tree, path: &Path, known: &BTreeMap<PathBuf, (Times, Times)>) -> io::Result<()> {
    // A link that the process put on the way must not lead us elsewhere.
    if tree.real_path(path)? != path {
        return Ok(());
    }
    let place = tree.place(path)?;
    let stat = tree.lstat(path)?;
    let flags = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => AtFlags::REMOVEDIR,
        FileType::RegularFile if stat.st_size == 0 => AtFlags::empty(),
        _ => return Ok(()),
    };
    let now = times(&rustix::fs::fstat(&place.dir)?);
    rustix::fs::unlinkat(&place.dir, &place.name, flags)?;
    let untouched = |(before, after): &(Times, Times)| (after.1 == now.1).then_some(*before);
    let parent = path.parent().unwrap_or(Path::new("/"));
    let (last_access, last_modification) = known.get(parent).and_then(untouched).unwrap_or(now);
    let times = Timestamps { last_access, last_modification };
    Ok(rustix::fs::utimensat(&place.dir, ".", &times, AtFlags::empty())?)
}

/// The components of a path that do not exist, innermost first.
fn missing_from(tree: &Tree, path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut missing = Vec::new();
    for path in path.ancestors().take_while(|path| path.parent().is_some()) {
        if tree.exists(path)? {
            break;
        }
        missing.push(path.to_owned());
    }
    Ok(missing)
}

fn times(stat: &Stat) -> Times {
    let time = |seconds, nanos| Timespec { tv_sec: seconds as _, tv_nsec: nanos as _ };
    (time(stat.st_atime, stat.st_atime_nsec), time(stat.st_mtime, stat.st_mtime_nsec))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// Makes stubs in `tree`, does `during`, cleans, and tells what is left.
    fn check(recursive: bool, points: &[(&str, Kind)], during: impl Fn(&Path), want: &[&str]) {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path();
        fs::create_dir_all(root.join("old")).unwrap();
        let tree = Tree::open(root).unwrap();
        tree.set_times(Path::new("old"), (1000, 0)).unwrap();
        let points: Vec<_> = points.iter().map(|(path, kind)| (PathBuf::from(path), *kind)).collect();
        let stubs = make(&tree, &points, recursive).unwrap();
        for (path, kind) in &points {
            assert_eq!(root.join(path.strip_prefix("/").unwrap()).is_dir(), *kind == Kind::Dir, "{path:?}");
        }
        during(root);
        stubs.clean(&tree);
        let mut left: Vec<String> = Vec::new();
        list(root, root, &mut left);
        assert_eq!(left, want);
    }

    fn list(root: &Path, dir: &Path, found: &mut Vec<String>) {
        let mut entries: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            let time = std::os::unix::fs::MetadataExt::mtime(&fs::symlink_metadata(&path).unwrap());
            let old = if time == 1000 { " old" } else { "" };
            found.push(format!("{}{old}", path.strip_prefix(root).unwrap().display()));
            if path.is_dir() && !path.is_symlink() {
                list(root, &path, found);
            }
        }
    }

    #[test]
    fn empty_stubs_go_and_times_come_back() {
        check(false, &[("/old/file", Kind::File), ("/old/dir", Kind::Dir)], |_| (), &["old old"]);
    }

    #[test]
    fn parents_go_only_when_asked() {
        check(false, &[("/etc/hosts", Kind::File)], |_| (), &["etc", "old old"]);
        check(true, &[("/etc/hosts", Kind::File), ("/etc/a/b", Kind::Dir)], |_| (), &["old old"]);
    }

    #[test]
    fn what_was_used_stays() {
        let write = |root: &Path| fs::write(root.join("old/dir/x"), "").unwrap();
        check(true, &[("/old/dir", Kind::Dir)], write, &["old", "old/dir", "old/dir/x"]);
        let write = |root: &Path| fs::write(root.join("old/file"), "x").unwrap();
        check(true, &[("/old/file", Kind::File)], write, &["old", "old/file"]);
    }

    #[test]
    fn a_directory_the_process_changed_keeps_its_new_time() {
        let write = |root: &Path| {
            std::thread::sleep(std::time::Duration::from_millis(20));
            fs::write(root.join("old/other"), "").unwrap();
        };
        check(true, &[("/old/file", Kind::File)], write, &["old", "old/other"]);
    }

    #[test]
    fn a_link_put_on_the_way_is_not_followed() {
        let attack = |root: &Path| {
            fs::create_dir(root.join("victim")).unwrap();
            fs::write(root.join("victim/hosts"), "").unwrap();
            fs::remove_file(root.join("etc/hosts")).unwrap();
            fs::remove_dir(root.join("etc")).unwrap();
            symlink("/victim", root.join("etc")).unwrap();
        };
        check(true, &[("/etc/hosts", Kind::File)], attack, &["etc", "old old", "victim", "victim/hosts"]);
    }
}
