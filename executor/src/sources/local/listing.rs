//! What is seen of a directory: a walk that patterns filter.
//!
//! Mirrors fsutil's filter (as of BuildKit v0.32): an entry is seen when an include pattern matches it or a directory above
//! it (no patterns: always) and no exclude pattern does; a directory is also seen when something in it is.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use oci::ignore::{MatchInfo, Patterns};
use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use super::follow;
use super::stat_cache::StatCache;
use crate::snapshot::stack::{self, kind};
use crate::snapshot::{Node, entry};
use crate::{Cancel, Error, Result};

/// What is to be seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    include: Vec<String>,
    exclude: Vec<String>,
    follow: Vec<String>,
}

impl Filter {
    /// **Errors**: none yet; patterns are compiled with the directory at hand.
    pub(super) fn new(include: Vec<String>, exclude: Vec<String>, follow: Vec<String>) -> Result<Self> {
        Ok(Self { include, exclude, follow })
    }
}

/// Lists a directory.
pub(super) fn list(root: &Path, filter: &Filter, cache: &mut StatCache, cancel: &Cancel) -> Result<Node> {
    let dir = File::open(root).map_err(Error::io("open", root))?;
    let stat = rustix::fs::fstat(&dir).map_err(|errno| Error::io("read", root)(errno.into()))?;
    if kind(&stat) != FileType::Directory {
        return Err(Error::io("list", root)(Errno::NOTDIR.into()));
    }
    let mut include = filter.include.clone();
    if !filter.follow.is_empty() {
        let followed = follow::follow(root, &filter.follow).map_err(Error::io("follow links in", root))?;
        if let Some(followed) = followed {
            include = follow::distinct(include.into_iter().chain(followed).collect()).unwrap_or_default();
        }
    }
    let walk = &mut Walk {
        include: compile("include", &include)?,
        exclude: compile("exclude", &filter.exclude)?,
        path: Vec::new(),
        cache,
        cancel,
    };
    let listed = walk.dir(dir.as_fd(), &Above::default());
    cancel.check()?;
    let children = listed.map_err(|error| {
        let path = String::from_utf8_lossy(&walk.path).into_owned();
        Error::io("list", root.join(path))(error)
    })?;
    Ok(Node { stat: as_root(stat), seen: stat, link: None, record: OnceLock::new(), children })
}

fn compile(name: &str, patterns: &[String]) -> Result<Option<Matcher>> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let compiled = Patterns::new(patterns)
        .map_err(|error| Error::Invalid(format!("invalid {name}patterns: [{}]: {error}", patterns.join(" "))))?;
    let plain = compiled
        .iter()
        .filter(|pattern| !pattern.is_exclusion())
        .map(|pattern| pattern.without_trailing_glob())
        .map(|prefix| (!prefix.contains(['*', '[', ']', '?', '^', '\\'])).then(|| format!("{prefix}/")))
        .collect();
    Ok(Some(Matcher { compiled, plain }))
}

struct Matcher {
    compiled: Patterns,
    /// What the patterns that add begin with; `None` when one of them may begin with anything.
    plain: Option<Vec<String>>,
}

impl Matcher {
    /// Whether a pattern that adds may match below a directory that none matches.
    fn may_match_below(&self, dir: &[u8]) -> bool {
        let Some(plain) = &self.plain else { return true };
        let above = [dir, b"/"].concat();
        plain.iter().any(|prefix| prefix.as_bytes().starts_with(&above))
    }
}

/// What the patterns said of the directory above.
#[derive(Default)]
struct Above {
    include: MatchInfo,
    exclude: MatchInfo,
}

struct Walk<'a> {
    include: Option<Matcher>,
    exclude: Option<Matcher>,
    path: Vec<u8>,
    cache: &'a mut StatCache,
    cancel: &'a Cancel,
}

impl Walk<'_> {
    fn dir(&mut self, dir: rustix::fd::BorrowedFd, above: &Above) -> io::Result<BTreeMap<CString, Arc<Node>>> {
        let mut children = BTreeMap::new();
        if self.cancel.is_cancelled() {
            return Ok(children);
        }
        for (name, kind) in stack::list(dir)? {
            let length = self.path.len();
            if length > 0 {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name.to_bytes());
            if let Some(node) = self.entry(dir, &name, kind, above)? {
                children.insert(name, Arc::new(node));
            }
            self.path.truncate(length);
        }
        Ok(children)
    }

    fn entry(
        &mut self,
        dir: rustix::fd::BorrowedFd,
        name: &CString,
        found: FileType,
        above: &Above,
    ) -> io::Result<Option<Node>> {
        let is_dir = found == FileType::Directory;
        let (mut taken, mut enter, mut info) = (true, true, Above::default());
        if let Some(include) = &self.include {
            (taken, info.include) = include.compiled.matches_below(&self.path, &above.include);
            enter = taken || include.may_match_below(&self.path);
        }
        if let (true, Some(exclude)) = (enter, &self.exclude) {
            let excluded;
            (excluded, info.exclude) = exclude.compiled.matches_below(&self.path, &above.exclude);
            let path = String::from_utf8_lossy(&self.path);
            taken &= !excluded;
            enter = !excluded || exclude.compiled.may_take_back_below(&path);
        }
        let entered = is_dir && enter;
        if !taken && !entered {
            return Ok(None);
        }
        let seen = match entry::stat(dir, name) {
            // Gone since the directory was read.
            Err(Errno::NOENT) => return Ok(None),
            stat => stat?,
        };
        let mut node =
            Node { stat: as_root(seen), seen, link: None, record: OnceLock::new(), children: BTreeMap::new() };
        match kind(&seen) {
            FileType::Directory => {
                let child = match stack::open_dir(dir, name) {
                    Err(Errno::ACCESS) if !taken => return Ok(None),
                    child => child?,
                };
                node.children = self.dir(child.as_fd(), &info)?;
                if !taken && node.children.is_empty() {
                    return Ok(None);
                }
            }
            FileType::Symlink => node.link = Some(rustix::fs::readlinkat(dir, name, Vec::new())?),
            FileType::RegularFile => {
                if let Some(record) = self.cache.find(&seen) {
                    node.record = OnceLock::from(record);
                }
            }
            _ => {}
        }
        Ok(Some(node))
    }
}

/// As a build sees an entry: of root, and a socket is an empty file.
fn as_root(mut stat: Stat) -> Stat {
    (stat.st_uid, stat.st_gid) = (0, 0);
    if kind(&stat) == FileType::Socket {
        stat.st_mode = (stat.st_mode & 0o7777) | FileType::RegularFile.as_raw_mode();
        stat.st_size = 0;
    }
    stat
}
