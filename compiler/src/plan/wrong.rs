//! Texts in which instructions are wrong: the others are planned all the same, so that one run reports every mistake.
//!
//! What a wrong instruction was meant to do is not known. It leaves the variables of its stage unknown, a stage that begins
//! with one is not looked into, and nobody is asked anything. It may even have begun a stage: what depends on which stages
//! there are, and in which order, is then a guess, and no error.

use ast::{Module, Severity, Span, Step, code};

use super::planner::Planner;
use super::stop::Stop;

/// Where instructions are wrong.
#[derive(Default)]
pub(super) struct Wrong {
    /// Places of errors, in file order.
    places: Vec<u32>,
}

impl Wrong {
    /// What parsing found; `None` when it could not even tell instructions apart.
    pub(super) fn of(module: &Module) -> Option<Self> {
        let mut places = Vec::new();
        for error in module.diagnostics.iter().filter(|found| found.severity == Severity::Error) {
            if error.code != code::INSTRUCTION {
                return None;
            }
            places.push(error.at?.start);
        }
        places.sort_unstable();
        Some(Self { places })
    }

    /// Whether there are any.
    pub(super) fn is_any(&self) -> bool {
        !self.places.is_empty()
    }

    /// Whether one of them is in a range.
    fn is_in(&self, span: Span) -> bool {
        let first = self.places.partition_point(|place| *place < span.start);
        self.places.get(first).is_some_and(|place| *place < span.end.max(span.start + 1))
    }
}

impl Planner<'_> {
    /// Whether a step is one of the wrong ones.
    pub(super) fn is_wrong(&self, step: &Step) -> bool {
        self.shared.wrong.is_in(step.span)
    }

    /// Whether which stages there are is a guess.
    pub(super) fn is_guessing(&self) -> bool {
        self.shared.wrong.is_any()
    }

    /// Records an error that depends on which stages there are.
    pub(super) fn report_unless_guessing(&mut self, stop: Stop) {
        if !self.is_guessing() {
            self.report(stop);
        }
    }
}

#[cfg(test)]
mod tests {
    use ast::{Severity, Source};

    use crate::{Facts, Options, glance};

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let source = Source::new("Dockerfile", text.as_bytes());
        let module = crate::parse(&source);
        let found = glance(&module, &source, &Options::default(), &Facts::default(), &|| false).unwrap();
        let errors = found.diagnostics.iter().filter(|found| found.severity == Severity::Error);
        let shown = |error: &ast::Diagnostic| {
            let message = error.message.rsplit_once("line ").map_or(&*error.message, |(_, rest)| rest);
            format!("{} {message}", error.at.map_or(0, |at| source.lines.line(at.start)))
        };
        assert_eq!(errors.map(shown).collect::<Vec<_>>(), expected, "{text}");
    }

    #[test]
    fn mistakes_of_every_kind_in_one_run() {
        check(
            "FROM scratch AS a\nRUNN x\nCOPY --form=a x /\nRUN --mount=type=bogus,target=/x true\nFROM scratch AS 1b\n\
             RUN --mount=type=cache true\nFROM scratch AS c\nADD --checksum=x a b\nFROM --platform=a/b/c/d scratch\n",
            &[
                "2 2: unknown instruction: RUNN (did you mean RUN?)",
                "3 3: unknown flag: --form (did you mean from?)",
                "5 5: invalid name for build stage: \"1b\", name can't start with a number or contain symbols",
                "9 failed to parse platform a/b/c/d: \"a/b/c/d\": cannot parse platform specifier: invalid argument",
                "4 unsupported mount type \"bogus\"",
                "8 checksum requires HTTP(S) or Git sources",
            ],
        );
    }

    #[test]
    fn what_a_wrong_instruction_sets_is_not_known() {
        check(
            "FROM scratch\nENVV A=1\nENV B=${A:?}\nUSER ${A:?}\n",
            &["2 2: unknown instruction: ENVV (did you mean ENV?)"],
        );
        check("FROM scratch\nENV A\nENV B=${A:?}\n", &["2 ENV must have two arguments"]);
    }

    #[test]
    fn what_may_be_a_stage_is_no_reason_for_errors() {
        let first = "2 2: unknown instruction: FORM (did you mean FROM?)";
        check("FROM scratch AS a\nFORM scratch AS b\nCOPY --from=a x /\n", &[first]);
        check("FROM scratch AS a\nFORM scratch AS b\nFROM scratch\nCOPY --from=2 x /\nCOPY --from=b x /\n", &[first]);
        check("FROM a b\nCOPY --from=x y /\n", &["1 1: FROM requires either one or three arguments"]);
    }

    #[test]
    fn a_circle_does_not_hide_what_else_is_wrong() {
        check(
            "FROM scratch AS a\nCOPY --from=b x /\nRUN --mount=type=bogus,target=/x true\nFROM scratch AS b\nCOPY --from=a x /\n",
            &["2 circular dependency detected on stage: a", "3 unsupported mount type \"bogus\""],
        );
    }
}
