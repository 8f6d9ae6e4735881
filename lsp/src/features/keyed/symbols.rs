//! The outline: what is defined, stages and images with their steps.

use ast::Span;
use frontends::keyed::{Entry, Grammar, Key, Section, Tree, ValueKind};

use super::super::symbols::{Item, ItemKind, short};
use crate::File;

/// The outline of a file.
pub(in super::super) fn outline(file: &File, tree: &Tree, grammar: &Grammar) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    for section in &tree.sections {
        match &section.path[..] {
            [space, name, rest @ ..] if grammar.spaces.contains(&space.text.as_str()) => {
                let at = defined(&mut items, space, name, section.span);
                let item = &mut items[at];
                item.span = item.span.to(section.span);
                match rest {
                    [] => add(file, item, &section.entries),
                    _ => item.children.extend(part(file, section)),
                }
            }
            [space] if grammar.spaces.contains(&space.text.as_str()) => {
                for entry in section.entries.iter().filter(|entry| !entry.keys.is_empty()) {
                    let at = defined(&mut items, space, &entry.keys[0], entry.span);
                    items[at].detail = detail(file, entry);
                    if let Some(ValueKind::Table { entries, .. }) = entry.value.as_ref().map(|value| &value.kind) {
                        add(file, &mut items[at], entries);
                    }
                }
            }
            [] => items.extend(section.entries.iter().filter_map(|entry| setting(file, entry))),
            _ => items.extend(part(file, section)),
        }
    }
    items
}

/// The item of a name, which may be defined in several places: its number.
fn defined(items: &mut Vec<Item>, space: &Key, name: &Key, span: Span) -> usize {
    let label = format!("{}.{}", space.text, name.text);
    if let Some(at) = items.iter().position(|item| item.name == label) {
        return at;
    }
    let kind = if matches!(space.text.as_str(), "stage" | "image") { ItemKind::Stage } else { ItemKind::Variable };
    items.push(Item { name: label, detail: String::new(), kind, span, select: name.span, children: Vec::new() });
    items.len() - 1
}

/// What is said of a stage or an image, with its steps.
fn add(file: &File, item: &mut Item, entries: &[Entry]) {
    for entry in entries {
        let key = entry.keys.first().map_or("", |key| key.text.as_str());
        if matches!(key, "from" | "preset") {
            item.detail = detail(file, entry);
        }
        if let Some(ValueKind::List { items, .. }) = entry.value.as_ref().map(|value| &value.kind) {
            for value in items {
                let ValueKind::Table { entries, .. } = &value.kind else { continue };
                item.children.extend(entries.first().map(|first| step(file, first, value.span)));
            }
        }
    }
}

/// One of several tables of a stage, or a table of its own.
fn part(file: &File, section: &Section) -> Option<Item> {
    let name = section.path.last()?;
    if section.repeated
        && let Some(first) = section.entries.first()
    {
        return Some(step(file, first, section.span));
    }
    let kind = ItemKind::Variable;
    let children = section.entries.iter().filter_map(|entry| setting(file, entry)).collect();
    Some(Item { name: name.text.clone(), detail: String::new(), kind, span: section.span, select: name.span, children })
}

fn step(file: &File, first: &Entry, span: Span) -> Item {
    let (name, select) = first.keys.first().map_or((String::new(), first.span), |key| (key.text.clone(), key.span));
    let name = if name.is_empty() { "(empty)".to_owned() } else { name };
    Item {
        name,
        detail: detail(file, first),
        kind: ItemKind::Step,
        span: span.to(select),
        select,
        children: Vec::new(),
    }
}

fn setting(file: &File, entry: &Entry) -> Option<Item> {
    let select = entry.keys.first()?.span.to(entry.keys.last()?.span);
    let name = file.slice(select).to_owned();
    let kind = ItemKind::Variable;
    (!name.is_empty()).then(|| Item {
        name,
        detail: detail(file, entry),
        kind,
        span: entry.span,
        select,
        children: Vec::new(),
    })
}

fn detail(file: &File, entry: &Entry) -> String {
    let Some(value) = &entry.value else { return String::new() };
    match value.kind {
        ValueKind::Text { inner, .. } => short(file.slice(inner)),
        _ => short(file.slice(value.span)),
    }
}

#[cfg(test)]
mod tests {
    use crate::features::symbols::{Item, outline};
    use crate::testing::named;

    fn lines(items: &[Item], depth: usize, out: &mut Vec<String>) {
        for item in items {
            assert!(item.span.start <= item.select.start && item.select.end <= item.span.end, "{item:?}");
            out.push(format!("{}{} ({})", "  ".repeat(depth), item.name, item.detail));
            lines(&item.children, depth + 1, out);
        }
    }

    #[test]
    fn definitions_with_their_steps() {
        let text = "spec = 1\n[var]\nv = { default = 1 }\n[image.a]\nfrom = \"x\"\nfile = [{ from = \"s\", to = \"/\" }]\n\
                    [[image.a.step]]\nrun = \"make\"\n[default]\nuser = \"y\"\n[stage.\n";
        let mut found = Vec::new();
        lines(&outline(&named("build.toml", text).0), 0, &mut found);
        let expected = [
            "spec (1)",
            "var.v ({ default = 1 })",
            "image.a (x)",
            "  from (s)",
            "  run (make)",
            "default ()",
            "  user (y)",
            "stage. ()",
        ];
        assert_eq!(found, expected);
    }
}
