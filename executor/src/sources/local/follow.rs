//! The paths that copies of a local directory may read: wildcards and links in them followed.
//!
//! Mirrors fsutil's `FollowLinks` (as of BuildKit v0.32): each path of the definition becomes itself and, where a link is in
//! it, what the link leads to; links never lead out of the directory.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use oci::text::clean_path;

use crate::cache::glob;

/// Every path that is needed, sorted; `None` when that is everything.
pub(super) fn follow(root: &Path, paths: &[String]) -> io::Result<Option<Vec<String>>> {
    let mut walk = Follow { root, found: BTreeSet::new() };
    for path in paths {
        walk.add(path)?;
    }
    Ok(distinct(walk.found.into_iter().collect()))
}

/// Leaves out what is below another path (the list is sorted); `None` when the root is one of them.
pub(super) fn distinct(paths: Vec<String>) -> Option<Vec<String>> {
    let mut kept: Vec<String> = Vec::new();
    for path in paths {
        if path == "." {
            return None;
        }
        let below =
            kept.last().is_some_and(|last| path.strip_prefix(&**last).is_some_and(|rest| rest.starts_with('/')));
        if !below {
            kept.push(path);
        }
    }
    Some(kept)
}

struct Follow<'a> {
    root: &'a Path,
    found: BTreeSet<String>,
}

impl Follow<'_> {
    fn add(&mut self, path: &str) -> io::Result<()> {
        let path = relative(path);
        let parts: Vec<&str> = path.split('/').collect();
        let mut current = String::new();
        for (index, part) in parts.iter().enumerate() {
            current = if current.is_empty() { (*part).to_owned() } else { format!("{current}/{part}") };
            let rest = parts[index + 1..].join("/");
            let targets = self.targets(&current, true)?;
            if (rest.is_empty() || targets.is_some()) && self.found.contains(&current) {
                return Ok(());
            }
            match targets {
                Some(targets) => {
                    self.found.insert(current);
                    return targets.iter().try_for_each(|target| self.add(&format!("{target}/{rest}")));
                }
                None if rest.is_empty() => drop(self.found.insert(current.clone())),
                None => {}
            }
        }
        Ok(())
    }

    /// What the links at a path lead to; `None` when it is neither a link nor a pattern that can be searched.
    fn targets(&self, path: &str, wildcards: bool) -> io::Result<Option<Vec<String>>> {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        if wildcards && glob::has_wildcards(name.as_bytes()) {
            return self.matching(dir, name);
        }
        let Ok(meta) = missing_is_none(self.root.join(path).symlink_metadata())?.ok_or(()) else { return Ok(None) };
        if !meta.is_symlink() {
            return Ok(None);
        }
        let text = fs::read_link(self.root.join(path))?;
        let target = if text.is_absolute() { text } else { PathBuf::from("/").join(dir).join(text) };
        Ok(Some(vec![clean_path(&target.to_string_lossy())]))
    }

    fn matching(&self, dir: &str, pattern: &str) -> io::Result<Option<Vec<String>>> {
        let Some(entries) = missing_is_none(fs::read_dir(self.root.join(dir)))? else { return Ok(None) };
        let mut found = Vec::new();
        for entry in entries {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if glob::matches(pattern.as_bytes(), name.as_bytes()).unwrap_or(false) {
                let path = if dir.is_empty() { name } else { format!("{dir}/{name}") };
                found.extend(self.targets(&path, false)?.unwrap_or_default());
            }
        }
        // A pattern without links is one of the whole path.
        Ok(if found.is_empty() { None } else { Some(found) })
    }
}

fn relative(path: &str) -> String {
    match clean_path(&format!("/{path}")).trim_start_matches('/') {
        "" => ".".to_owned(),
        path => path.to_owned(),
    }
}

fn missing_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if crate::snapshot::is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}
