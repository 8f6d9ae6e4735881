//! A new name for a stage or a variable, at every place that means it.

use ast::{Edit, Span};

use crate::file::View;
use crate::names::Kind;

/// What would be renamed.
pub fn prepare(view: &View<'_>, offset: u32) -> Option<Span> {
    view.file.names().at(offset).map(|found| found.span)
}

/// The edits of a renaming, in file order.
///
/// **Errors**: why the name cannot be given, for people.
pub fn rename(view: &View<'_>, offset: u32, name: &str) -> Result<Vec<Edit>, String> {
    let names = view.file.names();
    let found = names.at(offset).ok_or("there is no name here that can be changed: stages and variables have names")?;
    let symbol = &names.symbols[found.symbol];
    match symbol.kind {
        Kind::Stage(_) => {
            if !is_stage_name(name) {
                return Err(format!(
                    "\"{name}\" cannot name a stage: letters, digits, `-`, `_` and `.`, and a letter first"
                ));
            }
            let taken = view.file.module.defs.iter().filter_map(|def| def.name.as_ref());
            if taken.into_iter().any(|other| other.text.eq_ignore_ascii_case(name) && other.text != symbol.name) {
                return Err(format!("there is a stage \"{name}\" already"));
            }
        }
        Kind::Entry(space) => {
            if !is_key(name) {
                return Err(format!(
                    "\"{name}\" cannot name a {space}: lower-case letters, digits, `-` and `_`, and no sign first"
                ));
            }
            let taken = |other: &crate::names::Symbol| other.kind == symbol.kind && other.name == name;
            if name != symbol.name && names.symbols.iter().any(taken) {
                return Err(format!("there is a {space} \"{name}\" already"));
            }
        }
        Kind::Variable | Kind::Function(_) | Kind::Bound(_) | Kind::Import if !is_variable_name(name) => {
            return Err(format!("\"{name}\" cannot name a variable: letters, digits and `_`, and no digit first"));
        }
        Kind::Variable | Kind::Function(_) | Kind::Bound(_) | Kind::Import => {}
    }
    Ok(names.of(found.symbol).map(|place| Edit { span: place.span, text: name.to_owned() }).collect())
}

fn is_stage_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

fn is_key(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'))
}

fn is_variable_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::with;

    #[track_caller]
    fn check(marked: &str, name: &str, expected: &str) {
        let found = with(marked, |view, offset| match rename(view, offset, name) {
            Ok(edits) => String::from_utf8(ast::apply(&view.file.source.bytes, &edits)).unwrap(),
            Err(message) => message,
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn a_stage_with_its_mounts() {
        check(
            "FROM a AS ┃b\nFROM B\nRUN --mount=from=b,target=/x true\nCOPY --from=b x y\n",
            "base",
            "FROM a AS base\nFROM base\nRUN --mount=from=base,target=/x true\nCOPY --from=base x y\n",
        );
    }

    #[test]
    fn a_variable_with_its_uses_in_scripts() {
        check(
            "ARG V\nFROM a\nARG V=1\nENV W=${V:-$V}\nRUN x \\\n  \"$┃V\" '$V'\n",
            "VERSION",
            "ARG VERSION\nFROM a\nARG VERSION=1\nENV W=${VERSION:-$VERSION}\nRUN x \\\n  \"$VERSION\" '$V'\n",
        );
    }

    #[test]
    fn an_entry_with_its_headers_and_references() {
        let text = "[var]\nv = {}\n[stage.b┃]\nfrom = \"x\"\n[[stage.b.step]]\nrun = \"y\"\n[image.i]\nfrom = \"stage.b\"\nfile = [{ from = \"stage.b:/x\" }]\n";
        let renamed = |name: &str| {
            crate::testing::with_named("build.toml", text, |view, offset| {
                let edits = rename(view, offset, name)?;
                Ok::<_, String>(String::from_utf8(ast::apply(&view.file.source.bytes, &edits)).unwrap())
            })
        };
        let expected = text.replace('┃', "").replace("stage.b", "stage.base");
        assert_eq!(renamed("base"), Ok(expected));
        assert!(renamed("A b").is_err_and(|why| why.contains("cannot name a stage")));
    }

    #[test]
    fn names_that_cannot_be() {
        check(
            "FROM a AS ┃b\n",
            "1x",
            "\"1x\" cannot name a stage: letters, digits, `-`, `_` and `.`, and a letter first",
        );
        check("FROM a AS ┃b\nFROM b AS c\n", "C", "there is a stage \"C\" already");
        check(
            "FROM a\nENV ┃A=1\n",
            "A-B",
            "\"A-B\" cannot name a variable: letters, digits and `_`, and no digit first",
        );
        check("FROM ┃a\n", "b", "there is no name here that can be changed: stages and variables have names");
    }
}
