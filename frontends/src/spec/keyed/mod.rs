//! What an editor can say of a build spec: the tables with their words, made of the declarations that read them, what
//! texts mean, and which names mean the same.

mod tree;

use std::sync::OnceLock;

use ast::Span;
use serde_json::Value as Json;

use crate::keyed::{
    Entry, Field, Found, Grammar, Key, Keyed, Meaning, Mention, Section, Shape, Table, Tree, Value, ValueKind,
};

/// The data of the language.
pub(super) static KEYED: Keyed = Keyed { read: tree::read, grammar, names };

/// Tables whose keys are names.
const SPACES: &[&str] = &["var", "source", "cache", "stage", "image"];

/// What strings and conditions may refer to beside variables.
const REFERENCES: &[(&str, &str)] = &[
    ("target.platform", "The platform that is built for: `linux/arm64`."),
    ("target.os", "Its system: `linux`."),
    ("target.arch", "Its architecture: `arm64`."),
    ("target.variant", "The variant of its architecture: `v7`."),
    ("build.platform", "The platform that steps run on."),
    ("build.os", "Its system."),
    ("build.arch", "Its architecture."),
    ("build.variant", "The variant of its architecture."),
];

/// What texts mean, by table and key; all others mean nothing more.
const MEANINGS: &[(&str, &str, Meaning)] = &[
    ("spec", "include", Meaning::Beside),
    ("stage", "from", Meaning::Base),
    ("stage", "platform", Meaning::Platform),
    ("stage", "cache", Meaning::Cache),
    ("image", "from", Meaning::Base),
    ("image", "platform", Meaning::Platform),
    ("image", "cache", Meaning::Cache),
    ("image", "dir", Meaning::Path),
    ("image", "source", Meaning::Source),
    ("test", "from", Meaning::Base),
    ("test", "platform", Meaning::Platform),
    ("test", "cache", Meaning::Cache),
    ("test", "run", Meaning::Script),
    ("files", "from", Meaning::Files),
    ("files", "to", Meaning::Path),
    ("cache", "seed", Meaning::Files),
    ("image", "build", Meaning::Script),
    ("image", "builder", Meaning::Image),
    ("source", "local", Meaning::Path),
    ("source", "http", Meaning::Address),
    ("source", "git", Meaning::Address),
    ("source", "image", Meaning::Image),
    ("source", "stage", Meaning::Stage),
    ("step", "run", Meaning::Script),
    ("step", "script", Meaning::Script),
    ("step", "copy", Meaning::Files),
    ("step", "unpack", Meaning::Files),
    ("step", "cache", Meaning::Cache),
    ("step", "when", Meaning::Condition),
    ("file", "from", Meaning::Files),
    ("file", "when", Meaning::Condition),
    ("mount", "from", Meaning::Files),
    ("pip", "requirements", Meaning::Files),
    ("repository", "uri", Meaning::Address),
    ("repository", "key", Meaning::Source),
];

fn grammar() -> &'static Grammar {
    static GRAMMAR: OnceLock<Grammar> = OnceLock::new();
    GRAMMAR.get_or_init(|| {
        let schema = super::json_schema();
        let tables = schema["$defs"].as_object().into_iter().flatten();
        let tables = tables.map(|(name, schema)| (name.clone(), table(name, schema))).collect();
        Grammar { tables, root: "spec", spaces: SPACES, references: REFERENCES }
    })
}

fn table(name: &str, schema: &Json) -> Table {
    let field = |(key, schema): (&String, &Json)| Field {
        name: key.clone(),
        doc: text(&schema["description"]),
        shape: shape(schema),
        means: MEANINGS
            .iter()
            .find(|(table, field, _)| *table == name && field == key)
            .map_or(Meaning::Plain, |(_, _, means)| *means),
    };
    let keys = schema["properties"].as_object().into_iter().flatten().map(field).collect();
    Table { name: name.to_owned(), doc: text(&schema["description"]), keys }
}

fn text(value: &Json) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn shape(schema: &Json) -> Shape {
    if let Some(reference) = schema["$ref"].as_str() {
        return Shape::Table(reference.trim_start_matches("#/$defs/").to_owned());
    }
    if let Some(words) = schema["enum"].as_array() {
        let docs = &schema["enumDescriptions"];
        return Shape::Words(words.iter().enumerate().map(|(at, word)| (text(word), text(&docs[at]))).collect());
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        return Shape::Any(choices.iter().map(shape).collect());
    }
    match &schema["type"] {
        Json::Array(names) => Shape::Any(names.iter().map(|name| of_type(&text(name), schema)).collect()),
        name => of_type(&text(name), schema),
    }
}

fn of_type(name: &str, schema: &Json) -> Shape {
    match name {
        "array" => Shape::List(Box::new(shape(&schema["items"]))),
        "object" => Shape::Named(Box::new(shape(&schema["additionalProperties"]))),
        "integer" => Shape::Number,
        "boolean" => Shape::Truth,
        _ => Shape::Text,
    }
}

/// The names in a text, in no order that matters.
fn names(text: &str, tree: &Tree) -> Vec<Mention> {
    let mut finder = Finder { text, found: Vec::new() };
    tree.sections.iter().for_each(|section| finder.header(section));
    tree.visit(&mut |path, entry| finder.entry(path, entry));
    // The first place of a name that is written several times defines it.
    finder.found.sort_by_key(|mention| mention.span.start);
    let mut known = std::collections::BTreeSet::new();
    for mention in &mut finder.found {
        if mention.defines.is_none() && known.insert((mention.space, mention.name.clone())) {
            mention.defines = Some(true);
        }
    }
    finder.found
}

struct Finder<'t> {
    text: &'t str,
    found: Vec<Mention>,
}

impl Finder<'_> {
    fn header(&mut self, section: &Section) {
        if let [space, name, ..] = &section.path[..] {
            self.written(space, name);
        }
    }

    /// A name where something is said of it.
    fn written(&mut self, space: &Key, name: &Key) {
        if let Some(space) = SPACES.iter().find(|known| **known == space.text)
            && !name.text.is_empty()
        {
            self.found.push(Mention { span: name.span, name: name.text.clone(), space, defines: None });
        }
    }

    fn entry(&mut self, path: &[&Key], entry: &Entry) {
        let full: Vec<&Key> = path.iter().copied().chain(&entry.keys).collect();
        if path.len() <= 1
            && let [space, name, ..] = full[..]
        {
            self.written(space, name);
        }
        let Some(value) = &entry.value else { return };
        let words: Vec<&str> = full.iter().map(|key| key.text.as_str()).collect();
        let means = grammar().at(&words).and_then(|found: Found<'_>| found.field).map(|field| field.means);
        for text in value.texts() {
            self.value(text, means.unwrap_or(Meaning::Plain));
        }
    }

    fn value(&mut self, value: &Value, means: Meaning) {
        let ValueKind::Text { inner, .. } = value.kind else { return };
        let text = self.text.get(inner.start as usize..inner.end as usize).unwrap_or_default();
        match means {
            Meaning::Script => return,
            Meaning::Base => drop(self.defined(text, inner, &["stage", "image", "source"])),
            Meaning::Files => {
                if !self.defined(text, inner, &["stage", "image"]) && !text.starts_with("./") {
                    self.mention("source", text.split(':').next().unwrap_or_default(), inner.start);
                }
            }
            Meaning::Source => self.mention("source", text, inner.start),
            Meaning::Cache => self.mention("cache", text, inner.start),
            Meaning::Stage => self.mention("stage", text, inner.start),
            Meaning::Condition => {
                for (at, _) in text.match_indices("var.") {
                    if !text[..at].ends_with(is_name) {
                        self.variable(text, inner, at + 4);
                    }
                }
            }
            Meaning::Plain
            | Meaning::Image
            | Meaning::Path
            | Meaning::Beside
            | Meaning::Address
            | Meaning::Platform => {}
        }
        for (at, sign) in text.match_indices("${") {
            let start = at + sign.len();
            let blanks = text[start..].len() - text[start..].trim_start().len();
            if text[start + blanks..].starts_with("var.") {
                self.variable(text, inner, start + blanks + 4);
            }
        }
    }

    fn variable(&mut self, text: &str, inner: Span, at: usize) {
        let rest = &text[at..];
        let name = &rest[..rest.find(|c: char| !is_name(c)).unwrap_or(rest.len())];
        self.mention("var", name, inner.start + at as u32);
    }

    /// What begins with the name of another definition; returns whether it does.
    fn defined(&mut self, text: &str, inner: Span, spaces: &[&'static str]) -> bool {
        let name = text.split(':').next().unwrap_or_default();
        for space in spaces {
            if let Some(name) = name.strip_prefix(*space).and_then(|rest| rest.strip_prefix('.')) {
                self.mention(space, name, inner.start + space.len() as u32 + 1);
                return true;
            }
        }
        false
    }

    fn mention(&mut self, space: &'static str, name: &str, start: u32) {
        if !name.is_empty() {
            let span = Span::new(ast::FileId(0), start, start + name.len() as u32);
            self.found.push(Mention { span, name: name.to_owned(), space, defines: Some(false) });
        }
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meanings_are_of_texts_there_are() {
        for (table, key, _) in MEANINGS {
            let table = grammar().table(table).unwrap_or_else(|| panic!("{table}"));
            assert!(table.keys.iter().any(|field| field.name == *key), "{}.{key}", table.name);
        }
    }

    #[test]
    fn references_are_those_that_are_replaced() {
        let known: Vec<&str> = super::super::text::KNOWN.iter().map(|(known, _)| *known).collect();
        assert_eq!(REFERENCES.iter().map(|(name, _)| *name).collect::<Vec<_>>(), known);
    }

    #[test]
    fn paths_lead_to_what_may_be_there() {
        let shown = |path: &[&str]| {
            let found = grammar().at(path)?;
            Some(format!("{} {}", found.table.name, found.shape.map_or(String::new(), Shape::words)))
        };
        assert_eq!(shown(&["stage", "x", "apt", "install"]).as_deref(), Some("apt list of string"));
        assert_eq!(shown(&["image", "x", "step", "run"]).as_deref(), Some("step string or list of string"));
        assert_eq!(
            shown(&["stage", "x", "cache", "share"]).as_deref(),
            Some("cache \"shared\" | \"private\" | \"locked\"")
        );
        assert_eq!(shown(&["default", "env", "X"]).as_deref(), Some("default string or integer or boolean"));
        assert_eq!(shown(&["stage", "x", "nothing"]), None);
        let words = grammar().at(&["default", "network"]).and_then(|found| found.shape);
        assert!(matches!(words, Some(Shape::Words(words)) if words[0].1 == "Nothing."), "{words:?}");
    }

    #[test]
    fn names_and_what_means_them() {
        let text = "[var]\nv = {}\n[stage.b]\nfrom = \"${ var.v }x\"\n[[stage.b.step]]\ncopy = [\"s:/x\", \"./y\"]\n\
                    when = \"!var.v\"\nrun = \"${var.v}\"\n[image.i]\nfrom = \"stage.b\"\nfile = [{ from = \"image.j:/x\" }]\n";
        let mentions = names(text, &tree::read(text));
        let shown: Vec<_> = mentions
            .iter()
            .map(|found| {
                let sign = match found.defines {
                    Some(true) => "=",
                    Some(false) => "",
                    None => "+",
                };
                assert_eq!(&text[found.span.start as usize..found.span.end as usize], found.name);
                format!("{}.{}{sign}", found.space, found.name)
            })
            .collect();
        let expected =
            ["var.v=", "stage.b=", "var.v", "stage.b+", "source.s", "var.v", "image.i=", "stage.b", "image.j"];
        assert_eq!(shown, expected);
    }
}
