//! Lines above stages: build it, and how many places use it.

use ast::{Span, visit};

use crate::File;
use crate::names::{Kind, Role};

/// A line above a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lens {
    /// The line it stands above.
    pub span: Span,
    /// What it says.
    pub title: String,
    /// What it does.
    pub action: Action,
}

/// What a lens does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Builds a target: its name, or its number as a name does.
    Build(String),
    /// Shows places.
    Show(Vec<Span>),
}

/// The lenses of a file, in its order.
pub fn lenses(file: &File) -> Vec<Lens> {
    if file.keyed().is_some() {
        return super::keyed::lens::lenses(file);
    }
    if file.module.dialect.functions {
        return super::functional::lens::lenses(file);
    }
    let mut lenses = Vec::new();
    for (at, def) in file.module.defs.iter().enumerate().filter(|(_, def)| def.signature.is_none()) {
        let Some(from) = visit::def_steps(def).first() else { continue };
        let target = def.name.as_ref().map_or_else(|| at.to_string(), |name| name.text.clone());
        lenses.push(Lens { span: from.keyword, title: "build".to_owned(), action: Action::Build(target) });
        let names = file.names();
        let symbol = names.symbols.iter().position(|symbol| symbol.kind == Kind::Stage(at));
        let uses: Vec<Span> = symbol
            .into_iter()
            .flat_map(|symbol| names.of(symbol))
            .filter(|found| found.role == Role::Reference)
            .map(|found| found.span)
            .collect();
        if !uses.is_empty() {
            let title = super::hover::count(uses.len(), "use");
            lenses.push(Lens { span: from.keyword, title, action: Action::Show(uses) });
        }
    }
    lenses
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::file;

    #[test]
    fn every_stage_can_be_built() {
        let (file, _) = file("FROM a AS x\nFROM b\nCOPY --from=x a b\n");
        let shown: Vec<_> = lenses(&file).into_iter().map(|lens| (lens.title, lens.action)).collect();
        let use_of_x = Action::Show(vec![Span::new(ast::FileId(0), 31, 32)]);
        let build = |target: &str| ("build".to_owned(), Action::Build(target.to_owned()));
        assert_eq!(shown, [build("x"), ("1 use".to_owned(), use_of_x), build("1")]);
    }
}
