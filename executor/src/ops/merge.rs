//! Merge: trees laid on top of each other, which is their layers appended. Nothing is copied.

use crate::Result;
use crate::ops::input;
use crate::snapshot::Committed;

/// Lays the inputs at `positions` on top of each other, lowest first.
pub(super) fn run(positions: &[i64], inputs: &[Committed]) -> Result<Vec<Committed>> {
    let mut layers = Vec::new();
    for position in positions {
        layers.extend(input(*position, inputs)?.layers.iter().cloned());
    }
    Ok(vec![Committed { layers }])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::ops::tests::tree;

    #[test]
    fn layers_are_appended() {
        let merge = |positions: &[i64], inputs: &[&str]| {
            let inputs: Vec<_> = inputs.iter().map(|text| tree(text)).collect();
            run(positions, &inputs)
        };
        assert_eq!(merge(&[0, 1], &["a b", "c"]).unwrap(), [tree("a b c")]);
        assert_eq!(merge(&[1, 0], &["a", ""]).unwrap(), [tree("a")]);
        assert_eq!(merge(&[], &[]).unwrap(), [tree("")]);
        assert!(matches!(merge(&[2], &["a"]), Err(Error::Definition(_))));
    }
}
