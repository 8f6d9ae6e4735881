//! What of the cache others can use: the keys that lead to results, and the layers of those as blobs.
//!
//! parity: results of sources are left out (whoever looks has the source); of whatever else led to the results all is taken
//! ([`Mode::Max`]), or what is a blob already once the results are ([`Mode::Min`]).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use oci::{Descriptor, Digest, Time};

use super::layers::{self, LayerBlob, Layered, Wanted};
use super::{Built, Context};
use crate::Result;
use crate::cache::config::{Chain, Config, Layer, Outcome};
use crate::cache::{self, Chains, Key};
use crate::layer::{CREATED, UNCOMPRESSED};
use crate::sources;

/// How much is lent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The results of the build, and what became blobs with them.
    #[default]
    Min,
    /// All that the build needed.
    Max,
}

/// A cache for others.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lending {
    /// What it says.
    pub config: Config,
    /// The blob of each of its layers.
    pub blobs: Vec<Descriptor>,
}

/// A result of a record.
struct Shared {
    record: usize,
    layers: Vec<LayerBlob>,
    created: Time,
}

/// What of the cache others can use who want these results. `needed` are the keys of all that the build needed.
pub(crate) fn lend(
    built: &[Built],
    needed: &BTreeSet<Key>,
    mode: Mode,
    wanted: Wanted,
    context: Context<'_>,
) -> Result<Lending> {
    let chains = Chains::of(context.store, &keys(built))?;
    // First of all: what becomes a blob with them is lent, too.
    let blobs = layers::blobs(built, wanted, context)?;
    let mut all = Vec::new();
    let mut others = Vec::new();
    for (record, key) in chains.keys.iter().enumerate().filter(|(at, _)| !chains.records[*at].inputs.is_empty()) {
        if let Some(at) = built.iter().position(|built| built.keys.contains(key)) {
            let created = created(key, &built[at], context)?;
            all.push(Shared { record, layers: blobs[at].clone(), created });
        } else if needed.contains(key)
            && let Some((created, tree)) = cache::results(context.store, std::slice::from_ref(key))?.into_iter().next()
        {
            match mode {
                Mode::Min => {
                    let layers = layers::existing(&tree, wanted, context)?;
                    all.extend(layers.map(|layers| Shared { record, layers, created: time(created) }));
                }
                Mode::Max if sources::can_be_had(&tree, context.sources)? => others.push((record, created, tree)),
                Mode::Max => {}
            }
        }
    }
    let trees = others.iter().map(|(_, _, tree)| Layered { tree, made: &[] });
    let blobs = layers::blobs(trees, wanted, context)?;
    let others = others.iter().zip(blobs);
    all.extend(others.map(|((record, created, _), layers)| Shared {
        record: *record,
        layers,
        created: time(*created),
    }));
    Ok(config(chains, &all))
}

/// The records for the config of an image whose layers these are, as JSON: those of its layers that are results can be used
/// by whoever has the image. `None` when nobody could use any.
pub(super) fn inline(
    built: &Built,
    image: &[LayerBlob],
    needed: &BTreeSet<Key>,
    wanted: Wanted,
    context: Context<'_>,
) -> Result<Option<Vec<u8>>> {
    let mut chains = Chains::of(context.store, &built.keys)?;
    let mut any = false;
    for (at, key) in chains.keys.iter().enumerate() {
        let record = &mut chains.records[at];
        if record.inputs.is_empty() {
            continue;
        }
        let (layers, created) = if built.keys.contains(key) {
            (Some(image.to_vec()), created(key, built, context)?)
        } else if needed.contains(key)
            && let Some((created, tree)) = cache::results(context.store, std::slice::from_ref(key))?.into_iter().next()
        {
            (layers::existing(&tree, wanted, context)?, time(created))
        } else {
            continue;
        };
        let place = |layer: &LayerBlob| image.iter().position(|of_image| of_image.diff_id == layer.diff_id);
        let Some(places) = layers.and_then(|layers| layers.iter().map(place).collect::<Option<Vec<_>>>()) else {
            continue;
        };
        match places.iter().copied().eq(0..places.len()) {
            true if places.is_empty() => continue,
            true => record.results.push(Outcome { layer: places.len() - 1, created }),
            false => record.chains.push(Chain { layers: places, created }),
        }
        any = true;
    }
    let mut config = Config { layers: Vec::new(), records: chains.records };
    config.sort_records();
    Ok(any.then(|| oci::json::to_vec(&config.records)))
}

fn keys(built: &[Built]) -> Vec<Key> {
    built.iter().flat_map(|built| &built.keys).cloned().collect()
}

/// When a result was put into the cache.
fn created(key: &Key, built: &Built, context: Context<'_>) -> Result<Time> {
    let known = cache::results(context.store, std::slice::from_ref(key))?;
    let found = known.into_iter().find(|(_, tree)| *tree == built.tree);
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as i64);
    Ok(time(found.map_or_else(now, |(created, _)| created)))
}

/// From milliseconds since the epoch.
fn time(millis: i64) -> Time {
    Time::from_unix(millis.div_euclid(1000), millis.rem_euclid(1000) as u32 * 1_000_000)
}

/// Puts layers below results.
fn config(chains: Chains, shared: &[Shared]) -> Lending {
    let mut config = Config { layers: Vec::new(), records: chains.records };
    let mut places: BTreeMap<Layer, i64> = BTreeMap::new();
    let mut blobs: BTreeMap<Digest, Descriptor> = BTreeMap::new();
    for Shared { record, layers, created } in shared {
        let mut top = -1;
        for blob in layers {
            let layer = Layer { blob: blob.blob.digest.clone(), parent: top };
            blobs.entry(layer.blob.clone()).or_insert_with(|| described(blob));
            top = *places.entry(layer.clone()).or_insert_with(|| {
                config.layers.push(layer);
                config.layers.len() as i64 - 1
            });
        }
        // A result without layers is as soon made as had.
        if let Ok(layer) = usize::try_from(top) {
            config.records[*record].results.push(Outcome { layer, created: *created });
        }
    }
    let config = config.sorted();
    let blobs = config.layers.iter().map(|layer| blobs[&layer.blob].clone()).collect();
    Lending { config, blobs }
}

/// A blob with what whoever has no image must know of it.
fn described(layer: &LayerBlob) -> Descriptor {
    let mut blob = layer.blob.clone();
    blob.annotations.retain(|key, _| key != layers::CONVERTED);
    blob.annotations.insert(UNCOMPRESSED.into(), layer.diff_id.to_string());
    let created = layer.created.and_then(|created| serde_json::to_value(created).ok());
    if let Some(serde_json::Value::String(created)) = created {
        blob.annotations.insert(CREATED.into(), created);
    }
    blob
}
