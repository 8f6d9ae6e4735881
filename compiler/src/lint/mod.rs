//! Rules on what is allowed but unwise.
//!
//! Rules never evaluate anything: they look at the [`Module`] as it was parsed, or turn what the planner noted
//! ([`NoteKind`]) into words. Which run is decided by the file (`# check=`), by the comment above an instruction, and by
//! an option that replaces the file's settings. The order of findings is BuildKit v0.32's.
//!
//! **Which rules are on.** BuildKit's are on unless skipped, its experimental ones when asked for, so that a build warns
//! of what BuildKit's would. Rules of our own ([`Policy::OnRequest`]) come after them and only run when somebody names
//! them: [`Options::rules`](crate::Options), or `# check=experimental=NAME` in the file, which BuildKit passes over.
//! `experimental=all` does not name them. hadolint's comments silence them by hadolint's names, and no others.

mod packages;
mod report;
mod rules;
mod script;
mod shell;

use std::collections::BTreeSet;

use ast::{Blank, Def, Edit, Fix, Module, Policy, Severity, Span, Step, visit};

use crate::plan::NoteKind;

pub use report::{report, settings};
pub use rules::RULES;

/// A rule.
#[derive(Debug)]
pub struct Rule {
    /// Its name, as `check=skip=` takes it.
    pub name: &'static str,
    /// What it asks for, in one sentence.
    pub description: &'static str,
    /// Where to read on; empty if there is no page.
    pub url: &'static str,
    /// When it runs.
    pub policy: Policy,
    /// How bad what it finds is.
    pub severity: Severity,
    /// Names that other linters have for it.
    pub aliases: &'static [&'static str],
    /// Whether settings in the comment above an instruction hold for it.
    by_comment: bool,
    /// The text of its file, which begins with its documentation.
    source: &'static str,
    check: Check,
}

impl Rule {
    /// The rule of a name.
    pub fn find(name: &str) -> Option<&'static Self> {
        RULES.iter().copied().find(|rule| rule.name == name)
    }

    /// The rules that a name means to a person: in any case, or as another linter calls them.
    pub fn search(name: &str) -> Vec<&'static Self> {
        let means = |rule: &&Rule| {
            let mut names = std::iter::once(&rule.name).chain(rule.aliases);
            names.any(|known| known.eq_ignore_ascii_case(name))
        };
        RULES.iter().copied().filter(means).collect()
    }

    /// What it does, why, an example, and what to write instead; Markdown.
    pub fn explanation(&self) -> String {
        let lines = self.source.lines().map_while(|line| line.strip_prefix("//!"));
        let text: Vec<&str> = lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
        text.join("\n")
    }
}

/// What a rule looks at, and thereby when.
#[derive(Debug)]
enum Check {
    /// Blank lines inside an instruction; before everything else.
    Blank(OnBlank),
    /// One instruction as parsed.
    Instruction(OnInstruction),
    /// One stage of a file without errors.
    Stage(OnStage),
    /// A file without errors as a whole.
    Module(OnModule),
    /// What the planner noticed: the words for it, if it is this rule's business.
    Note(OnNote),
    /// The same with a way to mend the instruction of the text that it was noticed at, if there is one.
    Mendable(OnNote, Mend),
    /// What a shell is told to do, in a file without errors; after everything else.
    Run(OnRun),
}

type OnBlank = fn(&Blank) -> Hit;
type OnInstruction = fn(&Instruction<'_>) -> Option<Hit>;
type OnStage = fn(&Stage<'_>) -> Option<Hit>;
type OnModule = fn(&Module) -> Vec<Hit>;
type OnNote = fn(&NoteKind) -> Option<String>;
type Mend = fn(&Step) -> Option<Fix>;
type OnRun = fn(&Run<'_>) -> Vec<Hit>;

/// Something found.
#[derive(Debug)]
struct Hit {
    /// The text to blame.
    at: Span,
    /// The instruction it stands in: its lines are those BuildKit reports.
    whole: Span,
    message: String,
    fix: Option<Fix>,
}

impl Hit {
    fn fixed(mut self, fix: Fix) -> Self {
        self.fix = Some(fix);
        self
    }
}

/// An instruction as rules see it.
struct Instruction<'m> {
    step: &'m Step,
    /// The stage, if it begins one.
    stage: Option<&'m Def>,
    /// Whether it has no error.
    parsed: bool,
}

impl Instruction<'_> {
    fn hit(&self, at: Span, message: String) -> Hit {
        Hit { at, whole: self.step.span, message, fix: None }
    }
}

/// A stage as rules see it.
struct Stage<'m> {
    def: &'m Def,
    /// The `FROM` that begins it.
    from: &'m Step,
    /// Which one it is.
    at: usize,
    /// Names of all stages.
    names: &'m Names<'m>,
}

/// Names of stages. **Shape**: sorted, each with the stage that has it; by length first, which tells most apart.
struct Names<'m>(Vec<((usize, &'m str), usize)>);

impl<'m> Names<'m> {
    fn of(stages: &'m [Def]) -> Self {
        let named = stages.iter().enumerate().filter(|(_, def)| !visit::def_steps(def).is_empty());
        let sorted_by = |(at, def): (usize, &'m Def)| Some((Self::key(def.name.as_ref()?.text.as_str()), at));
        let mut names: Vec<_> = named.filter_map(sorted_by).collect();
        names.sort_unstable();
        Self(names)
    }

    fn key(name: &str) -> (usize, &str) {
        (name.len(), name)
    }
}

/// A `RUN` that a POSIX shell reads, as rules see it.
struct Run<'m> {
    step: &'m Step,
    /// What the shell is told.
    commands: &'m [shell::Simple],
    /// Whether the shell fails when any command of a pipe does.
    pipefail: bool,
    /// Variables that the file sets before it.
    variables: &'m BTreeSet<String>,
}

impl Run<'_> {
    fn hit(&self, at: Span, message: String) -> Hit {
        Hit { at, whole: self.step.span, message, fix: None }
    }
}

impl Stage<'_> {
    /// Whether a stage before it has this name.
    fn comes_after(&self, name: &str) -> bool {
        let Names(names) = self.names;
        let key = Names::key(name);
        let first = names.get(names.partition_point(|(known, _)| *known < key));
        first.is_some_and(|(known, at)| *known == key && *at < self.at)
    }

    fn hit(&self, at: Span, message: String) -> Hit {
        Hit { at, whole: self.from.span, message, fix: None }
    }
}

/// Whether an instruction stands in the file as it was read: on one line, without blanks around it. Then places in it are
/// what they seem.
fn is_as_written(step: &Step) -> bool {
    (step.span.end - step.span.start) as usize == step.text.len()
}

/// A fix that replaces a word by its equal.
fn replace(title: &str, span: Span, text: String) -> Fix {
    Fix { title: title.to_owned(), safe: true, edits: vec![Edit { span, text }] }
}

/// A fix that writes something behind a word.
fn insert(title: &str, after: Span, text: String) -> Fix {
    replace(title, Span { start: after.end, ..after }, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_explains_itself() {
        for rule in RULES {
            let text = rule.explanation();
            for part in ["# What it does\n", "# Why is this bad\n", "# Example\n", "# Use instead\n"] {
                assert!(text.contains(part), "{}: {part}", rule.name);
            }
        }
    }

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<_> = RULES.iter().map(|rule| rule.name).collect();
        assert_eq!(names.len(), RULES.len());
        assert!(Rule::find("UndefinedVar").is_some() && Rule::find("undefinedvar").is_none());
    }

    #[test]
    fn people_search_as_they_remember() {
        let found = |name: &str| Rule::search(name).iter().map(|rule| rule.name).collect::<Vec<_>>();
        assert_eq!(found("undefinedvar"), ["UndefinedVar"]);
        assert_eq!(found("dl3008"), ["UnpinnedPackage"]);
        assert!(found("DL9999").is_empty());
    }
}
