//! `template`: the part of Go's `text/template` that strings can use.
//!
//! Values are strings, truth values and numbers; the data is a map of strings. Actions: pipelines, `if`, `else if`, `else`,
//! `with`, `range` (over nothing: strings have no elements), `define`, `template`, `block`, variables, comments, `-` that
//! trims. Functions: `and or not eq ne lt le gt ge len print printf println html js urlquery`. Go's `index`, `slice` and
//! `call` need values that a program cannot give, and are refused by name.

mod run;
mod tree;

use std::collections::BTreeMap;

/// Fills a template.
///
/// **Errors**: what is wrong with it, and in which line.
pub(super) fn fill(text: &str, fields: &BTreeMap<String, String>) -> Result<String, String> {
    let templates = tree::parse(text)?;
    run::run(&templates, fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let fields = [("name", "Ada"), ("title", "Countess"), ("empty", "")];
        let fields = fields.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        assert_eq!(fill(text, &fields).unwrap_or_else(|error| error), expected);
    }

    #[test]
    fn fields_and_conditions() {
        check("Hello {{.name}}{{if .title}}, {{.title}}{{end}}!", "Hello Ada, Countess!");
        check("{{if .empty}}a{{else if .no}}b{{else}}c{{end}} {{.no}}", "c <no value>");
        check("a {{- /* c */ -}} b {{- \" x\" }}", "ab x");
        check("{{range .no}}x{{else}}none{{end}}", "none");
    }

    #[test]
    fn variables_functions_and_templates() {
        check("{{$x := .name}}{{with .title}}{{.}}/{{$x}}/{{$.name}}{{end}}", "Countess/Ada/Ada");
        check(
            "{{printf \"%s-%q\" .name `t` | len}} {{eq .name \"x\" \"Ada\"}} {{and .name (not .empty)}}",
            "7 true true",
        );
        check(
            "{{define \"t\"}}<{{.}}>{{end}}{{template \"t\" .name}}{{block \"b\" .}}{{.title}}{{end}}",
            "<Ada>Countess",
        );
        check("{{html \"<a>\"}}{{urlquery \"a b/\"}}", "&lt;a&gt;a+b%2F");
    }

    #[test]
    fn what_is_wrong() {
        check("{{.name", "template: :1: unclosed action");
        check("a\n{{if .x}}", "template: :2: unexpected EOF");
        check("\n{{nope}}", "template: :2: function \"nope\" not defined");
        check(
            "{{define \"t\"}}{{template \"t\"}}{{end}}{{template \"t\"}}",
            "template: templates use each other without end",
        );
        check("{{.name.x}}", "template: can't evaluate field x in type string");
    }
}
