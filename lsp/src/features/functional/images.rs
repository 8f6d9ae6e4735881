//! Texts that name something outside: images, addresses, files of the client.

use ast::{Call, Span};
use oci::Reference;

use super::super::links::{Link, Target, page};
use super::{Visit, literal, walk};
use crate::File;

/// A literal argument of a primitive that leads outside.
pub(in super::super) struct Outside<'f> {
    /// The primitive.
    pub(in super::super) callee: &'f str,
    /// The text.
    pub(in super::super) text: &'f str,
    /// Between its quotes.
    pub(in super::super) span: Span,
}

/// All of them, in file order.
pub(in super::super) fn outsides(file: &File) -> Vec<Outside<'_>> {
    struct Finder<'f>(&'f File, Vec<Outside<'f>>);
    impl<'f> Visit<'f> for Finder<'f> {
        fn call(&mut self, call: &'f Call) {
            let is_outside =
                matches!(call.name.text.as_str(), "image" | "http" | "git" | "local") && call.member.is_none();
            let first = call.args.first().filter(|_| is_outside).and_then(|first| literal(self.0, first));
            if let Some((text, span)) = first {
                self.1.push(Outside { callee: &call.name.text, text, span });
            }
        }
    }
    let mut finder = Finder(file, Vec::new());
    walk(&file.module, &mut finder);
    finder.1
}

/// The image that a text names.
pub(in super::super) fn reference(outside: &Outside<'_>) -> Option<Reference> {
    let is_image = outside.callee == "image" && outside.text != "scratch";
    is_image.then(|| Reference::parse(outside.text).ok())?.map(Reference::or_latest)
}

/// The links of a file.
pub(in super::super) fn links(file: &File) -> Vec<Link> {
    let link = |outside: Outside<'_>| {
        let target = match outside.callee {
            "image" => Target::Address(page(&reference(&outside)?)?),
            "local" => Target::File(outside.text.trim_start_matches("./").to_owned()),
            _ => Target::Address(outside.text.starts_with("http").then(|| outside.text.to_owned())?),
        };
        (!outside.text.is_empty()).then_some(Link { span: outside.span, target })
    };
    let imports = file.module.imports.iter().filter_map(|import| {
        let (text, span) = literal(file, &import.from)?;
        Some(Link { span, target: Target::File(text.strip_prefix("./")?.to_owned()) })
    });
    let mut links: Vec<Link> = imports.chain(outsides(file).into_iter().filter_map(link)).collect();
    links.sort_by_key(|link| link.span.start);
    links
}
