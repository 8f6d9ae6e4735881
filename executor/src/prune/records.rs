//! What there is: every record with its size and when it was last of use.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use oci::Digest;

use crate::Result;
use crate::snapshot::{LayerId, Snapshots};
use crate::store::Store;

/// Where cache mounts and git repositories are, and how deep.
const CACHE_MOUNTS: &str = "cache-mounts-v1";
const GIT: &str = "git-v1";

/// What a record is. Names are BuildKit's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A layer, or a blob.
    #[default]
    Regular,
    /// A copy of a local directory.
    Local,
    /// A git repository.
    Git,
    /// A cache mount.
    CacheMount,
}

/// One thing that can be removed.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its name.
    pub id: String,
    /// What it is.
    pub kind: Kind,
    /// Where it is from, as far as that is known.
    pub description: String,
    /// Bytes on disk.
    pub size: u64,
    /// When it was made.
    pub created: SystemTime,
    /// When it was last of use.
    pub last_used: SystemTime,
    /// How often it was.
    pub usage: u64,
    /// Layers it stands on.
    pub depth: usize,
    /// Names of those of them directly below it, of every tree it is in.
    pub parents: Vec<String>,
    /// Whether an image with a name needs it.
    pub shared: bool,
    pub(super) layer: Option<LayerId>,
    pub(super) blobs: Vec<Digest>,
    pub(super) path: Option<PathBuf>,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            id: String::new(),
            kind: Kind::Regular,
            description: String::new(),
            size: 0,
            created: UNIX_EPOCH,
            last_used: UNIX_EPOCH,
            usage: 0,
            depth: 0,
            parents: Vec::new(),
            shared: false,
            layer: None,
            blobs: Vec::new(),
            path: None,
        }
    }
}

impl Kind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Regular => "regular",
            Self::Local => "source.local",
            Self::Git => "source.git.checkout",
            Self::CacheMount => "exec.cachemount",
        }
    }
}

impl Record {
    /// Whether it is changed where it is, rather than built upon.
    pub fn is_mutable(&self) -> bool {
        matches!(self.kind, Kind::CacheMount | Kind::Git)
    }
}

/// Everything in a store.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// In the order it would be pruned: what was not used for longest first, what others stand on last.
    pub records: Vec<Record>,
    /// Bytes of images' blobs that are no record: they stay as long as the images have names.
    pub images: u64,
}

impl Usage {
    /// Bytes in all.
    pub fn total(&self) -> u64 {
        self.images + self.records.iter().map(|record| record.size).sum::<u64>()
    }

    /// Bytes that limits are about: what images with a name need can go only if all is asked for.
    pub(super) fn limited(&self, all: bool) -> u64 {
        self.records.iter().filter(|record| all || !record.shared).map(|record| record.size).sum()
    }
}

/// Looks at everything in a store.
pub fn usage(store: &Store, snapshots: &dyn Snapshots) -> Result<Usage> {
    let blobs = store.list_blobs()?;
    let named = store.blobs_of(store.images()?.into_iter().map(|image| image.target));
    let mut usage = Usage::default();
    let mut of_layers = BTreeSet::new();
    let mut stacks = Stacks::read(store)?;
    for id in snapshots.list()? {
        // Removed since it was listed.
        let Ok(contents) = snapshots.contents(&id) else { continue };
        let known = store.layer(&id.0)?;
        let made_by = store.made_by(&[&id.0])?.pop().flatten();
        let here = known.blobs.iter().map(|blob| &blob.digest).filter(|digest| blobs.contains_key(*digest));
        let (kept, own): (Vec<_>, Vec<_>) = here.cloned().partition(|digest| named.contains(digest));
        of_layers.extend(own.iter().cloned());
        let created = seconds(contents.created.unwrap_or_default());
        let used = stacks.used.remove(&*id.0).unwrap_or_default();
        usage.records.push(Record {
            kind: if id.0.starts_with("local-") { Kind::Local } else { Kind::Regular },
            description: made_by
                .or_else(|| known.origins.first().map(|origin| format!("pulled from {origin}")))
                .unwrap_or_default(),
            size: contents.bytes + own.iter().map(|digest| blobs[digest].0).sum::<u64>(),
            created,
            last_used: created.max(UNIX_EPOCH + Duration::from_millis(used.last)),
            usage: used.count,
            depth: used.depth,
            parents: used.parents.into_iter().collect(),
            shared: !kept.is_empty(),
            blobs: own,
            layer: Some(id.clone()),
            id: id.0.to_string(),
            path: None,
        });
    }
    for (digest, (size, modified)) in &blobs {
        if named.contains(digest) {
            usage.images += size;
        } else if !of_layers.contains(digest) {
            usage.records.push(Record {
                id: digest.to_string(),
                size: *size,
                created: *modified,
                last_used: *modified,
                blobs: vec![digest.clone()],
                ..Record::default()
            });
        }
    }
    for bucket in children(&store.root().join(CACHE_MOUNTS)) {
        usage.records.extend(children(&bucket).iter().map(|path| cache_mount(path)));
    }
    usage.records.extend(children(&store.root().join(GIT)).iter().map(|path| repository(path)));
    let order = |record: &Record| (record.last_used, std::cmp::Reverse(record.depth), record.id.clone());
    usage.records.sort_by_cached_key(order);
    Ok(usage)
}

fn cache_mount(path: &Path) -> Record {
    let key = fs::read_to_string(path.join("key")).unwrap_or_default();
    Record {
        kind: Kind::CacheMount,
        description: format!("cached mount {key}"),
        size: size_of(&path.join("content")),
        ..directory(path, "lock")
    }
}

fn repository(path: &Path) -> Record {
    Record {
        kind: Kind::Git,
        description: "git repository".into(),
        size: size_of(path),
        ..directory(path, "llbc.lock")
    }
}

/// What a directory says of itself: a file in it changes with every use.
fn directory(path: &Path, touched: &str) -> Record {
    let time = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified()).unwrap_or(UNIX_EPOCH);
    let names = path.components().rev().take(2).map(|name| name.as_os_str().to_string_lossy().into_owned());
    let mut names: Vec<_> = names.collect();
    names.reverse();
    Record {
        id: names.join("/"),
        created: time(path),
        last_used: time(&path.join(touched)).max(time(path)),
        path: Some(path.to_owned()),
        ..Record::default()
    }
}

fn children(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Bytes on disk below a directory; what cannot be read counts nothing.
fn size_of(dir: &Path) -> u64 {
    let mut size = 0;
    let mut waiting = vec![dir.to_owned()];
    while let Some(dir) = waiting.pop() {
        for path in children(&dir) {
            let Ok(meta) = fs::symlink_metadata(&path) else { continue };
            size += meta.blocks() * 512;
            if meta.is_dir() {
                waiting.push(path);
            }
        }
    }
    size
}

fn seconds(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs())
}

/// What is known of the use of layers.
struct Stacks {
    used: BTreeMap<String, Used>,
}

#[derive(Default)]
struct Used {
    /// Milliseconds since the epoch.
    last: u64,
    count: u64,
    depth: usize,
    parents: BTreeSet<String>,
}

impl Stacks {
    /// A layer is used whenever a tree with it is.
    fn read(store: &Store) -> Result<Self> {
        let mut used: BTreeMap<String, Used> = BTreeMap::new();
        for (layers, last, count) in store.uses()? {
            let mut below = None;
            for (depth, id) in layers.split(' ').enumerate() {
                let known = used.entry(id.to_owned()).or_default();
                known.last = known.last.max(last);
                known.count = known.count.max(count);
                known.depth = known.depth.max(depth);
                known.parents.extend(below.replace(id).map(str::to_owned));
            }
        }
        Ok(Self { used })
    }
}
