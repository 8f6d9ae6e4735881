//! What one store knows, lent to another: the keys go through the config that builders exchange.

use oci::{Descriptor, Time, media};

use super::*;
use crate::cache::config::{Layer as OfConfig, Outcome};
use crate::cache::{Chains, InputKey, Known, VertexKey, borrow, content_key, query, results, save};
use crate::store::Store;
use crate::store::tests::scratch;
use std::sync::Arc;

fn digest(text: &str) -> Digest {
    Digest::sha256(text.as_bytes())
}

fn vertex(text: &str, selectors: &[Option<&str>]) -> VertexKey {
    let input = |selector: &Option<&str>| InputKey { selector: selector.map(digest), content: None };
    VertexKey { digest: digest(text), inputs: selectors.iter().map(input).collect() }
}

fn known(key: &Key) -> Known {
    Known { key: key.clone(), content: false }
}

fn content(text: &str) -> Known {
    Known { key: content_key(&digest(text)), content: true }
}

fn put(store: &Store, vertex: &VertexKey, known: &[Vec<Known>], layers: &[&str]) -> Key {
    let tree = Committed { layers: layers.iter().map(|id| LayerId((*id).into())).collect() };
    save(store, std::slice::from_ref(vertex), known, &[tree], 7).unwrap()[0][0].clone()
}

fn look(store: &Store, lent: &[Arc<Lent>], vertex: &VertexKey, known: &[Vec<Known>]) -> (Vec<Key>, bool) {
    let found = query(store, lent, std::slice::from_ref(vertex), 0, known).unwrap();
    (found.keys, found.has_result)
}

fn layer(text: &str) -> Layer {
    Layer {
        diff_id: Some(digest(text)),
        blobs: vec![Descriptor::of(media::OCI_LAYER, text.as_bytes())],
        origins: vec!["docker-image://example.org/a".into()],
    }
}

/// The cache of a store, of which one key has a result of these layers.
fn lend(store: &Store, key: &Key, layers: &[&str]) -> Arc<Lent> {
    let chains = Chains::of(store, std::slice::from_ref(key)).unwrap();
    let mut config = Config { layers: Vec::new(), records: chains.records };
    for (parent, text) in (-1..).zip(layers) {
        config.layers.push(OfConfig { blob: digest(text), parent });
    }
    let at = chains.keys.iter().position(|known| known == key).unwrap();
    config.records[at].results.push(Outcome { layer: layers.len() - 1, created: Time::from_unix(1, 2_000_000) });
    let config = Config::parse(&config.sorted().to_json()).unwrap();
    let of_config: Vec<_> = config
        .layers
        .iter()
        .map(|one| layers.iter().find(|text| digest(text) == one.blob).map(|text| layer(text)))
        .collect();
    Arc::new(Lent::new(&config, &of_config).unwrap())
}

#[test]
fn what_one_store_knows_another_finds_and_keeps() {
    let (there, here) = (scratch(), scratch());
    let (there, here) = (Store::open(there.path()).unwrap(), Store::open(here.path()).unwrap());
    let (image, copy, run) = (vertex("image", &[]), vertex("copy", &[None, Some("part")]), vertex("run", &[None]));
    let of_image = put(&there, &image, &[], &["base"]);
    // The second input is a directory: only its content is known.
    let inputs = [vec![known(&of_image)], vec![content("files")]];
    let of_copy = put(&there, &copy, &inputs, &["base", "copied"]);
    let of_run = put(&there, &run, &[vec![known(&of_copy)]], &["base", "copied", "ran"]);
    let lent = [lend(&there, &of_run, &["base", "copied", "ran"])];

    let (images, has_result) = look(&here, &lent, &image, &[]);
    assert_eq!((&images[..], has_result), (&[of_image.clone()][..], false), "sources have no results");
    let (copies, has_result) = look(&here, &lent, &copy, &inputs);
    assert_eq!((copies.len(), has_result), (1, false));
    assert_eq!(look(&here, &lent, &copy, &[vec![known(&of_image)], vec![content("other")]]).0.len(), 0);
    let from = [vec![known(&copies[0])]];
    let (runs, has_result) = look(&here, &lent, &run, &from);
    assert_eq!((runs.len(), has_result), (1, true));

    let loan = lent[0].loans(&runs[0]).next().unwrap();
    let layers: Vec<_> = ["base", "copied", "ran"].map(digest).iter().map(LayerId::of_diff_id).collect();
    assert_eq!((&loan.tree.layers, loan.created), (&layers, 1002));
    borrow(&here, &runs, loan).unwrap();
    assert_eq!(here.layer(&layers[2].0).unwrap(), layer("ran"));

    // Nobody lends it any more.
    assert_eq!(look(&here, &[], &copy, &inputs).0, copies);
    assert_eq!(look(&here, &[], &run, &from), (runs.clone(), true));
    assert_eq!(results(&here, &runs).unwrap(), [(1002, loan.tree.clone())]);
}

#[test]
fn what_the_store_has_is_found_beside_what_is_lent() {
    let (there, here) = (scratch(), scratch());
    let (there, here) = (Store::open(there.path()).unwrap(), Store::open(here.path()).unwrap());
    let (image, run) = (vertex("image", &[]), vertex("run", &[None]));
    let of_image = put(&there, &image, &[], &["base"]);
    let of_run = put(&there, &run, &[vec![known(&of_image)]], &["base", "ran"]);
    let lent = [lend(&there, &of_run, &["base", "ran"])];
    put(&here, &image, &[], &["own"]);
    let own = put(&here, &run, &[vec![known(&of_image)]], &["own", "run"]);
    let (keys, has_result) = look(&here, &lent, &run, &[vec![known(&of_image)]]);
    assert!(has_result && keys.len() == 2 && keys.contains(&own), "{keys:?}");
    // From now on both are keys of what is saved.
    let saved = save(&here, std::slice::from_ref(&run), &[vec![known(&of_image)]], &[Committed::default()], 9).unwrap();
    assert_eq!(saved, [keys]);
}

#[test]
fn a_result_is_left_out_of_which_a_layer_is_not_known() {
    let record = crate::cache::config::Record {
        results: vec![
            Outcome { layer: 1, created: Time::from_unix(0, 0) },
            Outcome { layer: 0, created: Time::from_unix(1, 0) },
        ],
        chains: vec![],
        digest: digest("image"),
        inputs: vec![],
    };
    let layers = vec![OfConfig { blob: digest("a"), parent: -1 }, OfConfig { blob: digest("b"), parent: 0 }];
    let config = Config { layers, records: vec![record] };
    let lent = Lent::new(&config, &[Some(layer("a")), None]).unwrap();
    let key: Key = digest("image").as_str().into();
    assert_eq!(lent.loans(&key).map(|loan| loan.created).collect::<Vec<_>>(), [1000]);
}

#[test]
fn keys_that_nothing_leads_to_are_not_lent() {
    let dir = scratch();
    let store = Store::open(dir.path()).unwrap();
    let (image, run) = (vertex("image", &[]), vertex("run", &[None, None]));
    let of_image = put(&store, &image, &[], &["base"]);
    let of_run = put(&store, &run, &[vec![known(&of_image)], vec![content("files")]], &["ran"]);
    let chains = Chains::of(&store, &[of_run.clone(), of_image.clone()]).unwrap();
    assert_eq!((chains.records.len(), chains.keys.last()), (3, Some(&of_run)));
    // Keys that lead in a circle.
    store.db().write(|db| db.execute("UPDATE link SET parent = child WHERE input = 1", []).map(drop)).unwrap();
    let chains = Chains::of(&store, &[of_run, of_image.clone()]).unwrap();
    assert_eq!(chains.keys, [of_image]);
}
