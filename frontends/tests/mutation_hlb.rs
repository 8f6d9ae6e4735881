//! HLB programs damaged in a fixed sequence of ways: whatever the damage, what holds for any module holds.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test reads files")]

use std::path::Path;

/// Text that is put in where it may hurt.
const SCRAPS: [&[u8]; 30] = [
    b"\"",
    b"`",
    b"${",
    b"}",
    b"{",
    b"(",
    b")",
    b"<<EOM\n",
    b"<<-`E`",
    b"EOM",
    b" as ",
    b" with option {",
    b"#",
    b";",
    b",",
    b".",
    b"\n",
    b"\\",
    b"fs x() ",
    b"0b9",
    b"\xff",
    b"\xc3\xa9",
    b"import ",
    b"variadic ",
    b" = ",
    b" == ",
    b"!=",
    b"\n\tif ",
    b" else ",
    b" x=",
];

/// What HLB itself has not.
const BEYOND: &str = r#"# What is built.
export build

fs build(string v, int n = 1, bool fast = true) {
	if fast { image "a"; } else if v != "2" {
		dockerfile fs { local "."; } with option { target "t"; arg "K" v; }
	} else { scratch; }
	copy input=build("x", n=3) dst="/b" src="/${v}" with option { link; }
	run string { if n == 2 { "x"; }; } with option { secretEnv "A" "B"; }
}
"#;

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
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/conformance/hlb");
    let mut texts = Vec::new();
    for group in std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        let cases = std::fs::read_dir(group).unwrap().map(|entry| entry.unwrap().path().join("main.hlb"));
        texts.extend(cases.map(|path| std::fs::read(path).unwrap()));
    }
    texts.sort();
    texts
}

#[test]
fn damaged_programs_are_modules() {
    let language = frontends::detect("x.hlb").unwrap();
    let texts = corpus();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..500 {
        let known = texts.get(random.below(texts.len() * 5 / 4));
        let mut text = known.cloned().unwrap_or_else(|| BEYOND.into());
        for _ in 0..=random.below(3) {
            let at = random.below(text.len() + 1);
            match random.below(3) {
                0 => drop(text.splice(at..at, SCRAPS[random.below(SCRAPS.len())].iter().copied())),
                1 => drop(text.drain(at..(at + random.below(8)).min(text.len()))),
                _ => text.truncate(at),
            }
        }
        frontends::invariants::check(language, &text);
    }
}
