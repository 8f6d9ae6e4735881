//! Lines above functions: build those that can be built, and how many places use each.

use ast::types;

use super::super::lens::{Action, Lens};
use crate::File;
use crate::names::{Kind, Role};

/// The lenses of a file.
pub(in super::super) fn lenses(file: &File) -> Vec<Lens> {
    let names = file.names();
    let mut lenses = Vec::new();
    for (at, symbol) in names.symbols.iter().enumerate() {
        let Kind::Function(def) = symbol.kind else { continue };
        let def = &file.module.defs[def];
        let (Some(name), Some(signature)) = (&def.name, &def.signature) else { continue };
        if matches!(signature.gives.text.as_str(), types::FS | types::PIPELINE) {
            let action = Action::Build(name.text.clone());
            lenses.push(Lens { span: name.span, title: "build".to_owned(), action });
        }
        let uses: Vec<_> = names.of(at).filter(|found| found.role == Role::Reference).map(|found| found.span).collect();
        if !uses.is_empty() {
            let title = super::super::hover::count(uses.len(), "use");
            lenses.push(Lens { span: name.span, title, action: Action::Show(uses) });
        }
    }
    lenses
}
