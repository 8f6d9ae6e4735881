//! What a builder says of a cache that others may use: which keys lead to which, and the layers that keys have.
//!
//! The format is BuildKit v0.32's `application/vnd.buildkit.cacheconfig.v0` (`cache/remotecache/v1`), so that either side
//! reads what the other wrote. The digest of a record is that of a key without inputs, of a content, or of what a vertex does
//! and of its output ([`super::root_key`]); the keys of its inputs are links to other records.

use oci::{Digest, Time};
use serde::{Deserialize, Serialize};

/// The media type of a config.
pub const MEDIA_TYPE: &str = "application/vnd.buildkit.cacheconfig.v0";

/// Most layers of a result: more are on top of themselves, or cannot be mounted.
const MOST_LAYERS: usize = 1024;

/// A cache of somebody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The layers that results consist of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<Layer>,
    /// Keys, with their results.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<Record>,
}

/// A layer on top of others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Layer {
    /// Digest of its blob, which whoever has the config has, too.
    pub blob: Digest,
    /// The layer below; -1: there is none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub parent: i64,
}

/// A key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its results, by their topmost layer.
    #[serde(default, rename = "layers", skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<Outcome>,
    /// Results whose layers are not on top of each other in the list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chains: Vec<Chain>,
    /// What it does.
    pub digest: Digest,
    /// For each input the keys that it may have; of a source none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Vec<Input>>,
}

/// A result: a layer with all that are below.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The layer.
    pub layer: usize,
    /// When it was made.
    #[serde(rename = "createdAt")]
    pub created: Time,
}

/// A result: layers, lowest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// The layers.
    pub layers: Vec<usize>,
    /// When it was made.
    #[serde(rename = "createdAt")]
    pub created: Time,
}

/// A key of an input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// The part of the input that matters; empty for all of it, and for the key of a content.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub selector: String,
    /// The record of the key.
    pub link: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

impl Config {
    /// Reads a config.
    ///
    /// **Errors**: it is no JSON of this form, or points at what is not there or at itself.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let config: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        config.check()?;
        Ok(config)
    }

    /// Reads the records that the config of an image holds; its layers, lowest first, are those of the result.
    ///
    /// **Errors**: the same.
    pub fn parse_inline(records: &[u8], layers: &[Digest]) -> Result<Self, String> {
        let records = serde_json::from_slice(records).map_err(|error| error.to_string())?;
        let layer = |(parent, blob): (i64, &Digest)| Layer { blob: blob.clone(), parent };
        let config = Self { layers: (-1..).zip(layers).map(layer).collect(), records };
        config.check()?;
        Ok(config)
    }

    /// The bytes of a config.
    pub fn to_json(&self) -> Vec<u8> {
        oci::json::to_vec(self)
    }

    /// The layers of a result by their numbers, lowest first.
    pub fn stack(&self, top: usize) -> Vec<usize> {
        let below = |layer: &usize| usize::try_from(self.layers[*layer].parent).ok();
        let mut stack: Vec<usize> = std::iter::successors(Some(top), below).collect();
        stack.reverse();
        stack
    }

    fn check(&self) -> Result<(), String> {
        for (number, layer) in self.layers.iter().enumerate() {
            let below =
                |at: &i64| usize::try_from(*at).ok().and_then(|at| self.layers.get(at)).map(|layer| layer.parent);
            if std::iter::successors(Some(layer.parent), below).take(MOST_LAYERS).last() != Some(-1) {
                return Err(format!("invalid parent of layer {number}"));
            }
        }
        let known = |layer: &usize| *layer < self.layers.len();
        for (number, record) in self.records.iter().enumerate() {
            let results = record.results.iter().map(|result| &result.layer);
            if let Some(layer) =
                results.chain(record.chains.iter().flat_map(|chain| &chain.layers)).find(|at| !known(at))
            {
                return Err(format!("invalid layer index {layer} of record {number}"));
            }
            if record.inputs.iter().any(Vec::is_empty) {
                return Err(format!("invalid empty input of record {number}"));
            }
            if let Some(input) = record.inputs.iter().flatten().find(|input| input.link >= self.records.len()) {
                return Err(format!("invalid record index {} of record {number}", input.link));
            }
        }
        self.inputs_first().map(drop)
    }

    /// The numbers of the records, such that those of inputs come before those that need them.
    ///
    /// **Errors**: a record needs itself.
    pub fn inputs_first(&self) -> Result<Vec<usize>, String> {
        let mut order = Vec::with_capacity(self.records.len());
        // Not seen; its inputs are looked at; in the order.
        let mut state = vec![0_u8; self.records.len()];
        for first in 0..self.records.len() {
            let mut open = vec![first];
            while let Some(at) = open.last().copied() {
                let links = self.records[at].inputs.iter().flatten().map(|input| input.link);
                match std::mem::replace(&mut state[at], 1) {
                    0 => {
                        for link in links {
                            match state[link] {
                                0 => open.push(link),
                                1 => return Err(format!("record {link} needs itself")),
                                _ => {}
                            }
                        }
                    }
                    1 => {
                        state[at] = 2;
                        order.push(at);
                        open.pop();
                    }
                    _ => {
                        state[at] = 2;
                        open.pop();
                    }
                }
            }
        }
        Ok(order)
    }

    /// The same cache in the one order that it is written in: equal caches have equal bytes.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        let places = self.sort_layers();
        for record in &mut self.records {
            record.results.iter_mut().for_each(|result| result.layer = places[result.layer]);
            record.chains.iter_mut().flat_map(|chain| &mut chain.layers).for_each(|layer| *layer = places[*layer]);
        }
        self.sort_records();
        self
    }

    /// Sorts the layers, and says where each has gone.
    fn sort_layers(&mut self) -> Vec<usize> {
        let layers = std::mem::take(&mut self.layers);
        let order = sorted_by_key(layers.len(), |at| &layers[at]);
        let places = inverse(&order);
        self.layers = order.into_iter().map(|at| layers[at].clone()).collect();
        for layer in &mut self.layers {
            if let Ok(parent) = usize::try_from(layer.parent) {
                layer.parent = i64::try_from(places[parent]).expect("layers are few");
            }
        }
        places
    }

    /// Sorts the records, which stay of the same layers.
    pub fn sort_records(&mut self) {
        let records = std::mem::take(&mut self.records);
        let inputs = |at: usize| {
            let of_input = |inputs: &Vec<Input>| {
                let named = |input: &Input| (input.selector.clone(), records[input.link].digest.clone());
                let mut named: Vec<_> = inputs.iter().map(named).collect();
                named.sort();
                (named.len(), named)
            };
            records[at].inputs.iter().map(of_input).collect::<Vec<_>>()
        };
        let order = sorted_by_key(records.len(), |at| (&records[at].digest, records[at].inputs.len(), inputs(at)));
        let places = inverse(&order);
        self.records = order.into_iter().map(|at| records[at].clone()).collect();
        for inputs in self.records.iter_mut().flat_map(|record| &mut record.inputs) {
            inputs.iter_mut().for_each(|input| input.link = places[input.link]);
            inputs.sort_by(|a, b| (a.link, &a.selector).cmp(&(b.link, &b.selector)));
        }
    }
}

fn sorted_by_key<K: Ord>(count: usize, key: impl Fn(usize) -> K) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_cached_key(|at| key(*at));
    order
}

/// For each number its place in an order.
fn inverse(order: &[usize]) -> Vec<usize> {
    let mut places = vec![0; order.len()];
    order.iter().enumerate().for_each(|(place, at)| places[*at] = place);
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> Digest {
        Digest::sha256(text.as_bytes())
    }

    fn record(name: &str, inputs: &[&[(&str, usize)]]) -> Record {
        let input = |(selector, link): &(&str, usize)| Input { selector: (*selector).to_owned(), link: *link };
        let inputs = inputs.iter().map(|inputs| inputs.iter().map(input).collect()).collect();
        Record { results: Vec::new(), chains: Vec::new(), digest: digest(name), inputs }
    }

    #[test]
    fn the_bytes_are_those_of_buildkit() {
        let layer = |parent| Layer { blob: digest("l"), parent };
        let mut run = record("run", &[&[("", 0)]]);
        run.results.push(Outcome { layer: 1, created: Time::from_unix(1, 5) });
        let config = Config { layers: vec![layer(-1), layer(0)], records: vec![record("image", &[]), run] };
        let (blob, image, run) = (digest("l"), digest("image"), digest("run"));
        let text = format!(
            "{{\"layers\":[{{\"blob\":\"{blob}\",\"parent\":-1}},{{\"blob\":\"{blob}\"}}],\"records\":[{{\"digest\":\"{image}\"}},\
             {{\"layers\":[{{\"layer\":1,\"createdAt\":\"1970-01-01T00:00:01.000000005Z\"}}],\"digest\":\"{run}\",\
             \"inputs\":[[{{\"link\":0}}]]}}]}}"
        );
        assert_eq!(String::from_utf8(config.to_json()).unwrap(), text);
        assert_eq!(Config::parse(text.as_bytes()), Ok(config));
    }

    #[test]
    fn what_points_nowhere_is_refused() {
        let layers = |parents: &[i64]| parents.iter().map(|at| Layer { blob: digest("l"), parent: *at }).collect();
        let refused = |layers: Vec<Layer>, records: Vec<Record>| {
            Config::parse(&Config { layers, records }.to_json()).expect_err("it must be refused")
        };
        assert_eq!(refused(layers(&[1, 0]), vec![]), "invalid parent of layer 0");
        assert_eq!(refused(layers(&[-1, 2]), vec![]), "invalid parent of layer 1");
        assert_eq!(refused(layers(&[-2]), vec![]), "invalid parent of layer 0");
        assert_eq!(refused(vec![], vec![record("a", &[&[]])]), "invalid empty input of record 0");
        assert_eq!(refused(vec![], vec![record("a", &[&[("", 7)]])]), "invalid record index 7 of record 0");
        let looping = vec![record("a", &[&[("", 1)]]), record("b", &[&[("", 0)]])];
        assert_eq!(refused(vec![], looping), "record 0 needs itself");
        assert_eq!(refused(vec![], vec![record("a", &[&[("", 0)]])]), "record 0 needs itself");
        let mut nowhere = record("a", &[]);
        nowhere.chains.push(Chain { layers: vec![0, 3], created: Time::from_unix(0, 0) });
        assert_eq!(refused(layers(&[-1]), vec![nowhere]), "invalid layer index 3 of record 0");
        assert!(Config::parse(b"7").is_err() && Config::parse(b"{").is_err());
    }

    #[test]
    fn a_long_chain_of_records_is_read() {
        let records = (0..100_000).map(|at| match at {
            99_999 => record("root", &[]),
            at => record("run", &[&[("", at + 1)]]),
        });
        let config = Config { layers: vec![], records: records.collect() };
        assert_eq!(config.inputs_first().unwrap().first(), Some(&99_999));
    }

    #[test]
    fn equal_caches_are_written_alike() {
        let layer = |name: &str, parent| Layer { blob: digest(name), parent };
        let result = |at| Outcome { layer: at, created: Time::from_unix(0, 0) };
        let mut one = Config {
            layers: vec![layer("base", -1), layer("top", 0)],
            records: vec![record("image", &[]), record("content", &[]), record("run", &[&[("s", 0), ("", 1)]])],
        };
        one.records[2].results.push(result(1));
        let mut other = Config {
            layers: vec![layer("top", 1), layer("base", -1)],
            records: vec![record("run", &[&[("", 1), ("s", 2)]]), record("content", &[]), record("image", &[])],
        };
        other.records[0].results.push(result(0));
        assert_ne!(one, other);
        let sorted = one.clone().sorted();
        assert_eq!(sorted, other.sorted());
        assert_eq!(sorted, sorted.clone().sorted());
        assert_eq!(Config::parse(&sorted.to_json()), Ok(sorted));
    }
}
