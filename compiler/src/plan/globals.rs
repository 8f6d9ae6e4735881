//! Arguments of the module: those that are always there, then `ARG` before the first stage.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::environment::Environment;
use super::expand::{self, Expanded, Uses};
use super::planner::Planner;
use super::stop::{Done, Stop};

/// Whose values count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Values {
    /// Build arguments, else defaults.
    Given,
    /// Defaults alone.
    Defaults,
}

impl Planner<'_> {
    /// Sets up the arguments, noting bases that need build arguments to be valid.
    pub(super) fn set_globals(&mut self) -> Done {
        self.check_domains()?;
        let module = self.request.module;
        let stage = match self.settings.target {
            "" => module.defs.last().and_then(|def| def.name.as_ref()).map_or("", |name| name.text.as_str()),
            target => target,
        };
        let predefined = super::platform::predefined(&self.settings.build_platforms[0], &self.target.platform, stage);
        self.globals = Environment::of(predefined.into_iter().map(|(key, value)| {
            let value = self.build_args.get(&**key).cloned().unwrap_or(value);
            (key.clone(), Some(value))
        }));
        self.declared = module.params().map(|(_, param)| param.name.text.as_str()).collect::<BTreeSet<_>>();
        if self.noting {
            if !self.declared.iter().any(|name| self.build_args.contains_key(name)) {
                // No build argument changes anything: one pass tells both.
                self.globals = self.module_args(Values::Given)?;
                let globals = std::mem::take(&mut self.globals);
                self.note_default_bases(&globals);
                self.globals = globals;
                return Ok(());
            }
            // An error here is no reason to stop: build arguments may mend it.
            if let Ok(defaults) = self.module_args(Values::Defaults) {
                self.note_default_bases(&defaults);
            }
        }
        self.globals = self.module_args(Values::Given)?;
        Ok(())
    }

    fn module_args(&mut self, values: Values) -> Done<Environment> {
        let mut env = self.globals.clone();
        let mut uses = Uses::default();
        let mut step_start = None;
        let mut index = 0;
        for (step, param) in self.request.module.params() {
            index = if step_start == Some(step.span.start) { index + 1 } else { 0 };
            step_start = Some(step.span.start);
            let key = param.name.text.as_str();
            uses.matched.clear();
            let given = self.build_args.get(key).filter(|_| values == Values::Given).cloned();
            let value = match (given, &param.default) {
                (Some(given), _) => Some(Some(given)),
                (None, None) => None,
                (None, Some(default)) => {
                    let value = expand::string(default, &env, &mut uses).map_err(|fault| {
                        let stop = Stop::from(fault).point(default.span);
                        self.at(stop, Some(step.span))
                    })?;
                    Some(match value {
                        Expanded::Known(value) => {
                            self.grow(value.len().saturating_sub(default.raw().0.len()))?;
                            Some(Arc::from(&*value))
                        }
                        Expanded::Unknown => None,
                    })
                }
            };
            if values == Values::Given {
                let shown = value.as_ref().and_then(|value| value.as_deref());
                self.captures.global(step.span, index, key, shown, uses.matched.clone());
            }
            if let Some(value) = value {
                env.set(key.into(), value);
            }
        }
        Ok(env)
    }
}
