//! Input positions on the wire.
//!
//! Nodes refer to inputs by position. Two inputs of a node may turn out to be the same output of equal vertices; exec
//! and file operations then name it once, and every position moves. In other operations repeated inputs mean something
//! (a tree merged twice) and stay.

use std::collections::BTreeMap;

use crate::{Node, Op};

/// Where each input of a node stands on the wire.
pub(super) enum Positions {
    /// Where it stands in the node.
    Same,
    /// Some inputs are repeated.
    Moved {
        /// **Shape**: the new position of each input of the node.
        to: Vec<i64>,
        /// Positions, in the node, of the inputs that stay.
        firsts: Vec<usize>,
    },
}

impl Positions {
    /// Finds repeated inputs of a node that may not have them; `keys` are equal where inputs are.
    pub(super) fn new<K: Ord + Copy>(keys: &[K]) -> Self {
        if !repeats(keys) {
            return Self::Same;
        }
        let mut seen = BTreeMap::new();
        let mut firsts = Vec::new();
        let mut to = Vec::with_capacity(keys.len());
        for (position, key) in keys.iter().enumerate() {
            to.push(*seen.entry(*key).or_insert_with(|| {
                firsts.push(position);
                firsts.len() as i64 - 1
            }));
        }
        Self::Moved { to, firsts }
    }

    /// The position on the wire. Beyond the inputs stand the actions of a file operation; below 0 is no input.
    pub(super) fn of(&self, position: i64) -> i64 {
        let Self::Moved { to, firsts } = self else { return position };
        match usize::try_from(position) {
            Ok(index) if index < to.len() => to[index],
            Ok(_) => position - to.len() as i64 + firsts.len() as i64,
            Err(_) => position,
        }
    }
}

/// Whether a node could name an input twice and must not.
pub(super) fn may_repeat(node: &Node) -> bool {
    node.inputs.len() > 1 && matches!(node.op, Op::Exec(_) | Op::File(_))
}

/// Whether two keys are equal. Nearly every vertex has a handful of inputs, where comparing all is fastest.
fn repeats<K: Ord + Copy>(keys: &[K]) -> bool {
    if keys.len() <= 8 {
        return keys.iter().enumerate().any(|(position, key)| keys[..position].contains(key));
    }
    let mut sorted = keys.to_vec();
    sorted.sort_unstable();
    sorted.windows(2).any(|pair| pair[0] == pair[1])
}
