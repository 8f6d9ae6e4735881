//! Gets the layers of trees that are known but elsewhere: all at once, each once however many ask for it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::SystemTime;

use oci::Digest;

use super::{Context, find};
use crate::progress::{self, Event};
use crate::snapshot::{Committed, LayerId};
use crate::{Error, Result};

/// Layers fetched at once for one asker: registries answer a few requests in parallel well, many badly.
const AT_ONCE: usize = 4;

/// Layers that are being fetched.
#[derive(Default)]
pub struct Fetching {
    running: Mutex<BTreeSet<LayerId>>,
    ended: Condvar,
    /// The vertices that layers come from, where their progress is shown.
    shown_at: Mutex<HashMap<LayerId, Digest>>,
    /// How many layers are being fetched for each of them.
    working: Mutex<HashMap<Digest, usize>>,
}

impl Fetching {
    /// Makes sure that the files of trees are on this machine.
    pub fn materialise(&self, trees: &[Committed], context: Context<'_>) -> Result<()> {
        let missing: BTreeSet<&LayerId> =
            trees.iter().flat_map(|tree| &tree.layers).filter(|id| !context.snapshots.has(id)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let queue = Mutex::new(missing.into_iter());
        let next = || queue.lock().expect("no panic while the queue is held").next();
        let fetch_all = || {
            while let Some(id) = next() {
                context.cancel.check()?;
                self.fetch(id, context)?;
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(fetch_all)).collect();
            let ended = threads.into_iter().map(|thread| thread.join().expect("fetching does not panic"));
            ended.collect::<Vec<_>>().into_iter().collect()
        })
    }

    /// Shows the progress of fetching the layers of a tree at the vertex they come from, whoever asks for them.
    pub fn shown_at(&self, tree: &Committed, vertex: &Digest) {
        let mut shown_at = self.shown_at.lock().expect("no panic while the map is held");
        shown_at.extend(tree.layers.iter().map(|id| (id.clone(), vertex.clone())));
    }

    fn fetch(&self, id: &LayerId, context: Context<'_>) -> Result<()> {
        let _turn = self.wait_for_turn(id);
        if context.snapshots.has(id) {
            return Ok(());
        }
        if super::local::make_layer(id, context.snapshots, context.session, context.cancel)? {
            return Ok(());
        }
        let digest = self.shown_at.lock().expect("no panic while the map is held").get(id).cloned();
        let Some(digest) = digest else { return fetch_from(id, context) };
        let progress = &progress::Vertex { sink: context.progress.sink, digest };
        self.during(progress, || fetch_from(id, Context { progress, ..context }))
    }

    /// Does work of a vertex that has ended before: it is shown as going on, until all such work of it has ended.
    fn during(&self, vertex: &progress::Vertex<'_>, work: impl FnOnce() -> Result<()>) -> Result<()> {
        let digest = || vertex.digest.clone();
        let mut working = self.working.lock().expect("no panic while the map is held");
        let count = working.entry(digest()).or_default();
        if *count == 0 {
            vertex.sink.event(Event::Started { digest: digest(), at: SystemTime::now() });
        }
        *count += 1;
        drop(working);
        let done = work();
        let mut working = self.working.lock().expect("no panic while the map is held");
        let count = working.entry(digest()).or_default();
        *count -= 1;
        if *count == 0 {
            let error = done.as_ref().err().map(ToString::to_string);
            vertex.sink.event(Event::Completed { digest: digest(), at: SystemTime::now(), cached: false, error });
        }
        done
    }

    fn wait_for_turn(&self, id: &LayerId) -> Turn<'_> {
        let mut running = self.running();
        while running.contains(id) {
            running = self.ended.wait(running).expect("no panic while the set is held");
        }
        running.insert(id.clone());
        Turn { fetching: self, id: id.clone() }
    }

    fn running(&self) -> MutexGuard<'_, BTreeSet<LayerId>> {
        self.running.lock().expect("no panic while the set is held")
    }
}

/// Gets a layer from the first of its origins that has it.
fn fetch_from(id: &LayerId, context: Context<'_>) -> Result<()> {
    let known = context.store.layer(&id.0)?;
    let mut failure = None;
    for origin in &known.origins {
        match find(origin).and_then(|source| source.layer(id, origin, context)) {
            Ok(()) => return Ok(()),
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(error) => failure = Some(error),
        }
    }
    Err(failure.unwrap_or_else(|| Error::NotFound(format!("layer {} is lost: nothing says where it came from", id.0))))
}

/// The right to fetch a layer.
struct Turn<'a> {
    fetching: &'a Fetching,
    id: LayerId,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.fetching.running().remove(&self.id);
        self.fetching.ended.notify_all();
    }
}
