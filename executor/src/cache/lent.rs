//! A cache that somebody lends for a build: looked in beside the store's own. What of it is of use becomes the store's.

use std::collections::{BTreeSet, HashMap};

use oci::Digest;

use super::config::{Config, Record};
use super::links::Key;
use crate::snapshot::{Committed, LayerId};
use crate::store::Layer;

/// The keys of such a cache, and their results.
#[derive(Debug, Default)]
pub struct Lent {
    links: HashMap<Link, Vec<Key>>,
    /// Keys of sources and contents.
    roots: BTreeSet<Key>,
    results: HashMap<Key, Vec<Loan>>,
}

/// What leads from the key of an input to others.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Link {
    parent: Key,
    input: usize,
    /// What the vertex does, and of which output it is: [`super::root_key`].
    root: Key,
    selector: String,
}

/// A result whose layers are elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Loan {
    /// The tree.
    pub tree: Committed,
    /// What is known of each of its layers.
    pub layers: Vec<Layer>,
    /// When it was made, in milliseconds since the epoch.
    pub created: i64,
}

impl Lent {
    /// Reads a cache. **Shape** of `layers`: what is known of each layer of the config; a result is left out of which a layer
    /// is not known.
    ///
    /// **Errors**: a record needs itself.
    pub fn new(config: &Config, layers: &[Option<Layer>]) -> Result<Self, String> {
        let mut this = Self::default();
        let mut keys: HashMap<usize, Key> = HashMap::new();
        for number in config.inputs_first()? {
            let record = &config.records[number];
            let key = name(record, &keys);
            match record.inputs.is_empty() {
                true => drop(this.roots.insert(key.clone())),
                false => this.link(record, &key, &keys),
            }
            let loans = stacks(config, record).filter_map(|(stack, created)| loan(&stack, created, layers));
            this.results.entry(key.clone()).or_default().extend(loans);
            keys.insert(number, key);
        }
        Ok(this)
    }

    fn link(&mut self, record: &Record, key: &Key, keys: &HashMap<usize, Key>) {
        for (input, alternatives) in record.inputs.iter().enumerate() {
            for alternative in alternatives {
                let link = Link {
                    parent: keys[&alternative.link].clone(),
                    input,
                    root: record.digest.as_str().into(),
                    selector: alternative.selector.clone(),
                };
                self.links.entry(link).or_default().push(key.clone());
            }
        }
    }

    /// The keys that the key of an input leads to.
    pub(super) fn children(&self, parent: &Key, input: usize, root: &Key, selector: &str) -> &[Key] {
        let link = Link { parent: parent.clone(), input, root: root.clone(), selector: selector.to_owned() };
        self.links.get(&link).map_or(&[], Vec::as_slice)
    }

    /// Whether it has the key of a source.
    pub(super) fn has_root(&self, key: &Key) -> bool {
        self.roots.contains(key)
    }

    /// Results of a key, newest first.
    pub fn loans(&self, key: &Key) -> impl Iterator<Item = &Loan> {
        let mut loans: Vec<_> = self.results.get(key).into_iter().flatten().collect();
        loans.sort_by_key(|loan| std::cmp::Reverse(loan.created));
        loans.into_iter()
    }

    /// Whether there is a result of a key.
    pub(super) fn has_loan(&self, key: &Key) -> bool {
        self.results.get(key).is_some_and(|loans| !loans.is_empty())
    }
}

/// The key of a record: its digest, or a name that is the same for whoever has the same cache.
fn name(record: &Record, keys: &HashMap<usize, Key>) -> Key {
    if record.inputs.is_empty() {
        return record.digest.as_str().into();
    }
    let mut text = format!("lent {}", record.digest);
    for (input, alternatives) in record.inputs.iter().enumerate() {
        let names: BTreeSet<_> = alternatives.iter().map(|one| (&*keys[&one.link], &*one.selector)).collect();
        names.into_iter().for_each(|(key, selector)| text += &format!(" {input}:{key}@{selector}"));
    }
    Digest::sha256(text.as_bytes()).as_str().into()
}

/// The results of a record: layers by their numbers, lowest first, and when they were made.
fn stacks<'a>(config: &'a Config, record: &'a Record) -> impl Iterator<Item = (Vec<usize>, oci::Time)> + 'a {
    let stacked = record.results.iter().map(|result| (config.stack(result.layer), result.created));
    stacked.chain(record.chains.iter().map(|chain| (chain.layers.clone(), chain.created)))
}

fn loan(stack: &[usize], created: oci::Time, layers: &[Option<Layer>]) -> Option<Loan> {
    let layers = stack.iter().map(|at| layers[*at].clone()).collect::<Option<Vec<_>>>()?;
    let ids = layers.iter().map(|layer| layer.diff_id.as_ref().map(LayerId::of_diff_id)).collect::<Option<Vec<_>>>()?;
    let millis = created.unix_seconds().saturating_mul(1000).saturating_add(i64::from(created.nanos() / 1_000_000));
    (!ids.is_empty()).then_some(Loan { tree: Committed { layers: ids }, layers, created: millis })
}

#[cfg(test)]
mod tests;
