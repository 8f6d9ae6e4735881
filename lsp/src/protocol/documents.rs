//! Open texts: kept as the client has them, edit by edit, and parsed when someone asks.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use ast::Diagnostic;
use compiler::{Facts, Options, Question};
use frontends::{LANGUAGES, Language};
use lsp_types::{SemanticToken, TextDocumentContentChangeEvent, Uri};

use super::outside::Place;
use super::position::{Encoding, Lines};
use super::settings::Settings;
use crate::File;

/// An open text.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) uri: Uri,
    pub(crate) version: i32,
    pub(crate) text: String,
    pub(crate) lines: Lines,
    encoding: Encoding,
    language: &'static Language,
    /// The name of its file.
    pub(crate) name: String,
    file: Option<Rc<File>>,
    /// How it is built.
    pub(crate) settings: Settings,
    pub(crate) options: Options,
    pub(crate) place: Place,
    /// What is known.
    pub(crate) facts: Facts,
    /// What is not.
    pub(crate) asks: BTreeSet<Question>,
    /// What was found in this version with these facts, once it was looked for.
    pub(crate) findings: Option<Rc<Vec<Diagnostic>>>,
    /// Counts texts and facts: the findings of one number are the same.
    pub(crate) generation: u64,
    /// The semantic tokens that the client has, under their number.
    pub(crate) tokens: Option<(u64, Vec<SemanticToken>)>,
    /// Whether findings must be sent.
    pub(crate) dirty: bool,
}

impl Document {
    /// Takes a text; `None` if it is in no language that is known.
    pub(crate) fn open(uri: Uri, id: &str, version: i32, text: String, encoding: Encoding) -> Option<Self> {
        let path = path_of(&uri);
        let file_name = path.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        let by_name = file_name.as_deref().and_then(frontends::detect);
        let by_id = LANGUAGES.iter().find(|language| language.id.eq_ignore_ascii_case(id));
        let language = by_id.or(by_name)?;
        let name = file_name.unwrap_or_else(|| language.id.to_owned());
        if !is_meant(language, &name, &text) {
            return None;
        }
        let lines = Lines::new(&text, encoding);
        Some(Self {
            uri,
            version,
            text,
            lines,
            encoding,
            language,
            name,
            file: None,
            settings: Settings::default(),
            options: Options::default(),
            place: Place::default(),
            facts: Facts::default(),
            asks: BTreeSet::new(),
            findings: None,
            generation: 0,
            tokens: None,
            dirty: true,
        })
    }

    /// Where its file is, if it is one.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        path_of(&self.uri)
    }

    /// Applies edits in the order given; each is relative to the text after those before it.
    pub(crate) fn edit(&mut self, version: i32, changes: Vec<TextDocumentContentChangeEvent>) {
        for change in changes {
            match change.range {
                None => self.text = change.text,
                Some(range) => {
                    let span = self.lines.span(&self.text, range);
                    self.text.replace_range(span.start as usize..span.end as usize, &change.text);
                }
            }
            self.lines = Lines::new(&self.text, self.encoding);
        }
        self.version = version;
        self.file = None;
        self.changed();
    }

    /// The text or what is known has changed: what was found is old.
    pub(crate) fn changed(&mut self) {
        self.findings = None;
        self.generation += 1;
        self.dirty = true;
    }

    /// The text, parsed.
    pub(crate) fn file(&mut self) -> Rc<File> {
        let parse = || Rc::new(File::new(self.name.clone(), self.text.as_str(), self.language));
        self.file.get_or_insert_with(parse).clone()
    }
}

/// Whether a text in a language is a build file at all: of languages of keys and values there are many others, so their
/// name or what stands in them must tell.
pub(crate) fn is_meant(language: &Language, name: &str, text: &str) -> bool {
    let Some(keyed) = language.keyed else { return true };
    let name = name.to_ascii_lowercase();
    let has_name = |known: &&str| name == **known || name.ends_with(&format!(".{known}"));
    language.names.iter().any(has_name) || {
        let tree = (keyed.read)(text);
        tree.sections[0].entries.iter().any(|entry| entry.keys[0].text == (keyed.grammar)().root)
    }
}

/// The path of a file's address.
pub(crate) fn path_of(uri: &Uri) -> Option<PathBuf> {
    let text = uri.as_str().strip_prefix("file://")?;
    let path = text.find('/').map(|start| &text[start..])?;
    Some(PathBuf::from(unescape(path)))
}

/// The address of a file.
pub(crate) fn uri_of(path: &Path) -> Option<Uri> {
    let mut text = String::from("file://");
    for byte in path.to_string_lossy().bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => text.push(char::from(byte)),
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text.parse().ok()
}

fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_there_and_back() {
        for path in ["/a b/ü/Dockerfile", "/x%41/y#z?", "/"] {
            let uri = uri_of(Path::new(path)).unwrap();
            assert_eq!(path_of(&uri).as_deref(), Some(Path::new(path)), "{}", uri.as_str());
        }
        assert_eq!(path_of(&"untitled:Untitled-1".parse().unwrap()), None);
    }

    #[test]
    fn not_every_file_of_keys_and_values_is_a_build_file() {
        let opens = |name: &str, text: &str| {
            let uri: Uri = format!("file:///{name}").parse().unwrap();
            Document::open(uri, "toml", 1, text.to_owned(), Encoding::Utf16).is_some()
        };
        assert!(opens("build.toml", "") && opens("app.build.toml", "") && opens("x.toml", "# x\nspec = 1\n"));
        assert!(!opens("Cargo.toml", "[package]\nspec = 1\n"));
    }

    #[test]
    fn edits_are_applied_one_after_the_other() {
        let uri: Uri = "file:///Dockerfile".parse().unwrap();
        let mut document = Document::open(uri, "dockerfile", 1, "FROM ä\nRUN x\n".into(), Encoding::Utf16).unwrap();
        let change = |line, start, end, text: &str| TextDocumentContentChangeEvent {
            range: Some(lsp_types::Range::new(
                lsp_types::Position::new(line, start),
                lsp_types::Position::new(line, end),
            )),
            range_length: None,
            text: text.to_owned(),
        };
        document.edit(2, vec![change(0, 5, 6, "b\nUSER u"), change(2, 4, 5, "y")]);
        assert_eq!((document.text.as_str(), document.version), ("FROM b\nUSER u\nRUN y\n", 2));
        assert!(document.file().module.diagnostics.is_empty());
    }
}
