//! Layers as blobs, each packed once, whoever asks first: a thread ahead of the export, or the export.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard};

use oci::Digest;

use super::layers::{LayerBlob, Tar, Wanted};
use super::parts::Parts;
use crate::Result;
use crate::layer::Pace;

/// A layer, and how it is wanted.
type Key = (Parts, Wanted);

/// What is packed, is being packed, and is to be packed ahead of the export.
pub struct Packs {
    state: Mutex<State>,
    changed: Condvar,
    /// Blobs that are nowhere: they are written from the files of their layers.
    tars: Mutex<BTreeMap<Digest, Tar>>,
    pace: Pace,
}

#[derive(Default)]
struct State {
    /// To be packed ahead, in the order they were made.
    queue: VecDeque<Key>,
    /// What was ever in the queue.
    seen: BTreeSet<Key>,
    packs: BTreeMap<Key, Pack>,
    /// Nothing more is begun ahead.
    closed: bool,
}

enum Pack {
    Running,
    Done(Box<LayerBlob>),
}

impl Packs {
    /// None yet.
    pub(crate) fn new(pace: Pace) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), tars: Mutex::default(), pace }
    }

    /// How packing shares the processors.
    pub(super) fn pace(&self) -> &Pace {
        &self.pace
    }

    /// Keeps what a blob is written from.
    pub(super) fn put_tar(&self, digest: Digest, tar: Tar) {
        self.tars.lock().expect("no panic while it is held").insert(digest, tar);
    }

    /// What a blob is written from; `None` when it is in the store.
    pub(super) fn tar(&self, digest: &Digest) -> Option<Tar> {
        self.tars.lock().expect("no panic while it is held").get(digest).cloned()
    }

    /// The build is over: what is not begun is left to the export, and what is begun hurries.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
        self.pace.hurry();
    }

    /// Adds a layer to those that are packed ahead; `false` when it was added before.
    pub(super) fn add(&self, layer: &Parts, wanted: Wanted) -> bool {
        let key = (layer.clone(), wanted);
        let mut state = self.state();
        let is_new = !state.closed && state.seen.insert(key.clone());
        if is_new {
            state.queue.push_back(key);
            self.changed.notify_all();
        }
        is_new
    }

    /// The next layer to pack ahead; waits for one. `None`: there will be no more.
    pub(super) fn next(&self) -> Option<Key> {
        let waits = |state: &mut State| state.queue.is_empty() && !state.closed;
        let mut state = self.changed.wait_while(self.state(), waits).expect("no panic while it is held");
        if state.closed { None } else { state.queue.pop_front() }
    }

    /// A layer as a blob: packed by `pack`, unless somebody did. When somebody else tries and fails, it is tried again: so
    /// what goes wrong ahead of the export is the export's failure, and nobody else's.
    pub(super) fn get(
        &self,
        layer: &Parts,
        wanted: Wanted,
        pack: impl FnOnce() -> Result<LayerBlob>,
    ) -> Result<LayerBlob> {
        let key = (layer.clone(), wanted);
        let waits = |state: &mut State| matches!(state.packs.get(&key), Some(Pack::Running));
        let mut state = self.changed.wait_while(self.state(), waits).expect("no panic while it is held");
        if let Some(Pack::Done(blob)) = state.packs.get(&key) {
            return Ok(LayerBlob::clone(blob));
        }
        state.packs.insert(key.clone(), Pack::Running);
        drop(state);
        let mut turn = Turn { packs: self, key, done: None };
        let blob = pack()?;
        turn.done = Some(blob.clone());
        Ok(blob)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while it is held")
    }
}

/// The right to pack a layer; whatever becomes of it, those who wait go on.
struct Turn<'a> {
    packs: &'a Packs,
    key: Key,
    done: Option<LayerBlob>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.packs.state();
        match self.done.take() {
            Some(blob) => drop(state.packs.insert(self.key.clone(), Pack::Done(Box::new(blob)))),
            None => drop(state.packs.remove(&self.key)),
        }
        drop(state);
        self.packs.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use oci::{Descriptor, Digest, media};

    use super::*;
    use crate::Error;
    use crate::snapshot::LayerId;

    fn id(name: &str) -> Parts {
        Parts::from(LayerId(name.into()))
    }

    fn blob(text: &str) -> LayerBlob {
        let blob = Descriptor::of(media::OCI_LAYER, text.as_bytes());
        LayerBlob { diff_id: Digest::sha256(b""), blob, created: None, made_by: None }
    }

    fn size(got: Result<LayerBlob>) -> u64 {
        got.unwrap().blob.size
    }

    #[test]
    fn who_comes_second_waits_and_takes_what_the_first_made() {
        let packs = Packs::new(Pace::at_once());
        let (begun, has_begun) = channel();
        std::thread::scope(|scope| {
            let packs = &packs;
            let first = scope.spawn(move || {
                packs.get(&id("a"), Wanted::default(), || {
                    begun.send(()).unwrap();
                    // The second is on its way to wait for this.
                    std::thread::yield_now();
                    Ok(blob("x"))
                })
            });
            has_begun.recv().unwrap();
            assert_eq!(size(packs.get(&id("a"), Wanted::default(), || unreachable!())), 1);
            assert_eq!(size(first.join().unwrap()), 1);
        });
        assert_eq!(size(packs.get(&id("b"), Wanted::default(), || Ok(blob("xy")))), 2);
    }

    #[test]
    fn what_failed_or_panicked_is_tried_again() {
        let packs = Packs::new(Pace::at_once());
        let failed = packs.get(&id("a"), Wanted::default(), || Err(Error::NotFound("it".into())));
        assert!(failed.is_err());
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            packs.get(&id("a"), Wanted::default(), || panic!("on purpose"))
        }));
        assert!(panicked.is_err());
        assert_eq!(size(packs.get(&id("a"), Wanted::default(), || Ok(blob("x")))), 1);
    }

    #[test]
    fn the_queue_gives_each_once_until_it_is_closed() {
        let packs = Packs::new(Pace::at_once());
        let wanted = Wanted::default();
        let added = ["a", "b", "a"].map(|name| packs.add(&id(name), wanted));
        assert_eq!(added, [true, true, false]);
        assert_eq!(packs.next(), Some((id("a"), wanted)));
        packs.close();
        assert_eq!((packs.next(), packs.add(&id("c"), wanted)), (None, false));
    }
}
