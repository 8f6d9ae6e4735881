//! `cargo xtask new rule NAME`: the file of a lint rule, and the lines that register it.

use std::path::Path;

use crate::shell::{Result, say};

const RULES: &str = "compiler/src/lint/rules";

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    match arguments {
        [kind, name] if kind == "rule" => rule(&e2e::workspace().join(RULES), name),
        _ => Err("usage: cargo xtask new rule NAME, where NAME is like UndefinedVar".into()),
    }
}

fn rule(folder: &Path, name: &str) -> Result<()> {
    if !name.starts_with(|c: char| c.is_ascii_uppercase()) || !name.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Err(format!("{name} is no name for a rule; names are like UndefinedVar").into());
    }
    let module = snake_case(name);
    let file = folder.join(format!("{module}.rs"));
    if file.exists() {
        return Err(format!("{} exists", file.display()).into());
    }
    let list = folder.join("mod.rs");
    let registered = register(&std::fs::read_to_string(&list)?, &module).ok_or("mod.rs has no list of rules")?;
    std::fs::write(&file, source(name, &module))?;
    std::fs::write(&list, registered)?;
    say(&format!("{} is yours to write; its test fails until it finds something", file.display()));
    Ok(())
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for (index, c) in name.char_indices() {
        // A run of capitals is one word: JSONArgs is json_args.
        let starts_word = c.is_ascii_uppercase()
            && (name[..index].ends_with(|c: char| !c.is_ascii_uppercase())
                || name[index + 1..].starts_with(|c: char| c.is_ascii_lowercase()));
        if starts_word && index > 0 {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

/// The list of rules with one more: its module in alphabetical order, its row at the end.
fn register(list: &str, module: &str) -> Option<String> {
    let declaration = format!("mod {module};");
    let modules: Vec<&str> = list.lines().filter(|line| line.starts_with("mod ")).collect();
    let after = modules.iter().rfind(|line| **line < declaration.as_str());
    let with_module = match after {
        Some(line) => list.replacen(line, &format!("{line}\n{declaration}"), 1),
        None => list.replacen(modules.first()?, &format!("{declaration}\n{}", modules[0]), 1),
    };
    let end = with_module.rfind("\n];")?;
    Some(format!("{}\n    &{module}::RULE,{}", &with_module[..end], &with_module[end..]))
}

fn source(name: &str, module: &str) -> String {
    format!(
        r##"//! # What it does
//! Finds what is to be written here.
//!
//! # Why is this bad
//! What goes wrong.
//!
//! # Example
//! ```dockerfile
//! RUN example
//! ```
//!
//! # Use instead
//! ```dockerfile
//! RUN better
//! ```

use ast::{{Policy, Severity}};

use crate::lint::{{Check, Hit, Instruction, Rule}};

pub(super) static RULE: Rule = Rule {{
    name: "{name}",
    description: "What it asks for, in one sentence",
    url: "",
    policy: Policy::OnRequest,
    severity: Severity::Warning,
    aliases: &[],
    by_comment: true,
    source: include_str!("{module}.rs"),
    check: Check::Instruction(check),
}};

fn check(_: &Instruction<'_>) -> Option<Hit> {{
    None
}}

#[cfg(test)]
mod tests {{
    use crate::testing::lint;

    #[test]
    fn what_it_finds() {{
        lint("# check=experimental={name}\nFROM alpine\nRUN example\n", &["{name} 3 @RUN: what is wrong"]);
    }}
}}
"##
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_modules() {
        for (name, expected) in
            [("UndefinedVar", "undefined_var"), ("JSONArgsRecommended", "json_args_recommended"), ("Add", "add")]
        {
            assert_eq!(snake_case(name), expected);
        }
    }

    #[test]
    fn a_rule_is_registered_in_both_lists() {
        let list =
            "mod a;\nmod c;\n\nuse super::Rule;\n\npub static RULES: &[&Rule] = &[\n    &c::RULE,\n    &a::RULE,\n];\n";
        let expected = "mod a;\nmod b;\nmod c;\n\nuse super::Rule;\n\npub static RULES: &[&Rule] = &[\n    &c::RULE,\n    &a::RULE,\n    &b::RULE,\n];\n";
        assert_eq!(register(list, "b").as_deref(), Some(expected));
    }

    #[test]
    fn the_lists_that_there_are_can_take_one() {
        let list = std::fs::read_to_string(e2e::workspace().join(RULES).join("mod.rs")).unwrap();
        let registered = register(&list, "json_zero").unwrap();
        assert!(registered.contains("mod json_args_recommended;\nmod json_zero;\n"), "{registered}");
        assert!(registered.ends_with("    &json_zero::RULE,\n];\n"), "{registered}");
    }
}
