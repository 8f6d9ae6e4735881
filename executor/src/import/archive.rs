//! A tar file read twice: once to see what it is, once to take what is wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::damaged;
use crate::layer::decompress;
use crate::{Error, Result, text};

/// Documents that say what an archive holds. They are read at once, for they may come last.
const DOCUMENTS: &[&str] = &["oci-layout", "index.json", "manifest.json"];

/// A tar file, compressed or not.
pub(super) struct Archive {
    pub(super) path: PathBuf,
    names: BTreeSet<String>,
    documents: BTreeMap<String, Vec<u8>>,
    /// Symbolic and hard links: where they are, and what they mean from the top.
    links: BTreeMap<String, String>,
}

impl Archive {
    /// Looks at the names in a file. A file that is no tar is an error that says so.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let mut archive =
            Self { path: path.to_owned(), names: BTreeSet::new(), documents: BTreeMap::new(), links: BTreeMap::new() };
        let mut tar = tar::Archive::new(stream(path)?);
        let failed = |error| damaged(path, format!("it is no tar: {error}"));
        for entry in tar.entries().map_err(failed)? {
            let mut entry = entry.map_err(failed)?;
            let name = top_name(&entry.path_bytes());
            if let (tar::EntryType::Symlink | tar::EntryType::Link, Some(target)) =
                (entry.header().entry_type(), entry.link_name_bytes())
            {
                let symbolic = entry.header().entry_type() == tar::EntryType::Symlink;
                let from = if symbolic { name.rsplit_once('/').map_or("", |(directory, _)| directory) } else { "" };
                archive.links.insert(name.clone(), resolve(from, &String::from_utf8_lossy(&target)));
            }
            if DOCUMENTS.contains(&name.as_str()) {
                let bytes = text::all(&mut entry, text::LONGEST_DOCUMENT);
                let bytes = bytes.map_err(|error| damaged(path, format!("{name}: {error}")))?;
                archive.documents.insert(name.clone(), bytes);
            }
            archive.names.insert(name);
        }
        Ok(archive)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// A document, parsed.
    pub(super) fn document<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T> {
        let bytes = self.documents.get(name).ok_or_else(|| damaged(&self.path, format!("it has no {name}")))?;
        serde_json::from_slice(bytes).map_err(|error| damaged(&self.path, format!("{name}: {error}")))
    }

    /// The file behind a name, links followed.
    pub(super) fn file<'a>(&'a self, name: &'a str) -> &'a str {
        // A chain of links is at most as long as there are links; a circle ends there too.
        let next = |name: &&'a str| self.links.get(*name).map(String::as_str);
        std::iter::successors(Some(name), next).take(self.links.len() + 1).last().unwrap_or(name)
    }

    /// Hands every regular file to `take`, in the order of the archive.
    pub(super) fn each(&self, mut take: impl FnMut(&str, &mut dyn Read) -> Result<()>) -> Result<()> {
        let failed = Error::io("read", &self.path);
        let mut tar = tar::Archive::new(stream(&self.path)?);
        let entries = match tar.entries() {
            Ok(entries) => entries,
            Err(error) => return Err(failed(error)),
        };
        for entry in entries {
            let mut entry = entry.map_err(Error::io("read", &self.path))?;
            if entry.header().entry_type().is_file() {
                let name = top_name(&entry.path_bytes());
                take(&name, &mut entry)?;
            }
        }
        Ok(())
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
