//! From a name to where it is defined, and to every place that means the same.

use ast::{Span, visit};

use crate::file::View;
use crate::names::{Kind, Role};

/// Where the name at a place is defined. What a number or the delimiter of a document means counts as a name.
pub fn definition(view: &View<'_>, offset: u32) -> Vec<Span> {
    let names = view.file.names();
    let Some(found) = names.at(offset) else { return unnamed(view, offset).into_iter().collect() };
    if let Kind::Stage(_) = names.symbols[found.symbol].kind {
        return names.of(found.symbol).filter(|other| other.role == Role::Definition).map(|other| other.span).collect();
    }
    // The value that counts here is the last one given before; a bare declaration gives none.
    let gives = |other: &&crate::names::Use| other.role == Role::Definition && other.span.start < found.span.start;
    let last = names.of(found.symbol).filter(gives).last();
    let any = || names.of(found.symbol).find(|other| other.role != Role::Reference);
    last.or_else(any).map(|other| other.span).into_iter().collect()
}

/// Where the name at a place is declared: the first place that introduces it.
pub fn declaration(view: &View<'_>, offset: u32) -> Option<Span> {
    let names = view.file.names();
    let found = names.at(offset)?;
    names.of(found.symbol).find(|other| other.role != Role::Reference).map(|other| other.span)
}

/// Every place that means the same as the name at a place.
pub fn references(view: &View<'_>, offset: u32, with_definitions: bool) -> Vec<Span> {
    highlights(view, offset)
        .into_iter()
        .filter(|(_, role)| with_definitions || *role == Role::Reference)
        .map(|(span, _)| span)
        .collect()
}

/// The same, with what each place does.
pub fn highlights(view: &View<'_>, offset: u32) -> Vec<(Span, Role)> {
    let names = view.file.names();
    let Some(found) = names.at(offset) else { return Vec::new() };
    names.of(found.symbol).map(|other| (other.span, other.role)).collect()
}

/// A stage by its number, or the end of a document.
fn unnamed(view: &View<'_>, offset: u32) -> Option<Span> {
    let (step, _) = view.file.step_at(offset)?;
    let holds = |span: Span| span.start <= offset && offset <= span.end;
    if let Some(document) = visit::documents(step).iter().find(|document| holds(document.opener)) {
        return Some(Span::new(document.span.file, document.span.end, document.span.end));
    }
    let source = crate::names::sources(step).into_iter().find(|source| holds(source.span))?;
    let number: usize = source.raw().lossy().parse().ok()?;
    Some(visit::def_steps(view.file.module.defs.get(number)?).first()?.keyword)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::with;

    #[track_caller]
    fn check(marked: &str, expected: &[&str]) {
        let found = with(marked, |view, offset| {
            let place = |span: Span| {
                let at = view.file.lines().position(span.start);
                format!("{}:{}", at.line, at.column)
            };
            definition(view, offset).into_iter().map(place).collect::<Vec<_>>()
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn definitions() {
        check("FROM a AS x\nFROM b\nCOPY --from=┃x a b\n", &["1:11"]);
        check("FROM a\nFROM b\nCOPY --from=┃0 a b\n", &["1:1"]);
        check("FROM a\nENV A=1\nENV A=2\nRUN echo $┃A\nENV A=3\n", &["3:5"]);
        check("ARG V=1\nFROM a\nARG V\nRUN echo ${┃V}\n", &["1:5"]);
        check("FROM a\nRUN <<┃E\nx\nE\n", &["4:1"]);
        check("FROM a\nRUN x┃\n", &[]);
    }

    #[test]
    fn every_place() {
        let text = "FROM a\nENV A=1\nRUN echo $┃A\n";
        let found =
            with(text, |view, offset| (references(view, offset, true).len(), references(view, offset, false).len()));
        assert_eq!(found, (2, 1));
        assert!(with(text, declaration).is_some());
    }
}
