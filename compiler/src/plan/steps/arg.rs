//! `ARG`: a build argument, else the default, else the argument of the module. Pairs see earlier pairs of the line.

use std::rc::Rc;

use ast::{OptKind, Param};

use crate::plan::environment::Value;
use crate::plan::history::Layer;
use crate::plan::notes::NoteKind;
use crate::plan::planner::{Planner, is_hidden_arg};
use crate::plan::stages::{Command, StageId};
use crate::plan::state::State;
use crate::plan::stop::Done;

impl Planner<'_> {
    pub(in crate::plan) fn arg(
        &mut self,
        id: StageId,
        state: &mut State,
        command: &Command<'_>,
        params: &[Param],
    ) -> Done {
        let records = self.records(state);
        let mut created_by = String::from(if records { "ARG" } else { "" });
        let is_exported = command.step.opts.iter().any(|opt| opt.kind == OptKind::Exported);
        for (at, param) in params.iter().enumerate() {
            let key: Rc<str> = param.name.text.as_str().into();
            self.note_at(command, NoteKind::Sets { instruction: "ARG", key: key.clone() });
            let value = self.arg_value(state, command, param, is_exported)?;
            self.captures.stage_arg(id, command, at, &key, &value);
            if records {
                created_by.extend([" ", &*key]);
            }
            match value {
                Given::Nothing => state.args.set(key, None),
                Given::Value { value, .. } => {
                    if let Some(value) = value.as_ref().filter(|_| records) {
                        created_by.extend(["=", value]);
                    }
                    if !is_hidden_arg(&key) {
                        state.env.set(key.clone(), value.clone());
                    }
                    if is_exported {
                        // It is then a variable, and no argument that processes do not see.
                        state.args.remove(&key);
                    } else {
                        state.args.set(key, value);
                    }
                }
            }
        }
        self.commit(state, |_| created_by, Layer::Empty);
        Ok(())
    }

    fn arg_value(&mut self, state: &State, command: &Command<'_>, param: &Param, is_exported: bool) -> Done<Given> {
        let key = param.name.text.as_str();
        if let Some(value) = self.build_args.get(key).filter(|_| !is_exported || param.default.is_none()) {
            return Ok(Given::Value { value: Some(value.clone()), inherited: false });
        }
        if let Some(default) = &param.default {
            let value = self.value(default, Self::scope(state, command))?;
            return Ok(Given::Value { value, inherited: false });
        }
        Ok(match self.globals.value(key) {
            Some(value) => Given::Value { value: Some(value), inherited: true },
            None => Given::Nothing,
        })
    }
}

/// What an argument got.
#[derive(Clone, Debug)]
pub(in crate::plan) enum Given {
    /// Neither value nor default.
    Nothing,
    /// A value.
    Value {
        /// It; `None` is unknown.
        value: Value,
        /// Whether it is that of the module's argument.
        inherited: bool,
    },
}
