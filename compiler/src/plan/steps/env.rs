//! `ENV` and `LABEL`: pairs that all see the environment before the instruction.

use ast::Pair;

use crate::plan::environment::Value;
use crate::plan::history::Layer;
use crate::plan::notes::NoteKind;
use crate::plan::planner::Planner;
use crate::plan::stages::Command;
use crate::plan::state::State;
use crate::plan::stop::{Done, Stop};

impl Planner<'_> {
    pub(in crate::plan) fn env(&mut self, state: &mut State, command: &Command<'_>, pairs: &[Pair]) -> Done {
        let values = self.pairs(state, command, pairs)?;
        let records = self.records(state);
        let mut created_by = if records { instruction("ENV", &values) } else { String::new() };
        for (pair, (key, value)) in pairs.iter().zip(values) {
            self.note_legacy(command, pair);
            let Some(key) = key else {
                // Any variable may be set now.
                state.env.incomplete = true;
                continue;
            };
            self.note_at(command, NoteKind::Sets { instruction: "ENV", key: key.clone() });
            if let Some(value) = &value {
                if records {
                    created_by.extend([" ", &*key, "=", value]);
                }
                state.image_env.set(key.clone(), Some(value.clone()));
            }
            state.env.set(key, value);
        }
        self.commit(state, |_| created_by, Layer::Empty);
        Ok(())
    }

    pub(in crate::plan) fn label(&mut self, state: &mut State, command: &Command<'_>, pairs: &[Pair]) -> Done {
        let values = self.pairs(state, command, pairs)?;
        let mut created_by = instruction("LABEL", &values);
        for (pair, (key, value)) in pairs.iter().zip(values) {
            self.note_legacy(command, pair);
            let (Some(key), Some(value)) = (key, value) else { return Err(Stop::Unknown) };
            created_by.extend([" ", &*key, "=", &*value]);
            state.image_mut().config.labels.insert(key.to_string(), value.to_string());
        }
        self.commit(state, |_| created_by, Layer::Empty);
        Ok(())
    }

    fn pairs(&mut self, state: &State, command: &Command<'_>, pairs: &[Pair]) -> Done<Vec<(Value, Value)>> {
        let scope = Self::scope(state, command);
        pairs.iter().map(|pair| Ok((self.value(&pair.key, scope)?, self.value(&pair.value, scope)?))).collect()
    }

    fn note_legacy(&mut self, command: &Command<'_>, pair: &Pair) {
        if pair.legacy {
            let keyword = command.step.keyword_text().into_owned();
            self.note_at(command, NoteKind::LegacyPair { keyword });
        }
    }
}

/// The keyword of an instruction, with room for its pairs.
fn instruction(keyword: &str, values: &[(Value, Value)]) -> String {
    let length = |value: &Value| value.as_ref().map_or(0, |value| value.len() + 1);
    let pairs = values.iter().map(|(key, value)| length(key) + length(value)).sum::<usize>();
    let mut text = String::with_capacity(keyword.len() + pairs);
    text.push_str(keyword);
    text
}
