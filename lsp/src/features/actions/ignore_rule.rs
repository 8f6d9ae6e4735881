//! Switches a rule off for one step: a comment above it, or a longer one if there is one already.

use ast::{Diagnostic, Severity, Span};
use compiler::lint::Rule;

use super::{Action, Kind, insert};
use crate::file::View;

pub(super) fn action(view: &View<'_>, finding: &Diagnostic, at: Span, number: usize) -> Option<Action> {
    if finding.severity == Severity::Error {
        return None;
    }
    let rule = Rule::find(finding.code)?;
    if view.file.keyed().is_some() {
        return None;
    }
    let (step, _) = view.file.step_at(at.start)?;
    let edit = match step.comments.iter().find(|comment| comment.text.starts_with(b"check=skip=")) {
        Some(comment) => insert(comment.span.end, format!(",{}", rule.name)),
        None => insert(step.span.start, format!("# check=skip={}\n", rule.name)),
    };
    let title = format!("Ignore {} for this step", rule.name);
    Some(Action { title, kind: Kind::Fix, edits: vec![edit], mends: Some(number), preferred: false })
}

#[cfg(test)]
mod tests {
    use crate::features::actions::tests::check;

    #[test]
    fn a_comment_above_the_step() {
        check(
            "FROM scratch\nCMD ┃x\n",
            "Ignore JSONArgsRecommended",
            "FROM scratch\n# check=skip=JSONArgsRecommended\nCMD x\n",
        );
        check(
            "FROM scratch\n# check=skip=A\nCMD ┃x\n",
            "Ignore JSONArgsRecommended",
            "FROM scratch\n# check=skip=A,JSONArgsRecommended\nCMD x\n",
        );
    }
}
