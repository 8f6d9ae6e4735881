//! Diff: what changed from one tree to another. Layers of a tree that grew out of the other are kept as they are.

use crate::Result;
use crate::ops::{Context, input};
use crate::snapshot::Committed;

/// What changed from the lower to the upper input; a side that is absent or -1 is the empty tree.
pub(super) fn run(diff: &llb::Diff, inputs: &[Committed], context: Context<'_>) -> Result<Vec<Committed>> {
    let (lower, upper) = (side(diff.lower, inputs)?, side(diff.upper, inputs)?);
    Ok(vec![context.snapshots.diff(&lower, &upper)?])
}

/// Whether the lists of layers say it all, so that no layer need be on this machine.
pub(super) fn is_by_layers(diff: &llb::Diff, inputs: &[Committed]) -> bool {
    match (side(diff.lower, inputs), side(diff.upper, inputs)) {
        (Ok(lower), Ok(upper)) => upper.layers.starts_with(&lower.layers),
        _ => true,
    }
}

fn side(position: Option<i64>, inputs: &[Committed]) -> Result<Committed> {
    match position {
        None | Some(-1) => Ok(Committed::default()),
        Some(position) => input(position, inputs).cloned(),
    }
}
