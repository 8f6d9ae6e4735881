//! From the keys of results back to where they come from: what of the store's keys others have to know.

use std::collections::{BTreeMap, HashMap};

use oci::Digest;

use super::config::{Input, Record};
use super::links::{Key, root_key};
use crate::Result;
use crate::store::Store;

/// A key with all that leads to it. **Shape**: inputs come before what needs them; no record has results.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chains {
    /// The records.
    pub records: Vec<Record>,
    /// The key that each is of.
    pub keys: Vec<Key>,
}

/// Links from one input each, by the key they lead to.
type Backlinks = HashMap<Key, Vec<Backlink>>;

struct Backlink {
    parent: Key,
    input: usize,
    /// What the vertex does, and of which output it is.
    root: Key,
    selector: String,
}

impl Chains {
    /// The records of keys, and of all that lead to them.
    pub fn of(store: &Store, keys: &[Key]) -> Result<Self> {
        let backlinks = backlinks(store)?;
        let mut this = Self::default();
        // For each key its record, once that is known: none where no way leads there from sources and contents.
        let mut known: HashMap<&Key, Option<usize>> = HashMap::new();
        let mut open: Vec<(&Key, bool)> = keys.iter().map(|key| (key, false)).collect();
        while let Some((key, parents_are_known)) = open.pop() {
            let links = backlinks.get(key).map_or(&[][..], Vec::as_slice);
            if parents_are_known {
                let number = this.add(key, links, &known);
                known.insert(key, number);
            } else if !known.contains_key(key) {
                // A key that leads back to itself does so by way of what is no record yet.
                known.insert(key, None);
                open.push((key, true));
                open.extend(links.iter().map(|link| (&link.parent, false)));
            }
        }
        Ok(this)
    }

    /// Adds the record of a key whose parents are known.
    fn add(&mut self, key: &Key, links: &[Backlink], known: &HashMap<&Key, Option<usize>>) -> Option<usize> {
        let mut inputs: BTreeMap<usize, Vec<Input>> = BTreeMap::new();
        for link in links {
            let alternatives = inputs.entry(link.input).or_default();
            let parent = known.get(&link.parent).copied().flatten();
            alternatives.extend(parent.map(|at| Input { selector: link.selector.clone(), link: at }));
        }
        // All links to a key are of the same vertex.
        let digest = Digest::parse(links.first().map_or(key, |link| &link.root)).ok()?;
        let inputs: Vec<_> = inputs.into_values().collect();
        if inputs.iter().any(Vec::is_empty) {
            return None;
        }
        self.records.push(Record { results: Vec::new(), chains: Vec::new(), digest, inputs });
        self.keys.push(key.clone());
        Some(self.records.len() - 1)
    }
}

/// All links of the store: most lead to what is asked for, and there is no index by where they lead.
fn backlinks(store: &Store) -> Result<Backlinks> {
    store.db().read(|db| {
        let mut backlinks = Backlinks::new();
        let mut query = db.prepare_cached("SELECT child, parent, input, output, digest, selector FROM link")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let text = |column| row.get::<_, String>(column);
            let Ok(digest) = Digest::parse(&text(4)?) else { continue };
            let link = Backlink {
                parent: text(1)?.into(),
                input: usize::try_from(row.get::<_, i64>(2)?).unwrap_or_default(),
                root: root_key(&digest, row.get(3)?),
                selector: text(5)?,
            };
            backlinks.entry(text(0)?.into()).or_default().push(link);
        }
        Ok(backlinks)
    })
}
