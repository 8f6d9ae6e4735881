//! What patterns choose of a tree, as one digest.
//!
//! One thing differs from BuildKit: what is selected itself counts, whatever the patterns say of it. A copy takes it, as patterns
//! are for what is in a directory; BuildKit's digest leaves it out where they match its empty name (`*`), and so a file
//! that changed is taken for the old one.

use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oci::ignore::{MatchInfo, Patterns};
use oci::{Digest, Hasher};
use rustix::fs::FileType;

use super::record::{self, Job};
use super::{Hashes, Scan, whole};
use crate::cache::{Selector, glob};
use crate::snapshot::stack::kind;
use crate::snapshot::{Files, OpenDir};
use crate::{Cancel, Error, Result};

/// The digest of what a selector with patterns chooses below `path`, which is clean.
pub(super) fn checksum(files: &Files, path: &str, selector: &Selector, cancel: &Cancel) -> Result<Digest> {
    // The root is "" here, as keys have it.
    let wanted = if path == "/" { "" } else { path };
    let (plain, pattern) = glob::split(path);
    let prefix = match plain {
        "/" if selector.wildcard => "",
        plain if selector.wildcard => plain,
        _ => wanted,
    };
    let real = files
        .real_path(Path::new(prefix), selector.wildcard && !pattern.is_empty())
        .map_err(Error::io("find", path))?;
    let (scan, walk) = Scan::run(cancel, |scan, pool| {
        let mut walk = Walk::new(selector, wanted, scan, pool)?;
        walk.base(files, prefix, &real)?;
        Ok(walk.included())
    })?;
    for required in &selector.required {
        if !walk.iter().any(|found| found.path.starts_with(required)) {
            return Err(Error::NotFound(format!("{required:?}: not found")));
        }
    }
    let mut digests = Vec::with_capacity(walk.len());
    for found in &walk {
        digests.push(if found.follow { whole(files, &found.path, true, cancel)? } else { scan.record(found.record) });
    }
    Ok(combine(wanted, prefix, &walk, &digests))
}

fn combine(wanted: &str, prefix: &str, found: &[Found], digests: &[Digest]) -> Digest {
    if found.is_empty() {
        return Digest::sha256(b"");
    }
    if let ([only], [digest]) = (found, digests)
        && base_name(wanted) == base_name(&only.path)
    {
        return digest.clone();
    }
    let mut hasher = Hasher::sha256();
    for (found, digest) in found.iter().zip(digests) {
        let path = found.path.strip_prefix(prefix).unwrap_or(&found.path);
        let key = if path.is_empty() { "\0".to_owned() } else { path.replace('/', "\0") };
        hasher.update(key.as_bytes());
        hasher.update(digest.as_str().as_bytes());
    }
    hasher.finish()
}

/// Go's `path.Base`, where only equality counts.
fn base_name(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or(path)
}

/// An entry that is chosen.
struct Found {
    /// Its path, spelled as the selector spells its beginning.
    path: String,
    record: usize,
    /// Whether what it links to counts.
    follow: bool,
}

/// A directory above the entry the walk is at.
struct Above {
    path: String,
    record: usize,
    include: MatchInfo,
    exclude: MatchInfo,
    included: bool,
}

struct Walk<'a, 'p> {
    selector: &'a Selector,
    wanted: &'a str,
    include: Option<Patterns>,
    exclude: Option<Patterns>,
    scan: &'a mut Scan,
    pool: &'a Hashes<'p>,
    above: Vec<Above>,
    /// The last path that matched the wildcard.
    matched: Option<String>,
    found: Vec<Found>,
}

impl<'a, 'p> Walk<'a, 'p> {
    fn new(selector: &'a Selector, wanted: &'a str, scan: &'a mut Scan, pool: &'a Hashes<'p>) -> Result<Self> {
        let patterns = |name: &str, list: &[String]| match list {
            [] => Ok(None),
            list => Patterns::new(list)
                .map(Some)
                .map_err(|error| Error::Invalid(format!("invalid {name}patterns: [{}]: {error}", list.join(" ")))),
        };
        let include = patterns("include", &selector.include)?;
        let exclude = patterns("exclude", &selector.exclude)?;
        let (above, found) = (Vec::new(), Vec::new());
        Ok(Self { selector, wanted, include, exclude, scan, pool, above, matched: None, found })
    }

    fn included(self) -> Vec<Found> {
        self.found
    }

    /// Walks what is at `real`, called `prefix`.
    fn base(&mut self, files: &Files, prefix: &str, real: &Path) -> Result<()> {
        let Some(stat) = files.stat(real).map_err(Error::io("read", prefix))? else { return Ok(()) };
        let parent = real.parent().unwrap_or(Path::new("/"));
        let outer = Arc::new(files.open_dir(parent).map_err(Error::io("open", prefix))?);
        let Some(name) = real.file_name() else {
            // The metadata of the root is chosen by no path that ends with it.
            return self.dir(&outer, prefix.to_owned());
        };
        let name = record::c_string(name)?;
        if kind(&stat) == FileType::Directory {
            self.subdir(&outer, name, prefix)
        } else {
            self.file(&outer, name, prefix)
        }
    }

    fn dir(&mut self, dir: &Arc<OpenDir>, path: String) -> Result<()> {
        for name in dir.names().map_err(Error::io("list", &path))? {
            let child = PathBuf::from(format!("{path}/")).join(record::os_str(&name));
            let child = child.to_string_lossy().into_owned();
            let stat = dir.stat(&name).map_err(Error::io("read", &child))?;
            match kind(&stat) {
                FileType::Directory => self.subdir(dir, name, &child)?,
                _ => self.file(dir, name, &child)?,
            }
        }
        Ok(())
    }

    fn file(&mut self, dir: &Arc<OpenDir>, name: CString, path: &str) -> Result<()> {
        self.leave(path);
        if !self.wildcard(path)? {
            return Ok(());
        }
        let (taken, ..) = self.judge(path);
        if !taken && !self.is_selected_itself(path) {
            return Ok(());
        }
        let stat = dir.stat(&name).map_err(Error::io("read", path))?;
        let follow = self.selector.follow_links && self.above.is_empty() && kind(&stat) == FileType::Symlink;
        let record = self.scan.submit(Job::new(dir.clone(), name, stat), self.pool)?;
        self.take_above();
        self.found.push(Found { path: path.to_owned(), record, follow });
        Ok(())
    }

    fn subdir(&mut self, dir: &Arc<OpenDir>, name: CString, path: &str) -> Result<()> {
        self.leave(path);
        if self.wildcard(path)? {
            let (taken, include, exclude) = self.judge(path);
            let taken = taken || self.is_selected_itself(path);
            let stat = dir.stat(&name).map_err(Error::io("read", path))?;
            let record = self.scan.submit(Job::new(dir.clone(), name.clone(), stat), self.pool)?;
            if taken {
                self.take_above();
                self.found.push(Found { path: path.to_owned(), record, follow: false });
            }
            let path = path.to_owned();
            self.above.push(Above { path, record, include, exclude, included: taken });
        }
        let child = Arc::new(dir.open_dir(&name).map_err(Error::io("open", path))?);
        self.dir(&child, path.to_owned())
    }

    /// Forgets the directories that the path is not in.
    fn leave(&mut self, path: &str) {
        while self.above.last().is_some_and(|above| !is_below(path, &above.path)) {
            self.above.pop();
        }
    }

    /// Whether the path matches the wildcard, or is below one that did.
    fn wildcard(&mut self, path: &str) -> Result<bool> {
        if !self.selector.wildcard || self.matched.as_ref().is_some_and(|matched| is_below(path, matched)) {
            return Ok(true);
        }
        let matched = glob::matches(self.wanted.as_bytes(), path.as_bytes());
        let matched = matched.map_err(|_| Error::Invalid(format!("{:?}: syntax error in pattern", self.wanted)))?;
        if matched {
            self.matched = Some(path.to_owned());
        }
        Ok(matched)
    }

    /// What the patterns say of a path.
    fn judge(&self, path: &str) -> (bool, MatchInfo, MatchInfo) {
        let candidate = path.strip_prefix(self.selected()).unwrap_or(path).trim_start_matches('/');
        let unknown = MatchInfo::default();
        let above = self.above.last();
        let (mut taken, mut include, mut exclude) = (true, MatchInfo::default(), MatchInfo::default());
        if let Some(patterns) = &self.include {
            (taken, include) = patterns.matches_below(candidate, above.map_or(&unknown, |above| &above.include));
        }
        if let (true, Some(patterns)) = (taken, &self.exclude) {
            let excluded;
            (excluded, exclude) = patterns.matches_below(candidate, above.map_or(&unknown, |above| &above.exclude));
            taken = !excluded;
        }
        (taken, include, exclude)
    }

    /// The path that patterns are relative to: what was asked for, or the last that matched the wildcard.
    fn selected(&self) -> &str {
        if self.selector.wildcard { self.matched.as_deref().unwrap_or("") } else { self.wanted }
    }

    fn is_selected_itself(&self, path: &str) -> bool {
        path == self.selected()
    }

    /// Takes the directories above something that is taken.
    fn take_above(&mut self) {
        for above in self.above.iter_mut().filter(|above| !above.included) {
            above.included = true;
            self.found.push(Found { path: above.path.clone(), record: above.record, follow: false });
        }
    }
}

fn is_below(path: &str, dir: &str) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'))
}
