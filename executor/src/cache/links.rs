//! The graph of cache keys: which key leads to which, and the results keys have.
//!
//! A *link* says: the vertex with key digest `M`, on an input with this key (a part of it: the selector), gives an edge
//! with that key. An edge is found when links from all its inputs meet. Keys of inputs that mean the same (definition,
//! content) lead to the same key, and learn from each other. Mirrors BuildKit v0.32 (`solver/cachestorage.go`,
//! `solver/cachemanager.go`); ids of keys with inputs are derived here, where BuildKit draws them at random.

use std::collections::BTreeSet;
use std::sync::Arc;

use oci::Digest;
use rusqlite::{Connection, OptionalExtension, params};

use super::{Lent, Loan, VertexKey};
use crate::Result;
use crate::snapshot::{Committed, LayerId};
use crate::store::Store;

/// How long a use counts for those that follow it; milliseconds.
const MOMENT: i64 = 60_000;

/// Name of a cache key.
pub type Key = Arc<str>;

/// A key an input is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The key.
    pub key: Key,
    /// Whether it is the key of the content (which is already of the selected part) or of the whole edge.
    pub content: bool,
}

/// What the cache has for an edge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Its keys.
    pub keys: Vec<Key>,
    /// Whether one of them has a result.
    pub has_result: bool,
    /// For each input, whether its keys lead nowhere.
    pub missed: Vec<bool>,
}

/// The key of content.
pub fn content_key(content: &Digest) -> Key {
    Digest::sha256(format!("{content}@-1").as_bytes()).as_str().into()
}

/// The key of an output of a vertex without inputs.
pub fn root_key(digest: &Digest, output: u32) -> Key {
    Digest::sha256(format!("{digest}@{output}").as_bytes()).as_str().into()
}

/// Looks an edge up, in caches that somebody lends, too. `keys` are those of its vertex: several for a source, one for any
/// other. What is found in a lent cache alone is the store's from then on: others lead there.
pub fn query(
    store: &Store,
    lent: &[Arc<Lent>],
    keys: &[VertexKey],
    output: u32,
    known: &[Vec<Known>],
) -> Result<Found> {
    let (found, lacking) = store.db().read(|db| {
        let (mut found, lacking) = match keys {
            [key] if !known.is_empty() => walk(db, lent, key, output, known)?,
            _ => roots(db, lent, keys, output)?,
        };
        let is_lent = |key: &Key| lent.iter().any(|lent| lent.has_loan(key));
        found.has_result = any_result(db, &found.keys)? || found.keys.iter().any(is_lent);
        Ok((found, lacking))
    })?;
    if !lacking.is_empty() {
        store.db().write(|db| lacking.iter().try_for_each(|lack| lack.insert(db)))?;
    }
    Ok(found)
}

/// What the store lacks that leads to what was found.
enum Lack {
    /// The key of a source.
    Root(Key),
    /// A link.
    Link(Link),
}

impl Lack {
    fn insert(&self, db: &Connection) -> rusqlite::Result<()> {
        match self {
            Self::Root(key) => put_key(db, key),
            Self::Link(link) => put_key(db, &link.child).and_then(|()| link.insert(db)),
        }
    }
}

/// Results of keys, newest first, each with when it was made in milliseconds since the epoch.
pub fn results(store: &Store, keys: &[Key]) -> Result<Vec<(i64, Committed)>> {
    store.db().read(|db| {
        let mut rows: Vec<(i64, String)> = Vec::new();
        for key in keys {
            let mut query = db.prepare_cached("SELECT created, layers FROM result WHERE key = ?1")?;
            for row in query.query_map([&**key], |row| Ok((row.get(0)?, row.get(1)?)))? {
                rows.push(row?);
            }
        }
        rows.sort_by(|a, b| b.cmp(a));
        Ok(rows.iter().map(|(created, text)| (*created, parse_layers(text))).collect())
    })
}

/// Makes a result that somebody lends one of the store: its layers stay where they are until somebody needs their files.
pub fn borrow(store: &Store, keys: &[Key], loan: &Loan) -> Result<()> {
    store.put_layers(loan.tree.layers.iter().map(|id| &*id.0).zip(&loan.layers))?;
    store.db().write(|db| keys.iter().try_for_each(|key| put_result(db, key, &loan.tree, loan.created)))
}

/// Forgets a result that turned out to be gone.
pub fn forget(store: &Store, keys: &[Key], result: &Committed) -> Result<()> {
    let layers = print_layers(result);
    store.db().write(|db| {
        for key in keys {
            db.execute("DELETE FROM result WHERE key = ?1 AND layers = ?2", params![&**key, layers])?;
        }
        Ok(())
    })
}

/// Remembers when results were last of use, and how often: what is not used is pruned first. What was of use a moment ago is
/// no news: a build that finds everything in the cache then writes nothing.
pub fn touch<'a>(store: &Store, used: impl Iterator<Item = &'a Committed>, now: i64) -> Result<()> {
    let mut used: BTreeSet<String> = used.map(print_layers).collect();
    store.db().read(|db| {
        let mut last = db.prepare_cached("SELECT last FROM used WHERE layers = ?1")?;
        for layers in std::mem::take(&mut used) {
            let last: Option<i64> = last.query_row([&layers], |row| row.get(0)).optional()?;
            // One that is to come is of a clock that was set back.
            if !last.is_some_and(|last| (0..MOMENT).contains(&(now - last))) {
                used.insert(layers);
            }
        }
        Ok(())
    })?;
    if used.is_empty() {
        return Ok(());
    }
    store.db().write(|db| {
        let mut upsert = db.prepare_cached(
            "INSERT INTO used VALUES (?1, ?2, 1) ON CONFLICT (layers) DO UPDATE SET last = ?2, count = count + 1",
        )?;
        used.iter().try_for_each(|layers| upsert.execute(params![layers, now]).map(drop))
    })
}

/// Puts the results of a vertex into the cache, one for each output, and returns the keys of each. An input without
/// keys (a local directory that was not compared) cannot be found again: then nothing is saved and there are no keys.
pub fn save(
    store: &Store,
    keys: &[VertexKey],
    known: &[Vec<Known>],
    results: &[Committed],
    created: i64,
) -> Result<Vec<Vec<Key>>> {
    if keys.is_empty() || known.iter().any(Vec::is_empty) {
        return Ok(vec![Vec::new(); results.len()]);
    }
    store.db().write(|db| {
        let outputs = (0..).zip(results);
        outputs.map(|(output, result)| save_output(db, keys, output, known, result, created)).collect()
    })
}

fn save_output(
    db: &Connection,
    keys: &[VertexKey],
    output: u32,
    known: &[Vec<Known>],
    result: &Committed,
    created: i64,
) -> rusqlite::Result<Vec<Key>> {
    let own = match keys {
        [key] if !known.is_empty() => linked(db, key, output, known)?,
        _ => keys.iter().map(|key| root_key(&key.digest, output)).collect(),
    };
    own.iter().try_for_each(|key| put_result(db, key, result, created))?;
    Ok(own)
}

fn put_key(db: &Connection, key: &Key) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT OR IGNORE INTO key VALUES (?1)")?.execute([&**key])?;
    Ok(())
}

fn put_result(db: &Connection, key: &Key, result: &Committed, created: i64) -> rusqlite::Result<()> {
    put_key(db, key)?;
    db.prepare_cached("INSERT OR REPLACE INTO result VALUES (?1, ?2, ?3)")?.execute(params![
        &**key,
        print_layers(result),
        created
    ])?;
    Ok(())
}

/// The keys of an edge with inputs: those it has, else a new one; linked from all keys of the inputs.
fn linked(db: &Connection, key: &VertexKey, output: u32, known: &[Vec<Known>]) -> rusqlite::Result<Vec<Key>> {
    let (found, lacking) = walk(db, &[], key, output, known)?;
    if !found.keys.is_empty() {
        lacking.iter().try_for_each(|lack| lack.insert(db))?;
        return Ok(found.keys);
    }
    let child = derive(key, output, known);
    for (input, alternatives) in known.iter().enumerate() {
        let links = alternatives.iter().map(|known| Link::new(key, input, output, known, &child));
        links.into_iter().try_for_each(|link| link.insert(db))?;
    }
    Ok(vec![child])
}

/// A name for a new key: the same in two processes that make it at once.
fn derive(key: &VertexKey, output: u32, known: &[Vec<Known>]) -> Key {
    let mut text = format!("{}@{output}", key.digest);
    for (input, alternatives) in known.iter().enumerate() {
        let first = alternatives.first().expect("every input has a key");
        text += &format!(" {}@{}", first.key, selector(key, input, first));
    }
    Digest::sha256(text.as_bytes()).as_str().into()
}

struct Link {
    parent: Key,
    input: usize,
    output: u32,
    digest: Digest,
    selector: String,
    child: Key,
}

impl Link {
    fn new(key: &VertexKey, input: usize, output: u32, known: &Known, child: &Key) -> Self {
        Self {
            parent: known.key.clone(),
            input,
            output,
            digest: key.digest.clone(),
            selector: selector(key, input, known).to_owned(),
            child: child.clone(),
        }
    }

    fn insert(&self, db: &Connection) -> rusqlite::Result<()> {
        db.prepare_cached("INSERT OR IGNORE INTO link VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute(params![
            &*self.parent,
            as_integer(self.input),
            self.output,
            self.digest.as_str(),
            self.selector,
            &*self.child
        ])?;
        Ok(())
    }
}

/// A content key is of the selected part already; a definition key needs to say which part.
fn selector<'a>(key: &'a VertexKey, input: usize, known: &Known) -> &'a str {
    let selector = key.inputs.get(input).and_then(|input| input.selector.as_ref());
    if known.content { "" } else { selector.map_or("", Digest::as_str) }
}

fn as_integer(position: usize) -> i64 {
    i64::try_from(position).expect("lists are shorter than 2^63")
}

/// Follows the links from all inputs; also gives the links that the store lacks to what was found.
fn walk(
    db: &Connection,
    lent: &[Arc<Lent>],
    key: &VertexKey,
    output: u32,
    known: &[Vec<Known>],
) -> rusqlite::Result<(Found, Vec<Lack>)> {
    let root = root_key(&key.digest, output);
    let mut query = db.prepare_cached(
        "SELECT child FROM link WHERE parent = ?1 AND input = ?2 AND output = ?3 AND digest = ?4 AND selector = ?5",
    )?;
    let (mut children, mut unions): (Vec<Vec<BTreeSet<Key>>>, Vec<BTreeSet<Key>>) = (Vec::new(), Vec::new());
    for (input, alternatives) in known.iter().enumerate() {
        let (mut of_input, mut union) = (Vec::new(), BTreeSet::new());
        for known in alternatives {
            let selector = selector(key, input, known);
            let values = params![&*known.key, as_integer(input), output, key.digest.as_str(), selector];
            let found = query.query_map(values, |row| row.get::<_, String>(0))?;
            let found = found.map(|child| child.map(Key::from)).collect::<rusqlite::Result<BTreeSet<_>>>()?;
            union.extend(found.iter().cloned());
            union.extend(lent.iter().flat_map(|lent| lent.children(&known.key, input, &root, selector)).cloned());
            of_input.push(found);
        }
        children.push(of_input);
        unions.push(union);
    }
    let common = unions.iter().skip(1).fold(unions[0].clone(), |common, union| &common & union);
    let missed = unions.iter().map(BTreeSet::is_empty).collect();
    let mut lacking = Vec::new();
    for child in &common {
        for (input, alternatives) in known.iter().enumerate() {
            let lack = alternatives.iter().zip(&children[input]).filter(|(_, found)| !found.contains(child));
            lacking.extend(lack.map(|(known, _)| Lack::Link(Link::new(key, input, output, known, child))));
        }
    }
    Ok((Found { keys: common.into_iter().collect(), has_result: false, missed }, lacking))
}

/// The keys of a source that are known; also gives those that the store lacks.
fn roots(db: &Connection, lent: &[Arc<Lent>], keys: &[VertexKey], output: u32) -> rusqlite::Result<(Found, Vec<Lack>)> {
    let (mut found, mut lacking) = (Found::default(), Vec::new());
    for key in keys.iter().map(|key| root_key(&key.digest, output)) {
        let is_stored = db.prepare_cached("SELECT 1 FROM key WHERE id = ?1")?.exists([&*key])?;
        if !is_stored && lent.iter().any(|lent| lent.has_root(&key)) {
            lacking.push(Lack::Root(key.clone()));
        } else if !is_stored {
            continue;
        }
        found.keys.push(key);
    }
    Ok((found, lacking))
}

fn any_result(db: &Connection, keys: &[Key]) -> rusqlite::Result<bool> {
    for key in keys {
        let mut query = db.prepare_cached("SELECT 1 FROM result WHERE key = ?1 LIMIT 1")?;
        if query.query_row([&**key], |_| Ok(())).optional()?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Layer ids hold no blanks: they are file names.
fn print_layers(tree: &Committed) -> String {
    tree.layers.iter().map(|layer| &*layer.0).collect::<Vec<_>>().join(" ")
}

fn parse_layers(text: &str) -> Committed {
    Committed { layers: text.split_whitespace().map(|id| LayerId(id.into())).collect() }
}

#[cfg(test)]
mod tests;
