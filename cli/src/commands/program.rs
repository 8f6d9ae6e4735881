//! Running the plan of a program: its results and what it sends away, in the order it says.
//!
//! What is sent away on the way to a result goes first, as the program has it. Parts that may run at once run one after
//! the other: each is a build of its own, whose steps run at once.

use std::collections::BTreeSet;

use compiler::{Needs, Order, Plan};
use executor::cli::Settings as RunSettings;
use llb::passes;

use crate::definition;
use crate::failure::{Failure, Result};
use crate::needs;

/// Whether a plan is more than results for whoever asked.
pub(super) fn is_program(plan: &Plan) -> bool {
    let own = |number: usize| plan.outputs[number].needs != Needs::default();
    // Several results, each for several platforms, are no one image.
    let has_several = plan.variants > 1 && plan.outputs.len() > plan.variants;
    has_several
        || !plan.exports.is_empty()
        || matches!(plan.order, Order::Nothing | Order::Sequence(_))
        || (0..plan.outputs.len()).any(own)
}

/// Builds everything. `settings` makes the settings of one build, with outputs of its own instead of the user's.
pub(super) fn run(
    plan: &Plan,
    passes: passes::Options,
    settings: &dyn Fn(Option<String>) -> Result<RunSettings>,
) -> Result<()> {
    let mut runner = Runner { plan, passes, settings, sent: BTreeSet::new() };
    let attached: BTreeSet<usize> = plan.outputs.iter().flat_map(|output| output.exports.iter().copied()).collect();
    // What is sent away on the way to nothing that is built.
    for number in (0..plan.exports.len()).filter(|number| !attached.contains(number)) {
        runner.send(number)?;
    }
    runner.order(&plan.order)
}

struct Runner<'p> {
    plan: &'p Plan,
    passes: passes::Options,
    settings: &'p dyn Fn(Option<String>) -> Result<RunSettings>,
    /// Exports that are done.
    sent: BTreeSet<usize>,
}

impl Runner<'_> {
    fn order(&mut self, order: &Order) -> Result<()> {
        match order {
            Order::Nothing => Ok(()),
            Order::Output(number) => {
                // Every platform sends away the same.
                for export in &self.plan.variants(*number)[0].exports {
                    self.send(*export)?;
                }
                self.build(*number, None)
            }
            Order::Parallel(all) | Order::Sequence(all) => all.iter().try_for_each(|order| self.order(order)),
        }
    }

    fn send(&mut self, number: usize) -> Result<()> {
        if !self.sent.insert(number) {
            return Ok(());
        }
        let export = &self.plan.exports[number];
        self.build(export.output, Some(needs::destination(&export.kind)))
    }

    fn build(&self, number: usize, output: Option<String>) -> Result<()> {
        let mut settings = (self.settings)(output)?;
        // They listen until the build is done.
        let mut forwards = Vec::new();
        for output in self.plan.variants(number) {
            needs::provide(&output.needs, &mut settings, &mut forwards)?;
        }
        let mut plan = self.plan.output(number);
        plan.optimize(self.passes);
        let definition = definition::encode(plan)?;
        executor::cli::run(definition, settings).map_err(Failure::Build)
    }
}
