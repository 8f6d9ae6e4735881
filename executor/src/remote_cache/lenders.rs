//! The caches that others lend for a build, each read once.

use std::sync::{Arc, Mutex};

use oci::Digest;

use super::entry::Import;
use super::read::{Blob, Remote, read};
use crate::cache::Lent;
use crate::layer::{TOC_DIGEST, UNCOMPRESSED};
use crate::sources::Context;
use crate::store::Layer;
use crate::{Error, Result};

/// What was found in the caches that a build may look in.
#[derive(Debug, Default)]
pub struct Lenders {
    /// Nothing of one that could not be had.
    known: Mutex<Vec<(Import, Vec<Arc<Lent>>)>>,
    /// Those that a frontend named.
    more: Mutex<Vec<Import>>,
}

impl Lenders {
    /// Adds a cache to those that are looked in.
    pub(crate) fn add(&self, import: Import) {
        let mut more = self.more.lock().expect("no panic while it is held");
        if !more.contains(&import) {
            more.push(import);
        }
    }

    /// What is lent, read by `read` where it is not known. `from` are no two alike, and none that was [added](Self::add).
    /// Whoever reads says what goes wrong: a build does without.
    pub(crate) fn borrow(
        &self,
        from: &[Import],
        read: impl Fn(&Import) -> Result<Vec<Arc<Lent>>> + Sync,
    ) -> Vec<Arc<Lent>> {
        let more = self.more.lock().expect("no panic while it is held").clone();
        let from: Vec<&Import> = from.iter().chain(&more).collect();
        if from.is_empty() {
            return Vec::new();
        }
        let mut known = self.known.lock().expect("reading does not panic");
        let is_known = |import: &&&Import| known.iter().any(|(other, _)| *other == ***import);
        let news: Vec<&Import> = from.iter().filter(|import| !is_known(import)).copied().collect();
        let read = &read;
        let found: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = news.into_iter().map(|import| (import, scope.spawn(move || read(import)))).collect();
            let ended = threads.into_iter().map(|(import, thread)| {
                (import.clone(), thread.join().expect("reading does not panic").unwrap_or_default())
            });
            ended.collect()
        });
        known.extend(found);
        let of_import = |import: &Import| known.iter().find(|(other, _)| other == import).map(|(_, lent)| lent.clone());
        from.into_iter().filter_map(of_import).flatten().collect()
    }
}

/// Reads what a cache lends.
///
/// **Errors**: it is not there, or is none.
pub fn lent(import: &Import, context: Context<'_>) -> Result<Vec<Arc<Lent>>> {
    read(import, context)?.iter().map(|remote| of_remote(import, remote).map(Arc::new)).collect()
}

fn of_remote(import: &Import, Remote { config, blobs }: &Remote) -> Result<Lent> {
    let layer = |digest: &Digest| blobs.iter().find(|blob| blob.descriptor.digest == *digest).and_then(known);
    let layers: Vec<_> = config.layers.iter().map(|of_config| layer(&of_config.blob)).collect();
    Lent::new(config, &layers).map_err(|error| Error::Invalid(format!("the cache {import}: {error}")))
}

/// What the store is told of a layer; nothing of one that does not say what its files are.
fn known(blob: &Blob) -> Option<Layer> {
    let diff_id = blob.diff_id.clone()?;
    let mut descriptor = blob.descriptor.clone();
    // In the store it says that the digest is not the layer's.
    if !descriptor.annotations.contains_key(TOC_DIGEST) {
        descriptor.annotations.remove(UNCOMPRESSED);
    }
    Some(Layer { diff_id: Some(diff_id), blobs: vec![descriptor], origins: vec![blob.origin.clone()] })
}
