//! What steps see, for an editor: collected only for the steps of a range that is watched.

use ast::{Span, Str};

use super::environment::Environment;
use super::expand::{self, Expanded, Uses};
use super::planner::Planner;
use super::stages::StageId;

/// The variables that a step sees.
#[derive(Clone, Debug)]
pub struct StepScope {
    /// The step.
    pub step: Span,
    env: Environment,
}

impl StepScope {
    /// The variables in the order in which processes get them, each with its value if that is known.
    pub fn variables(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.env.iter().map(|(name, value)| (&**name, value.as_deref()))
    }

    /// The value of a string of the step, if it is known and nothing is wrong with it.
    pub fn expand(&self, text: &Str) -> Option<String> {
        match expand::string(text, &self.env, &mut Uses::ignored()) {
            Ok(Expanded::Known(value)) => Some(value.into_owned()),
            _ => None,
        }
    }
}

impl Planner<'_> {
    /// Keeps what a step sees, if it is watched.
    pub(super) fn watch(&mut self, step: Span, env: &Environment) {
        if self.is_watched(step) {
            self.shared.scopes.push(StepScope { step, env: env.clone() });
        }
    }

    /// Keeps what the base of a stage sees: the arguments of the module.
    pub(super) fn watch_base(&mut self, step: Span) {
        if self.is_watched(step) {
            self.shared.scopes.push(StepScope { step, env: self.globals.variables() });
        }
    }

    /// Whether a step of a stage is watched.
    pub(super) fn is_watched_stage(&self, id: StageId) -> bool {
        let stage = &self.stages[id];
        let mut spans = stage.span.into_iter().chain(stage.commands.iter().map(|command| command.span()));
        spans.any(|span| self.is_watched(span))
    }

    fn is_watched(&self, step: Span) -> bool {
        self.noting
            && !self.is_guessing()
            && self.request.watch.is_some_and(|range| step.start <= range.end && range.start <= step.end)
    }
}

#[cfg(test)]
mod tests {
    use ast::{Source, Span, visit};

    use crate::{Facts, Options, scopes};

    #[test]
    fn a_watched_step_sees_what_is_known() {
        let source = Source::new("Dockerfile", *b"ARG V=1\nFROM x:$V\nENV A=2\nRUN $A\nRUN b\n");
        let module = crate::parse(&source);
        let watch = Span::new(ast::FileId(0), 8, 30);
        let found = scopes(&module, &source, &Options::default(), &Facts::default(), watch);
        let shown: Vec<_> = found
            .iter()
            .map(|scope| {
                let own = scope.variables().filter(|(name, _)| name.len() == 1);
                let own: Vec<_> = own.map(|(name, value)| format!("{name}={}", value.unwrap_or("?"))).collect();
                format!("{} {}", source.lines.line(scope.step.start), own.join(" "))
            })
            .collect();
        assert_eq!(shown, ["2 V=1", "3 ", "4 A=2"]);
        let (from, _) = visit::steps(&module).nth(1).unwrap();
        let ast::Op::From(base) = &from.op else { panic!("a base") };
        assert_eq!(found[0].expand(base).as_deref(), Some("x:1"));
    }

    #[test]
    fn only_stages_that_are_looked_at_are_planned() {
        let source = Source::new("Dockerfile", *b"FROM a AS a\nENV A=1\nFROM a AS b\nRUN $A\nFROM c\nRUN c\n");
        let module = crate::parse(&source);
        let watched = |line: u32| {
            let at = source.lines.start_of(line).unwrap();
            let watch = Span::new(ast::FileId(0), at, at + 1);
            let request = crate::plan::Request {
                module: &module,
                source: &source,
                options: &Options::default(),
                purpose: crate::plan::Purpose::Lint,
                trigger: None,
                watch: Some(watch),
                stopped: &|| false,
                included: &[],
                modules: &std::collections::BTreeMap::new(),
            };
            let draft = crate::plan::plan(&request, &Facts::default());
            let images = draft.asks.iter().filter(|question| matches!(question, crate::Question::Image { .. })).count();
            (images, draft.scopes.len())
        };
        assert_eq!(watched(4), (1, 1), "the stage it is built on is planned, too");
        assert_eq!(watched(6), (1, 1));
        assert_eq!(watched(2), (1, 1));
    }
}
