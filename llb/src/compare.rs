//! Two graphs side by side: which vertices are the same, which changed and in what, and which only run again because of it.
//!
//! Vertices with equal digests are the same. Of the others those that do the same kind of thing and have the same name
//! belong together, then those that do the same kind of thing, in their order. What is only said of a vertex (names,
//! places, capabilities) changes no digest and is not compared, but for the configs of images.

mod fields;

use std::collections::BTreeMap;

use oci::Digest;
use serde_json::Value;

use crate::{EncodeError, Graph, Node, NodeId, Op, dump, encode_traced};
use fields::{differ, json};

pub use fields::Field;

/// What became of the vertices of one graph in another.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    /// Vertices that are in both, by their numbers in each.
    pub same: Vec<(NodeId, NodeId)>,
    /// Vertices that themselves changed.
    pub changed: Vec<Changed>,
    /// Vertices that are as they were, but run again because something below them changed.
    pub invalidated: Vec<(NodeId, NodeId)>,
    /// Vertices that are only in the first graph.
    pub removed: Vec<NodeId>,
    /// Vertices that are only in the second graph.
    pub added: Vec<NodeId>,
    /// What changed in the configs of images, which no vertex depends on.
    pub images: Vec<Field>,
}

/// A vertex that changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    /// Its number in each graph.
    pub pair: (NodeId, NodeId),
    /// What changed in it.
    pub fields: Vec<Field>,
}

/// Compares two graphs. Vertices that no output needs are left out.
///
/// **Errors**: a graph that cannot be encoded has no digests.
pub fn compare(first: &Graph, second: &Graph) -> Result<Comparison, EncodeError> {
    let digests = [encode_traced(first)?.1, encode_traced(second)?.1];
    let mut pairs = Pairs::new(first, second, &digests);
    let mut result = Comparison { same: pairs.by_digest(), ..Comparison::default() };
    let mut different = pairs.by(|node| (kind(&node.op), dump::name(node)));
    different.extend(pairs.by(|node| (kind(&node.op), step(&dump::name(node)).to_owned())));
    different.extend(pairs.by(|node| (kind(&node.op), String::new())));
    different.sort_unstable();
    let partner: BTreeMap<NodeId, NodeId> = result.same.iter().chain(&different).copied().collect();
    for pair in different {
        let fields = fields(first, second, pair, &partner);
        if fields.is_empty() { result.invalidated.push(pair) } else { result.changed.push(Changed { pair, fields }) }
    }
    (result.removed, result.added) = (pairs.left.0, pairs.left.1);
    result.images = fields::of_images(first, second);
    Ok(result)
}

/// Vertices that have no partner yet.
struct Pairs<'g> {
    graphs: (&'g Graph, &'g Graph),
    digests: &'g [Vec<Option<Digest>>; 2],
    left: (Vec<NodeId>, Vec<NodeId>),
}

impl<'g> Pairs<'g> {
    fn new(first: &'g Graph, second: &'g Graph, digests: &'g [Vec<Option<Digest>>; 2]) -> Self {
        let needed =
            |of: usize| (0..).map(NodeId).zip(&digests[of]).filter(|(_, digest)| digest.is_some()).map(|(id, _)| id);
        Self { graphs: (first, second), digests, left: (needed(0).collect(), needed(1).collect()) }
    }

    fn by_digest(&mut self) -> Vec<(NodeId, NodeId)> {
        let digests = self.digests;
        let key = |of: usize| move |id: NodeId| digests[of][id.0 as usize].clone();
        self.take(key(0), key(1))
    }

    fn by<K: Ord>(&mut self, key: impl Fn(&Node) -> K) -> Vec<(NodeId, NodeId)> {
        let (first, second) = self.graphs;
        self.take(|id| key(&first.nodes[id.0 as usize]), |id| key(&second.nodes[id.0 as usize]))
    }

    /// Takes out vertices with equal keys, two by two, in their order.
    fn take<K: Ord>(&mut self, first: impl Fn(NodeId) -> K, second: impl Fn(NodeId) -> K) -> Vec<(NodeId, NodeId)> {
        let mut by_key: BTreeMap<K, std::collections::VecDeque<NodeId>> = BTreeMap::new();
        self.left.1.iter().for_each(|&id| by_key.entry(second(id)).or_default().push_back(id));
        let mut pairs = Vec::new();
        self.left.0.retain(|&id| match by_key.get_mut(&first(id)).and_then(std::collections::VecDeque::pop_front) {
            Some(other) => {
                pairs.push((id, other));
                false
            }
            None => true,
        });
        let mut left: Vec<NodeId> = by_key.into_values().flatten().collect();
        left.sort_unstable();
        self.left.1 = left;
        pairs
    }
}

fn kind(op: &Op) -> u8 {
    match op {
        Op::Source(_) => 0,
        Op::Exec(_) => 1,
        Op::File(_) => 2,
        Op::Build(_) => 3,
        Op::Merge(_) => 4,
        Op::Diff(_) => 5,
        Op::Passthrough(_) => 6,
    }
}

/// A name without the numbers of the step, which change when steps are added: `[build 2/4] RUN x` is `[build] RUN x`'s.
fn step(name: &str) -> &str {
    name.split_once("] ").filter(|(place, _)| place.starts_with('[')).map_or(name, |(_, text)| text)
}

fn fields(first: &Graph, second: &Graph, (a, b): (NodeId, NodeId), partner: &BTreeMap<NodeId, NodeId>) -> Vec<Field> {
    let (old, new) = (&first.nodes[a.0 as usize], &second.nodes[b.0 as usize]);
    let mut found = Vec::new();
    differ("", Some(&json(&old.op)), Some(&json(&new.op)), &mut found);
    differ("platform", Some(&json(&old.platform.as_deref())), Some(&json(&new.platform.as_deref())), &mut found);
    differ("constraints", Some(&json(&old.constraints)), Some(&json(&new.constraints)), &mut found);
    // An input that has become another vertex is a change of this one; one that changed itself is not.
    for position in 0..old.inputs.len().max(new.inputs.len()) {
        let (before, after) = (old.inputs.get(position), new.inputs.get(position));
        let moved = before.and_then(|edge| Some((partner.get(&edge.node)?, edge.index)));
        if before.is_none() || moved != after.map(|edge| (&edge.node, edge.index)) {
            let name =
                |graph: &Graph, edge: &crate::Edge| Value::String(dump::name(&graph.nodes[edge.node.0 as usize]));
            let (before, after) = (before.map(|edge| name(first, edge)), after.map(|edge| name(second, edge)));
            found.push(Field { path: format!("inputs[{position}]"), before, after });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(first: &str, second: &str, expected: &[&str]) {
        let [first, second] = [first, second].map(|text| crate::text::parse(text).unwrap());
        let compared = compare(&first, &second).unwrap();
        let mut lines: Vec<String> = Vec::new();
        for Changed { pair, fields } in &compared.changed {
            let field = |field: &Field| {
                let value = |value: &Option<Value>| value.as_ref().map_or("nothing".into(), Value::to_string);
                format!("{} {} -> {}", field.path, value(&field.before), value(&field.after))
            };
            lines.push(format!(
                "%{} %{}: {}",
                pair.0.0,
                pair.1.0,
                fields.iter().map(field).collect::<Vec<_>>().join("; ")
            ));
        }
        lines.extend(compared.images.iter().map(|field| format!("image: {field:?}")));
        lines.extend(compared.invalidated.iter().map(|pair| format!("%{} %{} again", pair.0.0, pair.1.0)));
        lines.extend(compared.removed.iter().map(|id| format!("%{} removed", id.0)));
        lines.extend(compared.added.iter().map(|id| format!("%{} added", id.0)));
        lines.push(format!("{} same", compared.same.len()));
        assert_eq!(lines, expected);
    }

    const CHAIN: &str = r#"
        %0 = source "local://a"
        %1 = exec(%0) args=["sh", "-c", "make"] cwd="/" bind("/", from=0, to=0)
        %2 = file(%0, %1) copy("/out", "/", base=0, from=1, to=0)
        output %2"#;

    #[test]
    fn what_is_equal_is_the_same() {
        check(CHAIN, CHAIN, &["3 same"]);
    }

    #[test]
    fn a_changed_field_is_named_and_what_it_invalidates() {
        check(
            CHAIN,
            &CHAIN.replace("make", "make -j").replace("cwd=\"/\"", "cwd=\"/\" env=[\"A=1\"]"),
            &[
                r#"%1 %1: exec.meta.args[2] "make" -> "make -j"; exec.meta.env.A nothing -> "1""#,
                "%2 %2 again",
                "1 same",
            ],
        );
    }

    #[test]
    fn steps_come_and_go() {
        let more = CHAIN
            .replace("%2 = file(%0, %1)", "%2 = file(%1) rm(\"/x\", base=0, to=0)\n%3 = file(%0, %2)")
            .replace("output %2", "output %3");
        check(CHAIN, &more, &[r#"%2 %3: inputs[1] "sh -c make" -> "rm /x""#, "%2 added", "2 same"]);
        check(&more, CHAIN, &[r#"%3 %2: inputs[1] "rm /x" -> "sh -c make""#, "%2 removed", "2 same"]);
    }

    #[test]
    fn numbers_of_steps_do_not_matter() {
        let named = |name: &str, cwd: &str| {
            format!(
                "%0 = source \"local://a\"\n%1 = exec(%0) args=[\"x\"] cwd=\"{cwd}\" bind(\"/\", from=0, to=0)\n  ! description={{\"llb.customname\": \"{name}\"}}\noutput %1"
            )
        };
        check(
            &named("[a 1/2] RUN x", "/a"),
            &named("[a 1/3] RUN x", "/b"),
            &[r#"%1 %1: exec.meta.cwd "/a" -> "/b""#, "1 same"],
        );
    }
}
