//! The same text, the same module: each folder of `tests/snapshots/<language>` holds a text and the dump of its module.
//!
//! `LLBC_BLESS=1 cargo test -p frontends --test snapshots` writes the dumps anew; read the difference before keeping it.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test reads its cases from files")]

use std::path::Path;

use ast::{FileId, Module};
use frontends::{Input, Language};

/// Holds every dump below a folder against what the text in it gives.
fn check(folder: &str, file: &str, parse: fn(&Language, &[u8]) -> Module) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/snapshots").join(folder);
    let bless = std::env::var_os("LLBC_BLESS").is_some();
    let language = frontends::detect(file).unwrap();
    let mut folders: Vec<_> = std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(!folders.is_empty(), "there are snapshots");
    for folder in folders {
        let text = std::fs::read(folder.join(file)).unwrap();
        let found = ast::dump::text(&parse(language, &text));
        let path = folder.join("module.txt");
        if bless {
            std::fs::write(&path, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == expected, "{}: the dump differs; it is now\n{found}", path.display());
    }
}

#[test]
fn dockerfiles() {
    check("dockerfile", "Dockerfile", frontends::invariants::check);
}

/// Steps of a spec are not in the order of the text: packages come first, wherever they are written.
#[test]
fn specs() {
    check("spec", "build.toml", |language, bytes| (language.parse)(&Input::new(FileId(0), bytes)));
}
