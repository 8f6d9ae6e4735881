//! What can be written at the cursor: keywords, options and their values, stages, images, paths, variables, rules.

use ast::{Span, visit};
use compiler::lint::RULES;
use frontends::vocabulary::{Keyword, OptionWord, Takes, Value};

use crate::cursor::{Cursor, Place};
use crate::file::View;
use crate::names;

/// Something to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What to show, and to write unless `insert` is set.
    pub label: String,
    /// What it is.
    pub kind: ItemKind,
    /// One line beside it.
    pub detail: String,
    /// Markdown.
    pub doc: String,
    /// What to write, when that is not the label.
    pub insert: Option<String>,
    /// What it replaces.
    pub span: Span,
    /// Whether more can be completed right after it.
    pub more: bool,
}

impl Item {
    /// What is written as it is shown, with nothing to complete after it.
    pub(super) fn new(label: &str, kind: ItemKind, detail: &str, doc: &str, span: Span) -> Self {
        let [label, detail, doc] = [label, detail, doc].map(str::to_owned);
        Self { label, kind, detail, doc, insert: None, span, more: false }
    }
}

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemKind {
    /// An instruction.
    Keyword,
    /// A function.
    Function,
    /// An option or a field.
    Property,
    /// One of several values.
    Value,
    /// A stage.
    Stage,
    /// An image.
    Image,
    /// A variable.
    Variable,
    /// A file.
    File,
    /// A directory.
    Folder,
    /// A rule.
    Rule,
}

/// Platforms that images are mostly made for.
pub(super) const PLATFORMS: &[&str] = &[
    "$BUILDPLATFORM",
    "$TARGETPLATFORM",
    "linux/amd64",
    "linux/arm64",
    "linux/arm/v7",
    "linux/ppc64le",
    "linux/riscv64",
    "linux/s390x",
    "windows/amd64",
];

/// Everything that begins with what is typed.
pub fn complete(view: &View<'_>, offset: u32) -> Vec<Item> {
    if view.file.keyed().is_some() {
        return super::keyed::completion::complete(view, offset);
    }
    if view.file.words().is_none() {
        return super::functional::completion::complete(view, offset);
    }
    let Some(cursor) = Cursor::new(view.file, offset) else { return Vec::new() };
    let mut list = List { view, cursor: &cursor, items: Vec::new() };
    list.fill(offset);
    let typed = view.file.slice(cursor.typed).to_lowercase();
    list.items.retain(|item| item.label.to_lowercase().starts_with(&typed));
    list.items
}

/// What is typed with each tag of its repository, once the colon before the tag is there.
pub(super) fn tagged(view: &View<'_>, typed: &str) -> Vec<String> {
    let Some((repository, tag)) = typed.rsplit_once(':') else { return Vec::new() };
    // Before a slash stands the port of a registry, not a tag.
    if repository.is_empty() || tag.contains('/') || typed.contains('$') {
        return Vec::new();
    }
    let tags = view.surroundings.tags(repository);
    tags.into_iter().map(|tag| format!("{repository}:{tag}")).collect()
}

struct List<'l> {
    view: &'l View<'l>,
    cursor: &'l Cursor,
    items: Vec<Item>,
}

impl List<'_> {
    fn fill(&mut self, offset: u32) {
        match &self.cursor.place {
            Place::Keyword => self.keywords(),
            Place::Option(keyword) => self.options(keyword.options),
            Place::Value(_, option) | Place::FieldValue(option) => self.values(option),
            Place::Field(option) => {
                if let Value::Fields(fields) = option.value {
                    self.options(fields);
                }
            }
            Place::Argument { keyword, before, sourced } => self.argument(keyword, *before, *sourced),
            Place::Variable => self.variables(offset),
            Place::Directive => self.directives(),
            Place::DirectiveValue(name) => self.directive_values(name),
            Place::Other => {}
        }
    }

    fn add(&mut self, label: &str, kind: ItemKind, detail: &str, doc: &str) -> &mut Item {
        self.items.push(Item::new(label, kind, detail, doc, self.cursor.typed));
        self.items.last_mut().expect("one was added")
    }

    fn keywords(&mut self) {
        let Some(words) = self.view.file.words() else { return };
        let lower = self.writes_lower_case();
        for keyword in words.keywords {
            let name = if lower { keyword.name.to_lowercase() } else { keyword.name.to_owned() };
            let item = self.add(&name, ItemKind::Keyword, keyword.forms[0], keyword.doc);
            item.insert = Some(name + " ");
            item.more = true;
        }
    }

    /// Whether the file writes its keywords in lower case; what is being typed does not count.
    fn writes_lower_case(&self) -> bool {
        let mut steps = visit::steps(&self.view.file.module).filter(|(step, _)| step.keyword != self.cursor.typed);
        steps.next().is_some_and(|(step, _)| !step.keyword_text().contains(|c: char| c.is_ascii_uppercase()))
    }

    fn options(&mut self, options: &'static [OptionWord]) {
        for option in options {
            let (detail, sign) = match option.value {
                Value::Switch => ("", ""),
                Value::Text(example) => (example, "="),
                _ => ("", "="),
            };
            let item = self.add(option.name, ItemKind::Property, detail, option.doc);
            item.insert = Some(format!("{}{sign}", option.name));
            item.more = !sign.is_empty();
        }
    }

    fn values(&mut self, option: &'static OptionWord) {
        match option.value {
            Value::Switch => self.each(&["true", "false"]),
            Value::OneOf(values) => self.each(values),
            Value::Platform => self.each(PLATFORMS),
            Value::Source => {
                self.stages(self.view.file.module.defs.len());
                self.images();
            }
            Value::Path => self.paths(),
            Value::Fields(_) | Value::Text(_) => {}
        }
    }

    fn each(&mut self, values: &[&str]) {
        for value in values {
            self.add(value, ItemKind::Value, "", "");
        }
    }

    fn argument(&mut self, keyword: &'static Keyword, before: usize, sourced: bool) {
        match keyword.takes {
            Takes::Base if before == 0 => {
                let def = self.cursor.def.unwrap_or(self.view.file.module.defs.len());
                self.stages(def);
                self.add("scratch", ItemKind::Image, "nothing", "An empty base.");
                self.images();
            }
            Takes::Base if before == 1 => {
                self.add("AS", ItemKind::Keyword, "AS <name>", "Names the stage.");
            }
            Takes::Paths if !sourced => self.paths(),
            Takes::Words(words) if before == 0 => self.each(words),
            _ => {}
        }
        if before == 0 && self.view.file.slice(self.cursor.typed).is_empty() {
            self.options(keyword.options);
        }
    }

    /// Named stages before a number, but for the one the cursor stands in.
    fn stages(&mut self, end: usize) {
        for (at, def) in self.view.file.module.defs.iter().enumerate().take(end) {
            if self.cursor.def == Some(at) {
                continue;
            }
            if let Some(name) = &def.name {
                let detail = super::symbols::stage_detail(def);
                let doc = def.doc.as_ref().map(|doc| doc.lossy().into_owned()).unwrap_or_default();
                self.add(&name.text, ItemKind::Stage, &detail, &doc);
            }
        }
    }

    fn images(&mut self) {
        for image in self.view.surroundings.images() {
            self.add(&image, ItemKind::Image, "", "");
        }
        for image in tagged(self.view, self.view.file.slice(self.cursor.typed)) {
            self.add(&image, ItemKind::Image, "", "");
        }
    }

    fn paths(&mut self) {
        let typed = self.view.file.slice(self.cursor.typed).to_owned();
        let (directory, _) = typed.rsplit_once('/').map_or(("", ""), |(directory, _)| (directory, "/"));
        let prefix = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        for entry in self.view.surroundings.list(directory) {
            let kind = if entry.directory { ItemKind::Folder } else { ItemKind::File };
            let end = if entry.directory { "/" } else { "" };
            let item = self.add(&format!("{prefix}{}{end}", entry.name), kind, "", "");
            item.more = entry.directory;
        }
    }

    fn variables(&mut self, offset: u32) {
        let file = self.view.file;
        let step = file.step_at(offset).map(|(step, _)| step.span);
        let scope = step.and_then(|step| self.view.scopes(step).pop());
        let mut seen = std::collections::BTreeSet::new();
        for (name, value) in scope.iter().flat_map(|scope| scope.variables()) {
            seen.insert(name.to_owned());
            self.add(name, ItemKind::Variable, value.unwrap_or_default(), "");
        }
        for symbol in &file.names().symbols {
            if symbol.kind == names::Kind::Variable && seen.insert(symbol.name.clone()) {
                self.add(&symbol.name, ItemKind::Variable, "", "");
            }
        }
        for variable in file.words().map(|words| words.variables).unwrap_or_default() {
            if seen.insert(variable.name.to_owned()) {
                self.add(variable.name, ItemKind::Variable, "", variable.doc);
            }
        }
    }

    fn directives(&mut self) {
        for directive in self.view.file.words().map(|words| words.directives).unwrap_or_default() {
            let item = self.add(directive.name, ItemKind::Property, "", directive.doc);
            item.insert = Some(format!("{}=", directive.name));
            item.more = true;
        }
    }

    fn directive_values(&mut self, name: &str) {
        match name {
            "check" => {
                for rule in RULES {
                    self.add(rule.name, ItemKind::Rule, rule.description, "");
                }
                self.each(&["skip=", "error=true", "experimental=", "all"]);
            }
            "syntax" => self.each(&["docker/dockerfile:1"]),
            "escape" => self.each(&["\\", "`"]),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::with;

    #[track_caller]
    fn check(marked: &str, expected: &[&str]) {
        let labels: Vec<String> =
            with(marked, |view, offset| complete(view, offset).into_iter().map(|item| item.label).collect());
        assert_eq!(labels, expected);
    }

    #[test]
    fn keywords_in_the_case_of_the_file() {
        check("FROM a\nE┃", &["ENTRYPOINT", "ENV", "EXPOSE"]);
        check("from a\ne┃", &["entrypoint", "env", "expose"]);
        check("FROM a\nONBUILD W┃", &["WORKDIR"]);
    }

    #[test]
    fn options() {
        check("FROM a\nCOPY --ch┃ x y\n", &["--chmod", "--chown"]);
        check("FROM a\nRUN --mount=type=cache,sha┃", &["sharing"]);
        check("FROM a\nRUN --mount=type=cache,sharing=┃", &["shared", "private", "locked"]);
        check("FROM a\nRUN --network=n┃ x\n", &["none"]);
    }

    #[test]
    fn stages_and_images() {
        check("FROM a AS one\nFROM b AS two\nCOPY --from=┃", &["one", "alpine:3.20", "golang:1.23"]);
        check("FROM a AS one\nFROM ┃", &["one", "scratch", "alpine:3.20", "golang:1.23", "--platform"]);
        check("FROM a AS one\nFROM b\nRUN --mount=type=bind,from=o┃,target=/x y\n", &["one"]);
    }

    #[test]
    fn tags_after_a_colon() {
        check("FROM debian:┃", &["debian:bookworm", "debian:trixie"]);
        check("FROM debian:t┃", &["debian:trixie"]);
        check("FROM debian┃", &[]);
        check("FROM localhost:5000/┃", &[]);
    }

    #[test]
    fn paths_of_the_context() {
        check("FROM a\nCOPY s┃", &["src/"]);
        check("FROM a\nCOPY src/┃ /x\n", &["src/main.rs", "src/lib/"]);
        check("FROM a AS b\nFROM b\nCOPY --from=b s┃\n", &[]);
    }

    #[test]
    fn variables_with_their_values() {
        let items = with("FROM alpine:3.20\nENV GROUP=x\nWORKDIR /$GR┃\n", complete);
        let shown: Vec<_> = items.iter().map(|item| format!("{}={}", item.label, item.detail)).collect();
        assert_eq!(shown, ["GREETING=hello", "GROUP=x"]);
        check("FROM a\nNOPE\nENV A1=x\nRUN $A┃", &["A1", "ALL_PROXY"]);
    }

    #[test]
    fn settings() {
        check("# s┃", &["syntax"]);
        check("# check=skip=Sta┃", &["StageNameCasing"]);
    }
}
