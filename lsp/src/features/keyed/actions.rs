//! Rewritings of what stands at the cursor: an image pinned, a command as a list or a script, caches, a preset written out.

use ast::{Edit, Span};
use frontends::keyed::{Meaning, ValueKind};
use oci::Reference;

use super::super::actions::{Action, cache_mount, exec_form, heredoc, insert, rewrite};
use super::super::hover::known_image;
use crate::file::View;
use crate::keyed::{Here, here};

/// Everything that can be done at a place.
pub(in super::super) fn actions(view: &View<'_>, offset: u32) -> Vec<Action> {
    let Some((tree, grammar)) = view.file.keyed() else { return Vec::new() };
    let Some(here) = here(tree, offset) else { return Vec::new() };
    let Some(field) = here.meaning(grammar).and_then(|found| found.field) else { return Vec::new() };
    let value = here.value.or(here.entry.and_then(|entry| entry.value.as_ref()));
    let mut actions = Vec::new();
    if field.name == "preset" {
        actions.extend(write_out(view));
    }
    let Some((value, inner)) = value.and_then(|value| match value.kind {
        ValueKind::Text { inner, closed: true } => Some((value.span, inner)),
        _ => None,
    }) else {
        return actions;
    };
    actions.extend(pin(view, field.means, inner));
    let is_command = field.means == Meaning::Script && matches!(field.name.as_str(), "run" | "script");
    if is_command && !view.file.slice(inner).contains('\\') {
        if field.name == "run" {
            actions.extend(as_script(view, &here, value, inner));
            actions.extend(
                exec_form::list(view, inner).map(|text| rewrite("Write as a list", vec![Edit { span: value, text }])),
            );
        }
        actions.extend(caches(view, &here, inner));
    }
    actions
}

fn pin(view: &View<'_>, means: Meaning, inner: Span) -> Option<Action> {
    let image = super::image(view.file, means, inner)?;
    let reference = Reference::parse(image).ok()?.or_latest();
    if reference.digest().is_some() {
        return None;
    }
    let digest = known_image(view, &reference)?.digest.as_ref()?;
    let tag = if image.rsplit('/').next()?.contains(':') { "" } else { ":latest" };
    let edit = insert(inner.end, format!("{tag}@{digest}"));
    Some(rewrite(format!("Pin {} to its digest", reference.familiar()), vec![edit]))
}

/// A chain of commands as lines.
fn as_script(view: &View<'_>, here: &Here<'_>, value: Span, inner: Span) -> Option<Action> {
    let lines = heredoc::commands(view, inner)?;
    let text = lines.join("\n");
    if text.contains("'''") {
        return None;
    }
    let key = here.keys.last()?.span;
    let edits = vec![
        Edit { span: key, text: "script".to_owned() },
        Edit { span: value, text: format!("'''\nset -e\n{text}\n'''") },
    ];
    Some(rewrite("Write as a script", edits))
}

/// Caches of the package manager that a command calls, where the step has none.
fn caches(view: &View<'_>, here: &Here<'_>, inner: Span) -> Option<Action> {
    let (name, caches) = cache_mount::manager(view, [inner])?;
    if here.among.iter().any(|entry| entry.keys.first().is_some_and(|key| key.text == "cache")) {
        return None;
    }
    let cache = |(target, locked): &(&str, bool)| {
        let share = if *locked { ", share = \"locked\"" } else { "" };
        format!("{{ path = \"{target}\"{share} }}")
    };
    let list = caches.iter().map(cache).collect::<Vec<_>>().join(", ");
    let (tree, _) = view.file.keyed()?;
    let section = &tree.sections[tree.section_at(inner.start)?];
    let entry = here.entry?;
    let sign = if section.entries.iter().any(|own| own.span == entry.span) { "\n" } else { ", " };
    let edit = insert(entry.span.end, format!("{sign}cache = [{list}]"));
    Some(rewrite(format!("Keep the cache of {name} between builds"), vec![edit]))
}

/// The file with its presets as plain stages.
fn write_out(view: &View<'_>) -> Option<Action> {
    let file = view.file;
    let input = frontends::Input::of(ast::FileId(0), &file.source);
    let text = file.language.expand?(&input).ok()?;
    let whole = Span::new(ast::FileId(0), 0, file.text().len() as u32);
    Some(rewrite("Write presets out", vec![Edit { span: whole, text }]))
}

#[cfg(test)]
mod tests {
    use crate::features::actions::tests::check_named;
    use crate::testing::DIGEST;

    #[track_caller]
    fn check(marked: &str, title: &str, expected: &str) {
        check_named("build.toml", marked, title, expected);
    }

    #[test]
    fn images() {
        check("[image.a]\nfrom = \"alpine:3.20┃\"\n", "Pin", &format!("[image.a]\nfrom = \"alpine:3.20@{DIGEST}\"\n"));
    }

    #[test]
    fn commands() {
        check(
            "[image.a]\nstep = [{ run = \"a b┃ && c\" }]\n",
            "Write as a script",
            "[image.a]\nstep = [{ script = '''\nset -e\na b\nc\n''' }]\n",
        );
        check(
            "[[image.a.step]]\nru┃n = \"a 'b c'\"\n",
            "Write as a list",
            "[[image.a.step]]\nrun = [\"a\", \"b c\"]\n",
        );
        check(
            "[image.a]\nstep = [{ run = \"┃apk add x\" }]\n",
            "Keep the cache of apk",
            "[image.a]\nstep = [{ run = \"apk add x\", cache = [{ path = \"/var/cache/apk\", share = \"locked\" }] }]\n",
        );
        check(
            "[[image.a.step]]\nrun = \"┃pip install x\"\n",
            "Keep the cache of pip",
            "[[image.a.step]]\nrun = \"pip install x\"\ncache = [{ path = \"/root/.cache/pip\" }]\n",
        );
    }

    #[test]
    fn spelling() {
        check("[image.a]\nfrom = \"x\"\n┃cmdd = [\"y\"]\n", "Write `cmd`", "[image.a]\nfrom = \"x\"\ncmd = [\"y\"]\n");
        check("[default]\nnetwork = \"h┃ots\"\n", "Write \"host\"", "[default]\nnetwork = \"host\"\n");
    }

    #[test]
    fn presets() {
        let text = "[image.a]\npreset = \"static┃\"\n";
        crate::testing::with_named("build.toml", text, |view, offset| {
            let all = crate::features::keyed::actions::actions(view, offset);
            let action = all.iter().find(|action| action.title == "Write presets out").expect("it is offered");
            let text = String::from_utf8(ast::apply(&view.file.source.bytes, &action.edits)).unwrap();
            assert!(text.contains("[image.a]") && !text.contains("preset"), "{text}");
        });
    }
}
