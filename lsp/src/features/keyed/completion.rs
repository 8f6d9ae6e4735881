//! What can be written at the cursor: headers, keys, and values by what they mean.

use ast::Span;
use frontends::keyed::{Field, Grammar, Meaning, Shape};

use super::super::completion::{Item, ItemKind, PLATFORMS, tagged};
use crate::file::View;
use crate::keyed::{Place, expected};
use crate::names::Kind;

/// Everything that begins with what is typed.
pub(in super::super) fn complete(view: &View<'_>, offset: u32) -> Vec<Item> {
    let Some((_, grammar)) = view.file.keyed() else { return Vec::new() };
    let Some(spot) = expected(view.file, offset) else { return Vec::new() };
    let mut list = List { view, grammar, typed: spot.typed, quoted: true, items: Vec::new() };
    match &spot.place {
        Place::Header(path) => list.headers(path),
        Place::Key { path, used, .. } => list.keys(path, used),
        Place::Value { path, quoted } => {
            list.quoted = *quoted;
            list.values(path);
        }
    }
    let typed = view.file.slice(list.typed).to_lowercase();
    list.items.retain(|item| item.label.to_lowercase().starts_with(&typed));
    list.items
}

struct List<'l> {
    view: &'l View<'l>,
    grammar: &'static Grammar,
    typed: Span,
    /// Whether texts are written without quotes, because one is open.
    quoted: bool,
    items: Vec<Item>,
}

impl List<'_> {
    fn add(&mut self, label: &str, kind: ItemKind, detail: &str, doc: &str) -> &mut Item {
        self.items.push(Item::new(label, kind, detail, doc, self.typed));
        self.items.last_mut().expect("one was added")
    }

    /// A text, in quotes where none are open.
    fn text(&mut self, text: &str, kind: ItemKind, detail: &str, doc: &str) {
        let quoted = self.quoted;
        let item = self.add(text, kind, detail, doc);
        item.insert = (!quoted).then(|| format!("\"{text}\""));
    }

    fn headers(&mut self, path: &[String]) {
        let words: Vec<&str> = path.iter().map(String::as_str).collect();
        if let [space] = words[..]
            && self.grammar.spaces.contains(&space)
        {
            self.names(space, "", ItemKind::Stage);
            return;
        }
        let Some(found) = self.grammar.at(&words) else { return };
        let Some(table) = found.inside(self.grammar) else { return };
        for field in &table.keys {
            let leaves = field.shape.leaves();
            let is_named = leaves.iter().any(|shape| matches!(shape, Shape::Named(_)));
            if is_named || leaves.iter().any(|shape| matches!(shape, Shape::Table(_))) {
                let item = self.add(&field.name, ItemKind::Keyword, &field.shape.words(), &field.doc);
                if is_named && words.is_empty() {
                    item.insert = Some(format!("{}.", field.name));
                    item.more = true;
                }
            }
        }
    }

    fn keys(&mut self, path: &[String], used: &[String]) {
        let words: Vec<&str> = path.iter().map(String::as_str).collect();
        let Some(found) = self.grammar.at(&words) else { return };
        let Some(table) = found.inside(self.grammar) else { return };
        for field in table.keys.iter().filter(|field| !used.contains(&field.name)) {
            let item = self.add(&field.name, ItemKind::Property, &field.shape.words(), &field.doc);
            item.insert = Some(format!("{} = ", field.name));
            item.more = true;
        }
    }

    fn values(&mut self, path: &[String]) {
        let words: Vec<&str> = path.iter().map(String::as_str).collect();
        let Some(found) = self.grammar.at(&words) else { return };
        let Some(field) = found.field else { return };
        if self.quoted && field.means != Meaning::Script && self.in_reference() {
            self.references("}");
            return;
        }
        for shape in found.shape.into_iter().flat_map(Shape::leaves) {
            match shape {
                Shape::Words(words) => {
                    for (word, doc) in words {
                        self.text(word, ItemKind::Value, "", doc);
                    }
                }
                Shape::Truth if !self.quoted => {
                    self.add("true", ItemKind::Value, "", "");
                    self.add("false", ItemKind::Value, "", "");
                }
                _ => {}
            }
        }
        self.meant(field);
    }

    /// Whether a reference is open; then it alone is typed.
    fn in_reference(&mut self) -> bool {
        let typed = self.view.file.slice(self.typed);
        let Some(at) = typed.rfind("${").filter(|at| !typed[*at..].contains('}')) else { return false };
        let blanks = typed[at + 2..].len() - typed[at + 2..].trim_start().len();
        self.typed.start += (at + 2 + blanks) as u32;
        true
    }

    fn references(&mut self, end: &str) {
        for name in self.named("var") {
            let label = format!("var.{name}");
            let insert = format!("{label}{end}");
            self.add(&label, ItemKind::Variable, "", "").insert = Some(insert);
        }
        for (name, doc) in self.grammar.references {
            let insert = format!("{name}{end}");
            self.add(name, ItemKind::Variable, "", doc).insert = Some(insert);
        }
    }

    /// By what the text means.
    fn meant(&mut self, field: &Field) {
        match field.means {
            Meaning::Base => {
                self.names("stage", "stage.", ItemKind::Stage);
                self.names("image", "image.", ItemKind::Stage);
                self.names("source", "source.", ItemKind::Property);
                self.text("scratch", ItemKind::Image, "nothing", "An empty base.");
                self.images();
            }
            Meaning::Image => self.images(),
            Meaning::Files => {
                self.names("source", "", ItemKind::Property);
                self.names("stage", "stage.", ItemKind::Stage);
                self.names("image", "image.", ItemKind::Stage);
                self.paths("./");
            }
            Meaning::Source => self.names("source", "", ItemKind::Property),
            Meaning::Cache => self.names("cache", "", ItemKind::Property),
            Meaning::Stage => self.names("stage", "", ItemKind::Stage),
            Meaning::Path | Meaning::Beside => self.paths(""),
            Meaning::Platform => {
                for platform in ["build", "target"].iter().chain(PLATFORMS).filter(|known| !known.starts_with('$')) {
                    self.text(platform, ItemKind::Value, "", "");
                }
            }
            Meaning::Condition if self.quoted => {
                let typed = self.view.file.slice(self.typed);
                let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
                let start = typed.rfind(|c| !is_part(c)).map_or(0, |before| before + 1);
                self.typed.start += start as u32;
                self.references("");
            }
            Meaning::Condition | Meaning::Plain | Meaning::Address | Meaning::Script => {}
        }
    }

    fn names(&mut self, space: &str, prefix: &str, kind: ItemKind) {
        for name in self.named(space) {
            self.text(&format!("{prefix}{name}"), kind, space, "");
        }
    }

    /// The names in a table, those of texts that are included after the file's own.
    fn named(&self, space: &str) -> Vec<String> {
        let is_in = |kind: &Kind| matches!(kind, Kind::Entry(known) if *known == space);
        let own = self.view.file.names().symbols.iter().filter(|symbol| is_in(&symbol.kind));
        let mut names: Vec<String> = own.map(|symbol| symbol.name.to_string()).collect();
        let Some(keyed) = self.view.file.language.keyed else { return names };
        for text in self.view.included() {
            let text = String::from_utf8_lossy(&text.bytes);
            for mention in (keyed.names)(&text, &(keyed.read)(&text)) {
                if mention.space == space && mention.defines == Some(true) && !names.contains(&mention.name) {
                    names.push(mention.name);
                }
            }
        }
        names
    }

    fn images(&mut self) {
        for image in self.view.surroundings.images() {
            self.text(&image, ItemKind::Image, "", "");
        }
        for image in tagged(self.view, self.view.file.slice(self.typed)) {
            self.text(&image, ItemKind::Image, "", "");
        }
    }

    fn paths(&mut self, prefix: &str) {
        let typed = self.view.file.slice(self.typed).to_owned();
        let inner = typed.strip_prefix("./").unwrap_or(&typed);
        let prefix = if typed.starts_with("./") { "./" } else { prefix };
        let directory = inner.rsplit_once('/').map_or("", |(directory, _)| directory);
        let before = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        for entry in self.view.surroundings.list(directory) {
            let (kind, end) = if entry.directory { (ItemKind::Folder, "/") } else { (ItemKind::File, "") };
            self.text(&format!("{prefix}{before}{}{end}", entry.name), kind, "", "");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::with_named;

    #[track_caller]
    fn check(marked: &str, expected: &[&str]) {
        let items = with_named("build.toml", marked, complete);
        let shown: Vec<_> = items.iter().map(|item| item.insert.as_deref().unwrap_or(&item.label).to_owned()).collect();
        assert_eq!(shown, expected, "{marked}");
    }

    #[test]
    fn headers_and_keys() {
        check("[s┃", &["source.", "stage."]);
        check("[stage.b]\nfrom = 'x'\n[[stage.┃", &["b"]);
        check("[image.a]\n[[image.a.s┃", &["step"]);
        check("[image.a]\nex┃\n", &["expose = "]);
        check("[image.a]\nstep = [{ run = \"x\", w┃", &["write = ", "workdir = ", "when = "]);
        check("[image.a]\nstep = [{ run = \"x\", workdir = \"/\", w┃", &["write = ", "when = "]);
        check("[stage.b]\napt.r┃", &["recommends = ", "repo = "]);
        check("vers┃", &[]);
        check("[nothing.a]\n┃", &[]);
    }

    #[test]
    fn values() {
        check("[default]\nnetwork = ┃\n", &["\"none\"", "\"default\"", "\"host\""]);
        check("[default]\nnetwork = \"ho┃\n", &["host"]);
        check("[source]\na = { unpack = t┃ }", &["true"]);
        check("[cache]\nc = {}\n[image.a]\ncache = [┃", &["\"c\""]);
        check("[image.a]\nfrom = \"al┃", &["alpine:3.20"]);
        check("[image.a]\nfrom = \"debian:t┃", &["debian:trixie"]);
        check("[stage.b]\n[image.a]\nfrom = \"st┃", &["stage.b"]);
        check("[source]\napp = { local = \"sr┃\" }", &["src/"]);
        check("[image.a]\nplatform = \"b┃", &["build"]);
    }

    #[test]
    fn files() {
        let before = "[source]\napp = {}\n[stage.b]\n[[image.a.step]]\ncopy = ";
        check(&format!("{before}\"┃"), &["app", "stage.b", "image.a", "./Dockerfile", "./package.json", "./src/"]);
        check(&format!("{before}[\"./src/┃"), &["./src/main.rs", "./src/lib/"]);
    }

    #[test]
    fn references() {
        check(
            "[var]\nv = {}\n[image.a]\nfrom = \"x:${┃\"",
            &[
                "var.v}",
                "target.platform}",
                "target.os}",
                "target.arch}",
                "target.variant}",
                "build.platform}",
                "build.os}",
                "build.arch}",
                "build.variant}",
            ],
        );
        check("[var]\nv = {}\n[image.a]\nfrom = \"${target.arch}:${va┃", &["var.v}"]);
        check("[var]\nv = {}\n[[image.a.step]]\nwhen = \"!va┃\"", &["var.v"]);
        check("[var]\nv = {}\n[[image.a.step]]\nrun = \"${va┃\"", &[]);
    }
}
