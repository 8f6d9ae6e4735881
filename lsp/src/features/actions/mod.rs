//! What can be done with the text at the cursor: fixes of findings, and rewritings.

pub(super) mod cache_mount;
pub(super) mod exec_form;
mod extract_stage;
pub(super) mod heredoc;
mod ignore_rule;
mod pin;

use ast::{Diagnostic, Edit, Span, Step};

use crate::file::View;

/// Something that can be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// What it does, as a menu entry.
    pub title: String,
    /// What it is.
    pub kind: Kind,
    /// How, in file order, not overlapping.
    pub edits: Vec<Edit>,
    /// The finding it mends: its number among those given.
    pub mends: Option<usize>,
    /// Whether it is what is meant most likely.
    pub preferred: bool,
}

/// What an action is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Mends a finding.
    Fix,
    /// Mends all findings that can be mended without a change to the build.
    FixAll,
    /// Writes the same in another way.
    Rewrite,
    /// Takes steps out.
    Extract,
}

/// A rewriting of the step at the cursor; `None` where it does not apply.
type Rewriting = fn(&View<'_>, &Place<'_>) -> Option<Action>;

/// All rewritings, in the order in which they are offered.
const REWRITINGS: &[Rewriting] =
    &[pin::action, heredoc::action, exec_form::action, cache_mount::action, extract_stage::action];

/// Where the cursor stands.
struct Place<'p> {
    step: &'p Step,
    /// The definition, and the number of the step in it.
    def: Option<usize>,
    range: Span,
}

/// Everything that can be done in a range, given what was found in the file.
pub fn actions(view: &View<'_>, range: Span, findings: &[Diagnostic]) -> Vec<Action> {
    let mut actions = Vec::new();
    for (number, finding) in findings.iter().enumerate() {
        let Some(at) = finding.at.filter(|at| at.start <= range.end && range.start <= at.end) else { continue };
        if let Some(fix) = &finding.fix {
            actions.push(Action {
                title: fix.title.clone(),
                kind: Kind::Fix,
                edits: fix.edits.clone(),
                mends: Some(number),
                preferred: fix.safe,
            });
        }
        actions.extend(ignore_rule::action(view, finding, at, number));
    }
    actions.extend(fix_all(findings));
    if view.file.keyed().is_some() {
        actions.extend(super::keyed::actions::actions(view, range.start));
        actions.extend(super::keyed::extract::action(view, range.start));
    } else if view.file.module.dialect.functions {
        actions.extend(super::functional::actions::actions(view, range.start));
    } else if let Some((step, def)) = view.file.step_at(range.start) {
        let place = Place { step, def, range };
        actions.extend(REWRITINGS.iter().filter_map(|rewriting| rewriting(view, &place)));
    }
    actions
}

/// All safe fixes at once; of two that touch the same text the first.
pub fn fix_all(findings: &[Diagnostic]) -> Option<Action> {
    let mut edits: Vec<Edit> = Vec::new();
    let safe = findings.iter().filter_map(|finding| finding.fix.as_ref()).filter(|fix| fix.safe);
    for fix in safe {
        let collides = |edit: &Edit| {
            edits.iter().any(|known| {
                known.span.start < edit.span.end && edit.span.start < known.span.end || known.span == edit.span
            })
        };
        if !fix.edits.iter().any(collides) {
            edits.extend(fix.edits.iter().cloned());
        }
    }
    edits.sort_by_key(|edit| edit.span.start);
    let title = "Fix everything that can be fixed safely".to_owned();
    (!edits.is_empty()).then_some(Action { title, kind: Kind::FixAll, edits, mends: None, preferred: false })
}

pub(super) fn rewrite(title: impl Into<String>, edits: Vec<Edit>) -> Action {
    Action { title: title.into(), kind: Kind::Rewrite, edits, mends: None, preferred: false }
}

pub(super) fn insert(at: u32, text: impl Into<String>) -> Edit {
    Edit { span: Span::new(ast::FileId(0), at, at), text: text.into() }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{with, with_named};

    /// The text after the action whose title begins so.
    #[track_caller]
    pub(super) fn check(marked: &str, title: &str, expected: &str) {
        check_named("Dockerfile", marked, title, expected);
    }

    /// The same in the language of a file.
    #[track_caller]
    pub(in super::super) fn check_named(name: &str, marked: &str, title: &str, expected: &str) {
        let found = with_named(name, marked, |view, offset| {
            let findings = view.glance().unwrap().diagnostics;
            let all = actions(view, Span::new(ast::FileId(0), offset, offset), &findings);
            let titles: Vec<_> = all.iter().map(|action| action.title.clone()).collect();
            let action = all.into_iter().find(|action| action.title.starts_with(title));
            let action = action.unwrap_or_else(|| panic!("{title} is not among {titles:?}"));
            String::from_utf8(ast::apply(&view.file.source.bytes, &action.edits)).unwrap()
        });
        assert_eq!(found, expected);
    }

    /// No action of the title is offered.
    #[track_caller]
    pub(super) fn check_none(marked: &str, title: &str) {
        with(marked, |view, offset| {
            let all = actions(view, Span::new(ast::FileId(0), offset, offset), &[]);
            assert!(!all.iter().any(|action| action.title.starts_with(title)), "{all:?}");
        });
    }

    #[test]
    fn fixes_of_findings() {
        check("FROM scratch AS ┃B\nrun x\nCMD [\"a\"]\n", "Fix everything", "FROM scratch AS b\nRUN x\nCMD [\"a\"]\n");
    }
}
