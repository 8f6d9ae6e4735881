//! Packing while the build goes on: layers of the tree that will be exported, as soon as the step that made them is done.
//!
//! It is the export's work, begun early: the same function packs the same layers in the same way, so nothing is packed that
//! the export would not pack, and whatever fails fails again in the export. It gives way to the build ([`Pace`]), and it
//! fetches nothing: layers that are elsewhere are left to the export.

use std::cell::Cell;
use std::thread::Scope;

use super::layers::{self, Wanted};
use super::parts::Parts;
use super::{Context, attrs, image, load};
use crate::exporters::Kind;
use crate::host::processors;
use crate::layer::Pace;
use crate::snapshot::Committed;
use crate::{Output, Result};

/// The threads that pack ahead, as many as there are processors, started when there is something to do.
pub(crate) struct Ahead<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    context: Context<'env>,
    wanted: &'env [Wanted],
    threads: Cell<usize>,
}

/// How packing ahead shares the processors; without anything wanted there is nothing to share.
pub(crate) fn pace(wanted: &[Wanted]) -> Pace {
    if wanted.is_empty() { Pace::at_once() } else { Pace::yielding() }
}

/// How outputs want layers, each way once.
pub(crate) fn wanted(outputs: &[Output], epoch: Option<i64>) -> Result<Vec<Wanted>> {
    let mut all = Vec::new();
    for output in outputs {
        all.extend(wanted_by(output, epoch)?.filter(|wanted| !all.contains(wanted)));
    }
    Ok(all)
}

/// How an output wants layers; trees have none.
fn wanted_by(output: &Output, epoch: Option<i64>) -> Result<Option<Wanted>> {
    let attrs = || attrs::ImageAttrs::parse(output.kind, &output.attrs, epoch);
    Ok(match output.kind {
        Kind::CacheOnly | Kind::Tar | Kind::Local => None,
        Kind::Image => {
            let attrs = attrs()?;
            Some(Wanted::new(&attrs, image::keeps(&attrs)))
        }
        Kind::Oci | Kind::Docker => Some(Wanted::passing(&attrs()?)),
        Kind::Load => Some(Wanted::passing(&load::for_engine(attrs()?))),
    })
}

impl<'scope, 'env> Ahead<'scope, 'env> {
    /// Nothing to pack yet.
    pub(crate) fn new(scope: &'scope Scope<'scope, 'env>, wanted: &'env [Wanted], context: Context<'env>) -> Self {
        Self { scope, context, wanted, threads: Cell::new(0) }
    }

    /// A tree is made whose layers will all be exported.
    pub(crate) fn made(&self, tree: &Committed) {
        if self.wanted.is_empty() {
            return;
        }
        for layer in Parts::of(tree, self.context.snapshots) {
            for wanted in self.wanted {
                if self.context.packs.add(&layer, *wanted) {
                    self.start();
                }
            }
        }
    }

    fn start(&self) {
        if self.threads.get() < processors() {
            self.threads.set(self.threads.get() + 1);
            let context = self.context;
            self.scope.spawn(move || {
                while let Some((layer, wanted)) = context.packs.next() {
                    layers::pack_ahead(&layer, wanted, context);
                }
            });
        }
    }
}

impl Drop for Ahead<'_, '_> {
    fn drop(&mut self) {
        self.context.packs.close();
    }
}
