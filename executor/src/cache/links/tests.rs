//! Links of cache keys, on a store in a temporary directory.

use super::*;
use crate::Result;
use crate::cache::InputKey;
use crate::store::tests::scratch;

fn results(store: &Store, keys: &[Key]) -> Result<Vec<Committed>> {
    Ok(super::results(store, keys)?.into_iter().map(|(_, tree)| tree).collect())
}

fn vertex(text: &str, selectors: &[&str]) -> VertexKey {
    let input =
        |text: &&str| InputKey { selector: (!text.is_empty()).then(|| Digest::sha256(text.as_bytes())), content: None };
    VertexKey { digest: Digest::sha256(text.as_bytes()), inputs: selectors.iter().map(input).collect() }
}

fn tree(text: &str) -> Committed {
    parse_layers(text)
}

fn by_definition(key: &Key) -> Known {
    Known { key: key.clone(), content: false }
}

fn by_content(text: &str) -> Known {
    Known { key: content_key(&Digest::sha256(text.as_bytes())), content: true }
}

fn save_one(store: &Store, key: &VertexKey, known: &[Vec<Known>], result: &str, created: i64) -> Key {
    let keys = save(store, std::slice::from_ref(key), known, &[tree(result)], created).unwrap();
    keys[0][0].clone()
}

fn look(store: &Store, key: &VertexKey, known: &[Vec<Known>]) -> Found {
    query(store, &[], std::slice::from_ref(key), 0, known).unwrap()
}

#[test]
fn roots_are_named_by_digest_and_output() {
    let digest = Digest::sha256(b"x");
    assert_eq!(&*root_key(&digest, 1), Digest::sha256(format!("{digest}@1").as_bytes()).as_str());
    assert_eq!(&*content_key(&digest), Digest::sha256(format!("{digest}@-1").as_bytes()).as_str());
}

#[test]
fn a_root_is_found_after_it_was_saved_and_the_newest_result_comes_first() {
    let dir = scratch();
    let store = Store::open(dir.path()).unwrap();
    let source = vertex("image", &[]);
    assert_eq!(look(&store, &source, &[]), Found::default());
    let key = save_one(&store, &source, &[], "a b", 1);
    save_one(&store, &source, &[], "c", 2);
    assert_eq!(look(&store, &source, &[]), Found { keys: vec![key.clone()], has_result: true, missed: vec![] });
    let keys = [key];
    assert_eq!(results(&store, &keys).unwrap(), [tree("c"), tree("a b")]);
    forget(&store, &keys, &tree("c")).unwrap();
    assert_eq!(results(&store, &keys).unwrap(), [tree("a b")]);
    forget(&store, &keys, &tree("a b")).unwrap();
    let found = look(&store, &source, &[]);
    assert_eq!((found.keys.len(), found.has_result), (1, false));
}

#[test]
fn an_empty_tree_is_a_result() {
    let dir = scratch();
    let store = Store::open(dir.path()).unwrap();
    let key = save_one(&store, &vertex("scratch", &[]), &[], "", 1);
    assert_eq!(results(&store, &[key]).unwrap(), [Committed::default()]);
}

#[test]
fn an_edge_is_found_where_links_from_all_inputs_meet() {
    let dir = scratch();
    let store = Store::open(dir.path()).unwrap();
    let [a, b, c] = ["a", "b", "c"].map(|text| save_one(&store, &vertex(text, &[]), &[], text, 1));
    let copy = vertex("copy", &["", "/src"]);
    let known = |x: &Key, y: &Key| vec![vec![by_definition(x)], vec![by_definition(y)]];
    let key = save_one(&store, &copy, &known(&a, &b), "ab", 1);
    assert_eq!(look(&store, &copy, &known(&a, &b)).keys, [key]);
    let other = look(&store, &copy, &known(&a, &c));
    assert_eq!((other.keys.len(), other.missed), (0, vec![false, true]));
    assert_eq!(look(&store, &vertex("copy", &["", "/other"]), &known(&a, &b)).missed, [false, true]);
    assert_eq!(look(&store, &vertex("move", &["", "/src"]), &known(&a, &b)).missed, [true, true]);
    assert_eq!(look(&store, &copy, &[vec![by_definition(&a)], vec![]]).missed, [false, true]);
}

#[test]
fn keys_that_lead_to_the_same_learn_from_each_other() {
    let dir = scratch();
    let store = Store::open(dir.path()).unwrap();
    let copy = vertex("copy", &["/src"]);
    let [old, new] = ["old", "new"].map(|text| save_one(&store, &vertex(text, &[]), &[], text, 1));
    let key = save_one(&store, &copy, &[vec![by_definition(&old), by_content("same")]], "x", 1);
    assert!(look(&store, &copy, &[vec![by_definition(&new)]]).keys.is_empty());
    // The content of the new input is that of the old one …
    let both = look(&store, &copy, &[vec![by_definition(&new), by_content("same")]]);
    assert_eq!(both.keys, std::slice::from_ref(&key));
    // … so from now on its definition is enough.
    assert_eq!(look(&store, &copy, &[vec![by_definition(&new)]]).keys, [key]);
}

#[test]
fn a_content_key_is_linked_without_selector() {
    let dir = scratch();
    let store = Store::open(dir.path()).unwrap();
    let key = save_one(&store, &vertex("copy", &["/src"]), &[vec![by_content("same")]], "x", 1);
    assert_eq!(look(&store, &vertex("copy", &["/elsewhere"]), &[vec![by_content("same")]]).keys, [key]);
}

#[test]
fn saving_again_adds_a_result_to_the_same_key() {
    let dir = scratch();
    let store = Store::open(dir.path()).unwrap();
    let a = save_one(&store, &vertex("a", &[]), &[], "a", 1);
    let run = vertex("run", &[""]);
    let known = [vec![by_definition(&a)]];
    let first = save_one(&store, &run, &known, "x", 1);
    let second = save_one(&store, &run, &known, "y", 2);
    assert_eq!(first, second);
    assert_eq!(results(&store, &[first]).unwrap(), [tree("y"), tree("x")]);
}

#[test]
fn what_has_an_input_without_key_is_not_saved() {
    let dir = scratch();
    let store = Store::open(dir.path()).unwrap();
    let run = vertex("run", &[""]);
    let keys = save(&store, std::slice::from_ref(&run), &[vec![]], &[tree("x"), tree("y")], 1).unwrap();
    assert_eq!(keys, [Vec::<Key>::new(), Vec::new()]);
}

#[test]
fn every_key_of_a_source_leads_to_its_result() {
    let dir = scratch();
    let store = Store::open(dir.path()).unwrap();
    let (manifest, chain) = (vertex("manifest", &[]), vertex("chain", &[]));
    save(&store, &[manifest.clone(), chain.clone()], &[], &[tree("a")], 1).unwrap();
    for key in [manifest, chain] {
        assert!(look(&store, &key, &[]).has_result);
    }
}

#[test]
fn outputs_have_keys_of_their_own() {
    let dir = scratch();
    let store = Store::open(dir.path()).unwrap();
    let a = save_one(&store, &vertex("a", &[]), &[], "a", 1);
    let run = vertex("run", &[""]);
    let known = [vec![by_definition(&a)]];
    let keys = save(&store, std::slice::from_ref(&run), &known, &[tree("x"), tree("y")], 1).unwrap();
    assert_ne!(keys[0], keys[1]);
    let second = query(&store, &[], std::slice::from_ref(&run), 1, &known).unwrap();
    assert_eq!(results(&store, &second.keys).unwrap(), [tree("y")]);
}

#[test]
fn uses_are_counted_once_in_a_moment() {
    let dir = scratch();
    let store = Store::open(dir.path()).unwrap();
    touch(&store, [tree("a b"), tree("c"), tree("c")].iter(), 5).unwrap();
    for now in [6, 4 + MOMENT, 5 + MOMENT, 6 + MOMENT, 4] {
        touch(&store, [tree("c")].iter(), now).unwrap();
    }
    let rows = store.db().read(|db| {
        let mut query = db.prepare("SELECT layers, last, count FROM used ORDER BY layers")?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        rows.collect::<rusqlite::Result<Vec<(String, i64, i64)>>>()
    });
    assert_eq!(rows.unwrap(), [("a b".to_owned(), 5, 1), ("c".to_owned(), 4, 3)]);
}
