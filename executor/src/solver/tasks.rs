//! What a thread does for one action: pin, compare, run.

use std::sync::Arc;

use oci::{Digest, Platform};

use super::driver::Build;
use super::vertices::Step;
use crate::cache::{self, Selector};
use crate::ops::{self, Ran};
use crate::snapshot::Committed;
use crate::sources::{self, Key, Pinned};
use crate::{Cancel, Result, progress};

/// What a task works with.
#[derive(Clone)]
pub(super) struct Job<'a> {
    pub(super) build: &'a Build<'a>,
    pub(super) step: Arc<Step>,
    pub(super) cancel: Cancel,
}

impl Job<'_> {
    /// Pins a source, unless it is, and computes its key at `index`.
    pub(super) fn pin(&self, pinned: Option<Arc<dyn Pinned>>, index: usize) -> Result<(Arc<dyn Pinned>, Option<Key>)> {
        let llb::Op::Source(source) = &self.step.node.op else { unreachable!("only sources are pinned") };
        self.with_source(|context| {
            let pinned = match pinned {
                Some(pinned) => pinned,
                None => Arc::from(sources::find(&source.identifier)?.pin(source, self.platform(), context)?),
            };
            let key = pinned.key(index, context)?;
            Ok((pinned, key))
        })
    }

    /// Fetches what a source is pinned to.
    pub(super) fn fetch(&self, pinned: &dyn Pinned) -> Result<Ran> {
        let tree = self.with_source(|context| pinned.fetch(context))?;
        self.build.fetching.shown_at(&tree, &self.step.digest);
        Ok(Ran::Outputs(vec![tree]))
    }

    /// Computes the digest of what is selected of an input.
    pub(super) fn compare(&self, tree: &Committed, selectors: &[Selector]) -> Result<Digest> {
        if tree.layers.is_empty() {
            return cache::content_hash::digest_of_nothing(selectors);
        }
        self.fetch_files(std::slice::from_ref(tree), true)?;
        let files = sources::local::files(tree, self.build.snapshots, self.build.session)?;
        cache::content_hash::digest(&files, selectors, &self.cancel)
    }

    /// Runs a vertex that is no source.
    pub(super) fn run(&self, inputs: &[Committed]) -> Result<Ran> {
        let node = &self.step.node;
        self.cancel.check()?;
        if ops::needs_files(&node.op, inputs) {
            self.fetch_files(inputs, matches!(node.op, llb::Op::File(_)))?;
        }
        let Build { store, snapshots, runtime, session, allow, devices, network, failures, .. } = *self.build;
        let progress = &self.progress();
        let cancel = &self.cancel;
        let context = ops::Context {
            store,
            snapshots,
            runtime,
            session,
            allow,
            devices,
            network,
            node,
            progress,
            failures,
            cancel,
        };
        ops::run(inputs, context)
    }

    /// Makes sure that the files of trees can be read; directories of the user's are read where they are if `in_place`.
    fn fetch_files(&self, trees: &[Committed], in_place: bool) -> Result<()> {
        let elsewhere = trees.iter().filter(|tree| !(in_place && sources::local::is_local(tree)));
        let elsewhere: Vec<Committed> = elsewhere.cloned().collect();
        self.with_source(|context| self.build.fetching.materialise(&elsewhere, context))
    }

    fn with_source<T>(&self, act: impl FnOnce(sources::Context<'_>) -> Result<T>) -> Result<T> {
        let Build { store, snapshots, session, .. } = *self.build;
        let progress = &self.progress();
        act(sources::Context { store, snapshots, session, progress, cancel: &self.cancel })
    }

    fn platform(&self) -> &Platform {
        self.step.node.platform.as_deref().unwrap_or(self.build.host)
    }

    fn progress(&self) -> progress::Vertex<'_> {
        progress::Vertex { sink: self.build.sink, digest: self.step.digest.clone() }
    }
}
