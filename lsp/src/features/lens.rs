//! Lines above stages: build it, and how many places use it; above steps: how they went when they were last built.

use std::collections::BTreeMap;

use ast::{FileId, Span, visit};

use crate::file::{File, Run, View};
use crate::names::{Kind, Role};

/// A line above a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lens {
    /// The line it stands above.
    pub span: Span,
    /// What it says.
    pub title: String,
    /// What it does.
    pub action: Action,
}

/// What a lens does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Builds a target: its name, or its number as a name does.
    Build(String),
    /// Shows places.
    Show(Vec<Span>),
    /// Nothing: it is there to be read.
    Tell,
}

/// The lenses of a file, in its order.
pub fn lenses(file: &File) -> Vec<Lens> {
    if file.keyed().is_some() {
        return super::keyed::lens::lenses(file);
    }
    if file.module.dialect.functions {
        return super::functional::lens::lenses(file);
    }
    let mut lenses = Vec::new();
    for (at, def) in file.module.defs.iter().enumerate().filter(|(_, def)| def.signature.is_none()) {
        let Some(from) = visit::def_steps(def).first() else { continue };
        let target = def.name.as_ref().map_or_else(|| at.to_string(), |name| name.text.clone());
        lenses.push(Lens { span: from.keyword, title: "build".to_owned(), action: Action::Build(target) });
        let names = file.names();
        let symbol = names.symbols.iter().position(|symbol| symbol.kind == Kind::Stage(at));
        let uses: Vec<Span> = symbol
            .into_iter()
            .flat_map(|symbol| names.of(symbol))
            .filter(|found| found.role == Role::Reference)
            .map(|found| found.span)
            .collect();
        if !uses.is_empty() {
            let title = super::hover::count(uses.len(), "use");
            lenses.push(Lens { span: from.keyword, title, action: Action::Show(uses) });
        }
    }
    lenses
}

/// How the steps of the build went when they were last built as they stand here.
pub fn history(view: &View<'_>) -> Vec<Lens> {
    let (digests, places): (Vec<_>, Vec<_>) = view.vertices().into_iter().unzip();
    if digests.is_empty() {
        return Vec::new();
    }
    // A step may be several vertices; what is left is the last one's.
    let mut steps: BTreeMap<u32, Run> = BTreeMap::new();
    for ((first, _), run) in places.into_iter().zip(view.surroundings.runs(&digests)) {
        let Some(run) = run else { continue };
        let step = steps.entry(first).or_default();
        *step = Run { took: step.took + run.took, bytes: run.bytes };
    }
    let lens = |(line, run): (u32, Run)| {
        let start = view.file.lines().start_of(line)?;
        Some(Lens { span: Span::new(FileId(0), start, start), title: told(run), action: Action::Tell })
    };
    steps.into_iter().filter_map(lens).collect()
}

/// `1.5 s, 12.3 MB`.
fn told(run: Run) -> String {
    let seconds = run.took.as_secs();
    let took = match run.took.as_millis() {
        millis @ 0..1000 => format!("{millis} ms"),
        millis @ 1000..60_000 => format!("{:.1} s", millis as f64 / 1000.0),
        _ => format!("{} min {} s", seconds / 60, seconds % 60),
    };
    let size = |bytes: u64| match bytes {
        0..1000 => format!("{bytes} B"),
        1000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    };
    run.bytes.map_or_else(|| took.clone(), |bytes| format!("{took}, {}", size(bytes)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::{file, with_named};

    #[track_caller]
    fn check_history(name: &str, text: &str, expected: &[(u32, &str)]) {
        with_named(name, text, |view, _| {
            let lenses = history(view);
            let shown: Vec<_> =
                lenses.iter().map(|lens| (view.file.lines().line(lens.span.start), lens.title.as_str())).collect();
            assert_eq!(shown, expected, "{text}");
        });
    }

    #[test]
    fn steps_tell_how_they_went() {
        let run = "1.5 s, 12.3 MB";
        // The base has no layers, so there is nothing to fetch for `FROM`.
        check_history("Dockerfile", "FROM alpine:3.20\nENV A=1\n\nRUN x\nCOPY a /b\n", &[(4, run), (5, run)]);
        check_history("Dockerfile", "FROM unknown\nRUN x\n", &[]);
        check_history("Dockerfile", "FROM alpine:3.20\nRUN x\nNOPE\n", &[(2, run)]);
        check_history("build.toml", "[image.app]\nfrom = \"alpine:3.20\"\nstep = [{ run = \"x\" }]\n", &[(3, run)]);
    }

    #[test]
    fn times_and_sizes() {
        let shown = |millis, bytes| told(Run { took: Duration::from_millis(millis), bytes });
        assert_eq!(shown(35, None), "35 ms");
        assert_eq!(shown(185_000, Some(999)), "3 min 5 s, 999 B");
        assert_eq!(shown(59_960, Some(2_500_000_000)), "60.0 s, 2.5 GB");
    }

    #[test]
    fn every_stage_can_be_built() {
        let (file, _) = file("FROM a AS x\nFROM b\nCOPY --from=x a b\n");
        let shown: Vec<_> = lenses(&file).into_iter().map(|lens| (lens.title, lens.action)).collect();
        let use_of_x = Action::Show(vec![Span::new(ast::FileId(0), 31, 32)]);
        let build = |target: &str| ("build".to_owned(), Action::Build(target.to_owned()));
        assert_eq!(shown, [build("x"), ("1 use".to_owned(), use_of_x), build("1")]);
    }
}
