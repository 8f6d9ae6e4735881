//! A tar file read twice: once to see what it is, once to take what is wanted.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use ::archive::tar::{Entries, Entry};

use super::damaged;
use crate::layer::{Limits, decompress};
use crate::{Error, Result, text};

/// Documents that say what an archive holds. They are read at once, for they may come last.
const DOCUMENTS: &[&str] = &["oci-layout", "index.json", "manifest.json"];

/// Most bytes of links that are kept: an archive of images has one a layer.
const MOST_LINKS: u64 = 4 << 20;

/// A tar file, compressed or not.
pub(super) struct Archive {
    pub(super) path: PathBuf,
    documents: BTreeMap<String, Vec<u8>>,
    links: Links,
}

/// Symbolic and hard links: where they are, and what they mean from the top.
#[derive(Default)]
struct Links {
    targets: BTreeMap<String, String>,
    bytes: u64,
}

impl Archive {
    /// Looks at what a file holds. A file that is no tar is an error that says so.
    pub(super) fn open(path: &Path, limits: Limits) -> Result<Self> {
        let mut archive = Self { path: path.to_owned(), documents: BTreeMap::new(), links: Links::default() };
        let mut entries = Entries::new(stream(path)?);
        let mut count = 0;
        while let Some(entry) = entries.next().map_err(|error| damaged(path, unreadable(count, &error)))? {
            count += 1;
            if count > limits.entries {
                return Err(damaged(path, format!("it has more than {} entries", limits.entries)));
            }
            if entry.size > limits.bytes {
                return Err(damaged(path, format!("entry {count} has more than {} bytes", limits.bytes)));
            }
            archive.note(&entry, &mut entries)?;
        }
        // A tree has any number of links, and nobody asks for them.
        if archive.has("manifest.json") && archive.links.bytes > MOST_LINKS {
            return Err(damaged(path, format!("it has more than {} MiB of links", MOST_LINKS >> 20)));
        }
        Ok(archive)
    }

    /// Keeps what will be asked for.
    fn note(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<()> {
        let name = top_name(&entry.name);
        if matches!(entry.kind, b'1' | b'2') {
            let symbolic = entry.kind == b'2';
            let from = if symbolic { name.rsplit_once('/').map_or("", |(directory, _)| directory) } else { "" };
            let target = resolve(from, &String::from_utf8_lossy(&entry.link));
            self.links.add(name, target);
        } else if is_file(entry) && DOCUMENTS.contains(&name.as_str()) {
            let bytes = text::all(content, text::LONGEST_DOCUMENT);
            let bytes = bytes.map_err(|error| damaged(&self.path, format!("{name}: {error}")))?;
            self.documents.insert(name, bytes);
        }
        Ok(())
    }

    /// Whether there is a document.
    pub(super) fn has(&self, document: &str) -> bool {
        self.documents.contains_key(document)
    }

    /// A document, parsed.
    pub(super) fn document<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T> {
        let bytes = self.documents.get(name).ok_or_else(|| damaged(&self.path, format!("it has no {name}")))?;
        serde_json::from_slice(bytes).map_err(|error| damaged(&self.path, format!("{name}: {error}")))
    }

    /// The file behind a name, links followed.
    pub(super) fn file<'a>(&'a self, name: &'a str) -> &'a str {
        // A chain of links is at most as long as there are links; a circle ends there too.
        let next = |name: &&'a str| self.links.targets.get(*name).map(String::as_str);
        std::iter::successors(Some(name), next).take(self.links.targets.len() + 1).last().unwrap_or(name)
    }

    /// Hands every regular file to `take`, in the order of the archive.
    pub(super) fn each(&self, mut take: impl FnMut(&str, &mut dyn Read) -> Result<()>) -> Result<()> {
        let mut entries = Entries::new(stream(&self.path)?);
        while let Some(entry) = entries.next().map_err(Error::io("read", &self.path))? {
            if is_file(&entry) {
                take(&top_name(&entry.name), &mut entries)?;
            }
        }
        Ok(())
    }
}

impl Links {
    fn add(&mut self, name: String, target: String) {
        self.bytes += (name.len() + target.len() + 2 * size_of::<String>()) as u64;
        if self.bytes <= MOST_LINKS {
            self.targets.insert(name, target);
        }
    }
}

/// Whether an entry has the bytes of a file: at once, sparse, or in one piece.
fn is_file(entry: &Entry) -> bool {
    matches!(entry.kind, b'0' | b'S' | b'7')
}

/// Why a tar cannot be read behind its first `count` entries.
fn unreadable(count: u64, error: &io::Error) -> String {
    match (count, error.kind()) {
        (0, io::ErrorKind::InvalidData) => "it is no tar".into(),
        (0, _) => format!("it is no tar: {error}"),
        _ => format!("it is damaged behind entry {count}: {error}"),
    }
}

/// The bytes of a file, decompressed.
pub(super) fn stream(path: &Path) -> Result<Box<dyn Read + Send>> {
    decompress(Box::new(File::open(path).map_err(Error::io("open", path))?))
}

/// `./a/b/` is `a/b`.
fn top_name(path: &[u8]) -> String {
    resolve("", &String::from_utf8_lossy(path))
}

/// `path` seen from `directory`, from the top; what would leave the top stays there.
fn resolve(directory: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let from = if path.starts_with('/') { "" } else { directory };
    for part in from.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_resolved_and_stay_inside() {
        for (directory, path, expected) in [
            ("", "./a//b/", "a/b"),
            ("x", "../y/layer.tar", "y/layer.tar"),
            ("x/y", "../../../../etc", "etc"),
            ("x", "/a", "a"),
        ] {
            assert_eq!(resolve(directory, path), expected);
        }
    }
}
