//! Lines above stages and images: build it, and how many places use it.

use super::super::lens::{Action, Lens};
use crate::File;
use crate::names::{Kind, Role};

/// The lenses of a file.
pub(in super::super) fn lenses(file: &File) -> Vec<Lens> {
    let names = file.names();
    let mut lenses = Vec::new();
    for (at, symbol) in names.symbols.iter().enumerate() {
        let Kind::Entry("stage" | "image") = symbol.kind else { continue };
        let Some(defined) = names.of(at).find(|found| found.role == Role::Definition) else { continue };
        lenses.push(Lens { span: defined.span, title: "build".to_owned(), action: Action::Build(symbol.name.clone()) });
        let uses: Vec<_> = names.of(at).filter(|found| found.role == Role::Reference).map(|found| found.span).collect();
        if !uses.is_empty() {
            let title = super::super::hover::count(uses.len(), "use");
            lenses.push(Lens { span: defined.span, title, action: Action::Show(uses) });
        }
    }
    lenses
}
