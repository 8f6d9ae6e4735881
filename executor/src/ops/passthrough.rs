//! Passthrough: hands inputs through; only its identity counts.

use crate::Result;
use crate::ops::input;
use crate::snapshot::Committed;

/// Output i is the input at position `outputs[i]`.
pub(super) fn run(passthrough: &llb::Passthrough, inputs: &[Committed]) -> Result<Vec<Committed>> {
    passthrough.outputs.iter().map(|position| input(*position, inputs).cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::tests::tree;

    #[test]
    fn outputs_name_inputs() {
        let through = |outputs: &[i64]| {
            let op = llb::Passthrough { id: "x".into(), outputs: outputs.to_vec() };
            run(&op, &[tree("a"), tree("b")])
        };
        assert_eq!(through(&[1, 0, 1]).unwrap(), [tree("b"), tree("a"), tree("b")]);
        assert!(through(&[2]).is_err());
    }
}
