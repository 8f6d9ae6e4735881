//! A vertex as a step of a stage.

use ast::{Op, Opt, Span, Step, Text};
use llb::NodeId;

use super::Unfolding;
use super::settings::{Settings, Wanted};

/// A step as if it had been written.
pub(super) fn step(op: Op, opts: Vec<Opt>, span: Span) -> Step {
    Step { op, opts, text: Text::default(), comments: Vec::new(), checks: None, blank: None, keyword: span, span }
}

impl Unfolding<'_> {
    /// The steps of a vertex; `next` is what is wanted after it.
    pub(super) fn vertex(&mut self, id: NodeId, next: Option<&Wanted>, settings: &mut Settings, steps: &mut Vec<Step>) {
        match self.node(id).op.clone() {
            llb::Op::Exec(exec) => self.process(id, &exec, next, settings, steps),
            llb::Op::File(actions) => self.files(id, &actions, false, next, settings, steps),
            llb::Op::Merge(_) => {
                let Some(copy) = self.linked(id) else { return };
                if let llb::Op::File(actions) = self.node(copy).op.clone() {
                    self.files(copy, &actions, true, next, settings, steps);
                }
            }
            _ => {}
        }
    }
}
