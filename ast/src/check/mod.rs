//! Checking of functional modules: names, binds, types, numbers of arguments, recursion.
//!
//! Two passes, as in HLB, whose words and places this has: `names` registers what the module declares and binds; if all of
//! that is sound, `types` holds every call against what it calls, one error a declaration, and `cycles` makes sure that no
//! function needs itself. What is imported is checked once it is there ([`check_import`]).

mod cycles;
mod names;
mod scope;
mod types;

use crate::{Diagnostic, Module};

pub use scope::{Object, Scope};

/// The class of errors that checking finds.
pub const CODE: &str = "check";

/// What is wrong with a module as far as it can be told from itself. Nothing, if it has no functions.
pub fn check(module: &Module) -> Vec<Diagnostic> {
    let (scope, errors) = names::register(module);
    if !errors.is_empty() {
        return errors;
    }
    let errors = types::check(module, &scope, None);
    if errors.is_empty() { cycles::check(module, &scope) } else { errors }
}

/// What is wrong with the uses of an import, now that the module it stands for is there. Both modules are sound in
/// themselves.
pub fn check_import(module: &Module, import: &str, imported: &Module) -> Vec<Diagnostic> {
    let (scope, _) = names::register(module);
    let (inner, _) = names::register(imported);
    types::check(module, &scope, Some((import, imported, &inner)))
}
