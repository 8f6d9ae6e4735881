//! Arguments of the module: those that are always there, then `ARG` before the first stage.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::environment::{Environment, Lookup, Scope};
use super::expand::{self, Expanded, Uses};
use super::from::expanded_bases;
use super::planner::{Overlay, Planner};
use super::platform::{PREDEFINED, Predefined};
use super::settings::BuildArgs;
use super::stop::{Done, Stop};

/// What `FROM` may use, and stages once they declare it: arguments of the module over those that are always there.
pub(super) struct Globals<'a> {
    /// Those that the text declares, as far as they have a value.
    pub(super) own: Environment,
    always: Always<'a>,
}

/// The arguments that are always there. Build arguments replace them.
struct Always<'a> {
    predefined: Predefined<'a>,
    given: &'a BuildArgs<'a>,
}

impl<'a> Globals<'a> {
    /// Nothing but what is always there.
    pub(super) fn new(predefined: Predefined<'a>, given: &'a BuildArgs<'a>) -> Self {
        Self { own: Environment::default(), always: Always { predefined, given } }
    }

    /// Names of all that have a value.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        PREDEFINED.into_iter().filter(|name| self.own.value(name).is_none()).chain(self.own.names())
    }

    /// The value of one, if it is known.
    pub(super) fn value(&self, name: &str) -> Option<Rc<str>> {
        match self.own.get(name) {
            Lookup::Unset => self.always.value(name).map(Rc::from),
            _ => self.own.value(name).cloned(),
        }
    }

    /// All of them as variables.
    pub(super) fn variables(&self) -> Environment {
        let always = PREDEFINED.into_iter().map(|name| (name.into(), self.always.value(name).map(Rc::from)));
        let mut variables = Environment::of(always);
        self.own.iter().for_each(|(name, value)| variables.set(name.clone(), value.clone()));
        variables
    }
}

impl Scope for Globals<'_> {
    fn get(&self, name: &str) -> Lookup<'_> {
        Overlay { over: &self.own, base: &self.always }.look_up(name)
    }
}

impl Always<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        let value = self.predefined.get(name)?;
        Some(self.given.get(name).copied().unwrap_or(value))
    }
}

impl Scope for Always<'_> {
    fn get(&self, name: &str) -> Lookup<'_> {
        self.value(name).map_or(Lookup::Unset, Lookup::Set)
    }
}

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
        self.declared = module.params().map(|(_, param)| param.name.text.as_str()).collect::<BTreeSet<_>>();
        // Where no build argument changes anything, one pass tells both.
        let changed = self.declared.iter().any(|name| self.build_args.contains_key(name));
        if self.noting && changed {
            // An error here is no reason to stop: build arguments may mend it.
            if let Ok(defaults) = self.module_args(Values::Defaults) {
                let scope = Overlay { over: &defaults, base: &self.globals.always };
                let bases = expanded_bases(module, &scope, &Uses::ignored());
                self.note_default_bases(&bases);
            }
        }
        self.globals.own = self.module_args(Values::Given)?;
        let bases = expanded_bases(module, &self.globals, &self.captures.uses());
        if self.noting && !changed {
            self.note_default_bases(&bases);
        }
        self.bases = bases;
        Ok(())
    }

    fn module_args(&mut self, values: Values) -> Done<Environment> {
        let mut env = Environment::default();
        let mut uses = self.captures.uses();
        let mut step_start = None;
        let mut index = 0;
        for (step, param) in self.request.module.params() {
            index = if step_start == Some(step.span.start) { index + 1 } else { 0 };
            step_start = Some(step.span.start);
            let key = param.name.text.as_str();
            let given = self.build_args.get(key).filter(|_| values == Values::Given).cloned();
            let value = match (given, &param.default) {
                (Some(given), _) => Some(Some(given)),
                (None, None) => None,
                (None, Some(default)) => {
                    let scope = Overlay { over: &env, base: &self.globals.always };
                    let value = expand::string(default, &scope, &mut uses).map_err(|fault| {
                        let stop = Stop::from(fault).point(default.span);
                        self.at(stop, Some(step.span))
                    })?;
                    Some(match value {
                        Expanded::Known(value) => {
                            self.grow(value.len().saturating_sub(default.raw().len()))?;
                            Some(Rc::from(&*value))
                        }
                        Expanded::Unknown => None,
                    })
                }
            };
            if values == Values::Given {
                let shown = value.as_ref().and_then(|value| value.as_deref());
                self.captures.global(step.span, index, key, shown, std::mem::take(&mut uses.matched));
            }
            if let Some(value) = value {
                env.set(key.into(), value);
            }
        }
        Ok(env)
    }
}
