//! Trees in memory: what a stack of layers looks like, and the layer that a change leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::rc::Rc;

/// What an action failed on; which words do not matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed(pub String);

/// Result of an action.
pub type Result<T> = std::result::Result<T, Failed>;

/// Fails with these words.
pub fn fail<T>(text: impl Into<String>) -> Result<T> {
    Err(Failed(text.into()))
}

/// Something at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    Dir {
        mode: u32,
        owner: (u32, u32),
    },
    /// Names with the same `inode` are hard links.
    File {
        mode: u32,
        owner: (u32, u32),
        data: Rc<Vec<u8>>,
        time: i64,
        inode: u64,
    },
    Link {
        text: String,
        owner: (u32, u32),
    },
    /// In layers: nothing is here any more.
    Whiteout,
}

/// What one step changed, by path.
pub type Layer = BTreeMap<String, Entry>;

/// An immutable tree: layers, lowest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Committed(pub Vec<Rc<Layer>>);

/// A tree that can be looked at and changed. The root is always there.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    pub entries: BTreeMap<String, Entry>,
    /// Files with a number from here on were made since the last commit.
    fresh: u64,
    next: u64,
}

impl Tree {
    /// Opens a stack of layers; inodes of different trees never meet in one.
    pub fn open(committed: &Committed) -> Self {
        let mut tree = Self::default();
        for layer in &committed.0 {
            tree.apply(layer);
        }
        tree.fresh = tree.next;
        tree
    }

    fn apply(&mut self, layer: &Layer) {
        let mut inodes = BTreeMap::new();
        for (path, entry) in layer {
            match entry {
                Entry::Dir { .. } if matches!(self.entries.get(path), Some(Entry::Dir { .. })) => {}
                _ => self.remove(path),
            }
            let entry = match entry {
                Entry::Whiteout => continue,
                Entry::File { mode, owner, data, time, inode } => {
                    let inode = *inodes.entry(*inode).or_insert_with(|| self.next_inode());
                    Entry::File { mode: *mode, owner: *owner, data: data.clone(), time: *time, inode }
                }
                other => other.clone(),
            };
            self.entries.insert(path.clone(), entry);
        }
    }

    /// Numbers a new file.
    pub fn next_inode(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// Whether a file was made since the last commit.
    pub fn is_fresh(&self, inode: u64) -> bool {
        inode >= self.fresh
    }

    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path)
    }

    pub fn is_dir(&self, path: &str) -> bool {
        path == "/" || matches!(self.get(path), Some(Entry::Dir { .. }))
    }

    pub fn exists(&self, path: &str) -> bool {
        path == "/" || self.get(path).is_some()
    }

    /// Removes a path and everything below it.
    pub fn remove(&mut self, path: &str) {
        self.entries.remove(path);
        let below: Vec<String> = self.below(path).cloned().collect();
        below.iter().for_each(|path| drop(self.entries.remove(path)));
    }

    /// Paths below a directory, at any depth.
    pub fn below(&self, path: &str) -> impl Iterator<Item = &String> {
        let prefix = format!("{}/", path.trim_end_matches('/'));
        let end = prefix.clone();
        self.entries.range(prefix..).map(|(path, _)| path).take_while(move |path| path.starts_with(&end))
    }

    /// Names in a directory.
    pub fn names(&self, path: &str) -> Vec<String> {
        let length = path.trim_end_matches('/').len() + 1;
        let names = self.below(path).map(|path| path[length..].to_owned());
        names.filter(|name| !name.contains('/')).collect()
    }

    /// Where a path leads once every link is followed (the last only if asked for); missing parts stay as written.
    pub fn resolve(&self, path: &str, follow_last: bool) -> Result<String> {
        let mut todo: Vec<String> = parts(path).rev().map(str::to_owned).collect();
        let (mut done, mut links): (Vec<String>, usize) = (Vec::new(), 0);
        while let Some(name) = todo.pop() {
            if name == ".." {
                done.pop();
                continue;
            }
            let here = format!("{}/{name}", joined(&done).trim_end_matches('/'));
            match self.get(&here) {
                Some(Entry::Link { text, .. }) if follow_last || !todo.is_empty() => {
                    links += 1;
                    if links > 40 {
                        return fail("too many links");
                    }
                    if text.starts_with('/') {
                        done.clear();
                    }
                    todo.extend(parts(text).rev().map(str::to_owned));
                }
                Some(Entry::Dir { .. } | Entry::Link { .. }) => done.push(name),
                Some(Entry::File { .. }) if !todo.is_empty() => return fail(format!("{here} is no directory")),
                _ => {
                    done.push(name);
                    if self.get(&here).is_none() {
                        while let Some(name) = todo.pop() {
                            if name == ".." { drop(done.pop()) } else { done.push(name) }
                        }
                    }
                }
            }
        }
        Ok(joined(&done))
    }

    /// Makes the directories of a path that are missing, through links.
    pub fn make_dirs(&mut self, path: &str, mode: u32, owner: (u32, u32)) -> Result<()> {
        let mut todo: Vec<String> = parts(path).rev().map(str::to_owned).collect();
        let (mut done, mut links): (Vec<String>, usize) = (Vec::new(), 0);
        while let Some(name) = todo.pop() {
            if name == ".." {
                done.pop();
                continue;
            }
            let here = format!("{}/{name}", joined(&done).trim_end_matches('/'));
            match self.get(&here) {
                None => {
                    self.entries.insert(here, Entry::Dir { mode, owner });
                    done.push(name);
                }
                Some(Entry::Dir { .. }) => done.push(name),
                Some(Entry::Link { text, .. }) => {
                    links += 1;
                    if links > 40 {
                        return fail("too many links");
                    }
                    if text.starts_with('/') {
                        done.clear();
                    }
                    let text = text.clone();
                    todo.extend(parts(&text).rev().map(str::to_owned));
                }
                _ => return fail(format!("{here} is no directory")),
            }
        }
        Ok(())
    }

    /// How many names a file has.
    pub fn names_of(&self, inode: u64) -> usize {
        self.entries
            .values()
            .filter(|entry| matches!(entry, Entry::File { inode: other, .. } if *other == inode))
            .count()
    }

    /// The layer between two trees. Hard links are told apart by `is_same_tree`: whether one grew out of the other.
    pub fn changes(before: &Self, after: &Self, is_same_tree: bool) -> Layer {
        let mut layer = Layer::new();
        for path in before.entries.keys().filter(|path| !after.exists(path)) {
            // Below something that is gone or replaced nothing needs to be said.
            let parent_stays = before.is_dir(parent(path)) && after.is_dir(parent(path));
            if parent_stays {
                layer.insert(path.clone(), Entry::Whiteout);
            }
        }
        let is_equal = |path: &str, entry: &Entry| match (before.get(path), entry) {
            (Some(Entry::File { inode: old, .. }), Entry::File { inode: new, .. }) => {
                let topology = !is_same_tree || old == new || before.names_of(*old) == 1 && after.names_of(*new) == 1;
                topology && without_inode(before.get(path)) == without_inode(Some(entry))
            }
            (old, entry) => old == Some(entry),
        };
        let changed: BTreeSet<&String> =
            after.entries.iter().filter(|(path, entry)| !is_equal(path, entry)).map(|(path, _)| path).collect();
        let all: Vec<String> = layer.keys().chain(changed.iter().copied()).cloned().collect();
        for path in all {
            // A layer has the directories above what it changes.
            let mut above = parent(&path).to_owned();
            while above != "/" {
                if let Some(entry) = after.get(&above) {
                    layer.insert(above.clone(), entry.clone());
                }
                above = parent(&above).to_owned();
            }
            if let Some(entry) = after.get(&path) {
                layer.insert(path, entry.clone());
            }
        }
        layer
    }

    /// A line a path: type, mode, owner, content, and the first name of a file with several.
    pub fn listing(&self) -> String {
        let mut first: BTreeMap<u64, &String> = BTreeMap::new();
        for (path, entry) in &self.entries {
            if let Entry::File { inode, .. } = entry {
                first.entry(*inode).or_insert(path);
            }
        }
        let mut text = String::new();
        for (path, entry) in &self.entries {
            let _ = match entry {
                Entry::Dir { mode, owner } => writeln!(text, "{path} d {mode:o} {owner:?}"),
                Entry::Link { text: to, owner } => writeln!(text, "{path} l {to} {owner:?}"),
                Entry::File { mode, owner, data, inode, .. } => {
                    let data = String::from_utf8_lossy(data);
                    writeln!(text, "{path} f {mode:o} {owner:?} {data:?} {}", first[inode])
                }
                Entry::Whiteout => unreachable!("trees hold none"),
            };
        }
        text
    }
}

fn without_inode(entry: Option<&Entry>) -> Option<Entry> {
    let mut entry = entry.cloned();
    if let Some(Entry::File { inode, .. }) = &mut entry {
        *inode = 0;
    }
    entry
}

fn parts(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.split('/').filter(|part| !matches!(*part, "" | "."))
}

fn joined(parts: &[String]) -> String {
    format!("/{}", parts.join("/"))
}

/// The directory a path is in; the root is in itself.
pub fn parent(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(end) => &path[..end],
    }
}
