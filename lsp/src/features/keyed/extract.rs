//! Divides a stage or an image at a step: what comes before becomes a stage of its own, and the rest starts from it.
//!
//! Nothing is built differently: what starts from a stage has its files, variables, directory, user and shell. What holds
//! for the processes of one stage alone is written again. Where `[default]` could come between, nothing is offered.

use ast::{Edit, Severity, Span};
use frontends::keyed::{Entry, Section, Tree, Value, ValueKind};

use super::super::actions::{Action, Kind, insert};
use super::super::hover::count;
use crate::File;
use crate::file::View;
use crate::names;

/// What whoever starts from a stage has of it.
const INHERITED: &[&str] = &["from", "env", "workdir", "user", "shell", "apt", "apk", "dnf", "pip", "npm"];
/// What holds for a stage alone.
const OWN: &[&str] = &["platform", "network", "cache"];

pub(in super::super) fn action(view: &View<'_>, offset: u32) -> Option<Action> {
    let (tree, _) = view.file.keyed()?;
    if view.file.module.diagnostics.iter().any(|found| found.severity == Severity::Error) {
        return None;
    }
    let stage = Stage::at(view.file, tree, offset)?;
    let name = fresh_name(view.file);
    let (steps, taken, number) = stage.steps_before(offset)?;
    let from = stage.main.entries.iter().find(|entry| is(entry, "from"))?.value.as_ref()?;
    let mut text = format!("[stage.{name}]\n");
    let mut edits = vec![Edit { span: from.span, text: format!("\"stage.{name}\"") }];
    for entry in &stage.main.entries {
        let inherited = INHERITED.iter().any(|key| is(entry, key));
        if inherited || OWN.iter().any(|key| is(entry, key)) {
            text.push_str(view.file.slice(stage.lines(entry.span)).trim_end());
            text.push('\n');
        }
        if inherited && !is(entry, "from") {
            edits.push(Edit { span: stage.lines(entry.span), text: String::new() });
        }
    }
    for section in stage.parts().filter(|section| section.path[2].text != "step") {
        match section.path[2].text.as_str() {
            key if OWN.contains(&key) => return None,
            key if INHERITED.contains(&key) => {
                text.push_str(&stage.renamed(section, &name));
                edits.push(Edit { span: stage.region(section), text: String::new() });
            }
            _ => {}
        }
    }
    text.push_str(&steps.replace("{name}", &name));
    edits.extend(taken.into_iter().map(|span| Edit { span, text: String::new() }));
    edits.push(insert(stage.lead(stage.main.header.start), format!("{}\n\n", text.trim_end())));
    edits.sort_by_key(|edit| edit.span.start);
    let title = format!("Move the {} above into a stage of their own", count(number, "step"));
    Some(Action { title, kind: Kind::Extract, edits, mends: None, preferred: false })
}

/// A stage or an image, and where it stands.
struct Stage<'f> {
    file: &'f File,
    tree: &'f Tree,
    /// `stage` or `image`, and its name.
    path: [&'f str; 2],
    /// The table with its name.
    main: &'f Section,
}

impl<'f> Stage<'f> {
    fn at(file: &'f File, tree: &'f Tree, offset: u32) -> Option<Self> {
        let [kind, name, ..] = &tree.sections[tree.section_at(offset)?].path[..] else { return None };
        let path = [kind.text.as_str(), name.text.as_str()];
        let is_named =
            |section: &&Section| section.path.len() == 2 && section.path.iter().map(|key| &*key.text).eq(path);
        let main = tree.sections.iter().find(is_named)?;
        let root = |key: &str| {
            let in_header = tree.sections.iter().any(|section| section.path.first().is_some_and(|k| k.text == key));
            in_header || tree.sections[0].entries.iter().any(|entry| is(entry, key))
        };
        let is_written_elsewhere = tree.sections[0].entries.iter().any(|entry| is(entry, path[0]));
        let has_preset = main.entries.iter().any(|entry| is(entry, "preset"));
        let is_stage = matches!(path[0], "stage" | "image");
        (is_stage && !root("default") && !is_written_elsewhere && !has_preset).then_some(Self {
            file,
            tree,
            path,
            main,
        })
    }

    /// The tables in it that have headers of their own.
    fn parts(&self) -> impl Iterator<Item = &'f Section> {
        let path = self.path;
        let is_part = move |section: &&Section| {
            section.path.len() > 2 && section.path.iter().take(2).map(|key| &*key.text).eq(path)
        };
        self.tree.sections.iter().filter(is_part)
    }

    /// The steps before the one at a place as text of a stage called `{name}`, where they are taken from, and how many.
    fn steps_before(&self, offset: u32) -> Option<(String, Vec<Span>, usize)> {
        match self.main.entries.iter().find(|entry| is(entry, "step")) {
            Some(entry) => self.items_before(entry.value.as_ref()?, offset),
            None => self.tables_before(offset),
        }
    }

    fn items_before(&self, value: &Value, offset: u32) -> Option<(String, Vec<Span>, usize)> {
        let ValueKind::List { items, .. } = &value.kind else { return None };
        let holds = |item: &Value| item.span.start <= offset && offset <= item.span.end;
        let at = items.iter().position(holds).filter(|at| *at > 0)?;
        let (first, last, next) = (items[0].span, items[at - 1].span, items[at].span);
        let head = self.file.slice(Span { start: value.span.start, end: last.end, ..first });
        let end = if head.contains('\n') { ",\n]" } else { "]" };
        let between = self.file.slice(Span { start: last.end, end: next.start, ..first });
        let comma = between.find(',')? as u32 + 1;
        // Lines stay lines, with the comments of what follows.
        let taken_end = if between.contains('\n') { last.end + comma } else { next.start };
        let taken = Span { start: value.span.start + 1, end: taken_end, ..first };
        Some((format!("step = {head}{end}\n"), vec![taken], at))
    }

    fn tables_before(&self, offset: u32) -> Option<(String, Vec<Span>, usize)> {
        let steps: Vec<_> = self.parts().filter(|section| section.path[2].text == "step").collect();
        let before: Vec<_> = steps.iter().take_while(|section| self.region(section).end <= offset).collect();
        let number = before.iter().filter(|section| section.path.len() == 3).count();
        // The step at the cursor may have tables of its own above the cursor.
        let next = steps.get(before.len())?;
        if number == 0 || next.path.len() != 3 || !next.repeated {
            return None;
        }
        let text = before.iter().map(|section| self.renamed(section, "{name}")).collect();
        Some((text, before.iter().map(|section| self.region(section)).collect(), number))
    }

    /// A table of it as one of a stage of another name.
    fn renamed(&self, section: &Section, name: &str) -> String {
        let region = self.region(section);
        let (kind, old) = (section.path[0].span, section.path[1].span);
        let before = self.file.slice(Span { end: kind.start, ..region });
        let after = self.file.slice(Span { start: old.end, ..region });
        format!("\n{before}stage.{name}{}\n", after.trim_end())
    }

    /// A table with the comments above it, up to the next one.
    fn region(&self, section: &Section) -> Span {
        let start = self.lead(section.header.start);
        let next = self.tree.sections.iter().map(|other| other.header.start).filter(|at| *at > section.header.start);
        let end = next.min().map_or(self.file.text().len() as u32, |at| self.lead(at));
        Span { start, end, ..section.header }
    }

    /// The whole lines of an entry, with the comments above it.
    fn lines(&self, span: Span) -> Span {
        let text = self.file.text();
        let rest = &text[span.end as usize..];
        let end = span.end + rest.find('\n').map_or(rest.len(), |at| at + 1) as u32;
        Span { start: self.lead(span.start), end, ..span }
    }

    /// The start of the lines of comments right above a place, or of its own line.
    fn lead(&self, at: u32) -> u32 {
        let text = &self.file.text()[..at as usize];
        let mut start = text.rfind('\n').map_or(0, |end| end + 1);
        while start > 0 {
            let above = text[..start - 1].rfind('\n').map_or(0, |end| end + 1);
            if !text[above..start].trim_start().starts_with('#') {
                break;
            }
            start = above;
        }
        start as u32
    }
}

fn is(entry: &Entry, key: &str) -> bool {
    entry.keys.first().is_some_and(|first| first.text == key)
}

fn fresh_name(file: &File) -> String {
    let names = file.names();
    let taken = |name: &str| {
        names.symbols.iter().any(|symbol| symbol.kind == names::Kind::Entry("stage") && symbol.name == name)
    };
    let numbered = (2..).map(|number| format!("base{number}"));
    std::iter::once("base".to_owned()).chain(numbered).find(|name| !taken(name)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use oci::Digest;

    use crate::testing::with_named;

    /// The text after the action, which builds the same.
    #[track_caller]
    fn check(marked: &str, expected: &str) {
        let (after, before_digests) = with_named("build.toml", marked, |view, offset| {
            let action = super::action(view, offset).unwrap_or_else(|| panic!("nothing is offered: {marked}"));
            let text = ast::apply(&view.file.source.bytes, &action.edits);
            (String::from_utf8(text).unwrap(), digests(view))
        });
        assert_eq!(after, expected);
        assert!(!before_digests.is_empty(), "nothing is built: {marked}");
        assert_eq!(with_named("build.toml", &after, |view, _| digests(view)), before_digests, "{after}");
    }

    #[track_caller]
    fn check_none(marked: &str) {
        with_named("build.toml", marked, |view, offset| assert_eq!(super::action(view, offset), None, "{marked}"));
    }

    fn digests(view: &crate::View<'_>) -> BTreeSet<Digest> {
        view.vertices().into_iter().map(|(digest, _)| digest).collect()
    }

    #[test]
    fn steps_of_a_list() {
        check(
            "[image.a]\nfrom = \"alpine:3.20\"\nworkdir = \"/w\"\ncmd = [\"x\"]\nstep = [{ run = \"a\" }, { run = \"┃b\" }]\n",
            "[stage.base]\nfrom = \"alpine:3.20\"\nworkdir = \"/w\"\nstep = [{ run = \"a\" }]\n\n[image.a]\nfrom = \"stage.base\"\ncmd = [\"x\"]\nstep = [{ run = \"b\" }]\n",
        );
        check(
            "# The app.\n[image.a]\nfrom = \"alpine:3.20\"\nstep = [\n  # one\n  { run = \"a\" },\n  # two\n  { run = \"┃b\" },\n]\n",
            "[stage.base]\nfrom = \"alpine:3.20\"\nstep = [\n  # one\n  { run = \"a\" },\n]\n\n# The app.\n[image.a]\nfrom = \"stage.base\"\nstep = [\n  # two\n  { run = \"b\" },\n]\n",
        );
    }

    #[test]
    fn steps_with_tables_of_their_own() {
        check(
            "[image.a]\nfrom = \"alpine:3.20\"\nnetwork = \"host\"\ncmd = [\"x\"]\n\n[image.a.apk]\ninstall = [\"git\"]\n\n[[image.a.step]]\nrun = \"a\"\n\n# second\n[[image.a.step]]\nru┃n = \"b\"\n",
            "[stage.base]\nfrom = \"alpine:3.20\"\nnetwork = \"host\"\n\n[stage.base.apk]\ninstall = [\"git\"]\n\n[[stage.base.step]]\nrun = \"a\"\n\n[image.a]\nfrom = \"stage.base\"\nnetwork = \"host\"\ncmd = [\"x\"]\n\n# second\n[[image.a.step]]\nrun = \"b\"\n",
        );
    }

    #[test]
    fn only_where_nothing_changes() {
        check_none("[image.a]\nfrom = \"alpine:3.20\"\nstep = [{ run = \"┃a\" }, { run = \"b\" }]\n");
        check_none(
            "[default]\nuser = \"x\"\n[image.a]\nfrom = \"alpine:3.20\"\nstep = [{ run = \"a\" }, { run = \"┃b\" }]\n",
        );
        check_none("[image.a]\nfrom = \"alpine:3.20\"\nstep = [{ run = \"a\" }, { nope = \"┃b\" }]\n");
    }
}
