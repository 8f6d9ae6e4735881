//! Conditions of steps, which languages without processes of their own have: a step that is not taken does nothing.

use ast::{Condition, OptKind, Str};

use crate::plan::planner::{CommandScope, Planner};
use crate::plan::stages::Command;
use crate::plan::state::State;
use crate::plan::stop::Done;

impl Planner<'_> {
    /// Whether all conditions of a step hold.
    pub(in crate::plan) fn is_taken(&mut self, state: &State, command: &Command<'_>) -> Done<bool> {
        let scope = Self::scope(state, command);
        for opt in &command.step.opts {
            if let OptKind::When(condition) = &opt.kind
                && !self.holds(condition, scope)?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn holds(&mut self, condition: &Condition, scope: CommandScope<'_, '_>) -> Done<bool> {
        Ok(match condition {
            Condition::True(value) => self.text(value, scope)? == "true",
            Condition::Equal(left, right) => self.text(left, scope)? == self.text(right, scope)?,
            Condition::In(value, options) => {
                let value = self.text(value, scope)?;
                self.any(options, |planner, option: &Str| Ok(planner.text(option, scope)? == value))?
            }
            Condition::Not(inner) => !self.holds(inner, scope)?,
            Condition::All(parts) => !self.any(parts, |planner, part| Ok(!planner.holds(part, scope)?))?,
            Condition::Any(parts) => self.any(parts, |planner, part| planner.holds(part, scope))?,
        })
    }

    fn any<T>(&mut self, items: &[T], mut is: impl FnMut(&mut Self, &T) -> Done<bool>) -> Done<bool> {
        for item in items {
            if is(self, item)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
