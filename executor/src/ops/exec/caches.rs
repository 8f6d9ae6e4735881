//! Cache mounts: directories that outlive builds, in `cache-mounts-v1/<key>/<number>/` of the store.
//!
//! A key has as many directories as were ever needed at once. Who uses one holds a lock on it, shared or exclusive by the
//! mount's sharing mode; the kernel drops the lock when a process dies, and several executors on one store respect each
//! other. parity: BuildKit v0.32, solver/llbsolver/mounts: the key is the id, with the input that a new directory starts
//! with; *shared* users share one directory, *private* ones take a free or a new one, *locked* ones wait for a free one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use crate::snapshot::{Committed, Snapshots, copy_tree};
use crate::store::Store;
use crate::temp::make_private;
use crate::{Cancel, Error, Result};

/// The bucket in the store.
const BUCKET: &str = "cache-mounts-v1";
/// The directory itself, its lock, and its key in clear, for people and tools that look.
const CONTENT: &str = "content";
const LOCK: &str = "lock";
const KEY: &str = "key";
/// How often a locked directory is tried again.
const RETRY: Duration = Duration::from_millis(20);

/// The cache directories of a store.
pub struct Caches<'a> {
    store: &'a Store,
}

/// A cache directory in use.
pub(super) struct InUse {
    content: PathBuf,
    /// Held for as long as it is used.
    _lock: File,
}

/// Which directory is wanted, and how.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) id: &'a str,
    /// What a new directory starts with.
    pub(super) start: Option<&'a Committed>,
    pub(super) sharing: llb::CacheSharing,
}

impl InUse {
    /// The directory.
    pub(super) fn path(&self) -> &Path {
        &self.content
    }
}

impl<'a> Caches<'a> {
    /// Those of a store.
    pub fn new(store: &'a Store) -> Self {
        Self { store }
    }

    /// Takes a directory, waiting for it when it must be.
    pub(super) fn take(&self, wanted: Wanted<'_>, snapshots: &dyn Snapshots, cancel: &Cancel) -> Result<InUse> {
        let key = key(wanted);
        let bucket = self.bucket(&key)?;
        loop {
            let mut is_busy = false;
            let existing = numbers(&bucket)?;
            for number in &existing {
                match try_take(&bucket.join(number.to_string()), wanted.sharing)? {
                    Some(taken) => return Ok(taken),
                    None => is_busy = true,
                }
            }
            if is_busy && wanted.sharing == llb::CacheSharing::Locked {
                if cancel.wait(RETRY) {
                    return Err(Error::Cancelled);
                }
                continue;
            }
            // Somebody else may make the same one meanwhile: then that one is tried, too.
            let next = existing.last().map_or(0, |last| last + 1);
            self.make(&bucket.join(next.to_string()), &key, wanted.start, snapshots)?;
        }
    }

    /// Removes the directories of an id that nobody uses: what building without cache means for cache mounts.
    pub(super) fn prune(&self, wanted: Wanted<'_>) -> Result<()> {
        let bucket = self.bucket(&key(wanted))?;
        for number in numbers(&bucket)? {
            let dir = bucket.join(number.to_string());
            if let Some(taken) = try_take(&dir, llb::CacheSharing::Private)? {
                let aside = self.store.temp().path("cache-mount")?;
                fs::rename(&dir, aside.path()).map_err(Error::io("remove the cache mount", &dir))?;
                drop(taken);
            }
        }
        Ok(())
    }

    fn bucket(&self, key: &str) -> Result<PathBuf> {
        let name: String = Sha256::digest(key).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let bucket = self.store.root().join(BUCKET);
        make_private(&bucket)?;
        let path = bucket.join(name);
        make_private(&path)?;
        Ok(path)
    }

    fn make(&self, at: &Path, key: &str, start: Option<&Committed>, snapshots: &dyn Snapshots) -> Result<()> {
        let staged = self.store.temp().dir("cache-mount")?;
        let content = staged.path().join(CONTENT);
        let write = || -> std::io::Result<()> {
            fs::create_dir(&content)?;
            fs::set_permissions(&content, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
            fs::write(staged.path().join(KEY), key)?;
            File::create(staged.path().join(LOCK)).map(drop)
        };
        write().map_err(Error::io("make the cache mount", staged.path()))?;
        if let Some(start) = start {
            copy_tree(snapshots.view(start)?.path(), &content)?;
        }
        match fs::rename(staged.path(), at) {
            Ok(()) => Ok(()),
            Err(_) if at.exists() => Ok(()),
            Err(e) => Err(Error::io("make the cache mount", at)(e)),
        }
    }
}

/// What names a directory: the id, and the input it starts with, since another start is another cache.
fn key(wanted: Wanted<'_>) -> String {
    let layers = wanted.start.map(|start| start.layers.iter().map(|layer| &*layer.0).collect::<Vec<_>>().join("+"));
    match layers {
        Some(layers) => format!("{}:{layers}", wanted.id),
        None => wanted.id.to_owned(),
    }
}

/// Numbers of a key's directories, ascending.
fn numbers(bucket: &Path) -> Result<Vec<u64>> {
    let entries = fs::read_dir(bucket).map_err(Error::io("list", bucket))?;
    let mut numbers: Vec<u64> = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn try_take(dir: &Path, sharing: llb::CacheSharing) -> Result<Option<InUse>> {
    let path = dir.join(LOCK);
    let lock = match File::open(&path) {
        Ok(lock) => lock,
        // Pruned meanwhile.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("open", path)(e)),
    };
    let how = match sharing {
        llb::CacheSharing::Shared => FlockOperation::NonBlockingLockShared,
        llb::CacheSharing::Private | llb::CacheSharing::Locked => FlockOperation::NonBlockingLockExclusive,
    };
    match flock(&lock, how) {
        Ok(()) if path.exists() => {
            // What was not used for long is pruned first; where the time cannot be set, that is the only harm.
            let _ = lock.set_modified(std::time::SystemTime::now());
            Ok(Some(InUse { content: dir.join(CONTENT), _lock: lock }))
        }
        Ok(()) | Err(Errno::WOULDBLOCK) => Ok(None),
        Err(e) => Err(Error::io("lock", path)(e.into())),
    }
}

/// The directories one process uses, each taken once: a process that mounts one twice must not wait for itself.
#[derive(Default)]
pub(super) struct Taken(BTreeMap<String, InUse>);

impl Taken {
    /// Path of a directory, taken now or before.
    pub(super) fn path(
        &mut self,
        caches: &Caches<'_>,
        wanted: Wanted<'_>,
        snapshots: &dyn Snapshots,
        cancel: &Cancel,
    ) -> Result<PathBuf> {
        let key = key(wanted);
        if !self.0.contains_key(&key) {
            self.0.insert(key.clone(), caches.take(wanted, snapshots, cancel)?);
        }
        Ok(self.0[&key].path().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use llb::CacheSharing::{Locked, Private, Shared};

    use super::*;
    use crate::snapshot::Scripted;

    fn with_caches(check: impl FnOnce(&dyn Fn(llb::CacheSharing) -> InUse, &Caches<'_>)) {
        let temp = tempfile::tempdir().unwrap();
        let store = Store::open(temp.path().join("store")).unwrap();
        let snapshots = Scripted::new(temp.path()).unwrap();
        let caches = Caches::new(&store);
        let take = |sharing| {
            let wanted = Wanted { id: "/root/.cache", start: None, sharing };
            caches.take(wanted, &snapshots, &Cancel::default()).unwrap()
        };
        check(&take, &caches);
    }

    #[test]
    fn shared_users_share_and_find_it_again() {
        with_caches(|take, _| {
            let (one, two) = (take(Shared), take(Shared));
            assert_eq!(one.path(), two.path());
            let path = one.path().to_owned();
            drop((one, two));
            assert_eq!(take(Locked).path(), path);
        });
    }

    #[test]
    fn private_users_get_their_own() {
        with_caches(|take, _| {
            let (one, two) = (take(Private), take(Private));
            assert_ne!(one.path(), two.path());
            let first = one.path().to_owned();
            drop(one);
            assert_eq!(take(Private).path(), first);
        });
    }

    #[test]
    fn locked_users_wait() {
        with_caches(|take, _| {
            let held = take(Locked);
            let path = held.path().to_owned();
            let waiter = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(60));
                drop(held);
            });
            assert_eq!(take(Locked).path(), path);
            waiter.join().unwrap();
        });
    }

    #[test]
    fn a_waiting_user_can_be_cancelled() {
        with_caches(|take, caches| {
            let _held = take(Locked);
            let snapshots = Scripted::new(&caches.store.root().join("tmp")).unwrap();
            let cancel = Cancel::default();
            cancel.cancel();
            let wanted = Wanted { id: "/root/.cache", start: None, sharing: Locked };
            assert!(matches!(caches.take(wanted, &snapshots, &cancel), Err(Error::Cancelled)));
        });
    }

    #[test]
    fn pruning_empties_what_is_free() {
        with_caches(|take, caches| {
            let (free, held) = (take(Private), take(Private));
            for cache in [&free, &held] {
                fs::write(cache.path().join("x"), "").unwrap();
            }
            drop(free);
            caches.prune(Wanted { id: "/root/.cache", start: None, sharing: Shared }).unwrap();
            assert!(held.path().join("x").exists());
            assert!(!take(Private).path().join("x").exists());
        });
    }
}
