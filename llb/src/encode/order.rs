//! In which order a vertex visits its inputs.
//!
//! parity: BuildKit's client collects the inputs of a file operation from its last action back to the first, at each
//! action the base first and what is copied then, so that definitions list the sources of a chain of copies in
//! reverse. Every other operation visits its inputs in the order of the wire.

use crate::{FileAction, Node, Op};

/// Appends the positions of the inputs of `node` in visiting order, each once.
pub(super) fn visit_order(node: &Node, order: &mut Vec<usize>) {
    let start = order.len();
    match &node.op {
        // Most are of one action: what it changes, what it copies, and whatever else there is.
        Op::File(actions) if let [FileAction { input, secondary_input, .. }] = actions[..] => {
            let inputs = node.inputs.len();
            let named = [input, secondary_input].into_iter().filter_map(|position| usize::try_from(position).ok());
            for input in named.filter(|input| *input < inputs).chain(0..inputs) {
                if !order[start..].contains(&input) {
                    order.push(input);
                }
            }
        }
        Op::File(actions) if node.inputs.len() > 1 => {
            let mut walk = Walk { actions, inputs: node.inputs.len(), seen: vec![false; node.inputs.len()], order };
            walk.actions();
            // Inputs that the last action does not depend on.
            (0..node.inputs.len()).for_each(|input| walk.visit(input));
        }
        _ => order.extend(0..node.inputs.len()),
    }
    debug_assert_eq!(order.len() - start, node.inputs.len());
}

struct Walk<'a> {
    actions: &'a [FileAction],
    inputs: usize,
    seen: Vec<bool>,
    order: &'a mut Vec<usize>,
}

/// What a position of a file action refers to.
enum Target {
    Nothing,
    Input(usize),
    Action(usize),
}

impl Walk<'_> {
    /// Walks back from the last action: what it copies from, when that is an action, before what it changes.
    fn actions(&mut self) {
        let bases = self.bases();
        let mut done = vec![false; self.actions.len()];
        let mut pending: Vec<usize> = self.actions.len().checked_sub(1).into_iter().collect();
        while let Some(action) = pending.pop() {
            if std::mem::replace(&mut done[action], true) {
                continue;
            }
            let FileAction { input, secondary_input, .. } = self.actions[action];
            bases[action].inspect(|&base| self.visit(base));
            if let Target::Action(previous) = self.target(input) {
                pending.push(previous);
            }
            match self.target(secondary_input) {
                Target::Input(input) => self.visit(input),
                Target::Action(source) => pending.push(source),
                Target::Nothing => {}
            }
        }
    }

    /// The input that the chain of each action starts from.
    fn bases(&self) -> Vec<Option<usize>> {
        let mut bases: Vec<Option<usize>> = Vec::with_capacity(self.actions.len());
        for action in self.actions {
            bases.push(match self.target(action.input) {
                Target::Input(input) => Some(input),
                Target::Action(previous) => bases.get(previous).copied().flatten(),
                Target::Nothing => None,
            });
        }
        bases
    }

    fn visit(&mut self, input: usize) {
        if !std::mem::replace(&mut self.seen[input], true) {
            self.order.push(input);
        }
    }

    fn target(&self, position: i64) -> Target {
        match usize::try_from(position) {
            Ok(position) if position < self.inputs => Target::Input(position),
            Ok(position) if position - self.inputs < self.actions.len() => Target::Action(position - self.inputs),
            _ => Target::Nothing,
        }
    }
}
