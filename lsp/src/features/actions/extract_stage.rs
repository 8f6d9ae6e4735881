//! Divides a stage at a step: what comes before becomes a stage of its own, and the rest is built on it.
//!
//! Nothing is built differently: a stage on another starts from its result, with its variables and arguments.

use ast::visit;

use super::{Action, Kind, Place, insert};
use crate::file::View;

pub(super) fn action(view: &View<'_>, place: &Place<'_>) -> Option<Action> {
    let def = &view.file.module.defs[place.def?];
    if def.signature.is_some() {
        return None;
    }
    let steps = visit::def_steps(def);
    let at = steps.iter().position(|step| step.span.start == place.step.span.start).filter(|at| *at > 1)?;
    let from = &steps[0];
    let name = fresh_name(view);
    let start = place.step.comments.first().map_or(place.step.span.start, |comment| comment.span.start);
    let (named, next) = match &def.alias {
        // The new stage takes the head, the old name stays with the result.
        Some(alias) => {
            let old = alias.name.as_ref()?;
            let edit = ast::Edit { span: old.span, text: name.clone() };
            (edit, format!("FROM {name} {} {}\n", alias.keyword.text.lossy(), old.text.lossy()))
        }
        None => (insert(from.span.end, format!(" AS {name}")), format!("FROM {name}\n")),
    };
    let title = format!("Move the {} above into a stage of their own", super::super::hover::count(at - 1, "step"));
    let edits = vec![named, insert(start, format!("\n{next}"))];
    Some(Action { title, kind: Kind::Extract, edits, mends: None, preferred: false })
}

fn fresh_name(view: &View<'_>) -> String {
    let taken = |name: &str| view.file.module.defs.iter().filter_map(|def| def.name.as_ref()).any(|n| n.text == name);
    let numbered = (2..).map(|number| format!("base{number}"));
    std::iter::once("base".to_owned()).chain(numbered).find(|name| !taken(name)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::features::actions::tests::{check, check_none};

    #[test]
    fn the_name_stays_with_the_result() {
        check(
            "FROM a AS x\nRUN b\n# note\nRUN ┃c\n",
            "Move the 1 step above",
            "FROM a AS base\nRUN b\n\nFROM base AS x\n# note\nRUN c\n",
        );
        check("FROM a\nRUN b\nRUN ┃c\n", "Move", "FROM a AS base\nRUN b\n\nFROM base\nRUN c\n");
        check_none("FROM a\nRUN ┃b\n", "Move");
    }
}
