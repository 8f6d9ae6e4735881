//! What a copy of a user's directory was made of, so that the next copy of it need not begin anew.
//!
//! A copy is decided by what it copies, its options, and the tree it is made in. When only some files changed, the tree with
//! the copy of last time ([`Copied::tree`]) becomes the new one by copying those: what has the [`Stamp`] it had is there. That
//! holds as long as nothing vanished, and no changed file stands where the tree below has one too; else all is copied.
//!
//! One file a copy: a magic text, the tree, the entries in the order of the walk, a checksum. Whatever is wrong with it, it
//! counts as missing.

use std::ffi::CStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use oci::Digest;
use rustix::fs::{FileType, Stat};

use super::stack::kind;
use super::stamp::{self, Stamp};
use super::{Committed, LayerId, Node, Snapshots};
use crate::store::Temp;
use crate::temp::make_private;
use crate::{Error, Result};

const MAGIC: &[u8] = b"llbc copy 1\n";
const DIR: &str = "copies-v1";

/// What making a file costs on top of copying its bytes, in bytes.
const FILE: u64 = 32 << 10;
/// Copies that cost less are made anew each time.
const WORTH: u64 = 256 * FILE;
/// Most copies on top of the first: then all is copied, so that trees do not grow without end.
const MAX_CONTINUED: usize = 16;
/// Stamp of what may have changed since.
const UNKNOWN: Stamp = Stamp([0; Stamp::LENGTH]);

/// Kinds of entries.
const ENTER: u8 = b'd';
const LEAVE: u8 = b'u';
const ENTRY: u8 = b'f';
const COVERING: u8 = b'c';

/// Notes what a walk copies.
pub(crate) struct Record {
    entries: Vec<u8>,
    began: Duration,
    cost: u64,
    /// Whether it depends on more than the entries: files were linked to each other, which then do not change one by one, or
    /// directories on the way were there before.
    pub(super) is_bound: bool,
    /// Whether the directory that was copied to was not there.
    pub(super) made: bool,
}

impl Record {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        Self { entries: Vec::new(), began: stamp::now(), cost: 0, is_bound: false, made: false }
    }

    fn push(&mut self, what: u8, name: &CStr, seen: &Stat) {
        let stamp = if stamp::is_fresh(seen, self.began) { UNKNOWN } else { Stamp::of(seen) };
        self.entries.push(what);
        self.entries.extend_from_slice(&stamp.0);
        self.entries.extend_from_slice(name.to_bytes_with_nul());
    }

    /// An entry that is no directory; `covers`: the tree had something by its name.
    pub(super) fn entry(&mut self, name: &CStr, seen: &Stat, covers: bool) {
        self.push(if covers { COVERING } else { ENTRY }, name, seen);
        self.cost += cost(seen);
    }

    /// A directory; what follows is in it. Returns where it is, for [`Record::leave`].
    pub(super) fn enter(&mut self, name: &CStr, seen: &Stat) -> (usize, usize) {
        let before = self.entries.len();
        self.push(ENTER, name, seen);
        (before, self.entries.len())
    }

    /// The end of a directory; one with nothing in it counts only when it was `taken` itself.
    pub(super) fn leave(&mut self, (before, after): (usize, usize), taken: bool) {
        if !taken && self.entries.len() == after {
            self.entries.truncate(before);
        } else {
            self.entries.push(LEAVE);
        }
    }

    /// Keeps it for the next copy by the same key, if that is worth it. `seen`: of the directory that was copied.
    pub(crate) fn save(mut self, copies: &Copies<'_>, seen: &Stat, tree: &Committed) -> Result<()> {
        if self.is_bound || self.cost < WORTH {
            return Ok(());
        }
        let entries = std::mem::take(&mut self.entries);
        self.push(if self.made { COVERING } else { ENTRY }, c"", seen);
        let layers = tree.layers.iter().map(|id| &*id.0).collect::<Vec<_>>().join(" ");
        let mut bytes = [MAGIC, layers.as_bytes(), b"\0", &self.entries, &entries].concat();
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        let dir = copies.path.parent().expect("the file is in a directory");
        make_private(dir)?;
        let aside = copies.temp.path("copied")?;
        fs::write(aside.path(), bytes).map_err(Error::io("write", aside.path()))?;
        aside.persist(&copies.path)
    }
}

fn cost(seen: &Stat) -> u64 {
    FILE + u64::try_from(seen.st_size).unwrap_or_default()
}

/// Where it is kept what a copy was made of.
pub(crate) struct Copies<'a> {
    path: PathBuf,
    temp: &'a Temp,
}

impl<'a> Copies<'a> {
    /// Of copies by a key, in the store at `root`.
    pub(crate) fn new(root: &Path, key: &Digest, temp: &'a Temp) -> Self {
        Self { path: root.join(DIR).join(key.hex()), temp }
    }

    /// What was kept.
    pub(crate) fn load(&self) -> Option<Vec<u8>> {
        fs::read(&self.path).ok()
    }
}

/// Removes what is kept of copies whose layers are gone.
pub(crate) fn sweep(root: &Path, snapshots: &dyn Snapshots) {
    for file in fs::read_dir(root.join(DIR)).into_iter().flatten().flatten() {
        let bytes = fs::read(file.path()).unwrap_or_default();
        let is_whole =
            Copied::parse(&bytes).is_some_and(|copied| copied.tree.layers.iter().all(|id| snapshots.has(id)));
        if !is_whole {
            // Left, it takes room, and nothing else.
            let _ = fs::remove_file(file.path());
        }
    }
}

/// What a copy was made of.
pub(crate) struct Copied<'a> {
    /// The tree with the copy.
    pub(crate) tree: Committed,
    pub(super) top: Known<'a>,
    /// Whether the directory that was copied to was made for it.
    pub(super) made: bool,
}

/// An entry that was copied.
pub(super) struct Known<'a> {
    name: &'a CStr,
    stamp: Stamp,
    /// Whether the tree below has something by its name.
    pub(super) covers: bool,
    /// What was copied in a directory, by name.
    children: Option<Vec<Known<'a>>>,
}

impl<'a> Copied<'a> {
    /// Reads what [`Record::save`] wrote.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (content, checksum) = bytes.split_last_chunk::<4>()?;
        if crc32fast::hash(content).to_le_bytes() != *checksum {
            return None;
        }
        let layers = CStr::from_bytes_until_nul(content.strip_prefix(MAGIC)?).ok()?;
        let mut rest = &content[MAGIC.len() + layers.count_bytes() + 1..];
        let layers = layers.to_str().ok()?.split_whitespace().map(|id| LayerId(id.into())).collect();
        let mut top = Known::parse(&mut rest)??;
        let made = top.covers;
        let mut children = Vec::new();
        while !rest.is_empty() {
            children.push(Known::parse(&mut rest)??);
        }
        top.children = Some(children);
        Some(Self { tree: Committed { layers }, top, made })
    }

    /// Whether it can be gone on from: made on `parent`, in layers that are here, of which there are not too many, and most
    /// of what was copied is in `now` as it was.
    pub(crate) fn can_continue(&self, parent: &Committed, now: &Node, snapshots: &dyn Snapshots) -> bool {
        let Some(own) = self.tree.layers.strip_prefix(parent.layers.as_slice()) else { return false };
        let mut all = Cost::default();
        let is_kept = || own.iter().all(|id| snapshots.has(id));
        (1..=MAX_CONTINUED).contains(&own.len())
            && is_kept()
            && self.top.compare(now, &mut all).is_some()
            && all.changed <= all.whole / 4
    }
}

#[derive(Default)]
struct Cost {
    whole: u64,
    changed: u64,
}

impl<'a> Known<'a> {
    /// Reads an entry with all in it; the inner `None` is the end of a directory.
    fn parse(rest: &mut &'a [u8]) -> Option<Option<Self>> {
        let what = *rest.split_off_first()?;
        if what == LEAVE {
            return Some(None);
        }
        let stamp = Stamp::read(rest.split_off(..Stamp::LENGTH)?)?;
        let name = CStr::from_bytes_until_nul(rest).ok()?;
        rest.split_off(..=name.count_bytes())?;
        let children = match what {
            ENTER => {
                let mut children = Vec::new();
                while let Some(child) = Self::parse(rest)? {
                    children.push(child);
                }
                Some(children)
            }
            ENTRY | COVERING => None,
            _ => return None,
        };
        Some(Some(Self { name, stamp, covers: what == COVERING, children }))
    }

    /// Whether it is what it was.
    pub(super) fn is(&self, seen: &Stat) -> bool {
        self.stamp == Stamp::of(seen)
    }

    /// An entry of a directory.
    pub(super) fn child(&self, name: &CStr) -> Option<&Self> {
        let children = self.children.as_deref()?;
        let position = children.binary_search_by(|child| child.name.cmp(name)).ok()?;
        Some(&children[position])
    }

    /// Adds up what changed of what was copied; `None` when that cannot be copied alone.
    fn compare(&self, now: &Node, cost_of: &mut Cost) -> Option<()> {
        for known in self.children.as_deref().unwrap_or_default() {
            let node = now.children.get(known.name)?;
            if known.children.is_some() != (kind(&node.stat) == FileType::Directory) {
                return None;
            }
            if known.children.is_some() {
                known.compare(node, cost_of)?;
                continue;
            }
            cost_of.whole += cost(&node.seen);
            if !known.is(&node.seen) {
                cost_of.changed += cost(&node.seen);
                (!known.covers).then_some(())?;
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Contents, Overlayfs};

    const LARGE: u64 = 16 << 20;

    fn stat(path: &Path) -> Stat {
        rustix::fs::lstat(path).unwrap()
    }

    /// A directory with a large file and an empty one, and a record of a copy of it.
    fn copied(dir: &Path) -> Record {
        std::fs::create_dir_all(dir.join("d")).unwrap();
        fs::File::create(dir.join("d/large")).unwrap().set_len(LARGE).unwrap();
        fs::write(dir.join("empty"), "").unwrap();
        std::thread::sleep(Duration::from_millis(50));
        let mut record = Record::new();
        let entered = record.enter(c"d", &stat(&dir.join("d")));
        record.entry(c"large", &stat(&dir.join("d/large")), true);
        let nothing = record.enter(c"nothing", &stat(&dir.join("d")));
        record.leave(nothing, false);
        record.leave(entered, false);
        record.entry(c"empty", &stat(&dir.join("empty")), false);
        record
    }

    #[test]
    fn what_is_kept_is_read_again_until_its_layers_are_gone() {
        let (dir, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (temp, snapshots) = (Temp::open(root.path()).unwrap(), Overlayfs::open(root.path()).unwrap());
        let copies = Copies::new(root.path(), &Digest::sha256(b"key"), &temp);
        let tree = Committed { layers: vec![LayerId("a".into()), LayerId("b".into())] };
        for id in &tree.layers {
            snapshots.import(id, &mut |_| Ok(Contents::default())).unwrap();
        }
        assert!(copies.load().is_none());
        copied(dir.path()).save(&copies, &stat(dir.path()), &tree).unwrap();

        sweep(root.path(), &snapshots);
        let bytes = copies.load().unwrap();
        let read = Copied::parse(&bytes).unwrap();
        assert_eq!((&read.tree, read.made), (&tree, false));
        assert!(read.top.is(&stat(dir.path())) && read.top.child(c"nothing").is_none());
        let large = read.top.child(c"d").unwrap().child(c"large").unwrap();
        assert!(large.is(&stat(&dir.path().join("d/large"))) && large.covers);
        fs::write(dir.path().join("empty"), "more").unwrap();
        assert!(!read.top.child(c"empty").unwrap().is(&stat(&dir.path().join("empty"))));

        for wrong in [&bytes[..bytes.len() - 5], &bytes[1..], b"", b"llbc copy 1\n"] {
            assert!(Copied::parse(wrong).is_none());
        }
        snapshots.remove(&tree.layers[1]).unwrap();
        sweep(root.path(), &snapshots);
        assert!(copies.load().is_none());
    }

    #[test]
    fn what_is_not_worth_it_is_not_kept() {
        let (dir, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let temp = Temp::open(root.path()).unwrap();
        let copies = Copies::new(root.path(), &Digest::sha256(b"key"), &temp);
        let mut linked = copied(dir.path());
        linked.is_bound = true;
        linked.save(&copies, &stat(dir.path()), &Committed::default()).unwrap();
        let mut small = Record::new();
        small.entry(c"empty", &stat(&dir.path().join("empty")), false);
        small.save(&copies, &stat(dir.path()), &Committed::default()).unwrap();
        assert!(copies.load().is_none());
    }

    #[test]
    fn what_changed_as_it_was_copied_is_not_known() {
        let dir = tempfile::tempdir().unwrap();
        let mut record = Record::new();
        fs::write(dir.path().join("x"), "").unwrap();
        let seen = stat(&dir.path().join("x"));
        record.entry(c"x", &seen, false);
        assert!(!Known::parse(&mut record.entries.as_slice()).unwrap().unwrap().is(&seen));
    }
}
