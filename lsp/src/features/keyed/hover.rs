//! What a key is for, what a word says, what a name stands for.

use ast::Span;
use frontends::keyed::{Shape, Tree, ValueKind};
use oci::Reference;

use super::super::hover::{Hover, count, describe, known_image};
use crate::file::View;
use crate::keyed::here;
use crate::names::{Kind, Role, Use};

/// More lines of a definition are not shown.
const MOST_LINES: usize = 12;

/// What stands at a place.
pub(in super::super) fn hover(view: &View<'_>, offset: u32) -> Option<Hover> {
    name(view, offset).or_else(|| reference(view, offset)).or_else(|| key_or_value(view, offset))
}

fn name(view: &View<'_>, offset: u32) -> Option<Hover> {
    let names = view.file.names();
    let found = names.at(offset)?;
    let Kind::Entry(space) = names.symbols[found.symbol].kind else { return None };
    let (tree, _) = view.file.keyed()?;
    let defined = names.of(found.symbol).find(|other| other.role == Role::Definition)?;
    let text = view.file.slice(defined_by(tree, defined.span)?);
    let shown: Vec<&str> = text.lines().take(MOST_LINES).collect();
    let more = if text.lines().count() > MOST_LINES { "\n…" } else { "" };
    let name = &names.symbols[found.symbol].name;
    let mut hover = format!("`{space}.{name}`\n```toml\n{}{more}\n```\n", shown.join("\n"));
    if space == "var" {
        hover += &value_of(view, name, defined);
    }
    let uses = names.of(found.symbol).filter(|other| other.role == Role::Reference).count();
    hover += &format!("\n{}", count(uses, "use"));
    Some(Hover { text: hover, span: found.span })
}

/// What a build argument says of a variable.
fn value_of(view: &View<'_>, name: &str, _defined: &Use) -> String {
    let given = view.options.opts.get(&format!("build-arg:{name}"));
    given.map_or(String::new(), |value| format!("\n`{name}` is `{value}`: a build argument says so\n"))
}

/// All of what is written where a name is defined: a section, or an entry.
fn defined_by(tree: &Tree, name: Span) -> Option<Span> {
    let section = &tree.sections[tree.section_at(name.start)?];
    if section.header.start <= name.start && name.end <= section.header.end {
        return Some(section.span);
    }
    let mut found = None;
    tree.visit(&mut |_, entry| {
        if entry.keys.iter().any(|key| key.span == name) {
            found = Some(entry.span);
        }
    });
    found
}

/// A reference to what is always there.
fn reference(view: &View<'_>, offset: u32) -> Option<Hover> {
    let (tree, grammar) = view.file.keyed()?;
    let value = here(tree, offset)?.value?;
    let ValueKind::Text { inner, .. } = value.kind else { return None };
    let span =
        super::references(view.file, inner).into_iter().find(|span| span.start <= offset && offset <= span.end)?;
    let written = view.file.slice(span).trim_start_matches("${").trim_end_matches('}').trim();
    let (name, doc) = grammar.references.iter().find(|(name, _)| *name == written)?;
    Some(Hover { text: format!("`{name}`\n\n{doc}"), span })
}

fn key_or_value(view: &View<'_>, offset: u32) -> Option<Hover> {
    let (tree, grammar) = view.file.keyed()?;
    let here = here(tree, offset)?;
    let found = here.meaning(grammar)?;
    let field = found.field?;
    if let Some(part) = here.part {
        let key = &here.keys[part];
        if key.text != field.name {
            return None;
        }
        let text = format!(
            "`{}`: {}\n\n{}\n\nin `{}`: {}",
            field.name,
            field.shape.words(),
            field.doc,
            found.table.name,
            found.table.doc
        );
        return Some(Hover { text, span: key.span });
    }
    let value = here.value?;
    let ValueKind::Text { inner, .. } = value.kind else { return None };
    let written = view.file.slice(inner);
    let words = found.shape.into_iter().flat_map(Shape::leaves);
    let word = words.filter_map(|shape| if let Shape::Words(words) = shape { Some(words) } else { None }).flatten();
    if let Some((word, doc)) = word.into_iter().find(|(word, _)| word == written) {
        return Some(Hover { text: format!("`{word}`\n\n{doc}"), span: value.span });
    }
    let image = super::image(view.file, field.means, inner)?;
    let reference = Reference::parse(image).ok()?.or_latest();
    let known = known_image(view, &reference).map(describe).unwrap_or_default();
    Some(Hover { text: format!("`{reference}`\n\n{known}"), span: value.span })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::with_named;

    #[track_caller]
    fn check(marked: &str, about: &str, parts: &[&str]) {
        with_named("build.toml", marked, |view, offset| {
            let found = hover(view, offset).expect("something is said");
            assert_eq!(view.file.slice(found.span), about, "{}", found.text);
            for part in parts {
                assert!(found.text.contains(part), "{part} in {}", found.text);
            }
        });
    }

    #[test]
    fn keys_and_words() {
        check("[image.a]\nfr┃om = \"x\"\n", "from", &["`from`: string", "What it starts from", "in `image`"]);
        check("[ima┃ge.a]\n", "image", &["Images to build"]);
        check("[image.a]\nstep = [{ ru┃n = 1 }", "run", &["string or list of string", "A command line"]);
        check("[default]\nnetwork = \"no┃ne\"\n", "\"none\"", &["Nothing."]);
    }

    #[test]
    fn names_images_and_references() {
        check("[stage.b]\nfrom = \"x\"\n[image.a]\nfrom = \"stage.┃b\"", "b", &["`stage.b`", "from = \"x\"", "1 use"]);
        check("[var]\nv = { default = \"1\" }\n[image.a]\nfrom = \"x:${var.┃v}\"", "v", &["default = \"1\""]);
        check("[image.a]\nfrom = \"${target.┃arch}\"", "${target.arch}", &["Its architecture"]);
        check(
            "[image.a]\nfrom = \"alpine:┃3.20\"\n",
            "\"alpine:3.20\"",
            &["docker.io/library/alpine:3.20", "sha256:aaaa", "/srv"],
        );
    }

    #[test]
    fn a_broken_file_still_tells() {
        check("[image.a]\nfrom = \nwork┃dir\n[[image.a.step", "workdir", &["Working directory"]);
    }
}
