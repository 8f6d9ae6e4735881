//! The layers of a tree as blobs: those that exist are taken, the others are written, several at once.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::Mutex;

use oci::{Descriptor, Digest, Time};

use super::attrs::ImageAttrs;
use super::parts::Parts;
use super::{Built, Context, Made};
use crate::host::processors;
use crate::layer::{
    CREATED, Clamp, Compression, Packed, Packing, UNCOMPRESSED, compressor, decompress, measure, pack, write_diff,
};
use crate::progress::Event;
use crate::snapshot::{Committed, LayerId};
use crate::sources::Remote;
use crate::store::Layer;
use crate::{Cancel, Error, Result};

/// Annotation, in the store alone, of a blob that was converted from another.
pub(super) const CONVERTED: &str = "llbc/converted";

/// A layer of an image.
#[derive(Clone, Debug)]
pub(super) struct LayerBlob {
    /// Digest of its tar.
    pub(super) diff_id: Digest,
    /// Its blob; the media type may be of either family.
    pub(super) blob: Descriptor,
    /// When it was made.
    pub(super) created: Option<Time>,
    /// What made it.
    pub(super) made_by: Option<String>,
}

/// How layers are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wanted {
    compression: Compression,
    or_gzip: bool,
    force: bool,
    /// Latest time in layers that a build made.
    clamp: Clamp,
    /// Whether the bytes of all blobs must be here.
    complete: bool,
    /// Whether tars need not be in the store: they are written once, from the files ([`Tar`]).
    passing: bool,
}

/// A layer as a blob that is nowhere.
#[derive(Clone, Debug)]
pub(super) struct Tar {
    layer: Parts,
    clamp: Clamp,
}

impl Tar {
    /// Writes it. Layers never change, so that the bytes are those it was measured by.
    pub(super) fn write<W: Write>(&self, out: &mut W, context: Context<'_>) -> Result<()> {
        let (dirs, contents) = self.layer.read(context.snapshots)?;
        // What was to be said of it was, when it was measured.
        write_diff(&dirs, &contents, self.clamp, out, context.cancel).map(drop)
    }
}

impl Wanted {
    /// What attributes ask for.
    pub(super) fn new(attrs: &ImageAttrs, complete: bool) -> Self {
        let clamp = Clamp(attrs.epoch.filter(|_| attrs.rewrite_timestamp));
        let (compression, or_gzip) = (attrs.compression, attrs.or_gzip);
        Self { compression, or_gzip, force: attrs.force_compression, clamp, complete, passing: false }
    }

    /// How a cache is lent: its layers as they are, times and all. `complete`: whether the bytes of all of them must be here.
    pub(crate) fn of_cache(compression: Compression, force: bool, complete: bool) -> Self {
        Self { compression, force, complete, ..Self::default() }
    }

    /// Whether a blob is compressed as wanted.
    fn is_compressed_so(self, blob: &Descriptor) -> bool {
        self.compression.is_of(blob) || (self.or_gzip && Compression::Default.is_of(blob))
    }

    /// Whether a blob of an image will do: it stays as it came unless its compression is forced.
    fn will_do(self, blob: &Descriptor) -> bool {
        !self.force || self.is_compressed_so(blob)
    }

    /// The same for what is written out at once: all is needed, but it need not be kept.
    pub(super) fn passing(attrs: &ImageAttrs) -> Self {
        Self { passing: attrs.compression == Compression::Uncompressed, ..Self::new(attrs, true) }
    }
}

/// A tree, and where each of its layers is from, as far as that is known.
#[derive(Clone, Copy)]
pub(super) struct Layered<'a> {
    pub(super) tree: &'a Committed,
    pub(super) made: &'a [Made],
}

impl<'a> From<&'a Built> for Layered<'a> {
    fn from(built: &'a Built) -> Self {
        Self { tree: &built.tree, made: &built.made }
    }
}

/// Makes sure that the layers of trees are blobs. **Shape**: for each tree its layers, lowest first.
pub(super) fn blobs<'a>(
    trees: impl IntoIterator<Item = impl Into<Layered<'a>>>,
    wanted: Wanted,
    context: Context<'_>,
) -> Result<Vec<Vec<LayerBlob>>> {
    let layers: Vec<_> = trees.into_iter().map(|tree| parts(tree.into(), context)).collect();
    let distinct: BTreeMap<Key, &Part<'_>> = layers.iter().flatten().map(|part| (part.key(), part)).collect();
    let queue = Mutex::new(distinct.into_iter());
    let done = Mutex::new(BTreeMap::new());
    let work = || -> Result<()> {
        loop {
            let next = queue.lock().expect("no panic while it is held").next();
            let Some((key, part)) = next else { return Ok(()) };
            context.cancel.check()?;
            let blob = match of_image(part, wanted, context)? {
                Some(blob) => blob,
                None => blob(&part.layer, wanted, context)?,
            };
            done.lock().expect("no panic while it is held").insert(key, blob);
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..processors()).map(|_| scope.spawn(work)).collect();
        let ended = workers.into_iter().map(|worker| worker.join().expect("packing does not panic"));
        ended.collect::<Vec<_>>().into_iter().collect::<Result<()>>()
    })?;
    let done = done.into_inner().expect("no panic while it was held");
    layers.iter().map(|parts| described(parts, &done, context)).collect()
}

/// A layer of a result.
struct Part<'a> {
    layer: Parts,
    made: Option<&'a Made>,
}

/// A layer, and the blob that an image has it as.
type Key = (Parts, Option<Digest>);

impl Part<'_> {
    fn remote(&self) -> Option<&Remote> {
        self.made?.of_image.as_ref()
    }

    fn key(&self) -> Key {
        (self.layer.clone(), self.remote().map(|remote| remote.blob.digest.clone()))
    }
}

/// The layers of a tree, lowest first.
fn parts<'a>(Layered { tree, made }: Layered<'a>, context: Context<'_>) -> Vec<Part<'a>> {
    let layers = Parts::of(tree, context.snapshots).into_iter().scan(0, |end, layer| {
        *end += layer.count();
        Some(Part { made: made.get(*end - 1), layer })
    });
    layers.collect()
}

/// The layers of a tree, lowest first, if all of them are blobs.
pub(super) fn existing(tree: &Committed, wanted: Wanted, context: Context<'_>) -> Result<Option<Vec<LayerBlob>>> {
    let mut blobs = Vec::new();
    for layer in Parts::of(tree, context.snapshots) {
        let known = known(&layer, context)?;
        let chosen = choose(&known, wanted, is_of_image(&layer, &known), context)?;
        let (Some(blob), Some(diff_id)) = (chosen, known.diff_id) else { return Ok(None) };
        blobs.push(taken(&layer, blob, diff_id, context));
    }
    Ok(Some(blobs))
}

/// The blob that the image has which this build's definition names, if it will do: another image's of the same files may be
/// in the store, too. `None` when it cannot be had, and another must do.
fn of_image(part: &Part<'_>, wanted: Wanted, context: Context<'_>) -> Result<Option<LayerBlob>> {
    let Some(remote) = part.remote().filter(|remote| wanted.will_do(&remote.blob)) else { return Ok(None) };
    let diff_id = remote.diff_id.clone();
    if *part.layer.top() != LayerId::of_diff_id(&diff_id) {
        return Ok(None);
    }
    let layer = Layer {
        diff_id: Some(diff_id.clone()),
        blobs: vec![remote.blob.clone()],
        origins: vec![remote.origin.clone()],
    };
    context.store.put_layer(&part.layer.top().0, &layer)?;
    if wanted.complete {
        match remote.fetch(context.sources) {
            Ok(()) => {}
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(_) => return Ok(None),
        }
    }
    Ok(Some(taken(&part.layer, remote.blob.clone(), diff_id, context)))
}

/// Blobs of layers with what made them, which is known when the build is over, and not when a layer is packed.
fn described(parts: &[Part<'_>], blobs: &BTreeMap<Key, LayerBlob>, context: Context<'_>) -> Result<Vec<LayerBlob>> {
    let described = parts.iter().map(|part| {
        let made_by = match part.made {
            Some(made) => Some(made.by.clone()),
            None => context.store.made_by(&[&part.layer.top().0])?.pop().flatten(),
        };
        Ok(LayerBlob { made_by, ..blobs[&part.key()].clone() })
    });
    described.collect()
}

/// Packs a layer that the export will ask for, if it is here. Failures are the export's, which tries again.
pub(super) fn pack_ahead(layer: &Parts, wanted: Wanted, context: Context<'_>) {
    let Ok(known) = known(layer, context) else { return };
    let is_here = match is_of_image(layer, &known) {
        true => {
            wanted.force
                && known.blobs.iter().any(|blob| matches!(context.store.blobs().size(&blob.digest), Ok(Some(_))))
        }
        false => layer.are_here(context.snapshots),
    };
    if is_here {
        let _ = blob(layer, wanted, context);
    }
}

fn known(layer: &Parts, context: Context<'_>) -> Result<Layer> {
    layer.name().map_or(Ok(Layer::default()), |name| context.store.layer(name))
}

fn is_of_image(layer: &Parts, known: &Layer) -> bool {
    !known.origins.is_empty() || layer.top().0.starts_with("sha256-")
}

/// Makes sure that one layer is a blob.
fn blob(layer: &Parts, wanted: Wanted, context: Context<'_>) -> Result<LayerBlob> {
    let known = known(layer, context)?;
    let of_image = is_of_image(layer, &known);
    // A layer that was made here is complete in any case.
    let complete = wanted.complete || !of_image;
    context.packs.get(layer, Wanted { complete, ..wanted }, || made_blob(layer, known, of_image, wanted, context))
}

fn made_blob(layer: &Parts, known: Layer, of_image: bool, wanted: Wanted, context: Context<'_>) -> Result<LayerBlob> {
    let taken = |blob, diff_id| taken(layer, blob, diff_id, context);
    let clamp = if of_image { Clamp(None) } else { wanted.clamp };
    if clamp == Clamp(None)
        && let Some(diff_id) = known.diff_id.clone()
        && let Some(blob) = choose(&known, wanted, of_image, context)?
    {
        return Ok(taken(blob, diff_id));
    }
    if of_image && let Some(diff_id) = known.diff_id.clone() {
        return Ok(taken(converted(layer, &known, wanted, context)?, diff_id));
    }
    let passes = wanted.passing && !of_image;
    let (packed, diff_id) =
        if passes { measured(layer, clamp, context)? } else { packed(layer, wanted.compression, clamp, context)? };
    if let Some(expected) = &known.diff_id
        && clamp == Clamp(None)
        && *expected != diff_id
    {
        let of = format!("layer {}", layer.top().0);
        return Err(Error::DigestMismatch { of, want: expected.to_string(), got: diff_id.to_string() });
    }
    if clamp == Clamp(None)
        && let Some(name) = layer.name()
    {
        let blobs = if passes { Vec::new() } else { vec![packed.clone()] };
        context.store.put_layer(name, &Layer { diff_id: Some(diff_id.clone()), blobs, origins: Vec::new() })?;
    }
    Ok(taken(packed, diff_id))
}

fn taken(layer: &Parts, blob: Descriptor, diff_id: Digest, context: Context<'_>) -> LayerBlob {
    let said = blob.annotations.get(CREATED).and_then(|text| Time::parse(text).ok());
    let created = said.or_else(|| {
        let contents = context.snapshots.contents(layer.top()).ok()?;
        Some(Time::from_unix(contents.created?, contents.created_nanos))
    });
    // The table of an eStargz blob is part of its tar.
    let own = blob.annotations.get(UNCOMPRESSED).and_then(|text| Digest::parse(text).ok());
    LayerBlob { diff_id: own.unwrap_or(diff_id), blob, created, made_by: None }
}

/// A blob that will do. A layer of an image stays as it came unless its compression is forced, whatever it was converted
/// to for others: what is exported must not depend on what was exported before.
fn choose(known: &Layer, wanted: Wanted, of_image: bool, context: Context<'_>) -> Result<Option<Descriptor>> {
    let will_do = |blob: &&Descriptor| match of_image && !wanted.force {
        true => !blob.annotations.contains_key(CONVERTED),
        false => wanted.is_compressed_so(blob),
    };
    for blob in known.blobs.iter().filter(will_do) {
        let here = context.store.blobs().size(&blob.digest)?.is_some();
        if here || (!wanted.complete && !known.origins.is_empty()) {
            return Ok(Some(blob.clone()));
        }
    }
    Ok(None)
}

/// A layer of an image whose blob is elsewhere, or compressed in another way than it must be.
fn converted(layer: &Parts, known: &Layer, wanted: Wanted, context: Context<'_>) -> Result<Descriptor> {
    // Fetching a layer leaves its blob in the store.
    context.materialise(&layer.tree())?;
    if let Some(blob) = choose(known, wanted, true, context)? {
        return Ok(blob);
    }
    // The table of an eStargz blob would become part of the tar.
    for blob in known.blobs.iter().filter(|blob| !blob.annotations.contains_key(UNCOMPRESSED)) {
        if context.store.blobs().size(&blob.digest)?.is_some() {
            return recompressed(layer.top(), blob, wanted.compression, context);
        }
    }
    // The blob was removed but its files are here: the same tar may come of them, which the caller of `packed` checks.
    let (packed, diff_id) = packed(layer, wanted.compression, Clamp(None), context)?;
    if known.diff_id.as_ref() == Some(&diff_id) {
        return Ok(packed);
    }
    let id = &layer.top().0;
    Err(Error::NotFound(format!("layer {id}: its blob is not in the store any more, and its source is not known")))
}

fn recompressed(id: &LayerId, blob: &Descriptor, compression: Compression, context: Context<'_>) -> Result<Descriptor> {
    let mut tar = decompress(Box::new(context.store.blobs().open(&blob.digest)?))?;
    let mut out = compressor(context.store.blobs().write()?, compression, context.packs.pace())?;
    copy(&mut tar, &mut out, context.cancel).map_err(Error::io("compress", blob.digest.as_str()))?;
    context.cancel.check()?;
    let (out, toc) = out.finish().map_err(Error::io("compress", blob.digest.as_str()))?;
    let (digest, size) = out.commit(None)?;
    let diff_id = digest.clone();
    let mut converted = Packed { diff_id, digest, size, toc, removing: None }.describe(compression);
    converted.annotations.insert(CONVERTED.into(), "true".into());
    let learnt = Layer { diff_id: None, blobs: vec![converted.clone()], origins: Vec::new() };
    context.store.put_layer(&id.0, &learnt)?;
    Ok(converted)
}

/// Copies until the end, or until it is cancelled.
fn copy(from: &mut dyn Read, to: &mut dyn Write, cancel: &Cancel) -> io::Result<()> {
    let mut buffer = vec![0; 256 << 10];
    while !cancel.is_cancelled() {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            length => to.write_all(&buffer[..length])?,
        }
    }
    Ok(())
}

/// Finds out what a layer's tar is; whoever wants its bytes writes it.
fn measured(layer: &Parts, clamp: Clamp, context: Context<'_>) -> Result<(Descriptor, Digest)> {
    context.materialise(&layer.tree())?;
    let (dirs, contents) = layer.read(context.snapshots)?;
    let compression = Compression::Uncompressed;
    let packing = Packing { compression, clamp, pace: context.packs.pace(), cancel: context.cancel };
    let measured = measure(&dirs, &contents, packing)?;
    warn(&measured, context);
    context.packs.put_tar(measured.digest.clone(), Tar { layer: layer.clone(), clamp });
    Ok((measured.describe(compression), measured.diff_id))
}

/// Says what will not be in the image. parity: the layer has it all the same.
fn warn(packed: &Packed, context: Context<'_>) {
    if let Some(path) = &packed.removing {
        let message = format!(
            "{} will not be in the image: in a layer, names that begin with .wh. say what is removed from those below",
            path.display()
        );
        context.progress.sink.event(Event::Warning { digest: None, message, about: None });
    }
}

/// Writes a layer's directories as a blob.
fn packed(layer: &Parts, compression: Compression, clamp: Clamp, context: Context<'_>) -> Result<(Descriptor, Digest)> {
    context.materialise(&layer.tree())?;
    let (dirs, contents) = layer.read(context.snapshots)?;
    let packing = Packing { compression, clamp, pace: context.packs.pace(), cancel: context.cancel };
    let packed = pack(&dirs, &contents, packing, context.store.blobs())?;
    warn(&packed, context);
    Ok((packed.describe(compression), packed.diff_id))
}
