//! The graph of cache keys as text: `key DIGEST` for a root, else `key DIGEST < INPUT | INPUT`, where an input lists its
//! alternatives as `SELECTOR@DIGEST` or `@DIGEST`. Digests are cut to 16 characters, lines are sorted, each stands once.
//! Roots that nothing is linked from are left out: BuildKit does not export them.

use std::collections::{BTreeMap, BTreeSet};

use executor::store::Store;
use oci::Digest;

/// A key: its digest as BuildKit exports it, and for each input the selector and the number of the key it is linked from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Key {
    pub(crate) digest: String,
    pub(crate) inputs: Vec<BTreeSet<(String, usize)>>,
}

pub(crate) fn print(keys: &[Key]) -> String {
    let short = |digest: &str| digest.trim_start_matches("sha256:").chars().take(16).collect::<String>();
    let alternative = |(selector, key): &(String, usize)| format!("{}@{}", short(selector), short(&keys[*key].digest));
    let input = |input: &BTreeSet<_>| {
        let shown: BTreeSet<String> = input.iter().map(alternative).collect();
        shown.into_iter().collect::<Vec<_>>().join(" ")
    };
    let line = |key: &Key| {
        let inputs: Vec<String> = key.inputs.iter().map(input).collect();
        let inputs = if inputs.is_empty() { String::new() } else { format!(" < {}", inputs.join(" | ")) };
        format!("key {}{inputs}\n", short(&key.digest))
    };
    let linked: BTreeSet<usize> = keys.iter().flat_map(|key| &key.inputs).flatten().map(|(_, key)| *key).collect();
    let shown = keys.iter().enumerate().filter(|(number, key)| !key.inputs.is_empty() || linked.contains(number));
    shown.map(|(_, key)| line(key)).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The keys of a store. A key with inputs is called by what BuildKit calls it: the digest of its vertex and the output.
pub(crate) fn of_store(store: &Store) -> String {
    type Row = (String, usize, u32, String, String, String);
    let rows: Vec<Row> = store
        .db()
        .read(|db| {
            let mut query = db.prepare("SELECT parent, input, output, digest, selector, child FROM link")?;
            let row = |row: &rusqlite::Row<'_>| {
                let input = usize::try_from(row.get::<_, i64>(1)?).unwrap();
                Ok((row.get(0)?, input, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
            };
            query.query_map([], row)?.collect()
        })
        .unwrap();
    let roots: Vec<String> =
        store.db().read(|db| db.prepare("SELECT id FROM key")?.query_map([], |row| row.get(0))?.collect()).unwrap();
    let ids: BTreeSet<&String> = rows.iter().flat_map(|row| [&row.0, &row.5]).chain(&roots).collect();
    let number: BTreeMap<&String, usize> = ids.iter().enumerate().map(|(number, id)| (*id, number)).collect();
    let mut keys: Vec<Key> = ids.iter().map(|id| Key { digest: (*id).clone(), inputs: Vec::new() }).collect();
    for (parent, input, output, digest, selector, child) in &rows {
        let key = &mut keys[number[child]];
        key.digest = Digest::sha256(format!("{digest}@{output}").as_bytes()).to_string();
        key.inputs.resize(key.inputs.len().max(input + 1), BTreeSet::new());
        key.inputs[*input].insert((selector.clone(), number[parent]));
    }
    print(&keys)
}
