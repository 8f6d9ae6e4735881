//! Files like those people write, damaged in a fixed sequence of ways: whatever the damage, what holds for any module
//! holds. The fuzz targets look further; this always runs.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test reads files and a clock"
)]

use std::path::{Path, PathBuf};

/// Text that is put in where it may hurt.
const SCRAPS: [&[u8]; 26] = [
    b"\\\n",
    b"\\",
    b"\n",
    b"\r\n",
    b"<<EOF\n",
    b"<<-'E'\n",
    b"EOF\n",
    b"\"",
    b"'",
    b"${",
    b"}",
    b":-",
    b"[\"",
    b"]",
    b"--mount=",
    b",",
    b"=",
    b"#",
    b"# escape=`\n",
    b"`\n",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\xc2\xa0",
    b"ONBUILD ",
    b"FROM ",
    b"\0",
];

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}

fn corpus() -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/conformance/dockerfile");
    let list = |dir: &Path| {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    };
    let cases = list(&root).into_iter().filter(|path| path.is_dir()).flat_map(|group| list(&group));
    cases.filter_map(|case| std::fs::read(case.join("Dockerfile")).ok()).filter(|text| text.len() < 4096).collect()
}

fn damage(text: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(text.len() + 1);
    let end = (at + random.below(12)).min(text.len());
    match random.below(5) {
        0 => drop(text.drain(at..end)),
        1 => {
            let piece = text[at..end].to_vec();
            text.splice(at..at, piece);
        }
        2 if at < text.len() => text[at] = random.below(256) as u8,
        _ => {
            let scrap = SCRAPS[random.below(SCRAPS.len())];
            text.splice(at..at, scrap.iter().copied());
        }
    }
}

#[test]
fn damaged_files_still_parse() {
    let language = frontends::detect("Dockerfile").unwrap();
    let files = corpus();
    assert!(files.len() > 700);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..6 {
        for file in &files {
            let mut text = file.clone();
            for _ in 0..=random.below(6) {
                damage(&mut text, &mut random);
            }
            let module = frontends::invariants::check(language, &text);
            ast::visit::steps(&module).for_each(|(step, _)| ast::word::check(&step.text, b'\\'));
        }
    }
}

/// Long texts of every shape are parsed to their end; what they cost is measured by the benchmark.
#[test]
fn long_texts_are_parsed_whole() {
    type Shape = (&'static str, fn(usize) -> String);
    let shapes: [Shape; 8] = [
        ("arguments", |n| format!("{}FROM a\n", "ARG A=v\n".repeat(n))),
        ("stages", |n| (0..n).map(|i| format!("FROM a AS s{i}\nRUN x\n")).collect()),
        ("continued lines", |n| format!("FROM a\nRUN a{}\n", " \\\n b".repeat(n))),
        ("pairs", |n| format!("FROM a\nENV{}\n", " a=b".repeat(n))),
        ("documents", |n| format!("FROM a\nRUN{}\n{}", " <<E".repeat(n.min(200)), "x\nE\n".repeat(n.min(200)))),
        ("comments", |n| format!("{}FROM a\n", "# note\n".repeat(n))),
        ("errors", |n| format!("FROM a\n{}", "NOPE x\n".repeat(n))),
        ("open quotes", |n| format!("FROM a\n{}", "ENV a='b\n".repeat(n))),
    ];
    let language = frontends::detect("Dockerfile").unwrap();
    for (name, shape) in shapes {
        let text = shape(8000);
        let module = (language.parse)(&frontends::Input::new(ast::FileId(0), text.as_bytes()));
        assert!(!module.defs.is_empty(), "{name}");
    }
}
