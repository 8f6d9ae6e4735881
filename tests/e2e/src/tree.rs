//! A tree as what can be observed of it: paths, types, modes, owners, contents, link targets, hard links, attributes.
//! Times are compared where a build keeps them from its input; of what a build made itself it is only known that it is
//! new, because two builds never agree on when.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::time::{SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use crate::process::{Error, Result};

/// A tree, by path without a leading slash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    entries: BTreeMap<String, Entry>,
}

/// So old may a file be that a build made, seconds.
const NEW: u64 = 24 * 3600;

/// One file of any type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    kind: Kind,
    mode: u32,
    uid: u64,
    gid: u64,
    xattrs: BTreeMap<String, Vec<u8>>,
    /// Seconds since the epoch; `None` is now.
    modified: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    File { size: u64, sha256: String },
    Directory,
    Symlink(String),
    Device { character: bool, major: u32, minor: u32 },
    Fifo,
}

impl Tree {
    /// Reads a tar of a whole tree.
    pub fn from_tar(tar: impl Read) -> Result<Self> {
        let failed = Error::when::<std::io::Error>("cannot read the tar");
        let mut tree = Self::default();
        let mut links = Vec::new();
        let mut archive = tar::Archive::new(tar);
        let mut read = || -> std::io::Result<()> {
            for entry in archive.entries()? {
                let mut entry = entry?;
                let path = name(&entry.path_bytes());
                if path.is_empty() {
                    continue;
                }
                if let Some(target) = hard_link(&entry) {
                    links.push((path, target));
                    continue;
                }
                let found = Entry::read(&mut entry)?;
                tree.entries.insert(path, found);
            }
            Ok(())
        };
        read().map_err(failed)?;
        tree.add_links(links)?;
        Ok(tree)
    }

    /// Hard links become what they link to, and each group of equal files is noted under its first path.
    fn add_links(&mut self, links: Vec<(String, String)>) -> Result<()> {
        let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (path, target) in links {
            let Some(entry) = self.entries.get(&target).cloned() else {
                return Err(Error(format!("{path} is a hard link to {target}, which is not there")));
            };
            self.entries.insert(path.clone(), entry);
            groups.entry(target.clone()).or_insert_with(|| vec![target]).push(path);
        }
        for mut names in groups.into_values() {
            names.sort();
            for path in &names {
                let entry = self.entries.get_mut(path).expect("it was just inserted");
                entry.xattrs.insert("(linked as)".into(), names[0].clone().into_bytes());
            }
        }
        Ok(())
    }

    /// The same without paths that a test does not compare; `path` and everything below it.
    #[must_use]
    pub fn without(mut self, path: &str) -> Self {
        let below = format!("{path}/");
        self.entries.retain(|name, _| name != path && !name.starts_with(&below));
        self
    }

    /// The same without times: for builders too old to have kept them alike.
    #[must_use]
    pub fn without_times(mut self) -> Self {
        self.entries.values_mut().for_each(|entry| entry.modified = None);
        self
    }

    /// Whether a path is there.
    pub fn has(&self, path: &str) -> bool {
        self.entries.contains_key(path)
    }

    /// How many paths there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no path.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What differs, one line a path; empty when nothing does.
    pub fn difference(&self, other: &Self, (mine, theirs): (&str, &str)) -> Vec<String> {
        let paths: std::collections::BTreeSet<_> = self.entries.keys().chain(other.entries.keys()).collect();
        let shown = |entry: Option<&Entry>| entry.map_or("nothing".to_owned(), ToString::to_string);
        paths
            .into_iter()
            .map(|path| (path, self.entries.get(path), other.entries.get(path)))
            .filter(|(_, a, b)| a != b)
            .map(|(path, a, b)| format!("{path}: {mine} has {}, {theirs} has {}", shown(a), shown(b)))
            .collect()
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::File { size, sha256 } => write!(f, "file of {size} bytes {}", &sha256[..8])?,
            Kind::Directory => f.write_str("directory")?,
            Kind::Symlink(target) => write!(f, "link to {target}")?,
            Kind::Device { character, major, minor } => {
                write!(f, "{} device {major}:{minor}", if *character { "character" } else { "block" })?;
            }
            Kind::Fifo => f.write_str("fifo")?,
        }
        write!(f, " {:o} {}:{}", self.mode, self.uid, self.gid)?;
        match self.modified {
            Some(time) => write!(f, " @{time}")?,
            None => f.write_str(" new")?,
        }
        for (name, value) in &self.xattrs {
            write!(f, " {name}={}", String::from_utf8_lossy(value))?;
        }
        Ok(())
    }
}

/// What an entry of a tar is a hard link to, if it is one.
pub(crate) fn hard_link<R: Read>(entry: &tar::Entry<'_, R>) -> Option<String> {
    let is_link = entry.header().entry_type() == tar::EntryType::Link;
    is_link.then(|| name(&entry.link_name_bytes().unwrap_or_default()))
}

/// `./a/` and `/a` are `a`; the root is empty.
pub(crate) fn name(path: &[u8]) -> String {
    let text = String::from_utf8_lossy(path);
    let path = text.strip_prefix("./").unwrap_or(&text).trim_matches('/');
    if path == "." { String::new() } else { path.to_owned() }
}

impl Entry {
    /// Reads an entry of a tar that is no hard link.
    pub(crate) fn read<R: Read>(entry: &mut tar::Entry<'_, R>) -> std::io::Result<Self> {
        let header = entry.header().clone();
        let kind = Kind::read(entry)?;
        let mode = if matches!(kind, Kind::Symlink(_)) { 0o777 } else { header.mode()? & 0o7777 };
        let mut modified = header.mtime()?.cast_signed();
        let (mut uid, mut gid) = (header.uid()?, header.gid()?);
        let mut xattrs = BTreeMap::new();
        for extension in entry.pax_extensions()?.into_iter().flatten() {
            let extension = extension?;
            let Ok(key) = extension.key() else { continue };
            let number = |text: &str| text.parse().map_err(std::io::Error::other);
            match (key.strip_prefix("SCHILY.xattr."), key) {
                (Some(name), _) => drop(xattrs.insert(name.to_owned(), extension.value_bytes().to_vec())),
                (_, "mtime") => modified = whole_seconds(extension.value().unwrap_or_default()),
                (_, "uid") => uid = number(extension.value().unwrap_or_default())?,
                (_, "gid") => gid = number(extension.value().unwrap_or_default())?,
                _ => {}
            }
        }
        Ok(Self { kind, mode, uid, gid, xattrs, modified: Some(modified).filter(|time| !is_new(*time)) })
    }
}

/// Seconds of a number with a fraction, rounded down.
fn whole_seconds(text: &str) -> i64 {
    text.parse::<f64>().map_or(0, |seconds| seconds.floor() as i64)
}

fn is_new(time: i64) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs());
    u64::try_from(time).is_ok_and(|time| now.saturating_sub(time) < NEW)
}

impl Kind {
    fn read<R: Read>(entry: &mut tar::Entry<'_, R>) -> std::io::Result<Self> {
        use tar::EntryType;

        let header = entry.header();
        Ok(match header.entry_type() {
            EntryType::Directory => Self::Directory,
            EntryType::Symlink => {
                Self::Symlink(String::from_utf8_lossy(&entry.link_name_bytes().unwrap_or_default()).into_owned())
            }
            EntryType::Char | EntryType::Block => Self::Device {
                character: header.entry_type() == EntryType::Char,
                major: header.device_major()?.unwrap_or_default(),
                minor: header.device_minor()?.unwrap_or_default(),
            },
            EntryType::Fifo => Self::Fifo,
            _ => {
                let (mut hash, mut size, mut buffer) = (Sha256::new(), 0, [0; 1 << 16]);
                loop {
                    let count = entry.read(&mut buffer)?;
                    if count == 0 {
                        break;
                    }
                    hash.update(&buffer[..count]);
                    size += count as u64;
                }
                let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
                Self::File { size, sha256 }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = tar::Header::new_ustar();
            header.set_uid(0);
            header.set_gid(0);
            header.set_size(0);
            header.set_mtime(0);
            match content.strip_prefix("=> ") {
                Some(target) => {
                    header.set_entry_type(tar::EntryType::Link);
                    tar.append_link(&mut header, path, target).unwrap();
                }
                None => {
                    header.set_mode(0o644);
                    header.set_size(content.len() as u64);
                    tar.append_data(&mut header, path, content.as_bytes()).unwrap();
                }
            }
        }
        Tree::from_tar(&tar.into_inner().unwrap()[..]).unwrap()
    }

    #[test]
    fn what_differs_is_named() {
        let (a, b) = (tree(&[("./same", "1"), ("x", "1"), (".h", "1")]), tree(&[("same", "1"), ("x", "22")]));
        assert_eq!(
            a.difference(&b, ("a", "b")),
            [
                ".h: a has file of 1 bytes 6b86b273 644 0:0 @0, b has nothing",
                "x: a has file of 1 bytes 6b86b273 644 0:0 @0, b has file of 2 bytes 785f3ec7 644 0:0 @0",
            ]
        );
    }

    #[test]
    fn a_hard_link_is_not_a_copy_and_its_direction_does_not_matter() {
        let (linked, turned) = (tree(&[("a", "1"), ("b", "=> a")]), tree(&[("b", "1"), ("a", "=> b")]));
        assert_eq!(linked.difference(&turned, ("x", "y")), [""; 0]);
        assert_eq!(linked.difference(&tree(&[("a", "1"), ("b", "1")]), ("x", "y")).len(), 2);
    }
}
