//! Names of languages of keys and values: the frontend finds them, here they become symbols. What is defined nowhere is none.

use std::collections::BTreeMap;

use frontends::keyed::Tree;

use super::{Kind, Names, Role, Symbol, Use};
use crate::File;

/// The names of a file.
pub(super) fn collect(file: &File, tree: &Tree) -> Names {
    let mut names = Names::default();
    let Some(keyed) = file.language.keyed else { return names };
    let mentions = (keyed.names)(file.text(), tree);
    let mut symbols: BTreeMap<(&'static str, String), usize> = BTreeMap::new();
    for found in mentions.iter().filter(|found| found.defines == Some(true)) {
        names.symbols.push(Symbol { name: found.name.clone(), kind: Kind::Entry(found.space) });
        symbols.insert((found.space, found.name.clone()), names.symbols.len() - 1);
    }
    for found in mentions {
        let Some(symbol) = symbols.get(&(found.space, found.name)).copied() else { continue };
        let role = match found.defines {
            Some(true) => Role::Definition,
            Some(false) => Role::Reference,
            None => Role::Declaration,
        };
        names.uses.push(Use { span: found.span, symbol, role });
    }
    names
}
