//! Every feature for every language, on a whole file and on a half-written one: each gives an answer that is worth giving.

use ast::Span;

use super::{
    actions, completion, folding, formatting, functions, hover, inlay, lens, links, navigation, rename, selection,
    signature, symbols, tokens,
};
use crate::file::View;
use crate::testing::{CURSOR, with_named};

/// A language's file: whole, and half-written. Each question is asked at a mark of its own in both.
struct Fixture {
    name: &'static str,
    whole: &'static str,
    broken: &'static str,
    /// Where a name is used.
    name_at: &'static str,
    /// Where something can be completed.
    complete_at: &'static str,
    /// Where the form of what is written is told.
    signature_at: &'static str,
    /// What can be rewritten.
    rewrite_at: &'static str,
    /// Features that this language has no use for, each for a reason.
    without: &'static [&'static str],
}

const FIXTURES: &[Fixture] = &[
    Fixture {
        name: "Dockerfile",
        whole: "# one\n# two\nARG V=3.20\nFROM alpine:$V AS base\nENV A=1\nRUN apk add x && \\\n  true  \nFROM base\nCOPY src/main.rs /$A\nCOPY --from=base a /b\nCMD  run\n",
        broken: "# one\n# two\nARG V=3.20\nFROM alpine:$V AS base\nENV A=1\nRUN apk add x && \\\n  true  \nFROM base\nCOPY src/main.rs /$A\nCOPY --from=base a /b\nCMD  run\nCOPY --\nNOPE\n",
        name_at: "--from=ba",
        complete_at: "COPY --f",
        signature_at: "COPY src/main.rs ",
        rewrite_at: "RUN apk",
        // Values are not certain in a file with errors.
        without: &["call hierarchy"],
    },
    Fixture {
        name: "main.hlb",
        whole: "# one\n# two\nfs default() {\n\tbase \"3.20\"\n\trun \"make\" with option {\n\t\tdir \"/src\"\n\t}\n}\n\nfs base(string v) {\n\timage \"alpine:3.20\"\n\trun   \"apk add ${v}\"\n}\n",
        broken: "# one\n# two\nfs default() {\n\tbase \"3.20\"\n\trun \"make\" with option {\n\t\tdir \"/src\"\n\t}\n}\n\nfs base(string v) {\n\timage \"alpine:3.20\"\n\trun   \"apk add ${v}\"\n}\n\nfs half(\n",
        name_at: "\tbas",
        complete_at: "\tru",
        signature_at: "\trun \"ma",
        rewrite_at: "alpine:3",
        without: &[],
    },
    Fixture {
        name: "build.toml",
        whole: "# one\n# two\n[var]\nv = { default = \"3.20\" }\n[stage.base]\nfrom = \"alpine:3.20\"\nworkdir = \"/${var.v}\"\n[image.app]\nfrom=\"stage.base\"\nstep = [{ run = \"apk add x\" }]\nfile = [\n  { from = \"./src/main.rs\", to = \"/a\" },\n]\n",
        broken: "# one\n# two\n[var]\nv = { default = \"3.20\" }\n[stage.base]\nfrom = \"alpine:3.20\"\nworkdir = \"/${var.v}\"\n[image.app]\nfrom=\"stage.base\"\nstep = [{ run = \"apk add x\" }]\nfile = [\n  { from = \"./src/main.rs\", to = \"/a\" },\n]\nhalf = \n[sta\n",
        name_at: "\"stage.ba",
        complete_at: "[sta",
        signature_at: "{ from = \"./src",
        rewrite_at: "run = \"apk",
        without: &["call hierarchy"],
    },
];

/// Features that say nothing of a text with errors, because they would have to guess: values, and a layout.
const CERTAIN_ONLY: &[&str] = &["formatting", "inlay hints"];

fn whole(view: &View<'_>) -> Span {
    Span::new(ast::FileId(0), 0, view.file.text().len() as u32)
}

/// What each feature says, at the place after a text.
fn answers(fixture: &Fixture, text: &str) -> Vec<(&'static str, bool)> {
    let ask = |after: &str, question: &dyn Fn(&View<'_>, u32) -> bool| {
        let at = text.find(after).unwrap_or_else(|| panic!("{after} in {text}")) + after.len();
        let marked = format!("{}{CURSOR}{}", &text[..at], &text[at..]);
        with_named(fixture.name, &marked, |view, offset| question(view, offset))
    };
    let at_name = |question: &dyn Fn(&View<'_>, u32) -> bool| ask(fixture.name_at, question);
    let anywhere = |question: &dyn Fn(&View<'_>) -> bool| ask("# one", &|view, _| question(view));
    vec![
        ("hover", at_name(&|view, at| hover::hover(view, at).is_some_and(|found| !found.text.is_empty()))),
        ("completion", ask(fixture.complete_at, &|view, at| !completion::complete(view, at).is_empty())),
        ("signature help", ask(fixture.signature_at, &|view, at| signature::signature(view, at).is_some())),
        ("definition", at_name(&|view, at| navigation::definition(view, at).len() == 1)),
        ("declaration", at_name(&|view, at| navigation::declaration(view, at).is_some())),
        ("references", at_name(&|view, at| navigation::references(view, at, true).len() >= 2)),
        ("highlight", at_name(&|view, at| navigation::highlights(view, at).len() >= 2)),
        ("rename", at_name(&|view, at| rename::rename(view, at, "other").is_ok_and(|edits| edits.len() >= 2))),
        ("symbols", anywhere(&|view| symbols::outline(view.file).len() >= 2)),
        ("folding", anywhere(&|view| folding::folds(view.file).len() >= 3)),
        ("selection range", at_name(&|view, at| selection::ranges(view, at).len() >= 4)),
        (
            "semantic tokens",
            anywhere(&|view| {
                let kinds = tokens::tokens(view.file, whole(view));
                let kinds: std::collections::BTreeSet<_> = kinds.iter().map(|token| token.kind).collect();
                kinds.len() >= 5
            }),
        ),
        ("formatting", anywhere(&|view| !formatting::format(view.file).is_empty())),
        (
            "code actions",
            ask(fixture.rewrite_at, &|view, at| {
                let findings = view.glance().unwrap().diagnostics;
                !actions::actions(view, Span::new(ast::FileId(0), at, at), &findings).is_empty()
            }),
        ),
        ("code lens", anywhere(&|view| lens::lenses(view.file).len() >= 2)),
        ("inlay hints", anywhere(&|view| !inlay::hints(view, whole(view)).is_empty())),
        ("links", anywhere(&|view| !links::links(view).is_empty())),
        ("call hierarchy", at_name(&|view, at| !functions::incoming(view, at).is_empty())),
    ]
}

#[test]
fn every_feature_for_every_language() {
    let mut missing = Vec::new();
    for fixture in FIXTURES {
        for (text, is_whole) in [(fixture.whole, true), (fixture.broken, false)] {
            let expected =
                |feature: &str| !fixture.without.contains(&feature) && (is_whole || !CERTAIN_ONLY.contains(&feature));
            let silent = answers(fixture, text).into_iter().filter(|(feature, says)| expected(feature) && !says);
            missing.extend(silent.map(|(feature, _)| {
                format!("{feature} of {}{}", fixture.name, if is_whole { "" } else { ", half-written" })
            }));
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Asks everything at a place, for answers that are not looked at.
fn ask_everything(view: &View<'_>, at: u32, findings: &[ast::Diagnostic]) {
    let range = Span::new(ast::FileId(0), at, (at + 7).min(view.file.text().len() as u32));
    drop(hover::hover(view, at));
    drop(completion::complete(view, at));
    drop(signature::signature(view, at));
    drop(navigation::definition(view, at));
    let _ = navigation::declaration(view, at);
    drop(navigation::references(view, at, true));
    drop(navigation::highlights(view, at));
    let _ = rename::prepare(view, at);
    let _ = rename::rename(view, at, "other");
    drop(selection::ranges(view, at));
    drop(tokens::tokens(view.file, range));
    drop(formatting::format_typed(view.file, view.file.lines().line(at)));
    let line = view.file.lines().line(at);
    drop(formatting::format_lines(view.file, line, line + 1));
    drop(functions::prepare(view, at));
    drop(functions::incoming(view, at));
    drop(functions::outgoing(view, at));
    drop(actions::actions(view, range, findings));
    drop(inlay::hints(view, range));
}

#[test]
fn every_place_can_be_asked_about() {
    for fixture in FIXTURES {
        for text in [fixture.whole, fixture.broken] {
            with_named(fixture.name, text, |view, _| {
                let findings = view.glance().unwrap().diagnostics;
                (0..=text.len() as u32).for_each(|at| ask_everything(view, at, &findings));
            });
        }
    }
}

#[test]
fn every_text_that_is_being_typed_can_be_asked_about() {
    for fixture in FIXTURES {
        for end in 0..=fixture.broken.len() {
            let Some(text) = fixture.broken.get(..end) else { continue };
            with_named(fixture.name, text, |view, _| {
                let findings = view.glance().unwrap().diagnostics;
                ask_everything(view, end as u32, &findings);
                drop((symbols::outline(view.file), folding::folds(view.file), links::links(view)));
                drop((lens::lenses(view.file), lens::history(view), formatting::format(view.file)));
            });
        }
    }
}
