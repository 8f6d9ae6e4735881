//! The outline of a file: stages with their steps, arguments and variables.

use ast::{Def, Op, Span, Step, visit};

use crate::File;

/// Something in the outline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its name.
    pub name: String,
    /// What more there is to say in the same line.
    pub detail: String,
    /// What it is.
    pub kind: ItemKind,
    /// All of it.
    pub span: Span,
    /// What to select: its name.
    pub select: Span,
    /// What it consists of.
    pub children: Vec<Item>,
}

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemKind {
    /// A stage.
    Stage,
    /// A function.
    Function,
    /// A step.
    Step,
    /// A variable or an argument.
    Variable,
}

/// The longest detail, in characters; the rest is cut off.
const LONGEST: usize = 80;

/// The outline.
pub fn outline(file: &File) -> Vec<Item> {
    if let Some((tree, grammar)) = file.keyed() {
        return super::keyed::symbols::outline(file, tree, grammar);
    }
    let mut items = Vec::new();
    file.module.head.iter().for_each(|instruction| step(instruction, &mut items));
    items.extend(file.module.defs.iter().enumerate().map(|(at, def)| match &def.signature {
        Some(_) => function(file, def),
        None => stage(at, def),
    }));
    items
}

/// What a stage is made from.
pub(super) fn stage_detail(def: &Def) -> String {
    let from = visit::def_steps(def).first().map(|step| step.text.lossy().into_owned()).unwrap_or_default();
    short(&from)
}

/// The name of a stage for people: its own, or its number.
pub(super) fn stage_name(at: usize, def: &Def) -> String {
    def.name.as_ref().map_or_else(|| format!("stage {at}"), |name| name.text.clone())
}

/// A function with its parameters.
fn function(file: &File, def: &Def) -> Item {
    let param = |param: &ast::Param| Item {
        name: param.name.text.clone(),
        detail: param.ty.as_ref().map(|ty| ty.text.clone()).unwrap_or_default(),
        kind: ItemKind::Variable,
        span: param.name.span,
        select: param.name.span,
        children: Vec::new(),
    };
    let name = def.name.as_ref();
    let head = file.slice(def.span).split(['{', '\n']).next().unwrap_or_default();
    Item {
        name: name.map_or_else(|| "(function)".to_owned(), |name| name.text.clone()),
        detail: short(head),
        kind: ItemKind::Function,
        span: def.span,
        select: name.map_or(Span { end: def.span.start, ..def.span }, |name| name.span),
        children: def.params.iter().map(param).collect(),
    }
}

fn stage(at: usize, def: &Def) -> Item {
    let steps = visit::def_steps(def);
    let keyword = steps.first().map_or(def.span, |step| step.keyword);
    let mut children = Vec::with_capacity(steps.len());
    steps.iter().skip(1).for_each(|instruction| step(instruction, &mut children));
    Item {
        name: stage_name(at, def),
        detail: stage_detail(def),
        kind: ItemKind::Stage,
        span: def.span,
        select: def.name.as_ref().map_or(keyword, |name| name.span),
        children,
    }
}

/// Adds what a step has to show: its variables, or itself.
fn step(step: &Step, items: &mut Vec<Item>) {
    let variable = |name: String, value: String, select: Span| Item {
        name,
        detail: value,
        kind: ItemKind::Variable,
        span: step.span,
        select,
        children: Vec::new(),
    };
    match &step.op {
        Op::Arg(params) => {
            let value = |param: &ast::Param| param.default.as_ref().map_or(String::new(), |v| short(&v.raw().lossy()));
            items.extend(params.iter().map(|param| variable(param.name.text.clone(), value(param), param.name.span)));
        }
        Op::Env(pairs) => items.extend(pairs.iter().map(|pair| {
            variable(pair.key.raw().lossy().into_owned(), short(&pair.value.raw().lossy()), pair.key.span)
        })),
        _ => {
            let text = step.text.lossy();
            let (name, detail) = text.split_once(char::is_whitespace).unwrap_or((&text, ""));
            let name = if name.is_empty() { "(empty)" } else { name };
            items.push(Item {
                name: name.to_owned(),
                detail: short(detail),
                kind: ItemKind::Step,
                span: step.span,
                select: step.keyword,
                children: Vec::new(),
            });
        }
    }
}

/// The words of a text with one blank between them, as many characters as fit.
pub(super) fn short(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(LONGEST + '…'.len_utf8()));
    let mut room = LONGEST;
    for word in text.split_whitespace() {
        let blank = usize::from(!out.is_empty());
        let fits = word.char_indices().nth(room.saturating_sub(blank)).map_or(word.len(), |(end, _)| end);
        if room < blank || fits < word.len() {
            out.extend([if room > 0 && blank == 1 { " " } else { "" }, &word[..fits], "…"]);
            return out;
        }
        out.extend([if blank == 1 { " " } else { "" }, word]);
        room -= blank + word.chars().count();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::file;

    fn lines(items: &[Item], depth: usize, out: &mut Vec<String>) {
        for item in items {
            out.push(format!("{}{} ({})", "  ".repeat(depth), item.name, item.detail));
            lines(&item.children, depth + 1, out);
        }
    }

    #[test]
    fn stages_with_steps() {
        let (file, _) = file("ARG V=1\nFROM a AS x\nENV A=1 B=2\nRUN  x \\\n  y\nFROM b\nNOPE\n");
        let mut found = Vec::new();
        lines(&outline(&file), 0, &mut found);
        let expected =
            ["V (1)", "x (FROM a AS x)", "  A (1)", "  B (2)", "  RUN (x y)", "stage 1 (FROM b)", "  NOPE ()"];
        assert_eq!(found, expected);
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(short("  a \n b\tc "), "a b c");
        let (fits, more) = ("x".repeat(LONGEST), "ä".repeat(LONGEST));
        assert_eq!(short(&fits), fits);
        assert_eq!(short(&format!("{more}y")), format!("{more}…"));
        assert_eq!(short(&format!("{fits} y")), format!("{fits}…"));
        assert_eq!(short(&format!("a {fits}")), format!("a {}…", &fits[2..]));
    }

    #[test]
    fn what_is_selected_lies_inside() {
        let (file, _) = file("ARG A B\nFROM a AS x\nRUN <<E\ny\nE\nLABEL\n");
        fn inside(items: &[Item]) {
            for item in items {
                assert!(item.span.start <= item.select.start && item.select.end <= item.span.end, "{item:?}");
                inside(&item.children);
            }
        }
        inside(&outline(&file));
    }
}
