//! Reading typed values out of TOML: every mistake is a diagnostic with its place, and what is right is kept.
//!
//! A type says itself how it is read, what it is called in messages, and what its JSON schema is ([`Read`]); tables get
//! all three from one declaration (the macro `tables!`), so that the reader, the schema and the documentation cannot differ.

use std::ops::Range;

use ast::{Diagnostic, Edit, FileId, Fix, Span, code};
use serde_json::{Value as Json, json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::model::VarType;
use super::schema::Schemas;

/// A text with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) value: String,
    pub(super) span: Span,
}

/// A value with its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Span,
}

/// A value of the text, and where it stands.
pub(super) struct Node<'a> {
    pub(super) value: &'a DeValue<'a>,
    pub(super) span: Span,
}

/// Collects what is wrong.
pub(super) struct Reader {
    file: FileId,
    /// Where everything stands, when the text is not the user's own.
    whole: Option<Span>,
    pub(super) diagnostics: Vec<Diagnostic>,
}

impl Reader {
    /// A reader of a file, or of a text that stands for what is written at one place of it.
    pub(super) fn new(file: FileId, whole: Option<Span>) -> Self {
        Self { file, whole, diagnostics: Vec::new() }
    }

    /// The place of a range of bytes.
    pub(super) fn span(&self, range: Range<usize>) -> Span {
        self.whole.unwrap_or(Span::new(self.file, range.start as u32, range.end as u32))
    }

    pub(super) fn node<'a>(&self, value: &'a Spanned<DeValue<'a>>) -> Node<'a> {
        Node { value: value.get_ref(), span: self.span(value.span()) }
    }

    pub(super) fn error(&mut self, message: impl Into<String>, at: Span) -> &mut Diagnostic {
        self.diagnostics.push(Diagnostic::error(code::INSTRUCTION, message, at));
        self.diagnostics.last_mut().expect("just pushed")
    }

    /// Says that a value is of another type than is expected there.
    pub(super) fn wrong_type<T>(&mut self, node: &Node<'_>, expected: &str) -> Option<T> {
        let found = describe(node.value);
        self.error(format!("expected {expected}, found {found}"), node.span);
        None
    }

    /// Says that a value is no table, and how one with these keys is written.
    pub(super) fn no_table<T>(&mut self, node: &Node<'_>, keys: &[&str]) -> Option<T> {
        let (found, first) = (describe(node.value), keys.first().unwrap_or(&"key"));
        let error = self.error(format!("expected a table, found {found}"), node.span);
        error.help = Some(format!("write {{ {first} = … }}; the keys are {}", keys.join(", ")));
        None
    }
}

fn describe(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// The entries of a table in the order they are written.
pub(super) fn entries<'a>(table: &'a DeTable<'a>) -> Vec<(&'a str, Range<usize>, &'a Spanned<DeValue<'a>>)> {
    let mut entries: Vec<_> = table.iter().map(|(key, value)| (key.get_ref().as_ref(), key.span(), value)).collect();
    entries.sort_by_key(|(_, span, _)| span.start);
    entries
}

/// What can be read from TOML.
pub(super) trait Read: Sized {
    /// What messages call it: `a string`.
    const EXPECTED: &'static str;

    /// Reads it; `None` when it is wrong, which a diagnostic then says.
    fn read(node: &Node<'_>, reader: &mut Reader) -> Option<Self>;

    /// Its JSON schema; tables are put among the definitions.
    fn schema(schemas: &mut Schemas) -> Json;
}

impl Read for Text {
    const EXPECTED: &'static str = "a string";

    fn read(node: &Node<'_>, reader: &mut Reader) -> Option<Self> {
        match node.value {
            DeValue::String(value) => Some(Self { value: value.to_string(), span: node.span }),
            _ => reader.wrong_type(node, Self::EXPECTED),
        }
    }

    fn schema(_: &mut Schemas) -> Json {
        json!({ "type": "string" })
    }
}

/// A text, a number or a truth value, all of which end up as text; with what it was, if no text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scalar(pub(super) Text, pub(super) Option<VarType>);

impl Read for Scalar {
    const EXPECTED: &'static str = "a string, a number, or true or false";

    fn read(node: &Node<'_>, reader: &mut Reader) -> Option<Self> {
        let (value, kind) = match node.value {
            DeValue::String(value) => (value.to_string(), None),
            DeValue::Boolean(value) => (value.to_string(), Some(VarType::Bool)),
            DeValue::Integer(value) if value.radix() == 10 => (value.as_str().replace('_', ""), Some(VarType::Int)),
            _ => return reader.wrong_type(node, Self::EXPECTED),
        };
        Some(Self(Text { value, span: node.span }, kind))
    }

    fn schema(_: &mut Schemas) -> Json {
        json!({ "type": ["string", "integer", "boolean"] })
    }
}

impl Read for At<bool> {
    const EXPECTED: &'static str = "true or false";

    fn read(node: &Node<'_>, reader: &mut Reader) -> Option<Self> {
        match node.value {
            DeValue::Boolean(value) => Some(Self { value: *value, span: node.span }),
            _ => reader.wrong_type(node, Self::EXPECTED),
        }
    }

    fn schema(_: &mut Schemas) -> Json {
        json!({ "type": "boolean" })
    }
}

impl Read for At<i64> {
    const EXPECTED: &'static str = "a number";

    fn read(node: &Node<'_>, reader: &mut Reader) -> Option<Self> {
        let DeValue::Integer(written) = node.value else { return reader.wrong_type(node, Self::EXPECTED) };
        match i64::from_str_radix(&written.as_str().replace('_', ""), written.radix()) {
            Ok(value) => Some(Self { value, span: node.span }),
            Err(_) => {
                reader.error(format!("the number {} is out of range", written.as_str()), node.span);
                None
            }
        }
    }

    fn schema(_: &mut Schemas) -> Json {
        json!({ "type": "integer" })
    }
}

impl<T: Read> Read for Vec<T> {
    const EXPECTED: &'static str = "a list";

    fn read(node: &Node<'_>, reader: &mut Reader) -> Option<Self> {
        let DeValue::Array(items) = node.value else { return reader.wrong_type(node, Self::EXPECTED) };
        let nodes: Vec<Node<'_>> = items.iter().map(|item| reader.node(item)).collect();
        Some(nodes.iter().filter_map(|node| T::read(node, reader)).collect())
    }

    fn schema(schemas: &mut Schemas) -> Json {
        json!({ "type": "array", "items": T::schema(schemas) })
    }
}

/// A table whose keys are names that the user chooses, in the order written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Map<T>(pub(super) Vec<(Text, T)>);

impl<T: Read> Read for Map<T> {
    const EXPECTED: &'static str = "a table";

    fn read(node: &Node<'_>, reader: &mut Reader) -> Option<Self> {
        let DeValue::Table(table) = node.value else { return reader.wrong_type(node, Self::EXPECTED) };
        let mut read = Vec::new();
        for (key, range, value) in entries(table) {
            let name = Text { value: key.to_owned(), span: reader.span(range) };
            let node = reader.node(value);
            read.extend(T::read(&node, reader).map(|value| (name, value)));
        }
        Some(Self(read))
    }

    fn schema(schemas: &mut Schemas) -> Json {
        json!({ "type": "object", "additionalProperties": T::schema(schemas) })
    }
}

/// A table with keys of its own. Made by `tables!`.
pub(super) trait Table: Default {
    /// What it is for.
    const DOC: &'static str;
    /// What it is called among the definitions of the schema.
    const NAME: &'static str;

    /// Takes the value of a key; false when there is no such key.
    fn set(&mut self, key: &str, node: &Node<'_>, reader: &mut Reader) -> bool;

    /// Its keys with what they are for and their schemas, in the order of the declaration.
    fn keys(schemas: &mut Schemas) -> Vec<(&'static str, &'static str, Json)>;

    /// The names of its keys.
    fn names() -> Vec<&'static str>;
}

/// Keys of other tools, and of the draft of this language, with what is written here.
const OTHERWISE: &[(&str, &str, &str)] =
    &[("image", "base", "from"), ("image", "go", "version"), ("source", "commit", "ref")];

/// Reads the keys of a table. Keys that it does not have are mistakes.
pub(super) fn fill<T: Table>(table: &DeTable<'_>, into: &mut T, reader: &mut Reader) {
    for (key, range, value) in entries(table) {
        let node = reader.node(value);
        if !into.set(key, &node, reader) {
            let at = reader.span(range);
            let mut names = T::names();
            names.sort_unstable();
            let message = format!("unknown key `{key}` in {}", T::NAME);
            let meant = OTHERWISE.iter().find(|(table, other, _)| *table == T::NAME && *other == key);
            let suggestion = meant.map(|(_, _, here)| *here).or_else(|| ast::suggest(key, names.iter().copied()));
            let error = reader.error(ast::with_suggestion(message, suggestion), at);
            error.help = Some(format!("its keys are {}", names.join(", ")));
            error.fix = suggestion.map(|name| instead(format!("Write `{name}`"), at, name.to_owned()));
        }
    }
}

/// Declares tables: their fields are what is read, and the comments above them the documentation.
macro_rules! tables {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident as $title:literal {
            $( $(#[doc = $key_doc:literal])+ $key:literal => $field:ident: $kind:ty, )*
            $(.. $flat:ident: $flat_kind:ty,)*
        }
    )+) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Debug, Default, PartialEq)]
        pub(super) struct $name {
            $( $(#[doc = $key_doc])+ pub(super) $field: Option<$kind>, )*
            $( pub(super) $flat: $flat_kind, )*
            /// All of it.
            pub(super) span: ast::Span,
        }

        impl $name {
            /// What is said here, and what is said there where nothing is said here.
            #[allow(dead_code)]
            pub(super) fn or(self, usual: Self) -> Self {
                Self {
                    $( $field: self.$field.or(usual.$field), )*
                    $( $flat: self.$flat.or(usual.$flat), )*
                    span: self.span,
                }
            }
        }

        impl $crate::spec::read::Table for $name {
            const DOC: &'static str = concat!($($doc),+);
            const NAME: &'static str = $title;

            fn set(&mut self, key: &str, node: &$crate::spec::read::Node<'_>, reader: &mut $crate::spec::read::Reader) -> bool {
                match key {
                    $( $key => self.$field = <$kind as $crate::spec::read::Read>::read(node, reader), )*
                    _ => return false $(|| self.$flat.set(key, node, reader))*,
                }
                true
            }

            fn keys(schemas: &mut $crate::spec::schema::Schemas) -> Vec<(&'static str, &'static str, serde_json::Value)> {
                #[allow(unused_mut)]
                let mut keys = vec![
                    $( ($key, concat!($($key_doc),+), <$kind as $crate::spec::read::Read>::schema(schemas)), )*
                ];
                $( keys.extend(<$flat_kind as $crate::spec::read::Table>::keys(schemas)); )*
                keys
            }

            fn names() -> Vec<&'static str> {
                #[allow(unused_mut)]
                let mut names = vec![$($key),*];
                $( names.extend(<$flat_kind as $crate::spec::read::Table>::names()); )*
                names
            }
        }

        impl $crate::spec::read::Read for $name {
            const EXPECTED: &'static str = "a table";

            fn read(node: &$crate::spec::read::Node<'_>, reader: &mut $crate::spec::read::Reader) -> Option<Self> {
                let toml::de::DeValue::Table(table) = node.value else {
                    return reader.no_table(node, &<Self as $crate::spec::read::Table>::names());
                };
                let mut read = Self { span: node.span, ..Self::default() };
                $crate::spec::read::fill(table, &mut read, reader);
                Some(read)
            }

            fn schema(schemas: &mut $crate::spec::schema::Schemas) -> serde_json::Value {
                schemas.table::<Self>()
            }
        }
    )+};
}

/// Declares enumerations of words.
macro_rules! words {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident { $( $(#[doc = $word_doc:literal])+ $word:literal => $variant:ident, )+ }
    )+) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum $name { $( $(#[doc = $word_doc])+ $variant, )+ }

        impl $name {
            /// The words, in the order of the declaration.
            pub(super) const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$variant),)+];

            /// As written.
            #[allow(dead_code)]
            pub(super) fn word(self) -> &'static str {
                match self { $( Self::$variant => $word, )+ }
            }
        }

        impl $crate::spec::read::Read for $name {
            const EXPECTED: &'static str = "a string";

            fn read(node: &$crate::spec::read::Node<'_>, reader: &mut $crate::spec::read::Reader) -> Option<Self> {
                let text = <$crate::spec::read::Text as $crate::spec::read::Read>::read(node, reader)?;
                $crate::spec::read::word(&text, Self::WORDS, reader)
            }

            fn schema(_: &mut $crate::spec::schema::Schemas) -> serde_json::Value {
                serde_json::json!({
                    "enum": [$($word),+],
                    "enumDescriptions": [$(concat!($($word_doc),+).trim()),+],
                })
            }
        }
    )+};
}

pub(super) use {tables, words};

/// One of some words.
pub(super) fn word<T: Copy>(text: &Text, words: &[(&str, T)], reader: &mut Reader) -> Option<T> {
    if let Some((_, found)) = words.iter().find(|(word, _)| *word == text.value) {
        return Some(*found);
    }
    let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let message = format!("unknown value {}", ast::quote(text.value.as_bytes()));
    let suggestion = ast::suggest(&text.value, names.iter().copied());
    let error = reader.error(ast::with_suggestion(message, suggestion), text.span);
    error.help = Some(format!("it is one of {}", names.join(", ")));
    error.fix = suggestion.map(|word| instead(format!("Write \"{word}\""), text.span, format!("\"{word}\"")));
    None
}

/// A fix that writes something else; what was meant is a guess.
fn instead(title: String, span: Span, text: String) -> Fix {
    Fix { title, safe: false, edits: vec![Edit { span, text }] }
}
