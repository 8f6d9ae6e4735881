//! What is not written but counts: digests behind tags, values behind variables, numbers of unnamed stages.

use ast::{Span, visit};
use compiler::plan::StepScope;

use crate::file::View;

/// A hint after a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// Where it stands.
    pub at: u32,
    /// What it says.
    pub label: String,
    /// More, in Markdown.
    pub doc: String,
}

/// Values longer than this many characters are cut off.
const LONGEST: usize = 40;
/// Digits of a digest that are shown.
const DIGITS: usize = 12;

/// The hints in a range, in file order.
pub fn hints(view: &View<'_>, range: Span) -> Vec<Hint> {
    let mut hints = Vec::new();
    for outside in super::functional::images::outsides(view.file) {
        let reference = super::functional::images::reference(&outside);
        hints.extend(reference.and_then(|reference| digest_of(view, reference, outside.span.end + 1)));
    }
    let scopes = view.scopes(range);
    let scope = |step: Span| scopes.iter().find(|scope| scope.step.start == step.start);
    for (at, def) in view.file.module.defs.iter().enumerate() {
        let Some(from) = visit::def_steps(def).first().filter(|from| touches(from.span, range)) else { continue };
        if def.name.is_none() && def.signature.is_none() && view.file.module.defs.len() > 1 {
            hints.push(Hint { at: from.span.end, label: format!("stage {at}"), doc: String::new() });
        }
    }
    for (step, _) in visit::steps(&view.file.module).filter(|(step, _)| touches(step.span, range)) {
        for image in super::links::images(step) {
            hints.extend(digest(view, image, scope(step.span)));
        }
        if let Some(scope) = scope(step.span) {
            values(step, scope, |string| view.file.slice(string.span), &mut hints);
        }
    }
    hints.retain(|hint| range.start <= hint.at && hint.at <= range.end);
    hints.sort_by_key(|hint| hint.at);
    hints
}

fn touches(span: Span, range: Span) -> bool {
    span.start <= range.end && range.start <= span.end
}

fn digest(view: &View<'_>, image: &ast::Str, scope: Option<&StepScope>) -> Option<Hint> {
    let reference = super::hover::reference_in(image, || scope)?;
    digest_of(view, reference, image.span.end)
}

fn digest_of(view: &View<'_>, reference: oci::Reference, at: u32) -> Option<Hint> {
    if reference.digest().is_some() {
        return None;
    }
    let known = super::hover::known_image(view, &reference)?;
    let digest = known.digest.as_ref()?.to_string();
    let (algorithm, hex) = digest.split_once(':')?;
    let short: String = hex.chars().take(DIGITS).collect();
    Some(Hint { at, label: format!("@{algorithm}:{short}…"), doc: format!("`{reference}@{digest}`") })
}

/// The value of every string with variables, if it is known.
fn values<'f>(step: &ast::Step, scope: &StepScope, written: impl Fn(&ast::Str) -> &'f str, hints: &mut Vec<Hint>) {
    visit::strings(step, &mut |string| {
        // What a preset makes is not written at its place.
        if !string.raw().contains(&b'$') || !written(string).contains('$') {
            return;
        }
        let Some(value) = scope.expand(string) else { return };
        let cut = value.chars().count() > LONGEST;
        let shown: String = value.chars().take(LONGEST).collect();
        let label = format!("= {shown}{}", if cut { "…" } else { "" });
        hints.push(Hint { at: string.span.end, label, doc: if cut { format!("`{value}`") } else { String::new() } });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::with;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let found = with(text, |view, _| hints(view, Span::new(ast::FileId(0), 0, text.len() as u32)));
        let shown: Vec<_> = found.iter().map(|hint| hint.label.as_str()).collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn digests_and_values() {
        check(
            "ARG V=3.20\nFROM alpine:$V\nENV A=x\nWORKDIR /$A/${B:-c}\n",
            &["@sha256:aaaaaaaaaaaa…", "= alpine:3.20", "= /x/c"],
        );
    }

    #[test]
    fn numbers_of_stages() {
        check("FROM scratch AS a\nFROM scratch\nCOPY --from=a x y\n", &["stage 1"]);
        check("FROM scratch\n", &[]);
    }
}
