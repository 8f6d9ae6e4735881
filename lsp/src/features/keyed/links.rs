//! Texts that lead somewhere: images to their pages, addresses, files of the build context.

use frontends::keyed::{Grammar, Meaning, Tree};
use oci::Reference;

use super::super::links::{Link, Target, page};
use crate::File;

/// The links of a file, in its order.
pub(in super::super) fn links(file: &File, tree: &Tree, grammar: &Grammar) -> Vec<Link> {
    let mut links = Vec::new();
    super::texts(tree, grammar, &mut |means, _, inner| {
        let text = file.slice(inner);
        let is_plain = !text.is_empty() && !text.contains(['$', '\\', '*', '?']);
        let target = match means {
            Meaning::Base | Meaning::Image => super::image(file, means, inner)
                .and_then(|image| page(&Reference::parse(image).ok()?))
                .map(Target::Address),
            Meaning::Address => text.starts_with("http").then(|| Target::Address(text.to_owned())),
            Meaning::Path => Some(Target::File(text.to_owned())),
            Meaning::Beside => Some(Target::Beside(text.to_owned())),
            Meaning::Files => text.strip_prefix("./").map(|path| Target::File(path.to_owned())),
            _ => None,
        };
        links.extend(target.filter(|_| is_plain).map(|target| Link { span: inner, target }));
    });
    links.sort_by_key(|link| link.span.start);
    links
}
