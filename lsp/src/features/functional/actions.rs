//! Rewritings of the call at the cursor: an image pinned, caches for a package manager.

use super::super::actions::{Action, cache_mount, insert, rewrite};
use super::super::functions::call_at;
use super::super::hover::known_image;
use super::{images, literal};
use crate::file::View;

/// Everything that can be done at a place.
pub(in super::super) fn actions(view: &View<'_>, offset: u32) -> Vec<Action> {
    pin(view, offset).into_iter().chain(caches(view, offset)).collect()
}

fn pin(view: &View<'_>, offset: u32) -> Option<Action> {
    let holds = |outside: &images::Outside<'_>| outside.span.start <= offset && offset <= outside.span.end;
    let outside = images::outsides(view.file).into_iter().find(holds)?;
    let reference = images::reference(&outside)?;
    if reference.digest().is_some() {
        return None;
    }
    let digest = known_image(view, &reference)?.digest.as_ref()?;
    let tag = if outside.text.rsplit('/').next()?.contains(':') { "" } else { ":latest" };
    let edit = insert(outside.span.end, format!("{tag}@{digest}"));
    Some(rewrite(format!("Pin {} to its digest", reference.familiar()), vec![edit]))
}

/// Only where a process has no options yet: what is there may be a function.
fn caches(view: &View<'_>, offset: u32) -> Option<Action> {
    let call = call_at(view, offset).filter(|call| call.name.text == "run" && call.with.is_none())?;
    let [script] = &call.args[..] else { return None };
    let (_, span) = literal(view.file, script)?;
    let (name, caches) = cache_mount::manager(view, [span])?;
    let line = view.file.text().get(..call.span.start as usize)?.rsplit('\n').next()?;
    let indent: String = line.chars().take_while(|c| c.is_whitespace()).collect();
    let mounts: String = caches
        .iter()
        .map(|(target, locked)| {
            let share = if *locked { "locked" } else { "shared" };
            format!("{indent}\tmount scratch \"{target}\" with cache(\"{target}\", \"{share}\")\n")
        })
        .collect();
    let edit = insert(call.span.end, format!(" with option {{\n{mounts}{indent}}}"));
    Some(rewrite(format!("Keep the cache of {name} between builds"), vec![edit]))
}

#[cfg(test)]
mod tests {
    use crate::features::actions::tests::check_named;
    use crate::testing::DIGEST;

    #[test]
    fn images_and_caches() {
        let expected = format!("fs a() {{\n\timage \"alpine:3.20@{DIGEST}\"\n}}\n");
        check_named("main.hlb", "fs a() {\n\timage \"alp┃ine:3.20\"\n}\n", "Pin", &expected);
        check_named(
            "main.hlb",
            "fs a() {\n\timage \"x\"\n\trun \"apk add┃ y\"\n}\n",
            "Keep the cache of apk",
            "fs a() {\n\timage \"x\"\n\trun \"apk add y\" with option {\n\t\tmount scratch \"/var/cache/apk\" with \
             cache(\"/var/cache/apk\", \"locked\")\n\t}\n}\n",
        );
    }

    /// What is written is a program.
    #[test]
    fn what_is_written_is_in_the_language() {
        let text = "fs a() {\n\timage \"x\"\n\trun \"pip install y\" with option {\n\t\tmount scratch \"/c\" with cache(\"/c\", \"shared\")\n\t}\n}\n";
        let (file, _) = crate::testing::named("main.hlb", text);
        assert!(file.module.diagnostics.is_empty(), "{:?}", file.module.diagnostics);
    }
}
