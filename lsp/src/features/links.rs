//! Words that lead somewhere: images to their pages, addresses, files of the build context.

use ast::{Op, Span, Step, Str, visit};
use oci::Reference;

use crate::file::View;

/// A word and where it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The word.
    pub span: Span,
    /// Where it leads.
    pub target: Target,
}

/// Where a word leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// To an address.
    Address(String),
    /// To a file of the build context.
    File(String),
    /// To a file, from the directory of the text.
    Beside(String),
}

/// All links of a file, in its order.
pub fn links(view: &View<'_>) -> Vec<Link> {
    if let Some((tree, grammar)) = view.file.keyed() {
        return super::keyed::links::links(view.file, tree, grammar);
    }
    if view.file.module.dialect.functions {
        return super::functional::images::links(view.file);
    }
    let mut links = Vec::new();
    if let Some(syntax) = &view.file.module.syntax {
        let page = Reference::parse(&syntax.reference.text).ok().and_then(|reference| page(&reference));
        links.extend(page.map(|page| Link { span: syntax.reference.span, target: Target::Address(page) }));
    }
    for (step, _) in visit::steps(&view.file.module) {
        for image in images(step).into_iter().filter(|image| !names_stage(view, image)) {
            let page = plain(image).and_then(|name| page(&Reference::parse(&name).ok()?));
            links.extend(page.map(|page| Link { span: image.span, target: Target::Address(page) }));
        }
        let from_context = crate::names::sources(step).is_empty();
        if let Op::Copy(copy) | Op::Add(copy) = &step.op
            && from_context
        {
            links.extend(
                copy.sources.iter().filter_map(|source| Some(Link { span: source.span, target: file(source)? })),
            );
        }
    }
    links.retain(|link| link.span.start < link.span.end);
    links
}

/// What a step names that may be an image.
pub(super) fn images(step: &Step) -> Vec<&Str> {
    let mut found = crate::names::sources(step);
    if let Op::From(base) = &step.op {
        found.push(base);
    }
    found
}

fn names_stage(view: &View<'_>, written: &Str) -> bool {
    let text = written.raw().lossy();
    text == "scratch"
        || text.parse::<usize>().is_ok()
        || view.file.names().at(written.span.start).is_some_and(|found| found.span == written.span)
}

/// The text of a string in which nothing is expanded.
fn plain(string: &Str) -> Option<String> {
    let text = string.raw().lossy();
    (!text.contains(['$', '"', '\'', '\\'])).then(|| text.into_owned())
}

/// The page of an image, where its registry has pages.
pub(super) fn page(reference: &Reference) -> Option<String> {
    let path = reference.path();
    Some(match reference.domain() {
        "docker.io" => match path.strip_prefix("library/") {
            Some(name) => format!("https://hub.docker.com/_/{name}"),
            None => format!("https://hub.docker.com/r/{path}"),
        },
        "ghcr.io" => format!("https://ghcr.io/{path}"),
        "quay.io" => format!("https://quay.io/repository/{path}"),
        "mcr.microsoft.com" => format!("https://mcr.microsoft.com/artifact/mar/{path}"),
        "gcr.io" => format!("https://gcr.io/{path}"),
        "public.ecr.aws" => format!("https://gallery.ecr.aws/{path}"),
        _ => return None,
    })
}

fn file(source: &Str) -> Option<Target> {
    let text = plain(source)?;
    if text.starts_with("http://") || text.starts_with("https://") {
        return Some(Target::Address(text));
    }
    let is_file = !text.contains(['*', '?', '[', ':', '@']) && !text.trim_matches(['.', '/']).is_empty();
    is_file.then(|| Target::File(text.trim_start_matches("./").trim_start_matches('/').to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::with;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str)]) {
        let found = with(text, |view, _| {
            let shown = |link: Link| {
                let target = match link.target {
                    Target::Address(address) => address,
                    Target::File(path) => format!("file {path}"),
                    Target::Beside(path) => format!("beside {path}"),
                };
                (view.file.slice(link.span).to_owned(), target)
            };
            links(view).into_iter().map(shown).collect::<Vec<_>>()
        });
        let found: Vec<_> = found.iter().map(|(text, target)| (text.as_str(), target.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn images_lead_to_their_pages() {
        check(
            "# syntax=docker/dockerfile:1\nFROM alpine:3 AS x\nFROM ghcr.io/a/b\nFROM x\nFROM ${B}\nFROM scratch\n",
            &[
                ("docker/dockerfile:1", "https://hub.docker.com/r/docker/dockerfile"),
                ("alpine:3", "https://hub.docker.com/_/alpine"),
                ("ghcr.io/a/b", "https://ghcr.io/a/b"),
            ],
        );
    }

    #[test]
    fn files_and_addresses() {
        check(
            "FROM scratch\nCOPY a/b *.c ./d /x/\nADD https://a/b /c\nCOPY --from=quay.io/a/b x /y\n",
            &[
                ("a/b", "file a/b"),
                ("./d", "file d"),
                ("https://a/b", "https://a/b"),
                ("quay.io/a/b", "https://quay.io/repository/a/b"),
            ],
        );
    }
}
