//! A directory of the user's, read where it is.
//!
//! Nothing is copied first: pinning lists what the patterns let be seen (`listing`), content keys hash through the listing
//! and remember digests of files by inode, size and times (`stat_cache`), copies read the directory itself. Only who needs
//! a real tree of it (a mount, an export) has it made into a layer. As BuildKit's client sends them, all entries belong to
//! root and sockets are empty files.
//!
//! The tree of a local source is one layer whose name only this build knows ([`Opened`]).

mod follow;
mod listing;
mod metadata;
mod stat_cache;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use llb::Texts;
use oci::Platform;
use rustix::fs::{AtFlags, FileType};

use super::{Context, Key, Pinned, Source};
use crate::session::Session;
use crate::snapshot::stack::{kind, open_dir};
use crate::snapshot::{Committed, Contents, Files, LayerId, Node, Snapshots, entry};
use crate::store::{Store, Temp, TempPath};
use crate::{Cancel, Error, Result};

use listing::Filter;
use stat_cache::StatCache;

/// `local://NAME`.
pub struct LocalSource;

impl Source for LocalSource {
    fn schemes(&self) -> &'static [&'static str] {
        &["local"]
    }

    fn pin(&self, source: &llb::Source, _: &Platform, context: Context<'_>) -> Result<Box<dyn Pinned>> {
        let name = source.identifier.strip_prefix("local://").unwrap_or(&source.identifier);
        let root = context.session.locals.get(name).ok_or_else(|| {
            Error::NotFound(format!("local directory {name:?} was not given: name it with --local {name}=DIR"))
        })?;
        let mut local = Local::open(root, &filter(&source.attrs)?, context.store.root(), context.cancel)?;
        if let Some(whole) = metadata::only(&source.attrs)? {
            local = metadata::reduce(&local, &whole, context)?;
        }
        let id = LayerId::random()?;
        let id = LayerId(format!("{PREFIX}{}", id.0).into());
        context.session.opened.insert(id.clone(), Arc::new(local));
        Ok(Box::new(Listed { id }))
    }
}

/// How names of layers begin that are directories of the user's.
const PREFIX: &str = "local-";

struct Listed {
    id: LayerId,
}

impl Pinned for Listed {
    fn key(&self, index: usize, _: Context<'_>) -> Result<Option<Key>> {
        Ok((index == 0).then(|| Key::Session(self.id.0.to_string())))
    }

    fn pin(&self) -> String {
        String::new()
    }

    fn fetch(&self, _: Context<'_>) -> Result<Committed> {
        Ok(Committed { layers: vec![self.id.clone()] })
    }
}

/// The directories that a build reads in place, by the names of their layers.
#[derive(Clone, Default)]
pub struct Opened(Arc<Mutex<BTreeMap<LayerId, Arc<Local>>>>);

impl Opened {
    fn insert(&self, id: LayerId, local: Arc<Local>) {
        self.0.lock().expect("no panic while the map is held").insert(id, local);
    }

    fn get(&self, id: &LayerId) -> Option<Arc<Local>> {
        self.0.lock().expect("no panic while the map is held").get(id).cloned()
    }

    /// The directory that a tree is, if it is one of them.
    pub(crate) fn root(&self, tree: &Committed) -> Option<PathBuf> {
        let [only] = tree.layers.as_slice() else { return None };
        Some(self.get(only)?.root.clone())
    }

    /// Forgets them all, and keeps what was learnt of their files for later builds; layers that were made of them go,
    /// unless a result stands on them. A build does so at its end.
    pub fn close(&self, store: &Store, snapshots: &dyn Snapshots) {
        for (id, local) in std::mem::take(&mut *self.0.lock().expect("no panic while the map is held")) {
            // The next build reads the files again: slower, not wrong.
            let _ = local.remember(store.temp());
            if snapshots.has(&id) && store.is_in_result(&id.0).is_ok_and(|used| !used) {
                // What stays takes room, and nothing else.
                let _ = snapshots.remove(&id);
            }
        }
    }
}

/// One directory, listed.
pub struct Local {
    root: PathBuf,
    listing: Arc<Node>,
    cache: StatCache,
    /// Keeps what was made for this build alone.
    made: Option<TempPath>,
}

impl Local {
    fn open(root: &Path, filter: &Filter, store: &Path, cancel: &Cancel) -> Result<Self> {
        let root = root.canonicalize().map_err(Error::io("open", root))?;
        let mut cache = StatCache::load(store, &root);
        let listing = listing::list(&root, filter, &mut cache, cancel)?;
        Ok(Self { root, listing: Arc::new(listing), cache, made: None })
    }

    fn files(&self) -> Result<Files> {
        Files::listed(&self.root, self.listing.clone()).map_err(Error::io("open", &self.root))
    }

    fn remember(&self, temp: &Temp) -> Result<()> {
        if self.made.is_some() { Ok(()) } else { self.cache.save(&self.listing, temp) }
    }
}

/// Whether a tree is a directory of the user's, as it is.
pub(crate) fn is_local(tree: &Committed) -> bool {
    matches!(tree.layers.as_slice(), [only] if only.0.starts_with(PREFIX))
}

/// Opens a tree for reading: in place when it is a directory of the user's.
pub(crate) fn files(tree: &Committed, snapshots: &dyn Snapshots, session: &Session) -> Result<Files> {
    if is_local(tree)
        && let Some(local) = session.opened.get(&tree.layers[0])
    {
        return local.files();
    }
    let view = snapshots.view(tree)?;
    let path = view.path().to_owned();
    Files::of(view).map_err(Error::io("open", path))
}

/// Makes a layer of a directory of the user's; `false` when the name is of none.
pub(crate) fn make_layer(id: &LayerId, snapshots: &dyn Snapshots, session: &Session, cancel: &Cancel) -> Result<bool> {
    let Some(local) = session.opened.get(id) else { return Ok(false) };
    snapshots.import(id, &mut |dir| {
        let mut copy = Copy { links: HashMap::new(), bytes: 0, cancel };
        copy.all(&local, dir).map_err(Error::io("copy", &local.root))?;
        cancel.check()?;
        Ok(Contents { bytes: copy.bytes, ..Contents::default() })
    })?;
    Ok(true)
}

/// The tree with every directory of the user's made into a layer.
pub(crate) fn materialised(
    tree: &Committed,
    snapshots: &dyn Snapshots,
    session: &Session,
    cancel: &Cancel,
) -> Result<Committed> {
    for id in tree.layers.iter().filter(|id| id.0.starts_with(PREFIX)) {
        make_layer(id, snapshots, session, cancel)?;
    }
    Ok(tree.clone())
}

/// Copies a listing as it is.
struct Copy<'a> {
    /// Files with several names: the first copy, by device and inode.
    links: HashMap<(u64, u64), PathBuf>,
    bytes: u64,
    cancel: &'a Cancel,
}

impl Copy<'_> {
    fn all(&mut self, local: &Local, to: &Path) -> std::io::Result<()> {
        let (from, dir) = (File::open(&local.root)?, File::open(to)?);
        self.dir(&local.listing, from.as_fd(), dir.as_fd(), to)
    }

    fn dir(&mut self, node: &Node, from: BorrowedFd, to: BorrowedFd, path: &Path) -> std::io::Result<()> {
        for (name, child) in &node.children {
            if self.cancel.is_cancelled() {
                return Ok(());
            }
            let path = path.join(std::os::unix::ffi::OsStrExt::from_bytes(name.to_bytes()) as &std::ffi::OsStr);
            self.entry(name, child, from, to, &path)?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        name: &CString,
        node: &Node,
        from: BorrowedFd,
        to: BorrowedFd,
        path: &Path,
    ) -> std::io::Result<()> {
        let stat = &node.stat;
        self.bytes += stat.st_blocks as u64 * 512;
        if kind(&node.seen) == FileType::Socket {
            return socket(node, to, name);
        }
        let shared = stat.st_nlink > 1 && kind(stat) == FileType::RegularFile;
        if shared && let Some(first) = self.links.get(&(stat.st_dev, stat.st_ino)) {
            return Ok(rustix::fs::linkat(rustix::fs::CWD, first, to, &**name, AtFlags::empty())?);
        }
        entry::clone(from, stat, to, name)?;
        if shared {
            self.links.insert((stat.st_dev, stat.st_ino), path.to_owned());
        }
        if kind(stat) == FileType::Directory {
            self.dir(node, open_dir(from, name)?.as_fd(), open_dir(to, name)?.as_fd(), path)?;
            entry::set_times(to, name, entry::times(stat))?;
        }
        Ok(())
    }
}

/// A socket is an empty file to a build.
fn socket(node: &Node, to: BorrowedFd, name: &CStr) -> std::io::Result<()> {
    entry::create_file(to, name)?;
    entry::set_mode(to, name, node.stat.st_mode)?;
    Ok(entry::set_times(to, name, entry::times(&node.stat))?)
}

/// What the attributes let be seen. Those that say how a client and a daemon tell which files they both have
/// (`local.session`, `local.unique`, `local.sharedkeyhint`, `local.differ`) mean nothing where nothing is sent.
fn filter(attrs: &Texts) -> Result<Filter> {
    match attrs.get("local.differ").map(String::as_str) {
        None | Some("" | "none" | "metadata") => {}
        Some(other) => return Err(Error::Definition(format!("unknown local.differ {other:?}: none or metadata"))),
    }
    let list = |key| patterns(attrs, key);
    Filter::new(list("local.includepattern")?, list("local.excludepatterns")?, list("local.followpaths")?)
}

/// A list of texts.
fn patterns(attrs: &Texts, key: &str) -> Result<Vec<String>> {
    let Some(text) = attrs.get(key) else { return Ok(Vec::new()) };
    serde_json::from_str::<Option<Vec<String>>>(text)
        .map(Option::unwrap_or_default)
        .map_err(|error| Error::Definition(format!("{key} of a local source is no list of texts: {error}")))
}
