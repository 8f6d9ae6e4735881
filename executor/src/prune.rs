//! What a store holds, and how it becomes less.
//!
//! Everything that can be made or fetched again is a [`Record`]: layers with their blobs, blobs nobody refers to, cache
//! mounts, git repositories. Images with a name are no cache: their blobs stay, and unless all is asked for their layers
//! too. Records that were not used for longest go first, those that others stand on last.
//!
//! A build holds the store's lock shared ([`crate::store::Store::in_use`]) and pruning holds it alone, so that nothing
//! goes that a build found: pruning waits for builds, and the one that runs after each build lets it be when others run.
//! The lock is held while names are taken away; bytes are removed after it.
//!
//! parity: BuildKit v0.32, cache/manager.go: kinds of records, what the limits mean.

mod filter;
mod policy;
mod records;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::snapshot::{Snapshots, copied};
use crate::store::{Store, TempPath, keep_reserve};
use crate::{Cancel, Error, Result};

pub use filter::{Filter, duration};
pub use policy::{Amount, Limits, Policy};
pub use records::{Kind, Record, Usage, usage};

/// How often the store is looked at after a build; and when the disk is short of space. Looking takes longer than a build
/// of which all is cached, and what was just left is not worth less a moment later.
const LOOK_EVERY: Duration = Duration::from_secs(3600);
const LOOK_WHEN_SHORT: Duration = Duration::from_secs(60);
/// How many records are removed at once where the database cannot grow by all of them.
const AT_ONCE: usize = 16;
/// File whose time says when that was last done. It holds how many bytes were free afterwards.
const LOOKED: &str = "gc";

/// What is pruned.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Whether layers of named images go, too: they are unpacked again when they are needed.
    pub all: bool,
    /// Which records; any of these.
    pub filters: Vec<Filter>,
    /// Records that were used within this time stay.
    pub keep_duration: Duration,
    /// How far it goes; unlimited removes all there is.
    pub limits: Limits,
}

/// Removes records, waiting for builds that use the store. **Shape**: what was removed, in the order it was.
pub fn prune(store: &Store, snapshots: &dyn Snapshots, request: &Request, cancel: &Cancel) -> Result<Vec<Record>> {
    let alone = store.alone(cancel)?;
    let (removed, trash) = prune_alone(store, snapshots, request)?;
    drop(alone);
    // Only now, since it takes long: nobody finds it any more.
    drop(trash);
    keep_reserve(store);
    Ok(removed)
}

/// What a build does at its end: prunes by the policy when it is time and nobody else uses the store.
pub fn collect(store: &Store, snapshots: &dyn Snapshots, policy: &Policy) -> Result<Vec<Record>> {
    if !is_due(store.root(), policy)? {
        return Ok(Vec::new());
    }
    let Some(alone) = store.try_alone()? else { return Ok(Vec::new()) };
    let looked = store.root().join(LOOKED);
    File::create(&looked).map_err(Error::io("write", &looked))?;
    let request = Request { limits: policy.limits(store.root())?, ..Request::default() };
    let (removed, trash) = prune_alone(store, snapshots, &request)?;
    drop((alone, trash));
    keep_reserve(store);
    // On a disk that is still full the time alone has to do.
    let _ = fs::write(&looked, policy::free(store.root())?.to_string());
    Ok(removed)
}

/// Whether it is time to look at the store in a directory, which need not be opened for it. On a disk that is short of
/// space it is, too, when an eighth of what was free has been used since.
pub fn is_due(root: &Path, policy: &Policy) -> Result<bool> {
    let looked = root.join(LOOKED);
    let time = fs::metadata(&looked).and_then(|meta| meta.modified());
    // A clock that was set back since says nothing.
    let Some(age) = time.ok().and_then(|time| time.elapsed().ok()) else { return Ok(true) };
    let free = policy::free(root)?;
    if free >= policy.limits(root)?.min_free {
        return Ok(age >= LOOK_EVERY);
    }
    let was_free: u64 = fs::read_to_string(looked).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    Ok(age >= LOOK_WHEN_SHORT || free < was_free - was_free / 8)
}

fn prune_alone(store: &Store, snapshots: &dyn Snapshots, request: &Request) -> Result<(Vec<Record>, Vec<TempPath>)> {
    let usage = usage(store, snapshots)?;
    let now = SystemTime::now();
    let mut left = usage.limited(request.all);
    let keep = request.limits.keep(left, policy::free(store.root())?);
    let mut chosen = Vec::new();
    for record in usage.records {
        if keep.is_some_and(|keep| left <= keep) {
            break;
        }
        let age = now.duration_since(record.last_used).unwrap_or_default();
        let young = !request.keep_duration.is_zero() && age < request.keep_duration;
        let wanted = request.filters.is_empty() || request.filters.iter().any(|filter| filter.matches(&record, age));
        if young || !wanted || (record.shared && !request.all) {
            continue;
        }
        left -= record.size;
        chosen.push(record);
    }
    let trash = match remove(store, snapshots, &chosen) {
        // A few at a time: each makes room for the next.
        Err(error) if error.is_full() => {
            chosen.chunks(AT_ONCE).try_for_each(|few| remove(store, snapshots, few).map(drop))?;
            Vec::new()
        }
        done => done?,
    };
    copied::sweep(store.root(), snapshots);
    Ok((chosen, trash))
}

/// Takes the names of records away; what they named is removed when the returned paths are dropped. Records that are gone
/// are no error.
fn remove(store: &Store, snapshots: &dyn Snapshots, records: &[Record]) -> Result<Vec<TempPath>> {
    let layers: BTreeSet<&str> =
        records.iter().filter(|record| record.layer.is_some()).map(|record| &*record.id).collect();
    // First the names: a name without a thing would be found, a thing without a name is only in the way.
    store.forget_layers(&layers)?;
    let mut trash = Vec::new();
    for record in records {
        if let Some(id) = &record.layer {
            snapshots.remove(id)?;
        }
        for blob in &record.blobs {
            store.blobs().remove(blob)?;
        }
        if let Some(path) = &record.path {
            let aside = store.temp().path("pruned")?;
            match fs::rename(path, aside.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io("remove", path)(error)),
                _ => trash.push(aside),
            }
        }
    }
    Ok(trash)
}
