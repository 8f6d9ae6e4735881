//! Names of steps: `[builder 2/5] RUN make`.

use std::borrow::Cow;

use ast::word::{Mode, Unknown, at_a_glance};
use oci::Platform;

use super::environment::{Environment, Lookup, Scope};
use super::expand::{self, Expanded, Uses};
use super::go;
use super::planner::Planner;
use super::stages::StageId;

/// The number a step has in its stage.
#[derive(Clone, Copy)]
pub(super) struct StepNumber {
    stage: StageId,
    /// From 1; 0: steps of this stage are not numbered.
    number: usize,
}

impl Planner<'_> {
    /// The number of the next step of a stage.
    pub(super) fn next_step(&mut self, stage: StageId) -> StepNumber {
        let counted = &mut self.stages[stage];
        if counted.total == 0 {
            return StepNumber { stage, number: 0 };
        }
        counted.index += 1;
        StepNumber { stage, number: counted.index }
    }

    /// Leaves out the number of a step that is not taken: the numbers of the others do not depend on it.
    pub(super) fn skip_step(&mut self, stage: StageId, step: &ast::Step) {
        if super::from::is_counted(step) {
            self.next_step(stage);
        }
    }

    /// The name of a numbered step.
    pub(super) fn step_name(
        &self,
        step: StepNumber,
        trigger: bool,
        text: &str,
        platform: Option<&Platform>,
        env: Option<&Environment>,
    ) -> String {
        let stage = &self.stages[step.stage];
        if step.number == 0 {
            return text.to_owned();
        }
        let mut name = String::with_capacity(text.len() + stage.label.len() + 16);
        name.push('[');
        if let (true, Some(platform)) = (self.settings.multi_platform, platform) {
            name.push_str(&super::platform::shown(platform, env));
            name.push(' ');
        }
        if !stage.label.is_empty() {
            name.push_str(&stage.label);
            name.push(' ');
        }
        push_padded(&mut name, step.number, stage.total.ilog10());
        name.push('/');
        push_padded(&mut name, stage.total, 0);
        name.push_str(if trigger { "] ONBUILD " } else { "] " });
        name.push_str(text);
        name
    }

    /// A step's text for its name: expanded as words are, the first word in capitals.
    pub(super) fn shown_words<'t>(&mut self, text: &'t [u8], env: &dyn Scope) -> Cow<'t, str> {
        self.shown(text, Mode::Word, env)
    }

    /// A command's text for its name: quotes and unset names stay.
    pub(super) fn shown_command<'t>(&mut self, text: &'t [u8], env: &dyn Scope) -> Cow<'t, str> {
        self.shown(text, Mode::Name, env)
    }

    fn shown<'t>(&mut self, text: &'t [u8], mode: Mode, env: &dyn Scope) -> Cow<'t, str> {
        let value = |name: &str| match env.get(name) {
            Lookup::Set(value) => Ok(Some(value)),
            Lookup::Unset => Ok(None),
            Lookup::Unknown => Err(Unknown),
        };
        let written = std::str::from_utf8(text).ok().filter(|_| mode == Mode::Name);
        // What cannot be expanded is shown as written.
        let value = match written.and_then(|text| at_a_glance(text, self.escape, expand::MAX_VALUE, value)) {
            Some(value) => value,
            None => match expand::expand(text, self.escape, mode, env, &mut Uses::ignored()) {
                Ok(Expanded::Known(value)) => value,
                _ => ast::word::decode(text),
            },
        };
        self.grown = self.grown.saturating_add(value.len());
        let (keyword, rest) = value.split_at(value.bytes().position(|b| b == b' ').unwrap_or(value.len()));
        if ast::case::is_upper(keyword) {
            return value;
        }
        (go::to_upper(keyword) + rest).into_owned().into()
    }
}

/// Appends a number as wide as one with so many digits behind its first.
fn push_padded(text: &mut String, number: usize, after_first: u32) {
    let digits = number.checked_ilog10().unwrap_or(0);
    (digits..after_first).for_each(|_| text.push(' '));
    let mut rest = number;
    for place in (1..=digits).rev() {
        let value = 10_usize.pow(place);
        text.push(char::from(b'0' + (rest / value) as u8));
        rest %= value;
    }
    text.push(char::from(b'0' + rest as u8));
}

/// The first line of a document, for the name of the step that runs it.
pub(super) fn document_summary(document: &str) -> String {
    let trimmed = document.trim();
    match trimmed.split_once('\n') {
        Some((first, _)) => [first.strip_suffix('\r').unwrap_or(first), "..."].concat(),
        None => trimmed.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_wide_as_the_last() {
        let padded = |number, after_first| {
            let mut text = String::new();
            push_padded(&mut text, number, after_first);
            text
        };
        assert_eq!([padded(7, 0), padded(7, 2), padded(10, 1), padded(120, 2)], ["7", "  7", "10", "120"]);
    }

    #[test]
    fn summaries() {
        assert_eq!(document_summary("\n\techo a\r\nb\n"), "echo a...");
        assert_eq!(document_summary("x\n"), "x");
        assert_eq!(document_summary(""), "");
    }

    /// Every text of up to six of some signs.
    #[test]
    fn a_glance_sees_what_the_walk_finds() {
        const SIGNS: [char; 9] = ['$', '{', '}', '"', '\'', 'S', 'N', '<', '-'];
        let mut env = Environment::default();
        // A variable may have the empty name, which no reference has.
        let variables = [("S", "v$S"), ("", "x")];
        variables.iter().for_each(|(name, value)| env.set((*name).into(), Some((*value).into())));
        let value = |name: &str| Ok(variables.iter().find(|(known, _)| *known == name).map(|(_, value)| *value));
        let (mut texts, mut seen) = (vec![String::new()], 0);
        for _ in 0..6 {
            let longer = |text: &String| SIGNS.map(|sign| format!("{text}{sign}"));
            texts = texts.iter().flat_map(longer).collect();
            for text in &texts {
                let Some(glanced) = at_a_glance(text, b'\\', 100, value) else { continue };
                let walked = expand::expand(text.as_bytes(), b'\\', Mode::Name, &env, &mut Uses::ignored());
                let walked = if let Ok(Expanded::Known(value)) = walked { value } else { text.into() };
                assert_eq!(glanced, walked, "{text}");
                seen += usize::from(glanced != *text);
            }
        }
        assert!(seen > 10_000, "{seen} with a value");
    }
}
