//! Sources of metadata only: a list of what a directory holds, with few of its files.
//!
//! The tree has one file more than the directory, so that it is not read in place: it is made aside, for this build.
//!
//! parity: BuildKit v0.32, source/local, and fsutil's receiver: [`LIST`] has the status of each entry, in the order of a walk,
//! each behind its length (four bytes, the lowest first); a file of that name at the top is not of the tree.

use std::collections::{BTreeMap, HashMap};
use std::ffi::CString;
use std::fs::{self, File, Permissions};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, OnceLock};

use ::gateway::message;
use llb::Texts;
use oci::ignore::{MatchInfo, Patterns};
use rustix::fs::FileType;

use super::listing::Filter;
use super::{Copy, Local};
use crate::snapshot::stack::kind;
use crate::snapshot::{Node, OpenDir};
use crate::sources::Context;
use crate::{Error, Result, wire_stat};

/// The file that lists the tree.
const LIST: &str = ".fsutil-metadata";

/// The patterns of what is there as a whole; `None` when everything is.
pub(super) fn only(attrs: &Texts) -> Result<Option<Patterns>> {
    match attrs.get("local.metadatatransfer").map(String::as_str) {
        None | Some("0" | "f" | "F" | "false" | "FALSE" | "False") => return Ok(None),
        Some("1" | "t" | "T" | "true" | "TRUE" | "True") => {}
        Some(other) => {
            return Err(Error::Definition(format!("invalid value for local.metadatatransfer {other:?}")));
        }
    }
    let key = "local.metadatatransferexclude";
    let patterns = super::patterns(attrs, key)?;
    let compiled = Patterns::new(&patterns).map_err(|error| Error::Definition(format!("{key}: {error}")))?;
    Ok(Some(compiled))
}

/// The list of a directory, and what the patterns match of it, as a directory of its own.
pub(super) fn reduce(local: &Local, whole: &Patterns, context: Context<'_>) -> Result<Local> {
    let made = context.store.temp().dir("metadata")?;
    let listed = || {
        let mut list = List { bytes: Vec::new(), links: HashMap::new() };
        let files = local.files()?;
        let top = files.open_dir("/".as_ref()).map_err(Error::io("open", &local.root))?;
        list.dir(&top, "").map_err(Error::io("list", &local.root))?;
        let path = made.path().join(LIST);
        let written = fs::write(&path, list.bytes);
        written
            .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o644)))
            .map_err(Error::io("write", path))
    };
    let copied = || {
        let (from, to) = (File::open(&local.root)?, File::open(made.path())?);
        let mut copy = Copy { links: HashMap::new(), bytes: 0, cancel: context.cancel };
        let kept = kept(&local.listing, "", whole, &MatchInfo::default());
        copy.dir(&kept, from.as_fd(), to.as_fd(), made.path())
    };
    copied().map_err(Error::io("copy", &local.root))?;
    listed()?;
    let reduced = Local::open(made.path(), &Filter::default(), context.store.root(), context.cancel)?;
    Ok(Local { made: Some(made), ..reduced })
}

/// What the patterns match of a directory, or have a match above; directories also for what is in them.
fn kept(dir: &Node, path: &str, whole: &Patterns, above: &MatchInfo) -> Node {
    let mut children = BTreeMap::new();
    for (name, child) in &dir.children {
        let path = format!("{path}{}", name.to_string_lossy());
        let (is_matched, info) = whole.matches_below(&path, above);
        let child = kept(child, &format!("{path}/"), whole, &info);
        if path != LIST && (is_matched || !child.children.is_empty()) {
            children.insert(name.clone(), Arc::new(child));
        }
    }
    Node { stat: dir.stat, seen: dir.seen, link: dir.link.clone(), record: OnceLock::new(), children }
}

/// The list as it grows.
struct List {
    bytes: Vec<u8>,
    /// Files with several names: the first, by inode.
    links: HashMap<u64, String>,
}

impl List {
    fn dir(&mut self, dir: &OpenDir, above: &str) -> std::io::Result<()> {
        for name in dir.names()? {
            let path = format!("{above}{}", name.to_string_lossy());
            if path != LIST {
                self.entry(dir, &name, &path)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, dir: &OpenDir, name: &CString, path: &str) -> std::io::Result<()> {
        let stat = dir.stat(name)?;
        let mut said = wire_stat::of(path, &stat);
        match kind(&stat) {
            FileType::Directory => said.size = 0,
            FileType::Symlink => said.linkname = dir.readlink(name)?.to_string_lossy().into_owned(),
            _ if stat.st_nlink > 1 => match self.links.get(&stat.st_ino) {
                Some(first) => (said.linkname, said.size) = (first.clone(), 0),
                None => drop(self.links.insert(stat.st_ino, path.to_owned())),
            },
            _ => {}
        }
        let xattrs = dir.xattrs(name)?.into_iter();
        said.xattrs = xattrs.map(|(key, value)| (key.to_string_lossy().into_owned(), value)).collect();
        let bytes = message::encode(&said);
        let length = u32::try_from(bytes.len()).expect("a status is short");
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(&bytes);
        if kind(&stat) == FileType::Directory { self.dir(&dir.open_dir(name)?, &format!("{path}/")) } else { Ok(()) }
    }
}
