//! What can be called at the cursor: names and primitives that give what is wanted there.

use ast::{Span, builtin, types};

use super::super::completion::{Item, ItemKind};
use super::super::functions;
use super::signature;
use crate::file::View;
use crate::names::Kind;

/// Everything that begins with what is typed and gives the type that is wanted, as far as that is known.
pub(in super::super) fn complete(view: &View<'_>, offset: u32) -> Vec<Item> {
    let before = super::super::hover::identifier(view, offset);
    let span = Span { end: offset, ..before };
    let mut list = List { view, span, wanted: wanted(view, span.start), items: Vec::new() };
    list.argument_names();
    list.parameters(offset);
    list.names();
    for row in builtin::rows() {
        list.add(row.name, ItemKind::Function, row.gives, row.signature, row.doc);
    }
    let typed = view.file.slice(span).to_lowercase();
    list.items.retain(|item| item.label.to_lowercase().starts_with(&typed));
    list.items.dedup_by(|a, b| a.label == b.label && a.detail == b.detail);
    list.items
}

struct List<'l> {
    view: &'l View<'l>,
    span: Span,
    wanted: Option<String>,
    items: Vec<Item>,
}

impl List<'_> {
    /// Adds something that gives a type; of what is not known to give one, nothing can be said.
    fn add(&mut self, label: &str, kind: ItemKind, gives: &str, detail: &str, doc: &str) {
        let fits = self.wanted.as_deref().is_none_or(|wanted| gives.is_empty() || gives == wanted);
        if fits {
            self.items.push(Item::new(label, kind, detail, doc, self.span));
        }
    }

    fn parameters(&mut self, offset: u32) {
        let here = |def: &&ast::Def| def.span.start <= offset && offset <= def.span.end;
        for param in self.view.file.module.defs.iter().filter(here).flat_map(|def| &def.params) {
            let ty = param.ty.as_ref().map_or("", |ty| ty.text.as_str());
            self.add(&param.name.text, ItemKind::Variable, ty, ty, "");
        }
    }

    /// Names that the next argument may have.
    fn argument_names(&mut self) {
        let Some(line) = line(self.view, self.span.start) else { return };
        let Some((label, _)) = callee(self.view, line).filter(|_| line.ends_with(char::is_whitespace)) else { return };
        for range in signature::parameters(label) {
            let parameter = &label[range.start as usize..range.end as usize];
            let name = signature::name_of(parameter);
            let is_given = line.contains(&format!(" {name}="));
            if !is_given && !parameter.starts_with("variadic ") {
                let item = Item::new(name, ItemKind::Property, parameter, "", self.span);
                self.items.push(Item { insert: Some(format!("{name}=")), ..item });
            }
        }
    }

    fn names(&mut self) {
        let file = self.view.file;
        for symbol in &file.names().symbols {
            match symbol.kind {
                Kind::Function(at) => {
                    let def = &file.module.defs[at];
                    let gives = def.signature.as_ref().map_or("", |signature| signature.gives.text.as_str());
                    let doc = def.doc.as_ref().map(|doc| doc.lossy().into_owned()).unwrap_or_default();
                    let detail = functions::signature(self.view, def);
                    self.add(&symbol.name, ItemKind::Function, gives, detail, &doc);
                }
                Kind::Bound(_) => self.add(&symbol.name, ItemKind::Variable, types::FS, types::FS, ""),
                Kind::Import => self.add(&symbol.name, ItemKind::Variable, "", "", ""),
                Kind::Variable | Kind::Stage(_) | Kind::Entry(_) => {}
            }
        }
    }
}

/// The type of what is to be written at a place: what its block is made of, or what the argument of a call is.
pub(in super::super) fn wanted(view: &View<'_>, at: u32) -> Option<String> {
    let line = line(view, at)?;
    if !line.trim().is_empty() {
        return argument(view, line);
    }
    block(view.file.text().get(..at as usize)?)
}

/// The line of a statement up to a place.
fn line<'v>(view: &View<'v>, at: u32) -> Option<&'v str> {
    view.file.text().get(..at as usize)?.rsplit(['\n', ';', '{']).next()
}

/// The signature of what a line calls, and how many words follow its name.
fn callee<'v>(view: &View<'v>, line: &'v str) -> Option<(&'v str, usize)> {
    let mut words = line.split_whitespace();
    let name = words.next()?;
    let own = view.file.module.defs.iter().find(|def| def.name.as_ref().is_some_and(|known| known.text == name));
    let label = match own {
        Some(def) => functions::signature(view, def),
        // A name that stands for several primitives takes what any of them takes.
        None => match builtin::named(name) {
            [row] => row.signature,
            _ => return None,
        },
    };
    Some((label, words.count()))
}

/// The type of the block that a text ends in. The text says it, because a block in which nothing stands yet may be in no
/// tree.
fn block(before: &str) -> Option<String> {
    let mut depth = 0usize;
    let open = before.char_indices().rev().find(|(_, c)| match c {
        '}' => {
            depth += 1;
            false
        }
        '{' if depth == 0 => true,
        '{' => {
            depth -= 1;
            false
        }
        _ => false,
    });
    let head = before.get(..open?.0)?.trim_end();
    let line = head.rsplit(['\n', ';', '{']).next()?.trim_start();
    let first = line.split_whitespace().next()?;
    match head.rsplit(char::is_whitespace).next()? {
        types::OPTION => Some(types::options_of(first)),
        _ if head.ends_with('$') => Some(types::STRING.to_owned()),
        // The body of a function: its type stands first.
        last if last.ends_with(')') => Some(first.to_owned()),
        last => Some(last.to_owned()),
    }
}

/// The type of the next argument of what a line calls.
fn argument(view: &View<'_>, line: &str) -> Option<String> {
    let (label, number) = callee(view, line)?;
    let parameters: Vec<&str> = signature::parameters(label)
        .into_iter()
        .map(|range| &label[range.start as usize..range.end as usize])
        .collect();
    let by_name = line.split_whitespace().next_back().and_then(|word| word.strip_suffix('='));
    let parameter = match by_name {
        Some(name) => parameters.iter().find(|parameter| signature::name_of(parameter) == name),
        // What stands in quotes or in parentheses may hold blanks.
        None if line.contains(['"', '`', '(']) => None,
        None => parameters.get(number).or(parameters.last().filter(|last| last.starts_with("variadic "))),
    };
    parameter?.trim_start_matches("variadic ").split(' ').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::with_named;

    fn labels(marked: &str) -> Vec<String> {
        with_named("main.hlb", marked, complete).into_iter().map(|item| item.label).collect()
    }

    #[test]
    fn statements_give_what_their_block_is_made_of() {
        assert_eq!(labels("fs a() {\n\tscr┃\n}\n"), ["scratch"]);
        let options = labels("fs a() {\n\trun \"x\" with option {\n\t\t┃\n\t}\n}\n");
        assert!(options.contains(&"readonlyRootfs".to_owned()) && options.contains(&"dir".to_owned()), "{options:?}");
        assert!(!options.contains(&"image".to_owned()), "{options:?}");
        let steps = labels("fs a() {\n\t┃\n}\nstring s() { \"x\"; }\n");
        assert!(steps.contains(&"image".to_owned()) && !steps.contains(&"s".to_owned()), "{steps:?}");
    }

    #[test]
    fn arguments_give_what_is_due() {
        let found = labels("fs a(string v, fs other) {\n\timage ┃\n}\nstring s() { \"x\"; }\n");
        assert!(found.contains(&"v".to_owned()) && found.contains(&"s".to_owned()), "{found:?}");
        assert!(!found.contains(&"other".to_owned()) && !found.contains(&"run".to_owned()), "{found:?}");
        let named = labels("fs a(fs q, string w) {\n\tcopy q src=┃\n}\n");
        assert!(named.contains(&"w".to_owned()) && !named.contains(&"q".to_owned()), "{named:?}");
    }

    #[test]
    fn arguments_may_be_given_by_name() {
        let found = labels("fs a() {\n\tb s=\"x\" ┃\n}\nfs b(string s, int n = 1, variadic string v) { scratch; }\n");
        assert!(found.contains(&"n".to_owned()), "{found:?}");
        assert!(!found.contains(&"s".to_owned()) && !found.contains(&"v".to_owned()), "{found:?}");
        assert!(labels("fs a() {\n\tcopy ds┃\n}\n").contains(&"dst".to_owned()));
    }
}
